//! A dossier: all that the hub knows of one application, and the candidacies that came of it. The unit of concurrency:
//! it has one version, and whoever saves it must have read that version.

use super::State;
use crate::ports::{Invitation, PlatformRole};
use atshub_schemas::{
    ExternalId, TenantName,
    fact::{Application, Candidate, Job, Person, Stage},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One application (person × job in the ATS), with its candidacies (person × role on the platform).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dossier {
    /// Whose.
    pub tenant: TenantName,
    /// The application; its id is the dossier's key within the tenant.
    pub application: Application,
    /// The person, as last heard.
    pub candidate: Candidate,
    /// The job, as last heard.
    pub job: Job,
    /// The application's recruiter, as last heard.
    pub recruiter: Option<Person>,
    /// The application's grader, as last heard.
    pub grader: Option<Person>,
    /// The stage it is in, as last heard.
    pub stage: Option<Stage>,
    /// The ATS's assessment order, where it has one.
    pub assessment: Option<ExternalId>,
    /// The `time` of the newest fact applied that moved the application. An older one changes nothing.
    pub fact_time: Timestamp,
    /// The `time` of the newest fact applied about the people and the job. Kept apart from the above: a phone that was
    /// corrected just after a move must not make the move, should it arrive late, look out of date.
    pub data_time: Timestamp,
    /// Number of the newest status sent to the ATS for this application.
    pub sequence: u64,
    /// Number of the newest status that the ATS has: one with a lower number is not written any more.
    #[serde(default)]
    pub status_written: u64,
    /// Rises by one with every save.
    pub version: u64,
    /// Oldest first; the last one is the current one.
    pub candidacies: Vec<Candidacy>,
    /// When the hub first heard of it.
    pub created_at: Timestamp,
    /// When it was last saved.
    pub updated_at: Timestamp,
}

/// Person × role on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidacy {
    /// Our id.
    pub id: Uuid,
    /// What the job, the tenant's table or the order named as the role, before it was looked up on the platform.
    pub role_named: Option<String>,
    /// The platform's role, once looked up.
    pub role: Option<PlatformRole>,
    /// Where it is in its life.
    pub state: State,
    /// How often it was asked for; a re-trigger is a new intent.
    pub intent: u32,
    /// `time` of the fact that made the newest intent.
    pub asked_at: Timestamp,
    /// The platform's invitation.
    pub invitation: Option<Invitation>,
    /// When the state last changed.
    pub changed_at: Timestamp,
}

impl Candidacy {
    /// The key of which only one live candidacy may exist per tenant: person and role. `None` while it is not live or
    /// its role is not known.
    #[must_use]
    pub fn live_key(&self, candidate: &Candidate) -> Option<String> {
        let (email, role) = (candidate.email.as_ref()?, self.role.as_ref()?);
        self.state.is_live().then(|| format!("{}|{}", email.key(), role.id))
    }
}

impl Dossier {
    /// The candidacy with this id.
    #[must_use]
    pub fn candidacy(&self, id: Uuid) -> Option<&Candidacy> {
        self.candidacies.iter().find(|c| c.id == id)
    }

    /// The newest candidacy.
    #[must_use]
    pub fn current(&self) -> Option<&Candidacy> {
        self.candidacies.last()
    }
}

/// An application as the ATS has it now. What the ATS does not say is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The application.
    pub application: Application,
    /// The person.
    pub candidate: Candidate,
    /// The job.
    pub job: Job,
    /// The application's recruiter.
    pub recruiter: Option<Person>,
    /// The application's grader.
    pub grader: Option<Person>,
    /// The stage it is in.
    pub stage: Option<Stage>,
}

/// By what dossiers are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// The one of this application.
    Application(ExternalId),
    /// The one that holds this candidacy.
    Candidacy(Uuid),
    /// The one that holds the live candidacy with this [`Candidacy::live_key`].
    Live(String),
    /// All of this person (id in the ATS), newest first, at most 200.
    Candidate(ExternalId),
    /// All of this job (id in the ATS) whose newest candidacy is refused, newest first, at most 500.
    RefusedOfJob(ExternalId),
    /// The one whose invitation has this candidacy id on the platform.
    PlatformCandidacy(ExternalId),
}
