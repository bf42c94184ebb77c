//! When a child that has work in hand is taken to be stuck: nothing done for so long, and the store answers. A store that is
//! away is nobody's crash, so it is asked twice, with time between for work that only waited for it.

use super::{Dispatcher, Later};
use crate::supervision::notice::Notice;
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Longest wait for the store to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// The second look comes after this part of the patience.
const SECOND_LOOK: u32 = 4;

pub(super) struct Patience {
    limit: Duration,
    ends: Instant,
    /// Nothing was done, and the store answered: one more look, and the child is stuck.
    suspected: bool,
    looking: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, ends: Instant::now() + limit, suspected: false, looking: false }
    }

    /// Something was done, or is newly in hand.
    pub(super) fn progress(&mut self) {
        (self.ends, self.suspected) = (Instant::now() + self.limit, false);
    }

    /// Waits for the end of the patience.
    pub(super) fn ends(&self) -> impl Future<Output = ()> + use<> {
        sleep_until(self.ends)
    }
}

impl Dispatcher {
    pub(super) fn look_at_progress(&mut self) {
        self.patience.ends = Instant::now() + self.patience.limit / SECOND_LOOK;
        if !std::mem::replace(&mut self.patience.looking, true) {
            let store = self.parts.store.clone();
            let ask = async move { Later::Pinged { well: matches!(timeout(ANSWER, store.ping()).await, Ok(Ok(()))) } };
            self.later.push(ask.boxed());
        }
    }

    pub(super) fn looked(&mut self, well: bool) {
        self.patience.looking = false;
        // Progress made meanwhile has moved the end of the patience.
        let overdue = self.patience.ends <= Instant::now() + self.patience.limit / SECOND_LOOK;
        let in_hand = self.held.len();
        if !well || !overdue || in_hand == 0 {
            self.patience.suspected = false;
        } else if !std::mem::replace(&mut self.patience.suspected, true) {
            tracing::warn!(child = %self.parts.name, in_hand, "nothing was done for a long time; looking once more");
        } else if let Some((_, generation)) = &self.child {
            let oldest = self.held.values().next().map(|held| held.work.envelope.id.to_string());
            let cause = format!(
                "nothing done for {} s with {in_hand} in hand, the oldest message {}",
                self.patience.limit.as_secs(),
                oldest.unwrap_or_default()
            );
            let _ = self.parts.notices.send(Notice::NoProgress { child: self.parts.name.clone(), generation: *generation, cause });
            self.patience.progress();
        }
    }
}
