//! The board: what every child is doing, for the API, the console, the command line and tests. All of them read this.

use super::{
    arbiters::{Pulses, ThreadSnapshot},
    phase::Phase,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// How calls to one host are going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// The host is taken to be away: no calls are made, what waits goes back to the schedule.
    Open,
    /// One call is made, to see.
    HalfOpen,
    /// The host asked for a pause; it is kept.
    Limited,
}

impl BreakerState {
    /// The word, as shown to people and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Limited => "limited",
        }
    }
}

/// A breaker, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerSnapshot {
    /// What it guards: `ats` or `platform`.
    pub host: String,
    /// How calls are going.
    pub state: BreakerState,
    /// Since when.
    pub since: Timestamp,
    /// When the next call may be made, unless calls are made.
    pub next_call: Option<Timestamp>,
    /// Calls in the window, and those that failed.
    pub calls: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// What the last failed one said.
    pub last_error: Option<String>,
}

/// A death or a restart of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// When.
    pub at: Timestamp,
    /// The generation that ended.
    pub generation: u64,
    /// Stable code: `panic`, `stopped`, `frozen`, `no_progress`, `operator`.
    pub code: String,
    /// The cause, as a sentence.
    pub cause: String,
}

/// One child, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// The newest deaths and restarts, oldest first.
    pub history: Vec<Restart>,
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
    /// When the last write into its ATS was done.
    pub last_written: Option<Timestamp>,
    /// The breakers before its hosts.
    pub breakers: Vec<BreakerSnapshot>,
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
            history: Vec::new(),
            next_start: None,
            in_hand: 0,
            oldest: None,
            last_in: None,
            last_done: None,
            last_written: None,
            breakers: Vec::new(),
            done: 0,
            poisoned: 0,
        }
    }
}

/// All children. Cheap to clone; clones show the same.
#[derive(Debug, Clone)]
pub struct Board {
    rows: Arc<Mutex<BTreeMap<String, ChildSnapshot>>>,
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
    fn rows(&self) -> MutexGuard<'_, BTreeMap<String, ChildSnapshot>> {
        // A panic while the lock is held cannot leave a row half-written in a way that matters here.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, name: &str, change: impl FnOnce(&mut ChildSnapshot)) {
        change(self.rows().entry(name.to_owned()).or_insert_with(|| ChildSnapshot::new(name)));
        self.changed.send_modify(|n| *n += 1);
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
