//! What is shown of a child and of the hosts that it calls: values that the supervisor makes, the store keeps, and everybody reads.

use crate::phase::Phase;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// The host asked for a pause, or does not accept the credential; it is left alone for a while.
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
    /// What it guards: `ats`, or `platform/` and the account's name.
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
    /// Since when it is held to its share: it would take more, and others are at work.
    #[serde(default)]
    pub held_since: Option<Timestamp>,
}

impl ChildSnapshot {
    pub(crate) fn new(name: &str) -> Self {
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
            held_since: None,
        }
    }
}
