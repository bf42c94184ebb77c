//! The lease: whether this process may still act in the name of its tenants. A process that was stopped and goes on later (a
//! hanging machine, SIGSTOP) finds its lease run out before it can repeat what another process has done meanwhile.
//!
//! It ends by two clocks, whichever is first: the monotonic one does not run while a machine sleeps, the other may be set.

use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;

/// When a lease ends, by both clocks.
#[derive(Debug, Clone, Copy)]
struct End {
    at: Instant,
    by_the_wall: Timestamp,
}

impl End {
    fn of(at: Instant) -> Self {
        let now = Instant::now();
        let left = SignedDuration::try_from(at.saturating_duration_since(now)).unwrap_or(SignedDuration::MAX);
        Self { at, by_the_wall: Timestamp::now().checked_add(left).unwrap_or(Timestamp::MAX) }
    }

    fn is_ahead(self) -> bool {
        Instant::now() < self.at && Timestamp::now() < self.by_the_wall
    }
}

/// Cheap to clone; clones are the same lease.
#[derive(Debug, Clone)]
pub struct Lease(Arc<watch::Sender<Option<End>>>);

impl Lease {
    /// One that never runs out: for a process that shares its tenants with nobody.
    #[must_use]
    pub fn unlimited() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }

    /// One that holds until then.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self(Arc::new(watch::Sender::new(Some(End::of(end)))))
    }

    /// Holds until then from now on. Whoever has a lease renewed that had run out has let go before of all that somebody else
    /// may have taken over since: what still waits for it afterwards goes on.
    pub fn renew(&self, end: Instant) {
        self.0.send_replace(Some(End::of(end)));
    }

    /// Whether this process may act.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.borrow().is_none_or(End::is_ahead)
    }

    /// Waits until this process may act. Whoever waits here for work that is let go is dropped with it.
    pub async fn held(&self) {
        let mut renewals = self.0.subscribe();
        // The sender lives as long as this value.
        let _ = renewals.wait_for(|end| end.is_none_or(End::is_ahead)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
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

    #[test]
    fn whoever_waits_for_a_lease_goes_on_when_it_is_renewed_and_not_before() {
        let lease = Lease::until(Instant::now());
        let mut waits = Box::pin(lease.held());
        assert!(waits.as_mut().now_or_never().is_none());
        lease.renew(Instant::now());
        assert!(waits.as_mut().now_or_never().is_none(), "renewed into the past");
        lease.renew(Instant::now() + Duration::from_secs(3600));
        assert!(waits.now_or_never().is_some());
        assert!(Lease::unlimited().held().now_or_never().is_some());
    }
}
