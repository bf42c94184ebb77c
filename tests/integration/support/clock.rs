//! A clock that a test sets.

#![cfg(test)]

use atshub_actors::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::atomic::{AtomicI64, Ordering};

/// The machine's clock, and so many seconds more.
#[derive(Default)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    /// From now on it is so many days ahead.
    pub(crate) fn set_days_ahead(&self, days: i64) {
        self.0.store(days * 86_400, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}
