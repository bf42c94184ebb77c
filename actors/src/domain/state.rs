//! The life of a candidacy (B8). One enum, a paragraph per state; the transitions are a table, and the diagram in the
//! README is printed from it.

use super::InviteError;
use atshub_schemas::Unread;
use serde::{Deserialize, Deserializer, Serialize, de::Error};

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
    /// One that a newer version of the hub wrote and this one does not know. It stands as it is and is written back unchanged; it
    /// counts as live, so that nobody is invited beside it.
    #[serde(untagged)]
    Unknown(UnknownState),
}

/// A state that this version does not know, with all that was written of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct UnknownState(Unread);

impl<'de> Deserialize<'de> for UnknownState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Unread::deserialize(deserializer)?;
        match written.text("state") {
            None => Err(D::Error::custom("a state has no name")),
            Some(known) if CODES.contains(&known) => Err(D::Error::custom("a known state is not written as it should be")),
            Some(_) => Ok(Self(written)),
        }
    }
}

/// The codes of the states that this version knows.
const CODES: [&str; 12] = [
    "received",
    "inviting",
    "invited",
    "scheduled",
    "rescheduled",
    "in_progress",
    "processing",
    "completed",
    "cancelled",
    "timed_out",
    "no_show",
    "refused",
];

impl State {
    /// Stable code, also the key of the tenant's labels.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unknown(UnknownState(written)) => written.text("state").unwrap_or("unknown"),
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
        matches!(self, Self::Received | Self::Inviting | Self::Invited | Self::Scheduled | Self::Rescheduled | Self::Unknown(_))
    }
}

/// Every step a candidacy may take, by state code, with what makes it. The diagram in the README is printed from this.
pub const TRANSITIONS: &[(&str, &str, &str)] = &[
    ("received", "inviting", "the role is found and the live key is free"),
    ("received", "refused", "a check says no"),
    ("inviting", "invited", "the platform invites"),
    ("inviting", "refused", "the platform says no, or another candidacy is live"),
    ("invited", "scheduled", "a time is chosen"),
    ("invited", "in_progress", "the interview begins"),
    ("invited", "processing", "the interview is over"),
    ("invited", "completed", "the result is out"),
    ("invited", "cancelled", "called off"),
    ("invited", "timed_out", "nobody chose a time"),
    ("scheduled", "rescheduled", "the time is given up"),
    ("scheduled", "invited", "the time is given up"),
    ("scheduled", "in_progress", "the interview begins"),
    ("scheduled", "processing", "the interview is over"),
    ("scheduled", "completed", "the result is out"),
    ("scheduled", "cancelled", "called off"),
    ("scheduled", "timed_out", "the clock ran out"),
    ("scheduled", "no_show", "the candidate did not come"),
    ("rescheduled", "scheduled", "another time is chosen"),
    ("rescheduled", "invited", "another time is to be chosen"),
    ("rescheduled", "in_progress", "the interview begins"),
    ("rescheduled", "processing", "the interview is over"),
    ("rescheduled", "completed", "the result is out"),
    ("rescheduled", "cancelled", "called off"),
    ("rescheduled", "timed_out", "the clock ran out"),
    ("in_progress", "processing", "the interview is over"),
    ("in_progress", "completed", "the result is out"),
    ("in_progress", "cancelled", "called off"),
    ("in_progress", "no_show", "the candidate did not come"),
    ("processing", "completed", "the result is out"),
    ("processing", "cancelled", "called off"),
    ("refused", "received", "asked again, or the datum is corrected"),
    ("cancelled", "received", "asked again"),
    ("timed_out", "received", "asked again"),
    ("no_show", "received", "asked again"),
];

impl State {
    /// Whether the table has this step.
    #[must_use]
    pub fn may_become(&self, next: &Self) -> bool {
        TRANSITIONS.iter().any(|(from, to, _)| *from == self.code() && *to == next.code())
    }

    /// The state that an interview's state on the platform means (Karat/api-docs, Postman collection: 15 states).
    #[must_use]
    pub fn from_platform(state: &str) -> Option<Self> {
        Some(match state {
            "SCHEDULING" => Self::Invited,
            "SCHEDULED" => Self::Scheduled,
            "RESCHEDULED" => Self::Rescheduled,
            "INTERVIEWING" => Self::InProgress,
            "PROCESSING" | "CREATING" | "AWAITING_QC" | "QC" | "HOLD" | "FINAL_CHECK" | "CONTENT_CHECK" | "READY_TO_SHIP" | "SHIPPING" => {
                Self::Processing
            }
            "SHIPPED" => Self::Completed,
            "CANCELLED" => Self::Cancelled { reason: "on the platform".into() },
            _ => return None,
        })
    }
}
