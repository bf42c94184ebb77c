//! The lease: whether this process may still act in the name of its tenants. A process that was stopped and goes on later (a
//! hanging machine, SIGSTOP) finds its lease run out before it can repeat what another process has done meanwhile.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Cheap to clone; clones are the same lease.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Mutex<Option<Instant>>>);

impl Lease {
    /// One that never runs out: for a process that shares its tenants with nobody.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(Arc::new(Mutex::new(None)))
    }

    /// One that holds until then.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self(Arc::new(Mutex::new(Some(end))))
    }

    /// Holds until then from now on.
    pub fn renew(&self, end: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// Whether this process may act.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|end| Instant::now() < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_lease_that_has_run_out_holds_again_once_it_is_renewed() {
        let lease = Lease::until(Instant::now());
        assert!(!lease.holds());
        let clone = lease.clone();
        clone.renew(Instant::now() + Duration::from_secs(3600));
        assert!(lease.holds());
        assert!(Lease::unlimited().holds());
    }
}
