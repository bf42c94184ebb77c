//! A tenant's settings: which stages mean "invite", how jobs name roles, what the status field is called. Data only.

use atshub_schemas::{
    Carried,
    fact::{Job, Stage},
    text::{key, names_id, same},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where the recruiter's name is taken from (B15), tried in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecruiterSource {
    /// The application's recruiter.
    Candidate,
    /// The application's grader.
    Grader,
    /// The job's recruiter.
    Job,
}

/// Everything a tenant may set. What this release does not know is kept, and saved again as it was: another release may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Stages that mean "invite", by id or by name (names compare as a person reads them).
    pub trigger_stages: Vec<String>,
    /// The same for single jobs, by job id; replaces the list above for that job.
    pub trigger_stages_by_job: BTreeMap<String, Vec<String>>,
    /// Job id or title, or a partner's test id → platform role, by id or name. `*` stands for every job.
    pub roles: BTreeMap<String, String>,
    /// Name of the job's custom field that names the role.
    pub role_field: String,
    /// Name of the ATS's status field.
    pub status_field: String,
    /// State code → the words to show for it.
    pub labels: BTreeMap<String, String>,
    /// Brand name of the platform in sentences.
    pub platform_name: String,
    /// Where the recruiter is taken from, in order.
    pub recruiter_from: Vec<RecruiterSource>,
    /// Write a note with the link when the candidate was invited.
    pub invited_note: bool,
    /// Of another release: no platform can cancel, so it has no effect here. Kept as it is stored.
    pub cancel_from_ats: bool,
    /// Nobody depends on this tenant: faults may be made here on purpose, where the hub allows drills.
    pub sandbox: bool,
    /// Most messages of this tenant in hand at once.
    pub prefetch: u16,
    /// Settings of the connector, by its own names (its registry entry lists them).
    pub connector: BTreeMap<String, String>,
    /// Settings that this release does not know. They have no effect here.
    #[serde(flatten)]
    pub unknown: Carried,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trigger_stages: Vec::new(),
            trigger_stages_by_job: BTreeMap::new(),
            roles: BTreeMap::new(),
            role_field: "Karat Role".into(),
            status_field: "Karat Status".into(),
            labels: BTreeMap::new(),
            platform_name: "Karat".into(),
            recruiter_from: vec![RecruiterSource::Candidate, RecruiterSource::Job],
            invited_note: true,
            cancel_from_ats: false,
            sandbox: false,
            prefetch: 16,
            connector: BTreeMap::new(),
            unknown: Carried::default(),
        }
    }
}

impl Policy {
    /// Whether entering this stage means "invite".
    #[must_use]
    pub fn is_trigger(&self, stage: &Stage, job: Option<&str>) -> bool {
        let written = |job: &str| self.trigger_stages_by_job.iter().find(|(written, _)| names_id(written, job)).map(|(_, list)| list);
        let list = job.and_then(|job| self.trigger_stages_by_job.get(job).or_else(|| written(job))).unwrap_or(&self.trigger_stages);
        list.iter().any(|wanted| {
            stage.id.as_ref().is_some_and(|id| names_id(wanted, id.as_str()))
                || stage.name.as_ref().is_some_and(|name| same(name.as_str(), wanted))
        })
    }

    /// The role that the tenant's table gives for a job: by id, else by title, else by `*`.
    #[must_use]
    pub fn mapped_role(&self, job: &Job) -> Option<String> {
        let by_id = job.id.as_ref().and_then(|id| self.mapped(id.as_str()));
        by_id.or_else(|| job.title.as_ref().and_then(|t| self.mapped(t.as_str()))).or_else(|| self.roles.get("*").cloned())
    }

    /// What the tenant's table says for an id or a title, compared as a person reads it.
    #[must_use]
    pub fn mapped(&self, job: &str) -> Option<String> {
        self.roles.get(job).cloned().or_else(|| {
            let wanted = key(job);
            self.roles.iter().find(|(written, _)| key(written) == wanted).map(|(_, role)| role.clone())
        })
    }
}
