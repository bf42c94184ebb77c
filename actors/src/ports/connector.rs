//! The connector: one tenant's account at its ATS, for reading what a fact left out and for writing back.

use crate::{domain::Snapshot, failure::Failure};
use async_trait::async_trait;
use atshub_schemas::{ExternalId, Message, internal::WritebackRequested};
use serde::Serialize;

/// What an ATS can do (B21). One constant table per ATS, in its own folder; behaviour and wording read the table, and no
/// code asks "is this Lever?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// Facts come by the ATS's own webhooks.
    pub invite_by_webhook: Feature,
    /// Facts come by assessment-partner calls.
    pub assessment_partner: Feature,
    /// There is a field for the status.
    pub status_field: Feature,
    /// There is an activity feed that takes notes.
    pub notes: Feature,
    /// The hub hears that an order or an application ended in the ATS.
    pub cancel: Feature,
    /// The platform's roles are kept in a list of the ATS.
    pub roles_in_step: Feature,
    /// Changes to a person can be followed (MATS).
    pub person_follow: Feature,
    /// A change of recruiter can be followed.
    pub recruiter_updates: Feature,
    /// The hub keeps the ATS's list of allowable followers in step.
    pub follower_list: Feature,
    /// The hub hears who is in a hiring team.
    pub hiring_team: Feature,
    /// A person can be found by the URL of their page.
    pub profile_url_match: Feature,
    /// There are fields of the ATS's own for results.
    pub result_fields: Feature,
    /// What the hub does not know of a fact can be read from the ATS.
    pub read_application: Feature,
    /// Usual delay from an action in the ATS until the hub hears of it, in seconds, where it is known; for people who wait.
    pub normal_delay_seconds: Option<u32>,
}

/// Whether an ATS can do something, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "how", rename_all = "snake_case")]
pub enum Feature {
    /// It can; the words say by what.
    Yes(&'static str),
    /// It cannot; the words say what happens instead.
    No(&'static str),
}

impl Feature {
    /// Whether it can.
    #[must_use]
    pub fn available(self) -> bool {
        matches!(self, Self::Yes(_))
    }
}

/// Codes of [`Failure::Rejected`] with which a connector says that the account has no field, or no value of it, for a status. The
/// words say what an admin has to set up; as long as nobody does, the status is written as a note, where there are notes.
pub const NO_PLACE_FOR_STATUS: [&str; 2] = ["status_field_missing", "status_value_missing"];

/// How a write-back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The ATS has it.
    Done {
        /// The ATS's id of what was made, where it gives one.
        external_id: Option<ExternalId>,
    },
    /// Somebody else will do it: send this command to the tenant's bridge, and wait for its answer.
    Delegated(Box<Message>),
    /// This ATS has no place for it; the words say so.
    NotSupported(&'static str),
}

/// Something that an account has, by its id and by the name that people see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A field that an account has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// What can be chosen there; empty for a field of free text.
    pub choices: Vec<String>,
}

/// What an account has of what a tenant's settings name. Each `Err`: why it could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// The stages that an application can be in.
    pub stages: Result<Vec<Named>, String>,
    /// Fields of applications, for the status.
    pub application_fields: Result<Vec<Place>, String>,
    /// Fields of jobs, for the role.
    pub job_fields: Result<Vec<Place>, String>,
}

/// One tenant's account at its ATS.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// What this ATS can do.
    fn capabilities(&self) -> &'static Capabilities;

    /// The command that asks the tenant's own bridge for this write, where a bridge does the work: nothing is called then, and it goes out
    /// with the change that wants it. `None`: [`Connector::write`] does it.
    fn command(&self, _request: &WritebackRequested) -> Option<Message> {
        None
    }

    /// Reads the application as it is now. `Ok(None)`: the ATS says that it has no such application.
    ///
    /// # Errors
    /// As any call; never `acted`.
    async fn read(&self, application: &ExternalId) -> Result<Option<Snapshot>, Failure>;

    /// Performs a write-back. Setting a status again is harmless; a note is not: see [`Connector::look`].
    ///
    /// # Errors
    /// [`Failure::Transient`] with `acted` when the ATS may have done it: the next attempt then looks first.
    /// [`Failure::Rejected`] with one of [`NO_PLACE_FOR_STATUS`] where the account is not set up for this status.
    async fn write(&self, request: &WritebackRequested) -> Result<Written, Failure>;

    /// Looks whether an earlier, unclear attempt at this write-back had its effect.
    ///
    /// # Errors
    /// As any call; never `acted`.
    async fn look(&self, request: &WritebackRequested) -> Result<bool, Failure>;

    /// What the account has of what the tenant's settings name. `None`: it cannot be asked.
    async fn inventory(&self) -> Option<Inventory> {
        None
    }

    /// Tests the credential, and names permissions that are missing.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] if it is not accepted at all.
    async fn test(&self) -> Result<Vec<String>, Failure>;
}
