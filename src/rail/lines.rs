//! Lines of the relay: what is kept in order, and which of them could not be published to lately. Such a line waits with growing
//! pauses, and one row of it shows whether it is well again. Nothing is published here.

use atshub_actors::ports::ClaimedRow;
use atshub_schemas::topology;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// First wait for a row that could not be published, and each wait while the broker is away for all; doubles with every failure of
/// its line.
pub(super) const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Exchange and what is kept in order there: the tenant, or the routing key on the hub's own exchange.
pub(super) type LineOf = (String, String);

pub(super) fn line_of(row: &ClaimedRow) -> LineOf {
    let first = row.routing_key.split_once('.').filter(|_| row.exchange != topology::WORK).map(|(first, _)| first);
    (row.exchange.clone(), first.unwrap_or(&row.routing_key).to_owned())
}

/// Lines that could not be published to lately.
#[derive(Default)]
pub(super) struct Lines(Mutex<BTreeMap<LineOf, Ailing>>);

#[derive(Clone, Copy)]
struct Ailing {
    failures: u32,
    until: Timestamp,
}

/// What is to be done with the rows of a line.
pub(super) enum Turn {
    Publish,
    /// One of them shows whether the line is well again.
    Try,
    Wait(Timestamp),
}

impl Lines {
    fn all(&self) -> MutexGuard<'_, BTreeMap<LineOf, Ailing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whose turn it is. A line is tried by one window at a time.
    pub(super) fn turn(&self, line: &LineOf, now: Timestamp) -> Turn {
        match self.all().get_mut(line) {
            None => Turn::Publish,
            // One that is to wait longer than any line does was told so by a clock that was ahead.
            Some(ailing) if ailing.until > now && ailing.until <= now + LONGEST_WAIT => Turn::Wait(ailing.until),
            Some(ailing) => {
                ailing.until = now + FIRST_WAIT;
                Turn::Try
            }
        }
    }

    /// Notes a failure; how long the line waits now, and whether it is the first.
    pub(super) fn failed(&self, line: &LineOf, now: Timestamp) -> (Timestamp, bool) {
        let mut all = self.all();
        let ailing = all.entry(line.clone()).or_insert(Ailing { failures: 0, until: now });
        let first = ailing.failures == 0;
        ailing.until = now + FIRST_WAIT.saturating_mul(1 << ailing.failures.min(16)).min(LONGEST_WAIT);
        ailing.failures += 1;
        (ailing.until, first)
    }

    pub(super) fn well(&self, line: &LineOf) -> bool {
        self.all().remove(line).is_some()
    }
}
