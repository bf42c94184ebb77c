//! The board: what every child is doing, for the API, the console, the command line and tests. All of them read this.

use super::arbiters::{Pulses, ThreadSnapshot};
use crate::shown::{ChildSnapshot, Restart};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// What has changed on a board.
#[derive(Debug, Default)]
pub struct Changes {
    /// The version up to which they reach.
    pub version: u64,
    /// Rows that changed, those that changed longest ago first.
    pub rows: Vec<ChildSnapshot>,
    /// Children that were known, and are no more.
    pub gone: Vec<String>,
}

/// A row, and the version of the board that it last changed at.
#[derive(Debug)]
struct Row {
    version: u64,
    child: ChildSnapshot,
}

/// All children. Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub struct Board {
    rows: Arc<Mutex<BTreeMap<String, Row>>>,
    deaths: Arc<Mutex<BTreeMap<String, u64>>>,
    pulses: Pulses,
    changed: Arc<watch::Sender<u64>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { rows: Arc::default(), deaths: Arc::default(), pulses: Pulses::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        // A panic while the lock is held cannot leave a row half-written in a way that matters here.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next version. To be called with the rows locked, so that a version is never seen before what it stands for.
    fn step(&self) -> u64 {
        self.changed.send_modify(|n| *n += 1);
        *self.changed.borrow()
    }

    /// Shows a child, new or not.
    pub(super) fn show(&self, name: &str, change: impl FnOnce(&mut ChildSnapshot)) {
        let mut rows = self.rows();
        let version = self.step();
        let row = rows.entry(name.to_owned()).or_insert_with(|| Row { version, child: ChildSnapshot::new(name) });
        row.version = version;
        change(&mut row.child);
    }

    /// Changes what is shown of a child. Of one that has left nothing is shown any more, whoever still speaks of it.
    pub(super) fn update(&self, name: &str, change: impl FnOnce(&mut ChildSnapshot)) {
        let mut rows = self.rows();
        if let Some(row) = rows.get_mut(name) {
            row.version = self.step();
            change(&mut row.child);
        }
    }

    /// Notes a death or a restart of a child; only the newest are kept of each, and all are counted.
    pub(super) fn note(&self, name: &str, restart: Restart, keep: usize) {
        *self.deaths.lock().unwrap_or_else(PoisonError::into_inner).entry(restart.code.clone()).or_default() += 1;
        self.update(name, |row| {
            row.history.push(restart);
            let over = row.history.len().saturating_sub(keep);
            row.history.drain(..over);
        });
    }

    /// Deaths and restarts since the process started, by code, over all children.
    #[must_use]
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The threads that children live on.
    #[must_use]
    pub fn threads(&self) -> Vec<ThreadSnapshot> {
        self.pulses.snapshot()
    }

    pub(super) fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }

    pub(super) fn remove(&self, name: &str) {
        let mut rows = self.rows();
        rows.remove(name);
        self.step();
    }

    /// All children, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ChildSnapshot> {
        self.rows().values().map(|row| row.child.clone()).collect()
    }

    /// One child.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<ChildSnapshot> {
        self.rows().get(name).map(|row| row.child.clone())
    }

    /// What has changed after a version of the board, at most `limit` rows, and which of the children `known` then are gone.
    /// Where nothing has changed, nothing is looked at: children at rest cost nothing.
    #[must_use]
    pub fn changes(&self, after: u64, known: &BTreeSet<String>, limit: usize) -> Changes {
        if *self.changed.borrow() == after {
            return Changes { version: after, ..Changes::default() };
        }
        let rows = self.rows();
        let now = *self.changed.borrow();
        let mut changed: Vec<&Row> = rows.values().filter(|row| row.version > after).collect();
        changed.sort_unstable_by_key(|row| row.version);
        // What does not fit is left for the next time, from the first row on that did not.
        let version = changed.get(limit).map_or(now, |row| row.version - 1);
        changed.truncate(limit);
        let gone = known.iter().filter(|name| !rows.contains_key(*name)).cloned().collect();
        Changes { version, rows: changed.into_iter().map(|row| row.child.clone()).collect(), gone }
    }

    /// Waits until a child is as wanted; woken by changes, never by time.
    pub async fn until(&self, name: &str, mut wanted: impl FnMut(&ChildSnapshot) -> bool) {
        let mut changes = self.changed.subscribe();
        while !self.child(name).as_ref().is_some_and(&mut wanted) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(changes: &Changes) -> Vec<&str> {
        changes.rows.iter().map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn changes_are_told_once_and_what_does_not_fit_is_told_the_next_time() {
        let (board, known) = (Board::default(), BTreeSet::new());
        for name in ["c", "a", "b"] {
            board.show(name, |_| {});
        }
        let first = board.changes(0, &known, 2);
        assert_eq!(names(&first), ["c", "a"], "in the order of the changes");
        board.update("c", |row| row.in_hand = 1);
        let second = board.changes(first.version, &known, 2);
        assert_eq!(names(&second), ["b", "c"]);
        assert_eq!(second.rows[1].in_hand, 1);
        let third = board.changes(second.version, &known, 2);
        assert!(third.rows.is_empty() && third.version == second.version);
    }

    #[test]
    fn a_child_that_has_gone_is_told_to_whoever_knew_it() {
        let board = Board::default();
        board.show("a", |_| {});
        let first = board.changes(0, &BTreeSet::new(), 9);
        board.remove("a");
        let known: BTreeSet<String> = ["a".to_owned()].into();
        let second = board.changes(first.version, &known, 9);
        assert_eq!((second.rows.len(), second.gone), (0, vec!["a".to_owned()]));
        board.update("a", |row| row.in_hand = 1);
        assert!(board.child("a").is_none(), "it has left, and a late word does not bring it back");
    }
}
