//! Drills: faults that an operator asks for, to see how the hub copes. Decorators stand before the store and before the
//! connectors of sandbox tenants, and let everything through until a fault is asked for; they are put in place only where the
//! configuration allows drills. Who may ask, and for which tenant, is checked in `hub::control`.

mod store;

use async_trait::async_trait;
use atshub_actors::{
    domain::Snapshot,
    failure::Failure,
    ports::{Capabilities, Connector, Inventory, Store, StoreError, Written},
};
use atshub_schemas::{ExternalId, Message, TenantName, control::DrillFault, internal::WritebackRequested};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What the ids of applications and candidates begin with that exist in drills alone. A write-back to one is never made at the
/// ATS: it is done once the fault is over.
pub const PROBE: &str = "drill-";

/// The faults that are on. Everything is let through while there are none.
#[derive(Debug, Default)]
pub struct Drills {
    ats: Mutex<HashMap<TenantName, (DrillFault, Instant)>>,
    store: Mutex<Option<Instant>>,
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drills {
    /// None is on.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Where they are allowed.
    #[must_use]
    pub fn allowed(allowed: bool) -> Option<Arc<Self>> {
        allowed.then(Self::new)
    }

    /// The tenant's ATS fails like this for so long. Other faults than an ATS's change nothing.
    pub fn fail_ats(&self, tenant: &TenantName, fault: DrillFault, time: Duration) {
        locked(&self.ats).insert(tenant.clone(), (fault, Instant::now() + time));
    }

    /// The store does not answer for so long.
    pub fn fail_store(&self, time: Duration) {
        *locked(&self.store) = Some(Instant::now() + time);
    }

    /// What a call to the tenant's ATS comes to, while it fails.
    fn ats(&self, tenant: &TenantName) -> Result<(), Failure> {
        let mut faults = locked(&self.ats);
        let Some((fault, end)) = faults.get(tenant).copied() else { return Ok(()) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            faults.remove(tenant);
            return Ok(());
        }
        Err(match fault {
            DrillFault::AtsDown => Failure::transient("a drill: the ATS does not answer"),
            DrillFault::AtsLimited => Failure::RateLimited { retry_after: left },
            DrillFault::KeyRevoked => Failure::Unauthorized { detail: "a drill".into() },
            DrillFault::TenantPanic | DrillFault::TenantFreeze | DrillFault::BrokerDrop | DrillFault::StoreDrop => return Ok(()),
        })
    }

    fn store(&self) -> Result<(), StoreError> {
        match *locked(&self.store) {
            Some(end) if Instant::now() < end => Err(StoreError::Away("a drill".into())),
            _ => Ok(()),
        }
    }

    /// The same store, which can be made to fail.
    #[must_use]
    pub fn over_store(self: &Arc<Self>, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(store::DrilledStore { drills: Arc::clone(self), store })
    }

    /// The same connector, which can be made to fail.
    #[must_use]
    pub fn over_connector(self: &Arc<Self>, tenant: TenantName, connector: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(DrilledConnector { drills: Arc::clone(self), tenant, connector })
    }
}

struct DrilledConnector {
    drills: Arc<Drills>,
    tenant: TenantName,
    connector: Arc<dyn Connector>,
}

#[async_trait]
impl Connector for DrilledConnector {
    fn capabilities(&self) -> &'static Capabilities {
        self.connector.capabilities()
    }

    fn command(&self, request: &WritebackRequested) -> Option<Message> {
        let is_probe = request.application.as_str().starts_with(PROBE);
        if is_probe { None } else { self.connector.command(request) }
    }

    async fn inventory(&self) -> Option<Inventory> {
        self.connector.inventory().await
    }

    async fn read(&self, application: &ExternalId) -> Result<Option<Snapshot>, Failure> {
        self.drills.ats(&self.tenant)?;
        self.connector.read(application).await
    }

    async fn write(&self, request: &WritebackRequested) -> Result<Written, Failure> {
        self.drills.ats(&self.tenant)?;
        if request.application.as_str().starts_with(PROBE) {
            return Ok(Written::Done { external_id: None });
        }
        self.connector.write(request).await
    }

    async fn look(&self, request: &WritebackRequested) -> Result<bool, Failure> {
        self.drills.ats(&self.tenant)?;
        if request.application.as_str().starts_with(PROBE) {
            return Ok(false);
        }
        self.connector.look(request).await
    }

    async fn test(&self) -> Result<Vec<String>, Failure> {
        self.drills.ats(&self.tenant)?;
        self.connector.test().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_tenants_and_ends_by_itself() {
        let drills = Drills::new();
        let [acme, other] = ["acme", "other"].map(|name| TenantName::new(name).unwrap());
        let cases =
            [(DrillFault::AtsDown, "transient"), (DrillFault::AtsLimited, "rate_limited"), (DrillFault::KeyRevoked, "unauthorized")];
        for (fault, code) in cases {
            drills.fail_ats(&acme, fault, Duration::from_secs(60));
            assert_eq!(drills.ats(&acme).unwrap_err().code(), code);
            assert_eq!(drills.ats(&other), Ok(()));
        }
        drills.fail_ats(&acme, DrillFault::AtsDown, Duration::ZERO);
        assert_eq!(drills.ats(&acme), Ok(()));
    }

    #[test]
    fn the_store_is_away_for_as_long_as_asked_and_no_longer() {
        let drills = Drills::new();
        assert_eq!(drills.store(), Ok(()));
        drills.fail_store(Duration::from_secs(60));
        assert!(matches!(drills.store(), Err(StoreError::Away(_))));
        drills.fail_store(Duration::ZERO);
        assert_eq!(drills.store(), Ok(()));
    }
}
