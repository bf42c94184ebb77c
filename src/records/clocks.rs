//! What is taken for a wrong clock, and rows by another clock. Reads no clock.

use super::{Rows, stored};
use jiff::{SignedDuration, Timestamp};

/// By how much two clocks may differ, and a time lie ahead of the clock by which it was made, before one of them is wrong.
pub(crate) const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);
/// No lease of a row or of an attempt is longer than this: the longest is that of the longest call.
pub(crate) const LONGEST_LEASE: SignedDuration = SignedDuration::from_mins(10);
/// How long an attempt whose lease ends later than that may go on: as long as its owner, if it lives, takes to renew it.
pub(crate) const PULLED_LEASE: SignedDuration = SignedDuration::from_mins(1);

impl Rows {
    /// The same with the times that decide when something is done, and that say when the store was asked, by another clock.
    pub(crate) fn moved(mut self, clock: impl Fn(Timestamp) -> Timestamp) -> Self {
        self.received = stored(clock(self.received));
        for row in &mut self.outbox {
            row.due = stored(clock(row.due));
            row.not_before = row.not_before.map(|time| stored(clock(time)));
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.next_at = attempt.next_at.map(|time| stored(clock(time)));
        }
        self
    }
}
