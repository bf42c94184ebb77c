//! The hub's own messages, on `atshub.work`. Not for producers: one that comes by any other exchange is parked as
//! `not_internal`.

use crate::text::{ExternalId, Line, Link, MessageId, Prose};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Ask the platform to invite. The candidacy's row holds what to send; `intent` says which try of the recruiter it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteRequested {
    /// The candidacy.
    pub candidacy: Uuid,
    /// Counts how often this candidacy was asked for: a request for an older intent is ignored.
    pub intent: u32,
}

/// Write something back into the ATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WritebackRequested {
    /// The candidacy it is about.
    pub candidacy: Uuid,
    /// The application to write to.
    pub application: ExternalId,
    /// The person, for ATSs whose notes are the person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<ExternalId>,
    /// The assessment order, for ATSs that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<ExternalId>,
    /// What to write.
    pub write: Write,
}

/// One thing to write into an ATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Write {
    /// Set the status. A lower `sequence` than one already written is not performed.
    Status {
        /// Rises with every status of one application.
        sequence: u64,
        /// Stable code of the state.
        code: Line,
        /// The words to show.
        text: Line,
        /// The interview or invitation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<Link>,
    },
    /// Add a note, once.
    Note {
        /// Stands in the body; a later attempt looks for it.
        marker: Line,
        /// The text, plain.
        body: Prose,
    },
}

/// Something was to be looked at by now. A timer is a message with a due time: it waits in the store, is seen there, moved and taken back
/// by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimerDue {
    /// The candidacy it is about.
    pub candidacy: Uuid,
    /// Which asking of it.
    pub intent: u32,
    /// What to look at.
    pub what: Timer,
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Timer {
    /// The tenant's bridge has not answered a command.
    Unanswered {
        /// `id` of the command's envelope.
        command_id: MessageId,
        /// How often the command was sent.
        sent: u32,
    },
}

/// Tell somebody something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeRequested {
    /// The candidacy it is about.
    pub candidacy: Uuid,
    /// Which event of its life.
    pub event: Line,
}

/// The platform has a result for a candidacy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResultReady {
    /// The candidacy.
    pub candidacy: Uuid,
    /// The platform's id of the interview.
    pub interview: ExternalId,
}
