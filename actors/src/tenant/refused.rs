//! A refused credential pauses the tenant, after one confirmation and no more: an ATS is not to be hammered with a key that it
//! does not accept.

use super::TenantWork;
use crate::failure::Failure;
use std::sync::atomic::Ordering;

impl TenantWork {
    /// Answers with what the failure is to be settled as. While somebody asks, and once the credential is known to be bad,
    /// nobody else does: the gate is shut, and what is in hand goes to the schedule.
    pub(super) async fn heed(&self, failure: Failure) -> Failure {
        let Failure::Unauthorized { detail } = &failure else { return failure };
        if self.asking.swap(true, Ordering::SeqCst) {
            return failure;
        }
        match self.office.connector.test().await {
            Err(Failure::Unauthorized { .. }) => {
                self.link.unauthorized(format!(
                    "the ATS does not accept the credential ({detail}); replace it with `tenant set-key`, then resume"
                ));
                failure
            }
            Ok(missing) if !missing.is_empty() => {
                let missing = missing.join(", ");
                self.link.unauthorized(format!(
                    "the ATS does not let the credential do its work ({detail}); it lacks {missing}: give it these, or replace it with `tenant set-key`, then resume"
                ));
                failure
            }
            // Good after all, and so is the tenant: the ATS keeps this one thing to itself. Counted, so that it does not go round
            // for ever.
            Ok(_) => {
                self.asking.store(false, Ordering::SeqCst);
                self.office.gate.relent();
                Failure::transient(format!("{failure}, although the ATS accepts the credential"))
            }
            // Not known; the gate stays shut for a while, and then the next refusal asks again.
            Err(_) => {
                self.asking.store(false, Ordering::SeqCst);
                failure
            }
        }
    }
}
