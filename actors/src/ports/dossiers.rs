//! Dossiers, and what was heard apart from them.

use super::store::StoreError;
use crate::domain::{Dossier, Heard, Lookup, Page, Subject};
use async_trait::async_trait;
use atshub_schemas::{ExternalId, TenantName};
use std::collections::BTreeMap;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// For each lookup, in order, the dossiers that it leads to.
    pub dossiers: Vec<Vec<Dossier>>,
    /// What was heard of the subjects; those of which nothing was heard are left out.
    pub heard: Vec<Heard>,
}

/// What is read before a decision, and searched by.
#[async_trait]
pub trait Dossiers: Send + Sync + 'static {
    /// What is known of a tenant's: the dossiers that each lookup leads to, and what was heard of these subjects.
    async fn look_up(&self, tenant: &TenantName, by: Vec<Lookup>, of: Vec<Subject>) -> Result<Found, StoreError>;

    /// Dossiers of a tenant.
    async fn dossiers(&self, tenant: &TenantName, by: Lookup) -> Result<Vec<Dossier>, StoreError> {
        Ok(self.look_up(tenant, vec![by], vec![]).await?.dossiers.pop().unwrap_or_default())
    }

    /// The dossiers of a tenant whose newest candidacy is in this state (its code), from after this application on, at most `limit`. The
    /// order is that of the applications' ids, so that a page begins where the one before ended, whatever changes meanwhile.
    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError>;

    /// What was heard of these subjects; those of which nothing was heard are left out.
    async fn heard(&self, tenant: &TenantName, of: Vec<Subject>) -> Result<Vec<Heard>, StoreError> {
        Ok(self.look_up(tenant, vec![], of).await?.heard)
    }

    /// Number of dossiers' newest candidacies, by state code.
    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;
}
