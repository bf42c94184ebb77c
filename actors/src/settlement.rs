//! What happens to a message whose work failed. The only place where a failure becomes a settlement; pure, the draw comes
//! in as an argument.

use crate::failure::{Failure, NOT_PERMITTED, UNREADABLE};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// Waits before each further try of work that failed in a way that may pass. After the last: parked.
pub const RETRIES: [Duration; 6] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(6 * 3600),
];
/// How many of those an answer gets that was not understood: a proxy's or a maintenance page passes, a changed API does not.
const NOT_UNDERSTOOD: usize = 4;
/// Shortest wait, whatever the draw.
const SHORTEST: Duration = Duration::from_secs(1);
/// Wait of work that found its credential refused; it costs no attempt, and the tenant is paused meanwhile.
const UNAUTHORIZED_WAIT: Duration = Duration::from_secs(60);

/// How a failed try ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Tried again at this time.
    Retry {
        /// When.
        at: Timestamp,
        /// Whether it used up one of [`RETRIES`].
        counts: bool,
    },
    /// Set aside, with this code.
    Park {
        /// Stable code.
        code: String,
    },
}

/// Decides. `failures` is the number of counted failures before this one; `draw` is uniform in 0..=1 (full jitter: the
/// wait is uniform between the shortest and the schedule's, so that what failed together is not tried together).
#[must_use]
pub fn settle(failure: &Failure, failures: u32, now: Timestamp, draw: f64) -> Settlement {
    let after = |wait: Duration| now + SignedDuration::try_from(wait).unwrap_or(SignedDuration::from_hours(6));
    let retried = |schedule: &[Duration], code: &str| match schedule.get(failures as usize) {
        Some(base) => Settlement::Retry { at: after(base.mul_f64(draw.clamp(0.0, 1.0)).max(SHORTEST)), counts: true },
        None => Settlement::Park { code: code.into() },
    };
    match failure {
        Failure::Transient { .. } => retried(&RETRIES, "retries_used_up"),
        Failure::NotPermitted { .. } => retried(&RETRIES, NOT_PERMITTED),
        Failure::Malformed { .. } => retried(&RETRIES[..NOT_UNDERSTOOD], "malformed_answer"),
        Failure::RateLimited { retry_after } => {
            // Spread over a tenth more than asked for, so that the wave does not come back as a wave.
            Settlement::Retry { at: after((*retry_after).max(SHORTEST).mul_f64(1.0 + 0.1 * draw.clamp(0.0, 1.0))), counts: false }
        }
        Failure::Unauthorized { .. } => Settlement::Retry { at: after(UNAUTHORIZED_WAIT), counts: false },
        Failure::Rejected { code, .. } => Settlement::Park { code: code.clone() },
        Failure::Unreadable { .. } => Settlement::Park { code: UNREADABLE.into() },
        Failure::Bug { .. } => Settlement::Park { code: "bug".into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn a_passing_fault_is_tried_six_times_more_and_then_parked() {
        for (failures, base) in RETRIES.iter().enumerate() {
            let at = now() + SignedDuration::try_from(*base).unwrap();
            assert_eq!(settle(&Failure::transient("x"), failures as u32, now(), 1.0), Settlement::Retry { at, counts: true });
        }
        assert_eq!(settle(&Failure::transient("x"), 6, now(), 1.0), Settlement::Park { code: "retries_used_up".into() });
    }

    #[test]
    fn the_schedule_is_ten_seconds_to_six_hours() {
        let minutes = |n: u64| n * 60;
        assert_eq!(RETRIES.map(|wait| wait.as_secs()), [10, minutes(1), minutes(5), minutes(30), minutes(120), minutes(360)]);
    }

    #[test]
    fn an_answer_that_is_not_understood_is_asked_for_again_for_half_an_hour_and_then_parked() {
        let malformed = Failure::Malformed { detail: "a page of a proxy".into() };
        let settled: Vec<Settlement> = (0..=4).map(|failures| settle(&malformed, failures, now(), 1.0)).collect();
        assert!(settled[..4].iter().all(|settlement| matches!(settlement, Settlement::Retry { counts: true, .. })), "{settled:?}");
        assert_eq!(settled[4], Settlement::Park { code: "malformed_answer".into() });
    }

    #[test]
    fn a_missing_permission_has_the_whole_schedule_in_which_somebody_may_give_it_and_its_own_code_at_the_end() {
        let missing = Failure::NotPermitted { detail: "needs candidatesWrite".into() };
        assert!((0..6).all(|failures| matches!(settle(&missing, failures, now(), 1.0), Settlement::Retry { counts: true, .. })));
        assert_eq!(settle(&missing, 6, now(), 1.0), Settlement::Park { code: "missing_permission".into() });
    }

    #[test]
    fn waiting_for_a_rate_limit_or_a_credential_costs_no_attempt() {
        let limited = Failure::RateLimited { retry_after: Duration::from_secs(30) };
        let refused = Failure::Unauthorized { detail: "key revoked".into() };
        for failure in [limited, refused] {
            assert!(matches!(settle(&failure, 6, now(), 0.5), Settlement::Retry { counts: false, .. }));
        }
    }

    #[test]
    fn what_cannot_pass_is_parked_at_once_under_its_own_code() {
        let rejected = Failure::Rejected { code: "status_field_missing".into(), detail: String::new() };
        assert_eq!(settle(&rejected, 0, now(), 0.5), Settlement::Park { code: "status_field_missing".into() });
        let unreadable = Failure::Unreadable { detail: String::new() };
        assert_eq!(settle(&unreadable, 0, now(), 0.5), Settlement::Park { code: "row_unreadable".into() });
        assert!(matches!(settle(&Failure::Bug { detail: String::new() }, 0, now(), 0.5), Settlement::Park { .. }));
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_a_second_or_longer_than_asked_for_by_a_tenth(failures in 0u32..6, draw in 0.0f64..=1.0, asked in 0u64..100_000) {
            let Settlement::Retry { at, .. } = settle(&Failure::transient("x"), failures, now(), draw) else { panic!("parked too early") };
            let wait = at.duration_since(now()).as_secs_f64();
            prop_assert!((1.0..=RETRIES[failures as usize].as_secs_f64()).contains(&wait));
            let limited = Failure::RateLimited { retry_after: Duration::from_secs(asked) };
            let Settlement::Retry { at, .. } = settle(&limited, failures, now(), draw) else { panic!("parked a rate limit") };
            let wait = at.duration_since(now()).as_secs_f64();
            prop_assert!(wait >= asked as f64 && wait <= (asked as f64 * 1.1).max(1.1));
        }
    }
}
