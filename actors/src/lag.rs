//! How long the store takes for a change, compared with what it takes when there is little to do. Where that has grown, the tenants of this
//! process stand in each other's way: there is more to do than store, broker and machine get through at once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What a newer change counts against all before it.
const WEIGHT: f64 = 0.1;
/// How many times as long as in quiet times is behind.
const TIMES: f64 = 2.0;
/// No store is taken to be quicker than this: less is noise of the machine.
const LEAST: Duration = Duration::from_millis(3);
/// For how long quiet times are remembered, at least.
const REMEMBERED: Duration = Duration::from_secs(300);
/// After this long without a change nothing is known.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How slow the store is. Cheap to clone; one for all of a process.
#[derive(Debug, Clone, Default)]
pub struct Lag(Arc<Mutex<Times>>);

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Seconds that a change takes, and when the last one ended.
    now: Option<(f64, Instant)>,
    /// The least of it: since then, and in the stretch before.
    least: Option<(f64, f64, Instant)>,
    said: Option<bool>,
}

impl Lag {
    /// One that is said, not measured.
    #[must_use]
    pub fn said(behind: bool) -> Self {
        Self(Arc::new(Mutex::new(Times { said: Some(behind), ..Times::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change took so long.
    pub fn took(&self, took: Duration, at: Instant) {
        let mut times = self.lock();
        let took = took.as_secs_f64();
        let smooth = times.now.map_or(took, |(before, _)| before + WEIGHT * (took - before));
        times.now = Some((smooth, at));
        times.least = Some(match times.least {
            None => (smooth, smooth, at),
            Some((least, _, since)) if at.saturating_duration_since(since) > REMEMBERED => (smooth, least, at),
            Some((least, before, since)) => (least.min(smooth), before, since),
        });
    }

    /// Whether changes take much longer than in quiet times.
    #[must_use]
    pub fn is_behind(&self, at: Instant) -> bool {
        let times = *self.lock();
        if let Some(said) = times.said {
            return said;
        }
        let (Some((now, last)), Some((least, before, _))) = (times.now, times.least) else { return false };
        at.saturating_duration_since(last) < FORGOTTEN && now > TIMES * least.min(before).max(LEAST.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lag: &Lag, ms: u64, count: usize, at: Instant) {
        (0..count).for_each(|_| lag.took(Duration::from_millis(ms), at));
    }

    #[test]
    fn a_store_that_takes_much_longer_than_before_is_behind_and_one_that_is_slow_by_nature_is_not() {
        let now = Instant::now();
        let (quick, slow) = (Lag::default(), Lag::default());
        assert!(!quick.is_behind(now), "nothing is known");
        take(&quick, 5, 50, now);
        take(&slow, 40, 50, now);
        assert!(!quick.is_behind(now) && !slow.is_behind(now));
        take(&quick, 40, 50, now);
        assert!(quick.is_behind(now));
        take(&quick, 5, 50, now);
        assert!(!quick.is_behind(now), "it has caught up");
    }

    #[test]
    fn one_slow_change_is_not_behind_and_what_is_old_says_nothing() {
        let now = Instant::now();
        let lag = Lag::default();
        take(&lag, 5, 50, now);
        take(&lag, 40, 1, now);
        assert!(!lag.is_behind(now));
        take(&lag, 40, 50, now);
        assert!(lag.is_behind(now) && !lag.is_behind(now + FORGOTTEN));
    }

    #[test]
    fn quiet_times_are_forgotten_after_a_while() {
        let start = Instant::now();
        let lag = Lag::default();
        take(&lag, 5, 50, start);
        take(&lag, 40, 50, start + REMEMBERED + Duration::from_secs(1));
        let later = start + REMEMBERED * 2 + Duration::from_secs(2);
        take(&lag, 40, 50, later);
        assert!(lag.is_behind(later), "the stretch before was quicker");
        let much_later = start + REMEMBERED * 3 + Duration::from_secs(3);
        take(&lag, 40, 50, much_later);
        assert!(!lag.is_behind(much_later), "this store is slower now");
    }
}
