//! A build without the lab has no drills: nothing stands before store and connectors, and nobody can put anything there.

use atshub_actors::ports::{Connector, Store};
use atshub_schemas::{TenantName, control::DrillFault};
use std::{convert::Infallible, sync::Arc, time::Duration};

/// There are none.
#[derive(Debug)]
pub struct Drills(Infallible);

impl Drills {
    /// Never, in this build; `config check` says so where the setting asks for it.
    #[must_use]
    pub fn allowed(_allowed: bool) -> Option<Arc<Self>> {
        None
    }

    /// There is nothing to fail it with.
    pub fn fail_ats(&self, _tenant: &TenantName, _fault: DrillFault, _time: Duration) {
        match self.0 {}
    }

    /// There is nothing to fail it with.
    pub fn fail_store(&self, _time: Duration) {
        match self.0 {}
    }

    /// There is nothing to put before it.
    #[must_use]
    pub fn over_store(self: &Arc<Self>, _store: Arc<dyn Store>) -> Arc<dyn Store> {
        match self.0 {}
    }

    /// There is nothing to put before it.
    #[must_use]
    pub fn over_connector(self: &Arc<Self>, _tenant: TenantName, _connector: Arc<dyn Connector>) -> Arc<dyn Connector> {
        match self.0 {}
    }
}
