//! What the doors say of tenants: one row, the same for page, metrics and API.

use atshub_actors::supervision::BreakerSnapshot;
use jiff::Timestamp;
use serde::Serialize;

/// A tenant, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TenantRow {
    /// Its name.
    pub name: String,
    /// Name of its ATS.
    pub ats: String,
    /// What its actor is doing: a word of `supervision::Phase`.
    pub phase: String,
    /// Which start of the actor this is, from 1.
    pub generation: u64,
    /// Restarts since it was last healthy.
    pub restarts: u32,
    /// Why it is not running.
    pub cause: Option<String>,
    /// When it is started again, while it backs off.
    pub next_start: Option<Timestamp>,
    /// The breakers before its hosts.
    pub breakers: Vec<BreakerSnapshot>,
    /// Deliveries in hand.
    pub in_flight: u64,
    /// When the oldest of them came.
    pub oldest: Option<Timestamp>,
    /// Since when it is held to its share: it would take more, and others are at work.
    pub held_since: Option<Timestamp>,
}
