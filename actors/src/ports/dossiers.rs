//! Dossiers, and what was heard apart from them.

use super::store::StoreError;
use crate::domain::{Dossier, Heard, Lookup, Page, Subject};
use async_trait::async_trait;
use atshub_schemas::{ExternalId, TenantName};
use std::collections::BTreeMap;

/// What is read before a decision, and searched by.
#[async_trait]
pub trait Dossiers: Send + Sync + 'static {
    /// Dossiers of a tenant.
    async fn dossiers(&self, tenant: &TenantName, by: Lookup) -> Result<Vec<Dossier>, StoreError>;

    /// The dossiers of a tenant whose newest candidacy is in this state (its code), from after this application on, at most `limit`. The
    /// order is that of the applications' ids, so that a page begins where the one before ended, whatever changes meanwhile.
    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError>;

    /// What was heard of these subjects; those of which nothing was heard are left out.
    async fn heard(&self, tenant: &TenantName, of: Vec<Subject>) -> Result<Vec<Heard>, StoreError>;

    /// Number of dossiers' newest candidacies, by state code.
    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;
}
