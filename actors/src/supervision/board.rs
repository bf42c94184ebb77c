//! The board: what every child is doing, for the API, the console, the command line and tests. All of them read this.

use super::phase::Phase;
use jiff::Timestamp;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// One child, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChildSnapshot {
    /// Its name, for example `tenant/acme`.
    pub name: String,
    /// What it is doing.
    pub phase: Phase,
    /// Why, unless it is running.
    pub cause: Option<String>,
    /// Which start this is, from 1.
    pub generation: u64,
    /// Restarts since it was last healthy.
    pub restarts: u32,
    /// When it is started again, while it backs off.
    pub next_start: Option<Timestamp>,
    /// Deliveries in hand.
    pub in_hand: usize,
    /// When the oldest of them came.
    pub oldest: Option<Timestamp>,
    /// When the last delivery came.
    pub last_in: Option<Timestamp>,
    /// When the last delivery was done.
    pub last_done: Option<Timestamp>,
    /// Deliveries done since the hub started.
    pub done: u64,
    /// Messages parked because they crashed the child.
    pub poisoned: u64,
}

impl ChildSnapshot {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            phase: Phase::Starting,
            cause: None,
            generation: 0,
            restarts: 0,
            next_start: None,
            in_hand: 0,
            oldest: None,
            last_in: None,
            last_done: None,
            done: 0,
            poisoned: 0,
        }
    }
}

/// All children. Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub struct Board {
    rows: Arc<Mutex<BTreeMap<String, ChildSnapshot>>>,
    changed: Arc<watch::Sender<u64>>,
}

impl Default for Board {
    fn default() -> Self {
        Self { rows: Arc::default(), changed: Arc::new(watch::Sender::new(0)) }
    }
}

impl Board {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, ChildSnapshot>> {
        // A panic while the lock is held cannot leave a row half-written in a way that matters here.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, name: &str, change: impl FnOnce(&mut ChildSnapshot)) {
        change(self.rows().entry(name.to_owned()).or_insert_with(|| ChildSnapshot::new(name)));
        self.changed.send_modify(|n| *n += 1);
    }

    pub(super) fn remove(&self, name: &str) {
        self.rows().remove(name);
        self.changed.send_modify(|n| *n += 1);
    }

    /// All children, by name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<ChildSnapshot> {
        self.rows().values().cloned().collect()
    }

    /// One child.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<ChildSnapshot> {
        self.rows().get(name).cloned()
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
