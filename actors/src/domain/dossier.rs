//! A dossier: all that the hub knows of one application, and the candidacies that came of it. The unit of concurrency:
//! it has one version, and whoever saves it must have read that version.

use super::invitation::{Invitation, PlatformRole};
use super::{Interviews, State, Versions, versions::Mark};
use atshub_schemas::{
    Email, ExternalId, Link, TenantName, Unread,
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
    /// The platform role, or what the tenant maps to one, that the order chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordered_test: Option<ExternalId>,
    /// How the order ended in the ATS: it asks for nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_ended: Option<String>,
    /// When it entered the stage it is in, by the ATS's clock; `None` while no fact told of a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Timestamp>,
    /// How it ended in the ATS, until it is moved again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// When the newest asking happened that was acted on: an entry into a stage that invites, or an order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// By when each aspect was last heard of.
    #[serde(default)]
    pub versions: Versions,
    /// What the first schema had in place of `versions`; read, and never written.
    #[serde(default, skip_serializing)]
    pub fact_time: Option<Timestamp>,
    /// The same, for person and job.
    #[serde(default, skip_serializing)]
    pub data_time: Option<Timestamp>,
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
    /// What a newer version of the hub wrote beside all this.
    #[serde(flatten)]
    pub unread: Unread,
}

/// How an application ended in the ATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Archived or rejected.
    Archived,
    /// The person was hired.
    Hired,
    /// Deleted, or not to be found any more.
    Deleted,
    /// Another application took its place.
    Transferred,
    /// In a way that a newer version of the hub knows and this one does not.
    #[serde(untagged)]
    Unknown(String),
}

impl Ended {
    /// The word for people.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Archived => "archived",
            Self::Hired => "hired",
            Self::Deleted => "deleted",
            Self::Transferred => "transferred to another application",
            Self::Unknown(word) => word,
        }
    }
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
    /// When the state last changed, by the hub's clock.
    pub changed_at: Timestamp,
    /// The newest intent whose answer is known. While a later one waits, the platform is to be looked at: somebody asked again for what
    /// the hub believes to be live.
    #[serde(default)]
    pub answered: u32,
    /// Why the platform is not to be asked any more, where it may have been asked already: the next attempt looks, and asks nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// The application that holds the key of person and role, where two have turned out to be of one person and role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yields_to: Option<ExternalId>,
    /// The address of the application that the platform was first asked with: a later look goes by the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_with: Option<Link>,
    /// What the person's data were when the invite was refused: while they stay so, it stays refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_for: Option<String>,
    /// What the platform said of its interviews.
    #[serde(default, skip_serializing_if = "Interviews::is_empty")]
    pub interviews: Interviews,
    /// What a newer version of the hub wrote beside all this.
    #[serde(flatten)]
    pub unread: Unread,
}

impl Candidacy {
    /// One that was just asked for.
    #[must_use]
    pub fn asked(id: Uuid, role_named: Option<String>, asked_at: Timestamp, now: Timestamp) -> Self {
        Self {
            id,
            role_named,
            role: None,
            state: State::Received,
            intent: 1,
            asked_at,
            invitation: None,
            changed_at: now,
            answered: 0,
            withdrawn: None,
            yields_to: None,
            asked_with: None,
            refused_for: None,
            interviews: Interviews::default(),
            unread: Unread::default(),
        }
    }

    /// Where the interview is to be seen: the page that the platform last named for it, else the invitation's.
    #[must_use]
    pub fn link(&self) -> Option<&Link> {
        let interview = self.interviews.current().and_then(|seen| seen.link.as_ref()).map(|(_, link)| link);
        interview.or_else(|| self.invitation.as_ref()?.link.as_ref())
    }

    /// The key of which only one live candidacy may exist per tenant: person and role. `None` while it is not live, its role is not
    /// known, or another application holds the key.
    #[must_use]
    pub fn live_key(&self, candidate: &Candidate) -> Option<String> {
        let (email, role) = (candidate.email.as_ref()?, self.role.as_ref()?);
        (self.state.is_live() && self.yields_to.is_none()).then(|| format!("{}|{}", email.key(), role.id))
    }
}

impl Dossier {
    /// One of which nothing is known but the application.
    #[must_use]
    pub fn new(tenant: TenantName, application: Application, now: Timestamp) -> Self {
        Self {
            tenant,
            application,
            candidate: Candidate::default(),
            job: Job::default(),
            recruiter: None,
            grader: None,
            stage: None,
            assessment: None,
            ordered_test: None,
            order_ended: None,
            entered: None,
            ended: None,
            asked: None,
            versions: Versions::default(),
            fact_time: None,
            data_time: None,
            sequence: 0,
            status_written: 0,
            version: 0,
            candidacies: Vec::new(),
            created_at: now,
            updated_at: now,
            unread: Unread::default(),
        }
    }

    /// The candidacy with this id.
    #[must_use]
    pub fn candidacy(&self, id: Uuid) -> Option<&Candidacy> {
        self.candidacies.iter().find(|c| c.id == id)
    }

    /// What the first schema kept is what the aspects begin with.
    pub(super) fn settle_old(&mut self) {
        let mark = |time| Mark { time, received_at: time };
        if let Some(time) = self.fact_time.take() {
            self.versions.stage = self.versions.stage.or(Some(mark(time)));
            if self.assessment.is_some() {
                self.versions.order = self.versions.order.or(Some(mark(time)));
            }
            self.entered = self.entered.or(self.stage.as_ref().map(|_| time));
            self.asked = self.asked.or(self.current().map(|c| c.asked_at));
        }
        if let Some(time) = self.data_time.take() {
            self.versions.person.newest = self.versions.person.newest.or(Some(mark(time)));
            self.versions.job.newest = self.versions.job.newest.or(Some(mark(time)));
        }
    }

    /// Leaves a live key to the application that holds it already. False: nothing here wanted it.
    pub(crate) fn yield_key(&mut self, key: &str, holder: &ExternalId) -> bool {
        let candidate = self.candidate.clone();
        let mut wanted = false;
        for candidacy in self.candidacies.iter_mut().filter(|c| c.live_key(&candidate).as_deref() == Some(key)) {
            candidacy.yields_to = Some(holder.clone());
            wanted = true;
        }
        wanted
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
    /// How it ended, unless it is open.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// When the ATS last changed it, by the ATS's clock, where it says.
    #[serde(default)]
    pub as_of: Option<Timestamp>,
}

/// By what dossiers are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lookup {
    /// The one of this application.
    Application(ExternalId),
    /// The one that holds this candidacy.
    Candidacy(Uuid),
    /// The one that holds the live candidacy with this [`Candidacy::live_key`].
    Live(String),
    /// All of this person (id in the ATS), newest first, at most 200.
    Candidate(ExternalId),
    /// All of this job (id in the ATS) whose newest candidacy is refused, or not asked for yet, newest first, at most 500.
    WaitingOfJob(ExternalId),
    /// All whose newest candidacy is refused, newest first, at most 500.
    Refused,
    /// The one whose invitation has this candidacy id on the platform.
    PlatformCandidacy(ExternalId),
    /// All of the person with this address, newest first, at most 200.
    Email(Email),
    /// All of the person with this page in the ATS, or with this page of the application where the person has none, newest first, at
    /// most 200. However the address is written.
    ProfileUrl(Link),
    /// All of this job (id in the ATS), newest first, at most 200.
    Job(ExternalId),
    /// All whose newest candidacy is for this role of the platform, newest first, at most 200.
    Role(ExternalId),
    /// All of the recruiter with this address, newest first, at most 200.
    Recruiter(Email),
}

/// A page of dossiers, in an order that stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// By the ids of their applications.
    pub dossiers: Vec<Dossier>,
    /// Applications on this page whose dossiers cannot be read.
    pub unreadable: Vec<ExternalId>,
    /// After which application the next page begins; `None`: this is the last one.
    pub next: Option<ExternalId>,
}
