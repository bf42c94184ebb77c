//! Calls of the last while, counted in slices, so that a busy tenant's window is no larger than an idle one's.

use jiff::Timestamp;
use std::{collections::VecDeque, time::Duration};

/// Slices of a window. A slice goes as a whole: what is seen is between 23 and 24 of them long.
const SLICES: u32 = 24;

#[derive(Debug)]
struct Slice {
    begins: i128,
    calls: u32,
    failed: u32,
}

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    slice: i128,
    slices: VecDeque<Slice>,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let nanos = i128::try_from((length / SLICES).as_nanos()).unwrap_or(i128::MAX);
        Self { slice: nanos.max(1), slices: VecDeque::new() }
    }

    pub(super) fn add(&mut self, now: Timestamp, failed: bool) {
        let nanos = now.as_nanosecond();
        let begins = nanos - nanos.rem_euclid(self.slice);
        self.forget(nanos);
        if self.slices.back().is_none_or(|last| last.begins < begins) {
            self.slices.push_back(Slice { begins, calls: 0, failed: 0 });
        }
        // A clock that was set back counts into the newest slice.
        if let Some(last) = self.slices.back_mut() {
            last.calls = last.calls.saturating_add(1);
            last.failed = last.failed.saturating_add(u32::from(failed));
        }
    }

    /// Calls, and those of them that failed.
    pub(super) fn seen(&self, now: Timestamp) -> (u32, u32) {
        let oldest = self.oldest(now.as_nanosecond());
        let inside = self.slices.iter().filter(|slice| slice.begins > oldest);
        inside.fold((0, 0), |(calls, failed), slice| (calls.saturating_add(slice.calls), failed.saturating_add(slice.failed)))
    }

    pub(super) fn clear(&mut self) {
        self.slices.clear();
    }

    fn oldest(&self, now: i128) -> i128 {
        now.saturating_sub(self.slice.saturating_mul(i128::from(SLICES)))
    }

    fn forget(&mut self, now: i128) {
        let oldest = self.oldest(now);
        while self.slices.front().is_some_and(|slice| slice.begins <= oldest) {
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use proptest::prelude::*;

    #[test]
    fn what_is_older_than_the_window_is_not_seen() {
        let mut window = Window::new(Duration::from_secs(120));
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        window.add(at(0), true);
        window.add(at(60), false);
        assert_eq!(window.seen(at(60)), (2, 1));
        assert_eq!(window.seen(at(119)), (2, 1));
        assert_eq!(window.seen(at(120)), (1, 0));
        assert_eq!(window.seen(at(200)), (0, 0));
    }

    proptest! {
        #[test]
        fn no_call_of_the_last_23_slices_is_missed_none_older_than_24_is_seen_and_the_size_is_bounded(
            mut calls in proptest::collection::vec((0i64..600_000, any::<bool>()), 0..200), now in 0i64..700_000,
        ) {
            calls.sort_unstable();
            let at = |millis| Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millis);
            let mut window = Window::new(Duration::from_secs(120));
            let made: Vec<_> = calls.into_iter().filter(|(when, _)| *when <= now).collect();
            for (when, failed) in &made {
                window.add(at(*when), *failed);
                prop_assert!(window.slices.len() <= SLICES as usize);
            }
            let within = |millis: i64| made.iter().filter(|(when, _)| now - when < millis).count() as u32;
            let (calls, failed) = window.seen(at(now));
            prop_assert!((within(115_000)..=within(120_000)).contains(&calls), "{calls}");
            prop_assert!(failed <= calls);
        }
    }
}
