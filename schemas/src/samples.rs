//! One full, realistic sample of every message type, and one with nothing but what is required. The people are
//! invented; the addresses are of `example.org`, which belongs to nobody (RFC 2606).

use crate::{
    Envelope, Family, Message, catalog,
    command::{CommandDone, CommandFailed, FollowersSynced, NoteAdded, RolesSynced, StatusSet},
    control::{ControlAction, ControlRequest, DrillFault, DrillRequest},
    fact::{
        Application, ApplicationChange, ApplicationTransfer, Assessment, AssessmentEnd, AssessmentOrder, Candidate, CandidateMerge,
        CandidateUpdate, Follower, FollowerKind, Interview, InterviewChange, Job, JobUpdate, MergedCandidate, Person, Phone, RedoRequest,
        Role, RoleChange, ScheduleRequest, Stage,
    },
    internal::{InviteRequested, NoticeRequested, ResultReady, Timer, TimerDue, Write, WritebackRequested},
    lifecycle::{MessageParked, PhaseChange},
    shape,
};
use serde_json::Value;
use std::str::FromStr;

const CANDIDACY: &str = "01936b2e-5f00-7000-8000-0000000000ca";
const COMMAND: &str = "01936b2e-5f00-7000-8000-0000000000c0";
const INTERVIEW_LINK: &str = "https://platform.example.org/interviews/iv-5501";

/// The sample of a type: every field filled in. `None` for a type that is not in the catalog.
#[must_use]
pub fn sample(kind: &str) -> Option<Envelope> {
    let row = catalog::CATALOG.iter().position(|entry| entry.kind == kind)?;
    let (source, subject) = match catalog::CATALOG[row].family {
        Family::Fact if kind.starts_with("interview.") || kind.starts_with("role.") => ("/platforms/main", "candidacy/pc-3301"),
        Family::Fact => ("/bridges/jobvite/acme", "application/8842"),
        Family::Answer => ("/bridges/jobvite/acme", "command"),
        Family::Command | Family::Internal => ("/atshub", "application/8842"),
        Family::Lifecycle => ("/atshub", "tenant/acme"),
        Family::Control => ("/operators/rae", "tenant/acme"),
    };
    Some(Envelope {
        id: text(&format!("01936b2e-5f00-7000-8000-{row:012}"))?,
        source: text(source)?,
        tenant: text("acme")?,
        subject: text(subject),
        time: text("2026-11-23T10:15:00Z")?,
        traceparent: text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        message: message(kind)?,
    })
}

/// The sample with nothing in it but what the schema requires.
#[must_use]
pub fn minimal(kind: &str) -> Option<Value> {
    let schema = crate::generate::envelope_schema(catalog::entry(kind)?);
    Some(shape::only_required(&schema, &schema, &sample(kind)?.to_value().ok()?))
}

fn text<T: FromStr>(value: &str) -> Option<T> {
    value.parse().ok()
}

fn message(kind: &str) -> Option<Message> {
    Some(match kind {
        "application.moved.v1" => Message::ApplicationMoved(change("active", None)?),
        "application.archived.v1" => Message::ApplicationArchived(change("archived", text("Withdrew"))?),
        "application.hired.v1" => Message::ApplicationHired(change("hired", None)?),
        "application.transferred.v1" => Message::ApplicationTransferred(transfer()?),
        "application.deleted.v1" => Message::ApplicationDeleted(change("deleted", text("Asked to be forgotten"))?),
        "candidate.updated.v1" => Message::CandidateUpdated(CandidateUpdate {
            candidate: candidate()?,
            application: application("active"),
            job: job(),
            recruiter: person("u-3", "Rae Okafor", "rae@example.org"),
            grader: person("u-7", "Gus Lindqvist", "gus@example.org"),
            to_stage: stage("s-2", "Karat Assessment"),
        }),
        "candidate.merged.v1" => Message::CandidateMerged(CandidateMerge {
            from: MergedCandidate { id: text("c-17")? },
            into: MergedCandidate { id: text("c-12")? },
        }),
        "job.updated.v1" => Message::JobUpdated(JobUpdate { job: job()? }),
        "assessment.ordered.v1" => Message::AssessmentOrdered(AssessmentOrder {
            assessment: assessment()?,
            application: application("active")?,
            candidate: candidate(),
            job: job(),
            recruiter: person("u-3", "Rae Okafor", "rae@example.org"),
        }),
        "assessment.cancelled.v1" => Message::AssessmentCancelled(assessment_end()?),
        "assessment.deleted.v1" => Message::AssessmentDeleted(assessment_end()?),
        "schedule.requested.v1" => {
            Message::ScheduleRequested(ScheduleRequest { application: application("active")?, starts_at: text("2026-12-01T14:00:00Z")? })
        }
        "redo.requested.v1" => Message::RedoRequested(RedoRequest { application: application("active")? }),
        "interview.changed.v1" => Message::InterviewChanged(InterviewChange {
            platform_candidacy_id: text("pc-3301")?,
            ats_url: text("https://ats.example.org/a/8842"),
            interview: Interview {
                id: text("iv-5501")?,
                state: text("scheduled")?,
                start_time: text("2026-12-01T14:00:00Z"),
                end_time: text("2026-12-01T15:00:00Z"),
                link: text(INTERVIEW_LINK),
                is_redo: false,
            },
        }),
        "role.changed.v1" => Message::RoleChanged(RoleChange { role: role("1201", "Backend engineer", false)? }),
        "command.done.v1" => Message::CommandDone(CommandDone { command_id: text(COMMAND)?, external_id: text("note-77120") }),
        "command.failed.v1" => Message::CommandFailed(CommandFailed {
            command_id: text(COMMAND)?,
            code: text("ats_timeout")?,
            message: text("The ATS did not answer within 10 seconds.")?,
            retryable: true,
        }),
        "status.set.v1" => Message::StatusSet(StatusSet {
            application: application("active")?,
            candidate: candidate(),
            field: text("Karat Status")?,
            text: text("Invited: waiting for the candidate to choose a time")?,
            code: text("invited")?,
            sequence: 3,
            link: text(INTERVIEW_LINK),
        }),
        "note.added.v1" => Message::NoteAdded(NoteAdded {
            application: application("active")?,
            candidate: candidate(),
            body: text("Ada Lovelace: recommended.\nStrong on data structures, clear in explaining trade-offs.\n\n[atshub:ca-result-1]")?,
            marker: text("[atshub:ca-result-1]")?,
        }),
        "roles.synced.v1" => Message::RolesSynced(RolesSynced {
            roles: vec![role("1201", "Backend engineer", false)?, role("1188", "Data engineer (2024)", true)?],
        }),
        "followers.synced.v1" => {
            Message::FollowersSynced(FollowersSynced { followers: vec![text("eli@example.org")?, text("gus@example.org")?] })
        }
        "invite.requested.v1" => Message::InviteRequested(InviteRequested { candidacy: text(CANDIDACY)?, intent: 1 }),
        "writeback.requested.v1" => Message::WritebackRequested(WritebackRequested {
            candidacy: text(CANDIDACY)?,
            application: text("8842")?,
            candidate: text("c-17"),
            assessment: text("as-90"),
            write: Write::Status {
                sequence: 3,
                code: text("invited")?,
                text: text("Invited: waiting for the candidate to choose a time")?,
                link: text(INTERVIEW_LINK),
            },
        }),
        "timer.due.v1" => Message::TimerDue(TimerDue {
            candidacy: text(CANDIDACY)?,
            intent: 1,
            what: Timer::Unanswered { command_id: text(COMMAND)?, sent: 1 },
        }),
        "notice.requested.v1" => Message::NoticeRequested(NoticeRequested { candidacy: text(CANDIDACY)?, event: text("scheduled")? }),
        "result.ready.v1" => Message::ResultReady(ResultReady { candidacy: text(CANDIDACY)?, interview: text("iv-5501")? }),
        "tenant.phase_changed.v1" => Message::PhaseChanged(PhaseChange {
            from: text("running")?,
            to: text("backing_off")?,
            generation: 4,
            cause: text("the ATS connection was lost")?,
        }),
        "message.parked.v1" => Message::MessageParked(MessageParked { message_id: text(COMMAND)?, code: text("missing_field")? }),
        "control.requested.v1" => Message::ControlRequested(ControlRequest {
            action: ControlAction::Pause,
            reason: text("the ATS is being moved")?,
            by: text("rae@hub-1")?,
            until: text("2026-11-23T18:00:00Z"),
        }),
        "drill.requested.v1" => Message::DrillRequested(DrillRequest { fault: DrillFault::AtsDown, seconds: 60, by: text("rae@hub-1")? }),
        _ => return None,
    })
}

fn application(status: &str) -> Option<Application> {
    Some(Application { id: text("8842")?, url: text("https://ats.example.org/a/8842"), status: text(status) })
}

fn candidate() -> Option<Candidate> {
    Some(Candidate {
        id: text("c-17"),
        name: text("Ada Lovelace"),
        email: text("ada@example.org"),
        phone: Phone::try_from("+442071234567".to_owned()).ok(),
        profile_url: text("https://ats.example.org/c/17"),
    })
}

fn person(id: &str, name: &str, email: &str) -> Option<Person> {
    Some(Person { id: text(id), name: text(name), email: text(email) })
}

fn stage(id: &str, name: &str) -> Option<Stage> {
    Some(Stage { id: text(id), name: text(name) })
}

fn role(id: &str, name: &str, archived: bool) -> Option<Role> {
    Some(Role { id: text(id)?, name: text(name)?, archived })
}

fn job() -> Option<Job> {
    Some(Job {
        id: text("j-9"),
        title: text("Backend engineer"),
        role: text("1201"),
        recruiter: person("u-3", "Rae Okafor", "rae@example.org"),
        followers: vec![
            Follower { email: text("eli@example.org")?, kind: FollowerKind::Engineer },
            Follower { email: text("gus@example.org")?, kind: FollowerKind::Grader },
        ],
    })
}

fn change(status: &str, reason: Option<crate::Line>) -> Option<ApplicationChange> {
    Some(ApplicationChange {
        application: application(status)?,
        candidate: candidate(),
        job: job(),
        recruiter: person("u-3", "Rae Okafor", "rae@example.org"),
        grader: person("u-7", "Gus Lindqvist", "gus@example.org"),
        from_stage: stage("s-1", "Phone screen"),
        to_stage: stage("s-2", "Karat Assessment"),
        reason,
    })
}

fn transfer() -> Option<ApplicationTransfer> {
    Some(ApplicationTransfer {
        application: application("active")?,
        from_application: Some(Application { id: text("8801")?, url: text("https://ats.example.org/a/8801"), status: text("transferred") }),
        candidate: candidate(),
        from_job: Some(Job { id: text("j-4"), title: text("Data engineer"), ..Job::default() }),
        job: job(),
        to_stage: stage("s-2", "Karat Assessment"),
    })
}

fn assessment() -> Option<Assessment> {
    Some(Assessment { id: text("as-90")?, test_id: text("1201") })
}

fn assessment_end() -> Option<AssessmentEnd> {
    Some(AssessmentEnd { assessment: assessment()?, application: application("active") })
}
