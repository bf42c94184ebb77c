//! The life of a candidacy (B8). One enum, a paragraph per state; the transitions are a table, and the diagram in the
//! README is printed from it.

use super::InviteError;
use serde::{Deserialize, Serialize};

/// Where a candidacy is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The fact was accepted and is durable; the platform has not been asked.
    Received,
    /// The platform is being asked, or has been asked and the answer is not clear yet.
    Inviting,
    /// The platform has sent the candidate a link; no time is chosen.
    Invited,
    /// A time is chosen.
    Scheduled,
    /// A time was given up; another is to be chosen.
    Rescheduled,
    /// The interview is under way.
    InProgress,
    /// The interview is over; the platform is working on the result.
    Processing,
    /// The result is out. An end.
    Completed,
    /// The interview was called off. An end.
    Cancelled {
        /// Why, in the words of whoever did it.
        reason: String,
    },
    /// Nobody chose a time, or came, within the platform's clocks. An end.
    TimedOut,
    /// The candidate did not come. An end.
    NoShow,
    /// The invite was refused. An end, until the datum is corrected or the stage is entered again.
    Refused {
        /// Why.
        error: InviteError,
    },
}

impl State {
    /// Stable code, also the key of the tenant's labels.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Inviting => "inviting",
            Self::Invited => "invited",
            Self::Scheduled => "scheduled",
            Self::Rescheduled => "rescheduled",
            Self::InProgress => "in_progress",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut => "timed_out",
            Self::NoShow => "no_show",
            Self::Refused { .. } => "refused",
        }
    }

    /// Counts against "one live invitation per person and role" (B2).
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Received | Self::Inviting | Self::Invited | Self::Scheduled | Self::Rescheduled)
    }
}
