//! Whose turn it is to call a host: a share of what an actor has in hand at most, one of a subject (an application, a candidacy)
//! at a time and the lower status first, those on the schedule included. Who would have to wait behind a call that is slow is
//! turned away, so that a host that hangs holds up its share and no more.

use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    hash::Hash,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// From the time a status is due until it is back in hand, at most: the way over the relay and the broker.
const WAY_BACK: SignedDuration = SignedDuration::from_secs(2);
/// No status is put off for longer: one that is due later was put off by a clock that was ahead.
const FURTHEST: SignedDuration = SignedDuration::from_hours(12);
/// Statuses put off after which those that should have come back long ago are forgotten.
const TIDY_ABOVE: usize = 256;

struct Entry<K> {
    ticket: u64,
    subject: K,
    /// The number of a status; a note has none, and comes after the statuses.
    order: Option<u64>,
    running: bool,
    calling: Option<Instant>,
}

struct Room<K> {
    tickets: u64,
    entries: Vec<Entry<K>>,
    /// The lowest status of a subject that was put on the schedule, and until when.
    put_off: HashMap<K, (u64, Timestamp)>,
}

impl<K: Eq> Room<K> {
    fn may(&self, ticket: u64, share: usize) -> bool {
        let Some(mine) = self.entries.iter().find(|e| e.ticket == ticket) else { return false };
        let rank = |entry: &Entry<K>| (entry.order.unwrap_or(u64::MAX), entry.ticket);
        let before = |other: &Entry<K>| other.ticket != ticket && (other.running || rank(other) < rank(mine));
        let running = self.entries.iter().filter(|e| e.running).count();
        running < share && !self.entries.iter().any(|e| e.subject == mine.subject && before(e))
    }

    fn entry(&mut self, ticket: u64) -> Option<&mut Entry<K>> {
        self.entries.iter_mut().find(|e| e.ticket == ticket)
    }
}

/// The turns at one host.
pub(crate) struct Turns<K> {
    share: usize,
    room: Mutex<Room<K>>,
    changed: Notify,
}

/// The call before this one is slow.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TurnedAway;

impl<K: Clone + Eq + Hash> Turns<K> {
    pub(crate) fn new(share: usize) -> Self {
        let room = Room { tickets: 0, entries: Vec::new(), put_off: HashMap::new() };
        Self { share: share.max(1), room: Mutex::new(room), changed: Notify::new() }
    }

    /// Stands in line. Lower orders of a subject go first, whoever asks first for its turn.
    pub(crate) fn stand(&self, subject: &K, order: Option<u64>) -> Place<'_, K> {
        let mut room = self.lock();
        room.tickets += 1;
        let ticket = room.tickets;
        room.entries.push(Entry { ticket, subject: subject.clone(), order, running: false, calling: None });
        Place { turns: self, ticket }
    }

    fn change(&self, ticket: u64, change: impl FnOnce(&mut Entry<K>)) {
        self.lock().entry(ticket).map(change);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Room<K>> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in line, then a turn. Dropping it lets the next one go.
pub(crate) struct Place<'a, K: Clone + Eq + Hash> {
    turns: &'a Turns<K>,
    ticket: u64,
}

impl<K: Clone + Eq + Hash> Place<'_, K> {
    /// Waits for the turn, but not behind a call that has been going on for longer than `patience`.
    pub(crate) async fn turn(&self, patience: Duration) -> Result<(), TurnedAway> {
        loop {
            let mut changed = pin!(self.turns.changed.notified());
            changed.as_mut().enable();
            let slow_at = {
                let mut room = self.turns.lock();
                if room.may(self.ticket, self.turns.share) {
                    if let Some(mine) = room.entry(self.ticket) {
                        mine.running = true;
                    }
                    return Ok(());
                }
                room.entries.iter().filter_map(|e| e.calling).min().map(|began| began + patience)
            };
            match slow_at {
                Some(at) => timeout_at(at, changed).await.map_err(|_| TurnedAway)?,
                None => changed.await,
            }
        }
    }

    /// It goes back to the schedule until then; higher statuses of its subject are not to overtake it.
    pub(crate) fn put_off(&self, until: Timestamp, now: Timestamp) {
        let mut room = self.turns.lock();
        let Some((subject, Some(order))) = room.entry(self.ticket).map(|mine| (mine.subject.clone(), mine.order)) else { return };
        if room.put_off.len() > TIDY_ABOVE {
            room.put_off.retain(|_, (_, due)| now < *due + WAY_BACK);
        }
        let lower = room.put_off.get(&subject).is_some_and(|(lowest, due)| *lowest < order && now < *due + WAY_BACK);
        if !lower {
            room.put_off.insert(subject, (order, until));
        }
    }

    /// Whether this status itself was put off last, by this process: the attempt before has not reached the host. To be asked before
    /// [`Place::behind`], which forgets it.
    pub(crate) fn waited(&self) -> bool {
        let mut room = self.turns.lock();
        let Some((subject, Some(order))) = room.entry(self.ticket).map(|mine| (mine.subject.clone(), mine.order)) else { return false };
        room.put_off.get(&subject).is_some_and(|(lowest, _)| *lowest == order)
    }

    /// Until when a lower status of its subject is on the schedule, or on its way back from there.
    pub(crate) fn behind(&self, now: Timestamp) -> Option<Timestamp> {
        let mut room = self.turns.lock();
        let (subject, order) = room.entry(self.ticket).map(|mine| (mine.subject.clone(), mine.order))?;
        let (lowest, due) = *room.put_off.get(&subject)?;
        if lowest < order? && now < due + WAY_BACK && due < now + FURTHEST {
            return Some(due.max(now + WAY_BACK / 2));
        }
        room.put_off.remove(&subject);
        None
    }

    /// A call is on its way until what this answers with is dropped.
    pub(crate) fn calling(&self) -> Calling<'_, K> {
        self.turns.change(self.ticket, |mine| mine.calling = Some(Instant::now()));
        Calling(self)
    }
}

impl<K: Clone + Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        self.turns.lock().entries.retain(|e| e.ticket != self.ticket);
        self.turns.changed.notify_waiters();
    }
}

/// A call on its way.
pub(crate) struct Calling<'a, K: Clone + Eq + Hash>(&'a Place<'a, K>);

impl<K: Clone + Eq + Hash> Drop for Calling<'_, K> {
    fn drop(&mut self) {
        self.0.turns.change(self.0.ticket, |mine| mine.calling = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_schemas::ExternalId;
    use futures_util::FutureExt;

    /// No test lasts so long.
    const PATIENT: Duration = Duration::from_secs(3600);

    fn app(id: &str) -> ExternalId {
        ExternalId::new(id).unwrap()
    }

    #[tokio::test]
    async fn the_lower_status_of_an_application_goes_first_whoever_asks_first() {
        let turns = Turns::new(8);
        let (second, first) = (turns.stand(&app("a"), Some(2)), turns.stand(&app("a"), Some(1)));
        let mut waiting = Box::pin(second.turn(PATIENT));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(first.turn(PATIENT).now_or_never(), Some(Ok(())));
        drop(first);
        assert_eq!(waiting.await, Ok(()));
    }

    #[tokio::test]
    async fn while_calls_come_back_in_time_everybody_waits_for_a_turn() {
        let turns = Turns::new(1);
        let (first, second) = (turns.stand(&app("a"), Some(1)), turns.stand(&app("b"), Some(1)));
        first.turn(PATIENT).await.unwrap();
        let mut waiting = Box::pin(second.turn(PATIENT));
        for _ in 0..5 {
            let calling = first.calling();
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(calling);
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(first);
        assert_eq!(waiting.await, Ok(()));
    }

    #[tokio::test]
    async fn who_would_wait_behind_a_slow_call_is_turned_away_and_a_store_that_is_slow_turns_nobody_away() {
        let turns = Turns::new(1);
        let (first, second) = (turns.stand(&app("a"), Some(1)), turns.stand(&app("b"), Some(1)));
        first.turn(Duration::ZERO).await.unwrap();
        let mut waiting = Box::pin(second.turn(Duration::ZERO));
        assert!(waiting.as_mut().now_or_never().is_none(), "the first is in hand, but not calling");
        let _calling = first.calling();
        assert_eq!(waiting.await, Err(TurnedAway));
    }

    #[tokio::test]
    async fn no_more_run_than_the_share_and_one_of_an_application() {
        let turns = Turns::new(2);
        let places: Vec<_> = ["a", "a", "b", "c"].iter().map(|id| turns.stand(&app(id), Some(1))).collect();
        let asked: Vec<_> = places.iter().map(|place| place.turn(PATIENT).now_or_never()).collect();
        assert_eq!(asked, [Some(Ok(())), None, Some(Ok(())), None]);
    }

    #[tokio::test]
    async fn only_a_status_that_was_put_off_itself_has_waited_and_only_until_it_is_tried_again() {
        let turns = Turns::new(8);
        let now = Timestamp::UNIX_EPOCH;
        let status = |order| turns.stand(&app("a"), Some(order));
        assert!(!status(1).waited(), "it was never put off");
        status(1).put_off(now, now);
        assert!(!status(2).waited() && !turns.stand(&app("b"), Some(1)).waited() && !turns.stand(&app("a"), None).waited());
        let again = status(1);
        assert!(again.waited());
        assert_eq!(again.behind(now), None, "it is tried");
        assert!(!status(1).waited(), "how that attempt ends is another matter");
    }

    #[tokio::test]
    async fn a_status_does_not_overtake_one_that_waits_on_the_schedule_and_a_note_waits_for_none() {
        let turns = Turns::new(8);
        let at = |seconds| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds);
        turns.stand(&app("a"), Some(1)).put_off(at(60), at(0));
        let (second, other, note) = (turns.stand(&app("a"), Some(2)), turns.stand(&app("b"), Some(2)), turns.stand(&app("a"), None));
        assert_eq!(second.behind(at(10)), Some(at(60)));
        second.put_off(at(60), at(10));
        assert_eq!(second.behind(at(61)), Some(at(62)), "the first is on its way back");
        assert_eq!((other.behind(at(10)), note.behind(at(10))), (None, None));
        assert_eq!(turns.stand(&app("a"), Some(1)).behind(at(61)), None, "the first is back");
        assert_eq!(second.behind(at(61)), None);
        // Nor does one that was put off while the clock was a month ahead.
        turns.stand(&app("a"), Some(1)).put_off(at(30 * 86_400), at(30 * 86_400 - 60));
        assert_eq!(second.behind(at(62)), None);
        // One that never comes back, because it was parked or another process has it, holds nobody up for long.
        turns.stand(&app("a"), Some(1)).put_off(at(60), at(0));
        assert_eq!(second.behind(at(62)), None);
    }
}
