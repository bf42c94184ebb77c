//! What was heard of a person, a job or an interview apart from any application: kept until an application that it concerns
//! comes, for as long as history is kept.

use atshub_schemas::{ExternalId, TenantName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What something was heard of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Subject {
    /// A person, by their id in the ATS.
    Person(ExternalId),
    /// A job, by its id in the ATS.
    Job(ExternalId),
    /// An interview, by the candidacy's id on the platform.
    Interview(ExternalId),
    /// An assessment order, by its id.
    Order(ExternalId),
}

impl Subject {
    /// Which kind, as it is stored.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Person(_) => "person",
            Self::Job(_) => "job",
            Self::Interview(_) => "interview",
            Self::Order(_) => "order",
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ExternalId {
        match self {
            Self::Person(id) | Self::Job(id) | Self::Interview(id) | Self::Order(id) => id,
        }
    }
}

/// All that was heard of one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Whose.
    pub tenant: TenantName,
    /// Of what.
    pub subject: Subject,
    /// Rises by one with every save.
    pub version: u64,
    /// When it was last saved.
    pub updated_at: Timestamp,
}
