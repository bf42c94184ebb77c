//! What was heard of a person, a job, an application or an order apart from any dossier: kept until one comes that it concerns, for
//! as long as history is kept.

use super::{Interviews, Versions};
use atshub_schemas::{
    ExternalId, TenantName,
    fact::{Candidate, Job, Person},
};
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
    /// The person of an application, by the application's id.
    Application(ExternalId),
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
            Self::Application(_) => "application",
            Self::Interview(_) => "interview",
            Self::Order(_) => "order",
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &ExternalId {
        match self {
            Self::Person(id) | Self::Job(id) | Self::Application(id) | Self::Interview(id) | Self::Order(id) => id,
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
    /// The person.
    #[serde(default)]
    pub candidate: Candidate,
    /// Who recruits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recruiter: Option<Person>,
    /// Who grades them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<Person>,
    /// The job.
    #[serde(default)]
    pub job: Job,
    /// When each of it was said.
    #[serde(default)]
    pub versions: Versions,
    /// The record that this person's became part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<ExternalId>,
    /// The application that an order is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_for: Option<ExternalId>,
    /// How an order ended in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_ended: Option<String>,
    /// Interviews of a candidacy on the platform.
    #[serde(default)]
    pub interviews: Interviews,
}

impl Heard {
    /// Nothing yet.
    #[must_use]
    pub fn nothing(tenant: TenantName, subject: Subject, now: Timestamp) -> Self {
        Self {
            tenant,
            subject,
            version: 0,
            updated_at: now,
            candidate: Candidate::default(),
            recruiter: None,
            grader: None,
            job: Job::default(),
            versions: Versions::default(),
            merged_into: None,
            ordered_for: None,
            order_ended: None,
            interviews: Interviews::default(),
        }
    }
}
