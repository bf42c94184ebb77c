//! The GraphQL objects, named as the published documents name them, made from the world's records.

use super::{
    page::Page,
    words::{CandidacyStatus, ClientUserType, CodeChallengeState, InterviewState},
    world::{self, World},
};
use async_graphql::{ID, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// A point in time; a plain date counts as its first moment, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) Timestamp);

#[Scalar(name = "ISO8601DateTime")]
impl ScalarType for Moment {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self(moment));
        }
        let midnight = text.parse::<Date>()?.to_zoned(TimeZone::UTC)?;
        Ok(Self(midnight.timestamp()))
    }

    fn to_value(&self) -> Value {
        Value::String(format!("{:.3}", self.0))
    }
}

#[derive(SimpleObject)]
pub(crate) struct Actor {
    name: String,
}

#[derive(SimpleObject)]
pub(crate) struct Group {
    id: ID,
    name: String,
}

#[derive(SimpleObject)]
pub(crate) struct Role {
    id: ID,
    name: String,
    group: Option<Group>,
}

#[derive(SimpleObject)]
pub(crate) struct User {
    id: ID,
    name: String,
    email: String,
    phone: Option<String>,
    time_zone: Option<String>,
    client_user_type: ClientUserType,
    last_seen: Option<Moment>,
    groups: Page<Group>,
}

#[derive(SimpleObject)]
pub(crate) struct Candidate {
    id: ID,
    name: String,
    email: String,
    safe_resume_url: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CodeChallenge {
    id: ID,
    created_at: Moment,
    state: CodeChallengeState,
    end_time: Option<Moment>,
    recommendation: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct Quality {
    quality_type: String,
    score: Option<i32>,
}

#[derive(SimpleObject)]
pub(crate) struct QuestionDetail {
    title: String,
    quality: Option<String>,
    completeness: Option<String>,
    handholding: Option<String>,
    debugging: Option<String>,
    complexity: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct Question {
    title: String,
    score: Option<i32>,
    details: Vec<QuestionDetail>,
}

#[derive(SimpleObject)]
pub(crate) struct StructuredResultSummary {
    qualities: Vec<Quality>,
    questions: Vec<Question>,
}

#[derive(SimpleObject)]
#[graphql(name = "Result")]
pub(crate) struct InterviewResult {
    id: ID,
    overall_thoughts: Option<String>,
    created_at: Moment,
    updated_at: Moment,
}

#[derive(SimpleObject)]
pub(crate) struct Interview {
    id: ID,
    created_at: Moment,
    state: InterviewState,
    start_time: Option<Moment>,
    end_time: Option<Moment>,
    shipped_time: Option<Moment>,
    recommendation: Option<String>,
    result_summary: Option<String>,
    structured_result_summary: Option<StructuredResultSummary>,
    is_redo: bool,
    link: String,
    result: Option<InterviewResult>,
    next_redo_interview: Option<Box<Interview>>,
}

#[derive(SimpleObject)]
pub(crate) struct Candidacy {
    id: ID,
    status: CandidacyStatus,
    ats_url: Option<String>,
    ats_candidate_id: Option<String>,
    ats_application_id: Option<String>,
    race: Option<String>,
    gender: Option<String>,
    created_at: Moment,
    updated_at: Moment,
    last_status_update: Moment,
    candidate: Candidate,
    recruiter: Option<User>,
    role: Option<Role>,
    code_challenges: Page<CodeChallenge>,
    interviews: Page<Interview>,
}

impl Actor {
    pub(crate) fn of(world: &World) -> Option<Self> {
        world.users.first().map(|user| Self { name: user.name.clone() })
    }
}

impl Group {
    pub(crate) fn from(group: &world::Group) -> Self {
        Self { id: group.id.into(), name: group.name.clone() }
    }
}

impl Role {
    pub(crate) fn from(world: &World, role: &world::Role) -> Self {
        let group = world.groups.iter().find(|group| group.id == role.group).map(Group::from);
        Self { id: role.id.clone().into(), name: role.name.clone(), group }
    }
}

impl User {
    pub(crate) fn from(world: &World, user: &world::User) -> Self {
        Self {
            id: user.id.into(),
            name: user.name.clone(),
            email: user.email.clone(),
            phone: None,
            time_zone: Some("UTC".to_owned()),
            client_user_type: user.kind,
            last_seen: Some(Moment(user.created_at)),
            groups: Page::whole(world.groups.iter().map(Group::from).collect()),
        }
    }
}

impl Interview {
    fn from(world: &World, interview: &world::Interview, redo: Option<&world::Interview>) -> Self {
        let shipped = interview.shipped_time.map(Moment);
        Self {
            id: interview.id.into(),
            created_at: Moment(interview.created_at),
            state: interview.state,
            start_time: interview.start_time.map(Moment),
            end_time: interview.end_time.map(Moment),
            shipped_time: shipped,
            recommendation: interview.recommendation.clone(),
            result_summary: interview.summary.clone(),
            structured_result_summary: shipped.map(|_| StructuredResultSummary::sample()),
            is_redo: interview.is_redo,
            link: world.link(interview.id),
            result: shipped.map(|at| InterviewResult {
                id: interview.id.into(),
                overall_thoughts: interview.summary.clone(),
                created_at: at,
                updated_at: at,
            }),
            next_redo_interview: redo.map(|redo| Box::new(Self::from(world, redo, None))),
        }
    }
}

impl StructuredResultSummary {
    /// The same scores for everybody: nobody reads meaning into a simulated interview.
    fn sample() -> Self {
        let detail = QuestionDetail {
            title: "Word chains".to_owned(),
            quality: Some("Good".to_owned()),
            completeness: Some("Complete".to_owned()),
            handholding: Some("None".to_owned()),
            debugging: Some("Independent".to_owned()),
            complexity: Some("Optimal".to_owned()),
        };
        Self {
            qualities: vec![Quality { quality_type: "problem_solving".to_owned(), score: Some(4) }],
            questions: vec![Question { title: "Word chains".to_owned(), score: Some(4), details: vec![detail] }],
        }
    }
}

impl Candidacy {
    pub(crate) fn from(world: &World, it: &world::Candidacy) -> Self {
        let interviews = it.interviews.iter().enumerate().map(|(at, interview)| {
            let redo = it.interviews.get(at + 1).filter(|next| next.is_redo);
            Interview::from(world, interview, redo)
        });
        Self {
            id: it.id.into(),
            status: it.status,
            ats_url: it.ats_url.clone(),
            ats_candidate_id: None,
            ats_application_id: None,
            race: None,
            gender: None,
            created_at: Moment(it.created_at),
            updated_at: Moment(it.updated_at),
            last_status_update: Moment(it.last_status_update),
            candidate: Candidate {
                id: it.person.into(),
                name: it.name.clone(),
                email: it.email.clone(),
                safe_resume_url: it.resume.clone(),
            },
            recruiter: world.user(it.recruiter).map(|user| User::from(world, user)),
            role: world.role(&it.role).map(|role| Role::from(world, role)),
            code_challenges: Page::whole(vec![]),
            interviews: Page::whole(interviews.collect()),
        }
    }
}
