//! Who consumes what, and what each has in hand. In memory only: the claims that matter after a crash are in the table.

use atshub_actors::ports::Delivery;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use tokio::sync::mpsc;

/// One consumption.
#[derive(Debug)]
struct Running {
    queue: String,
    prefetch: usize,
    deliveries: mpsc::Sender<Delivery>,
    in_hand: BTreeSet<i64>,
}

/// All consumptions of this process.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    last: u64,
    running: BTreeMap<u64, Running>,
    /// In the order in which they came; of a single-consumer queue only the first is served.
    lines: HashMap<String, VecDeque<u64>>,
}

impl Consumers {
    pub(super) fn add(&mut self, queue: &str, prefetch: usize, deliveries: mpsc::Sender<Delivery>) -> u64 {
        self.last += 1;
        self.running.insert(self.last, Running { queue: queue.to_owned(), prefetch, deliveries, in_hand: BTreeSet::new() });
        self.lines.entry(queue.to_owned()).or_default().push_back(self.last);
        self.last
    }

    /// Ends a consumption. Returns its queue and what it had in hand, oldest first.
    pub(super) fn end(&mut self, id: u64) -> Option<(String, BTreeSet<i64>)> {
        let Running { queue, in_hand, .. } = self.running.remove(&id)?;
        if let Some(line) = self.lines.get_mut(&queue) {
            line.retain(|waiting| *waiting != id);
            if line.is_empty() {
                self.lines.remove(&queue);
            }
        }
        Some((queue, in_hand))
    }

    /// Takes from every consumption what it has in hand, oldest first; the consumptions go on.
    pub(super) fn lose(&mut self) -> BTreeSet<i64> {
        self.running.values_mut().flat_map(|running| std::mem::take(&mut running.in_hand)).collect()
    }

    pub(super) fn of_queue(&self, queue: &str) -> Vec<u64> {
        self.lines.get(queue).into_iter().flatten().copied().collect()
    }

    pub(super) fn all(&self) -> Vec<u64> {
        self.running.keys().copied().collect()
    }

    pub(super) fn queues(&self) -> Vec<String> {
        self.lines.keys().cloned().collect()
    }

    /// Consumptions whose receiver is gone.
    pub(super) fn deaf(&self) -> Vec<u64> {
        self.running.iter().filter(|(_, running)| running.deliveries.is_closed()).map(|(id, _)| *id).collect()
    }

    pub(super) fn has(&self, id: u64, seq: i64) -> bool {
        self.running.get(&id).is_some_and(|running| running.in_hand.contains(&seq))
    }

    /// The queue of a consumption.
    pub(super) fn of(&self, id: u64) -> Option<String> {
        self.running.get(&id).map(|running| running.queue.clone())
    }

    /// A delivery is settled: there is room for another.
    pub(super) fn settled(&mut self, id: u64, seq: i64) {
        if let Some(running) = self.running.get_mut(&id) {
            running.in_hand.remove(&seq);
        }
    }

    /// To whom the next messages of a queue go, one entry per message: in turn, while there is room, `most` at most.
    pub(super) fn next(&self, queue: &str, single: bool, most: usize) -> Vec<u64> {
        let Some(line) = self.lines.get(queue) else { return Vec::new() };
        let served = line.iter().take(if single { 1 } else { usize::MAX });
        // After a loss, what was handed over before it may still fill the channel.
        let room = |running: &Running| running.prefetch.saturating_sub(running.in_hand.len()).min(running.deliveries.capacity());
        let mut room: Vec<(u64, usize)> = served.filter_map(|id| self.running.get(id).map(|running| (*id, room(running)))).collect();
        let mut next = Vec::new();
        while next.len() < most && !room.is_empty() {
            room.retain_mut(|(id, left)| {
                if *left > 0 && next.len() < most {
                    next.push(*id);
                    *left -= 1;
                }
                *left > 0
            });
        }
        next
    }

    /// Lets the next round begin with somebody else.
    pub(super) fn rotate(&mut self, queue: &str, single: bool) {
        if let Some(line) = self.lines.get_mut(queue).filter(|_| !single) {
            line.rotate_left(1);
        }
    }

    /// Hands a claimed message over. There is always room: what waits in the channel counts as in hand. A receiver that is
    /// gone is found by [`Self::deaf`].
    pub(super) fn hand_over(&mut self, id: u64, seq: i64, delivery: Delivery) {
        if let Some(running) = self.running.get_mut(&id) {
            running.in_hand.insert(seq);
            let _ = running.deliveries.try_send(delivery);
        }
    }
}
