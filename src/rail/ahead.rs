//! How many invitations the relay keeps ready in the queue that all tenants share: enough that those who take them are not idle until
//! the next look, few enough that whoever comes next hardly waits. It follows what is taken; nothing is published here.

use std::time::{Duration, Instant};

/// Invitations that wait in their shared queue at least, per relay, where as many are to be had.
pub const LEAST: usize = 32;
/// And at most, however fast they are taken: one that waits there cannot be taken back.
const MOST: usize = 256;
/// What is ready is taken within this time, at the rate of the last looks.
const WAIT: Duration = Duration::from_millis(100);
/// Looks closer to each other say nothing about a rate.
const SOON: Duration = Duration::from_millis(5);

/// What is known of the shared queue.
#[derive(Debug)]
pub(super) struct Ahead {
    size: usize,
    /// Invitations taken in a second.
    rate: f64,
    looked: Option<(Instant, usize)>,
    /// Put into the queue since that look.
    put: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { size: LEAST, rate: 0.0, looked: None, put: 0 }
    }
}

impl Ahead {
    /// So many are to be ready.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// So many were given to the broker.
    pub(super) fn put(&mut self, invites: usize) {
        self.put += invites;
    }

    /// A look found so many ready. Answers with how many more may be put in.
    ///
    /// A queue that is found empty while others wait for room was too short; one that is hardly drained is longer than it has to be.
    pub(super) fn found(&mut self, ready: usize, now: Instant, others_wait: bool) -> usize {
        match self.looked {
            Some((at, before)) if now.duration_since(at) >= SOON => {
                let taken = (before + self.put).saturating_sub(ready);
                #[allow(clippy::cast_precision_loss, reason = "some hundreds")]
                let rate = taken as f64 / now.duration_since(at).as_secs_f64();
                self.rate = f64::midpoint(self.rate, rate);
                (self.looked, self.put) = (Some((now, ready)), 0);
            }
            None => (self.looked, self.put) = (Some((now, ready)), 0),
            Some(_) => {}
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded below and above")]
        let taken_in_time = (self.rate * WAIT.as_secs_f64()).clamp(0.0, MOST as f64) as usize;
        let wanted = if ready == 0 && others_wait {
            self.size * 2
        } else if ready > self.size / 2 {
            self.size * 3 / 4
        } else {
            self.size
        };
        self.size = wanted.min(taken_in_time).clamp(LEAST, MOST);
        self.size.saturating_sub(ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 25 ms at a queue of which so many are taken in a second, while thousands wait for room.
    fn kept_full(rate: usize, looks: usize) -> (Ahead, usize) {
        let (mut ahead, start, mut ready, mut idle) = (Ahead::default(), Instant::now(), 0_usize, 0);
        for look in 0..looks {
            let now = start + Duration::from_millis(25) * u32::try_from(look).unwrap();
            let room = ahead.found(ready, now, true);
            ahead.put(room);
            ready += room;
            let could = rate / 40;
            if look > looks / 2 && ready < could {
                idle += 1;
            }
            ready = ready.saturating_sub(could);
        }
        (ahead, idle)
    }

    #[test]
    fn a_queue_that_is_drained_fast_is_kept_longer_and_a_slow_one_short() {
        for (rate, least, most) in [(0, LEAST, LEAST), (40, LEAST, LEAST), (200, LEAST, LEAST), (1_000, LEAST, 100), (4_000, 101, MOST)] {
            let (ahead, idle) = kept_full(rate, 200);
            assert!((least..=most).contains(&ahead.size()), "{rate}/s: {}", ahead.size());
            assert_eq!(idle, 0, "{rate}/s: those who take them had nothing to do");
        }
    }

    #[test]
    fn a_queue_that_nobody_takes_from_any_more_is_as_short_as_ever_within_a_second() {
        let (mut ahead, _) = kept_full(4_000, 200);
        let (mut now, ready) = (Instant::now() + Duration::from_secs(60), ahead.size());
        for _ in 0..40 {
            now += Duration::from_millis(25);
            assert!(ahead.found(ready, now, true) == 0);
        }
        assert_eq!(ahead.size(), LEAST);
    }

    #[test]
    fn an_empty_queue_for_which_nobody_waits_is_no_reason_to_keep_more_ready() {
        let (mut ahead, start) = (Ahead::default(), Instant::now());
        for look in 0..40 {
            assert_eq!(ahead.found(0, start + Duration::from_millis(25) * look, false), LEAST);
            ahead.put(LEAST);
        }
    }
}
