//! A refused credential pauses the tenant, after one confirmation and no more: an ATS is not to be hammered with a key that it
//! does not accept.

use super::TenantWork;
use crate::failure::Failure;
use std::sync::atomic::Ordering;

impl TenantWork {
    /// Answers with a failure to settle, if the credential is good after all; else the work is to wait. While somebody asks, and
    /// once the credential is known to be bad, nobody else does: the gate is shut, and what is in hand goes to the schedule.
    pub(super) async fn heed(&self, failure: &Failure) -> Option<Failure> {
        if self.asking.swap(true, Ordering::SeqCst) {
            return None;
        }
        match self.office.connector.test().await {
            Err(Failure::Unauthorized { .. }) => {
                let cause = "the ATS does not accept the credential";
                self.link.unauthorized(format!("{cause} ({failure}); `tenant set-key` replaces it, and the tenant goes on"));
                None
            }
            Ok(missing) if !missing.is_empty() => {
                let cause = format!("the ATS does not let the credential do its work ({failure}); it lacks {}", missing.join(", "));
                self.link.unauthorized(format!(
                    "{cause}. Give it these and resume the tenant, or `tenant set-key` replaces it, and the tenant goes on"
                ));
                None
            }
            // Good, and so is the tenant: the ATS keeps this one thing to itself. Counted, so that it does not go round for ever.
            Ok(_) => {
                self.asking.store(false, Ordering::SeqCst);
                self.office.gate.relent();
                Some(Failure::transient(format!("{failure}, although the ATS accepts the credential")))
            }
            // Not known; the gate stays shut for a while, and then the next refusal asks again.
            Err(_) => {
                self.asking.store(false, Ordering::SeqCst);
                None
            }
        }
    }
}
