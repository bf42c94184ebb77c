//! What is to be sent because of a decision, and the key by which each of it is found again: what waits can be seen, moved, and
//! taken back. Nothing here sends.

use atshub_schemas::internal::Write;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Names one effect: of which candidacy, for which asking, and what. Of a tenant's rows in the outbox that are not sent yet, no two
/// have the same key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectKey {
    /// The candidacy it is about.
    pub candidacy: Uuid,
    /// Which asking of that candidacy.
    pub intent: u32,
    /// What, for example `invite`, `status/3`, `unanswered/<command id>`.
    pub what: String,
}

impl fmt::Display for EffectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.candidacy, self.intent, self.what)
    }
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Ask the platform to invite.
    Invite {
        /// The candidacy.
        candidacy: Uuid,
        /// Which asking this is.
        intent: u32,
    },
    /// Write into the ATS.
    Write {
        /// The candidacy.
        candidacy: Uuid,
        /// Which asking it belongs to.
        intent: u32,
        /// What.
        write: Write,
    },
}

impl Effect {
    /// The candidacy that the platform is asked to invite.
    #[must_use]
    pub fn invites(&self) -> Option<Uuid> {
        match self {
            Self::Invite { candidacy, .. } => Some(*candidacy),
            Self::Write { .. } => None,
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> EffectKey {
        match self {
            Self::Invite { candidacy, intent } => EffectKey { candidacy: *candidacy, intent: *intent, what: "invite".into() },
            Self::Write { candidacy, intent, write } => EffectKey {
                candidacy: *candidacy,
                intent: *intent,
                what: match write {
                    Write::Status { sequence, .. } => format!("status/{sequence}"),
                    Write::Note { marker, .. } => format!("note/{marker}"),
                },
            },
        }
    }
}
