//! When a dead child is started again, and when not any more. Pure; the draw comes in as an argument.

use std::time::{Duration, Instant};

/// How patient the supervisor is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RestartPolicy {
    /// Wait before the first restart.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Part of the wait by which it may be longer or shorter.
    pub jitter: f64,
    /// So long without a death and the count begins anew.
    pub healthy_after: Duration,
    /// Restarts that did not bring health; the next death means quarantine.
    pub restarts: u32,
    /// With work in hand and nothing done for so long, a child is stuck and made anew.
    pub patience: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(300),
            jitter: 0.2,
            healthy_after: Duration::from_secs(600),
            restarts: 5,
            patience: Duration::from_secs(30),
        }
    }
}

/// What to do about a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start the next generation after this wait.
    RestartAfter(Duration),
    /// Set the child aside.
    Quarantine,
}

/// Counts a child's restarts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Intensity {
    restarts: u32,
    up_since: Option<Instant>,
}

impl Intensity {
    /// A generation came up.
    pub fn came_up(&mut self, now: Instant) {
        self.up_since = Some(now);
    }

    /// A generation died. `draw` is uniform in 0..=1.
    pub fn died(&mut self, policy: &RestartPolicy, now: Instant, draw: f64) -> Verdict {
        if self.up_since.is_some_and(|since| now.saturating_duration_since(since) >= policy.healthy_after) {
            self.restarts = 0;
        }
        self.up_since = None;
        if self.restarts >= policy.restarts {
            return Verdict::Quarantine;
        }
        self.restarts += 1;
        Verdict::RestartAfter(delay(policy, self.restarts, draw))
    }

    /// Restarts since the last health.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.restarts
    }

    /// A person looked at it: the count begins anew.
    pub fn forgive(&mut self) {
        *self = Self::default();
    }
}

/// The wait before restart number `n` (from 1): doubling, bounded, with jitter. `draw` is uniform in 0..=1.
#[must_use]
pub fn delay(policy: &RestartPolicy, n: u32, draw: f64) -> Duration {
    let doubled = policy.first.saturating_mul(1u32.checked_shl(n.saturating_sub(1)).unwrap_or(u32::MAX));
    let base = doubled.min(policy.longest);
    base.mul_f64(1.0 + policy.jitter * (2.0 * draw.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_wait_stays_within_its_jitter_and_never_passes_the_longest(n in 1u32..64, draw in 0.0f64..=1.0) {
            let policy = RestartPolicy::default();
            let wait = delay(&policy, n, draw).as_secs_f64();
            let base = (policy.first.as_secs_f64() * 2f64.powi(n as i32 - 1)).min(policy.longest.as_secs_f64());
            prop_assert!(wait >= base * 0.799 && wait <= base * 1.201);
        }

        #[test]
        fn six_deaths_without_health_always_end_in_quarantine_and_five_never_do(gaps in proptest::collection::vec(0u64..599, 6), draw in 0.0f64..=1.0) {
            let (policy, mut intensity, mut now) = (RestartPolicy::default(), Intensity::default(), Instant::now());
            for (i, gap) in gaps.iter().enumerate() {
                intensity.came_up(now);
                now += Duration::from_secs(*gap);
                let verdict = intensity.died(&policy, now, draw);
                prop_assert_eq!(matches!(verdict, Verdict::Quarantine), i == 5);
            }
        }
    }

    #[test]
    fn ten_healthy_minutes_reset_the_count() {
        let (policy, mut intensity, mut now) = (RestartPolicy::default(), Intensity::default(), Instant::now());
        for _ in 0..40 {
            intensity.came_up(now);
            now += policy.healthy_after;
            assert_eq!(intensity.died(&policy, now, 0.5), Verdict::RestartAfter(policy.first));
        }
    }
}
