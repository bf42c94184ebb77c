//! A refused credential pauses the tenant, after one confirmation and no more: an ATS is not to be hammered with a key that it
//! does not accept. Nothing else does: an ATS that keeps one thing to itself, a permission that is missing, a host that refuses all.

use super::TenantWork;
use crate::failure::Failure;
use std::sync::atomic::{AtomicBool, Ordering};

impl TenantWork {
    /// Answers with a failure to settle, if the credential is good after all; else the work is to wait. While one refusal is looked into,
    /// and once the credential is known to be bad, no other is: the gate is shut, and what is in hand goes to the schedule.
    pub(super) async fn heed(&self, failure: &Failure) -> Option<Failure> {
        let asking = Asking::begin(&self.asking)?;
        let office = &self.office;
        match office.connector.test().await {
            Err(Failure::Unauthorized { .. }) => {
                let (tenant, now) = (&office.record.name, office.desk.clock.now());
                if office.refusals.refused(tenant, now) {
                    tracing::warn!(%tenant, %failure, "the ATS refuses many tenants' credentials at the same time: it is taken to be in trouble, and no tenant is paused");
                    return None;
                }
                asking.for_good();
                let until = office.gate.first_retest(now);
                let cause = format!(
                    "the ATS does not accept the credential ({failure}); it is asked again by itself; `tenant set-key` replaces the credential, and the tenant goes on"
                );
                self.link.unauthorized(cause, until);
                None
            }
            // Good, and so is the tenant: the ATS keeps this one thing to itself. Counted, so that it does not go round for ever.
            Ok(missing) => {
                office.gate.relent();
                let lacks = if missing.is_empty() { String::new() } else { format!("; it lacks the permissions {}", missing.join(", ")) };
                Some(Failure::transient(format!("{failure}, although the ATS accepts the credential{lacks}")))
            }
            // Not known; the gate stays shut for a while, and then the next refusal asks again.
            Err(_) => None,
        }
    }
}

/// The ATS is being asked about the credential. When this is dropped, however that comes, it may be asked again.
struct Asking<'a>(Option<&'a AtomicBool>);

impl<'a> Asking<'a> {
    /// `None`: it is being asked already.
    fn begin(asking: &'a AtomicBool) -> Option<Self> {
        (!asking.swap(true, Ordering::SeqCst)).then_some(Self(Some(asking)))
    }

    /// The answer holds for as long as this generation lives.
    fn for_good(mut self) {
        self.0 = None;
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(asking) = self.0 {
            asking.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_stops_asking_half_way_leaves_the_question_to_the_next() {
        let asking = AtomicBool::new(false);
        let first = Asking::begin(&asking).unwrap();
        assert!(Asking::begin(&asking).is_none());
        drop(first);
        Asking::begin(&asking).unwrap().for_good();
        assert!(Asking::begin(&asking).is_none(), "known for good");
    }
}
