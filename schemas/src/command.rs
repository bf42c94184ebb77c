//! Write-backs that a tenant's own bridge performs in its ATS, and the bridge's answers.

use crate::{
    fact::{Application, Candidate, Role},
    text::{Email, ExternalId, Line, Link, MessageId, Prose},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Set the status that recruiters look at. Setting the same value twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusSet {
    /// Where.
    pub application: Application,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// Name of the field, as the tenant calls it, for example `Karat Status`.
    pub field: Line,
    /// The words to show.
    pub text: Line,
    /// Stable code of the state, for bridges that map to their own words: `received`, `invited`, `refused` …
    pub code: Line,
    /// Rises with every status of one application: a bridge ignores a number lower than one it has performed.
    pub sequence: u64,
    /// The interview or invitation, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// Add a note to the activity feed, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteAdded {
    /// Where.
    pub application: Application,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The text, plain.
    pub body: Prose,
    /// Stands in the body too: a bridge that is unsure whether it wrote the note looks for it.
    pub marker: Line,
}

/// Make the ATS's list of roles equal to this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RolesSynced {
    /// All roles that may be chosen.
    #[schemars(length(max = 1000))]
    pub roles: Vec<Role>,
}

/// Make the ATS's list of allowable followers equal to this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowersSynced {
    /// All addresses that may be chosen.
    #[schemars(length(max = 1000))]
    pub followers: Vec<Email>,
}

/// The bridge did what a command asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandDone {
    /// `id` of the command's envelope.
    pub command_id: MessageId,
    /// The ATS's id of what was made, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<ExternalId>,
}

/// The bridge could not do what a command asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandFailed {
    /// `id` of the command's envelope.
    pub command_id: MessageId,
    /// The bridge's own stable code.
    pub code: Line,
    /// What went wrong, for a person.
    pub message: Prose,
    /// True if the same command may work later: the hub then sends it again by its schedule.
    #[serde(default)]
    pub retryable: bool,
}
