//! What producers say happened, at the ATS or on the platform. Past tense; `data` may be partial, and what is absent is
//! read from the ATS where its connector can.

use crate::text::{Email, ExternalId, Line, Link, said};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::text::Phone;

/// The person, as the ATS knows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Id in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExternalId>,
    /// Full name.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub name: Option<Line>,
    /// Address the invitation goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Phone as the ATS has it; an empty string and an absent field both mean "none".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// The person's page in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile_url: Option<Link>,
}

/// Person × job in the ATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Application {
    /// Id in the ATS. The one thing every application fact must have.
    pub id: ExternalId,
    /// The application's page in the ATS; the platform is given it, and invitations are found again by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Link>,
    /// The ATS's own word for its state; shown, never read.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub status: Option<Line>,
}

/// A step of the job's plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Id in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExternalId>,
    /// Name as recruiters see it.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub name: Option<Line>,
}

/// What is being filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Id in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExternalId>,
    /// Title as candidates see it.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub title: Option<Line>,
    /// The platform role that the job's own custom field names, by id or by name.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub role: Option<Line>,
    /// The job's recruiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recruiter: Option<Person>,
    /// Who hears about this job's candidates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub followers: Vec<Follower>,
}

/// A member of the customer's staff.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Id in the ATS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ExternalId>,
    /// Full name.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub name: Option<Line>,
    /// Work address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
}

/// Somebody named on the job or the candidate, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Follower {
    /// Work address.
    pub email: Email,
    /// In which part: a grader hears results only.
    #[serde(default)]
    pub kind: FollowerKind,
}

/// The part in which somebody follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowerKind {
    /// Owns the candidacy.
    Recruiter,
    /// Hears results only.
    Grader,
    /// An engineer of the team that hires.
    Engineer,
    /// Anybody else.
    #[default]
    Other,
}

/// An application moved, was archived, hired or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationChange {
    /// The application it happened to.
    pub application: Application,
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The job, as it is after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The application's recruiter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recruiter: Option<Person>,
    /// The application's grader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<Person>,
    /// The stage that was left, where the ATS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_stage: Option<Stage>,
    /// The stage that was entered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_stage: Option<Stage>,
    /// The ATS's reason, for an archived application.
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    pub reason: Option<Line>,
}

/// An application went to another job or opportunity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplicationTransfer {
    /// The application as it is now.
    pub application: Application,
    /// The application it was, where the ATS makes a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_application: Option<Application>,
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The job it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_job: Option<Job>,
    /// The job it is at now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The stage it is in now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_stage: Option<Stage>,
}

/// A person's data changed: a phone was corrected, a recruiter replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateUpdate {
    /// The person as they are now.
    pub candidate: Candidate,
    /// The application through which it was seen, where the ATS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
    /// The job of that application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// The recruiter as now named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recruiter: Option<Person>,
    /// The grader as now named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grader: Option<Person>,
    /// The stage that application is in, where the ATS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_stage: Option<Stage>,
}

/// Two records of one person became one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CandidateMerge {
    /// The record that is gone.
    pub from: MergedCandidate,
    /// The record that stays.
    pub into: MergedCandidate,
}

/// One side of a merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MergedCandidate {
    /// Id in the ATS.
    pub id: ExternalId,
}

/// A job changed: its role field, its recruiter, its followers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JobUpdate {
    /// The job as it is now; `id` is needed to find its candidates.
    pub job: Job,
}

/// An assessment order at an ATS that has such a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Assessment {
    /// Id of the order, by which both sides name it.
    pub id: ExternalId,
    /// The test that was chosen: a platform role, or what the tenant maps to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_id: Option<ExternalId>,
}

/// An assessment was ordered for an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentOrder {
    /// The order.
    pub assessment: Assessment,
    /// The application it was ordered for.
    pub application: Application,
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
    /// Who ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recruiter: Option<Person>,
}

/// An assessment order was cancelled or deleted in the ATS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AssessmentEnd {
    /// The order.
    pub assessment: Assessment,
    /// The application it was for, where the ATS says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Application>,
}

/// Somebody asked, in the ATS, for the interview to be at a given time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleRequest {
    /// The application.
    pub application: Application,
    /// The wanted start.
    #[serde(deserialize_with = "crate::shape::deserialize_time")]
    pub starts_at: Timestamp,
}

/// Somebody asked, in the ATS, for a redo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RedoRequest {
    /// The application.
    pub application: Application,
}

/// The interview changed on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InterviewChange {
    /// The platform's id of the candidacy.
    pub platform_candidacy_id: ExternalId,
    /// The ATS address the platform was given, by which the application is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ats_url: Option<Link>,
    /// The interview.
    pub interview: Interview,
}

/// An interview on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interview {
    /// The platform's id.
    pub id: ExternalId,
    /// The platform's own word for its state (15 of them for Karat: Karat/api-docs, Postman collection).
    pub state: Line,
    /// When it starts or started.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::shape::deserialize_optional_time")]
    pub start_time: Option<Timestamp>,
    /// When it ends or ended.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::shape::deserialize_optional_time")]
    pub end_time: Option<Timestamp>,
    /// The interview's page on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// True for attempt 2 of one candidacy.
    #[serde(default)]
    pub is_redo: bool,
}

/// A role was added, renamed or archived on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleChange {
    /// The role as it is now.
    pub role: Role,
}

/// What a candidate is interviewed for, on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    /// The platform's id.
    pub id: ExternalId,
    /// The role's name.
    pub name: Line,
    /// No longer to be chosen.
    #[serde(default)]
    pub archived: bool,
}
