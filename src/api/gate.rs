//! How much may be in hand at the doors: over all tenants, and for each, so that one tenant's flood leaves room for the others. Only
//! requests whose sender is known come here: what strangers send is bounded by its bytes, in `bodies.rs`, and takes no place.

use super::problem::Problem;
use atshub_schemas::TenantName;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Part of what may be in hand that one tenant may have.
const TENANT_SHARE: usize = 4;

/// How much is taken at once, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body taken, in bytes.
    pub max_body: usize,
    /// Longest time in which a request's head, and then its body, has to be here.
    pub request_time: Duration,
    /// Longest time for making it durable.
    pub commit_time: Duration,
    /// Webhooks and partner calls of known senders in hand at once, over all tenants; one tenant may have a quarter.
    pub max_in_hand: usize,
    /// Bytes held at once of bodies whose sender is not known yet, over all connections; and as many of bodies that are still coming
    /// from senders who showed their key.
    pub max_unverified: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 1024 * 1024,
            request_time: Duration::from_secs(10),
            commit_time: Duration::from_secs(8),
            max_in_hand: 128,
            max_unverified: 64 * 1024 * 1024,
        }
    }
}

/// Counts what is in hand.
pub(super) struct Gate {
    all: Arc<Semaphore>,
    each: usize,
    // Only tenants that exist get an entry, so it does not grow with what strangers send.
    tenants: Mutex<HashMap<TenantName, Arc<Semaphore>>>,
}

/// In hand, until dropped.
pub(super) struct InHand {
    _all: OwnedSemaphorePermit,
    _tenant: OwnedSemaphorePermit,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Self {
        let all = limits.max_in_hand.max(1);
        Self { all: Arc::new(Semaphore::new(all)), each: all.div_ceil(TENANT_SHARE), tenants: Mutex::default() }
    }

    /// Takes one more in hand for a tenant that exists.
    pub(super) fn enter(&self, tenant: &TenantName) -> Result<InHand, Problem> {
        let busy = |_| Problem::ours("busy", "too much is in hand at this moment");
        let own = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
        };
        let tenant = own.try_acquire_owned().map_err(busy)?;
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(busy)?;
        Ok(InHand { _all: all, _tenant: tenant })
    }
}
