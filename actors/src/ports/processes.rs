//! The hub processes on one store, as they say of themselves, and what their children are doing. Values only; how they are
//! kept is the contract in `store.rs`.

use crate::shown::ChildSnapshot;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a hub process says of itself with every beat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The process; a fresh one for every start.
    pub process: Uuid,
    /// Where it runs, for people: `host:pid`.
    pub name: String,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether it can run tenants: it is connected to the broker, and not being stopped.
    pub able: bool,
}

/// A hub process, as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The process.
    pub process: Uuid,
    /// Where it runs, for people: `host:pid`.
    pub name: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// When it was last heard of, by the store's clock.
    pub beat_at: Timestamp,
    /// Whether it could run tenants then.
    pub able: bool,
    /// Whether it was heard of recently enough, by the store's clock.
    pub live: bool,
}

/// What a child was doing when its process last said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownChild {
    /// The process that runs it.
    pub process: Uuid,
    /// When it said so, by the store's clock.
    pub at: Timestamp,
    /// What the child was doing.
    pub child: ChildSnapshot,
}
