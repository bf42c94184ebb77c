//! What follows from a fact about an application (B1 to B6, B10 to B12). Pure: the same dossier, fact, policy and time give
//! the same decision. Saving it, sending it and telling anybody is for others.

use super::{Candidacy, Dossier, InviteError, Policy, Snapshot, State, ask, effect::Effect, verdict::Verdict};
use atshub_schemas::{
    Envelope, Message,
    fact::{Application, Candidate, Job, Person, Stage},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// What a decision may use besides the fact.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The tenant's settings.
    pub policy: &'a Policy,
    /// Now.
    pub now: Timestamp,
    /// Id for a candidacy, should one be made.
    pub fresh: Uuid,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The dossier as it is to be saved; `None` if nothing changes.
    pub dossier: Option<Dossier>,
    /// What to send.
    pub effects: Vec<Effect>,
    /// What became of the fact.
    pub verdict: Verdict,
}

/// What is wanted before a decision can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The application as the ATS has it now: the fact leaves out what the decision needs.
    Snapshot,
}

/// How far ahead of our clock a fact may have happened.
const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// When a fact happened, as far as that is believed: one from further ahead happened now. Taken at its word, a single one of
/// a producer with a wrong clock would make every later fact look older, and change nothing, for as long as it is ahead.
pub(super) fn believed(time: Timestamp, now: Timestamp) -> Timestamp {
    if time.duration_since(now) > MAX_AHEAD { now } else { time }
}

/// The parts that application facts share.
struct Heard<'a> {
    application: &'a Application,
    candidate: Option<&'a Candidate>,
    job: Option<&'a Job>,
    recruiter: Option<&'a Person>,
    grader: Option<&'a Person>,
    stage: Option<&'a Stage>,
}

/// Whether a fact leaves out something that inviting needs, so that the ATS should be asked first (where it can be).
#[must_use]
pub fn wants(dossier: Option<&Dossier>, message: &Message, policy: &Policy) -> Option<Wanted> {
    let (heard, ordered) = match message {
        Message::ApplicationMoved(f) => (heard_of(message)?, (f.to_stage.is_none(), false)),
        Message::AssessmentOrdered(_) => (heard_of(message)?, (false, true)),
        _ => return None,
    };
    let (no_stage, is_order) = ordered;
    let job_id = heard.job.and_then(|j| j.id.as_ref()).or_else(|| dossier.and_then(|d| d.job.id.as_ref()));
    let triggers = is_order || heard.stage.is_some_and(|s| policy.is_trigger(s, job_id.map(AsRef::as_ref)));
    let known = |here: bool, kept: Option<bool>| here || kept.unwrap_or(false);
    let has_email = known(heard.candidate.is_some_and(|c| c.email.is_some()), dossier.map(|d| d.candidate.email.is_some()));
    let has_name = known(heard.candidate.is_some_and(|c| c.name.is_some()), dossier.map(|d| d.candidate.name.is_some()));
    // The role that was heard before, or that the tenant's table has, may be another one than the job names now (B4).
    let has_role = is_order || heard.job.is_some_and(|j| j.role.is_some());
    (no_stage || (triggers && !(has_email && has_name && has_role))).then_some(Wanted::Snapshot)
}

fn heard_of(message: &Message) -> Option<Heard<'_>> {
    Some(match message {
        Message::ApplicationMoved(f) | Message::ApplicationArchived(f) | Message::ApplicationHired(f) | Message::ApplicationDeleted(f) => {
            Heard {
                application: &f.application,
                candidate: f.candidate.as_ref(),
                job: f.job.as_ref(),
                recruiter: f.recruiter.as_ref(),
                grader: f.grader.as_ref(),
                stage: f.to_stage.as_ref(),
            }
        }
        Message::ApplicationTransferred(f) => Heard {
            application: &f.application,
            candidate: f.candidate.as_ref(),
            job: f.job.as_ref(),
            recruiter: None,
            grader: None,
            stage: f.to_stage.as_ref(),
        },
        Message::AssessmentOrdered(f) => Heard {
            application: &f.application,
            candidate: f.candidate.as_ref(),
            job: f.job.as_ref(),
            recruiter: f.recruiter.as_ref(),
            grader: None,
            stage: None,
        },
        Message::ScheduleRequested(f) => bare(&f.application),
        Message::RedoRequested(f) => bare(&f.application),
        Message::AssessmentCancelled(f) | Message::AssessmentDeleted(f) => bare(f.application.as_ref()?),
        _ => return None,
    })
}

fn bare(application: &Application) -> Heard<'_> {
    Heard { application, candidate: None, job: None, recruiter: None, grader: None, stage: None }
}

/// Decides on a fact that names an application. `dossier` is that application's, if there is one; `snapshot` is what the
/// ATS said when it was asked (see [`wants`]).
#[must_use]
pub fn decide(dossier: Option<&Dossier>, envelope: &Envelope, snapshot: Option<&Snapshot>, context: Context<'_>) -> Decision {
    let Some(heard) = heard_of(&envelope.message) else {
        return nothing(Verdict::ignored("no_rule", "nothing follows from this kind of fact"));
    };
    let time = believed(envelope.time, context.now);
    if let Some(kept) = dossier
        && time < kept.fact_time
    {
        return nothing(Verdict::ignored(
            "older",
            format!("ignored, older: happened at {time}, and a fact of {} is known", kept.fact_time),
        ));
    }
    let mut next = dossier.cloned().unwrap_or_else(|| empty(envelope, heard.application, time, context.now));
    if let Some(snapshot) = snapshot {
        next.learn(
            Some(&snapshot.candidate),
            Some(&snapshot.job),
            snapshot.recruiter.as_ref(),
            snapshot.grader.as_ref(),
            snapshot.stage.as_ref(),
        );
        next.application.url = snapshot.application.url.clone().or(next.application.url);
        // The record is whole: a role that it does not name was taken off the job.
        next.job.role.clone_from(&snapshot.job.role);
    }
    next.application.url = heard.application.url.clone().or(next.application.url);
    let kept = next.clone();
    next.learn(heard.candidate, heard.job, heard.recruiter, heard.grader, heard.stage);
    if time < kept.data_time {
        // Newer data is known: of this fact only the move, and what nobody has said yet, is news.
        next.learn(Some(&kept.candidate), Some(&kept.job), kept.recruiter.as_ref(), kept.grader.as_ref(), None);
        if snapshot.is_some() {
            next.job.role = kept.job.role;
        }
    }
    next.fact_time = time;
    next.data_time = next.data_time.max(time);
    let (effects, verdict) = match &envelope.message {
        Message::ApplicationMoved(_) => moved(&mut next, dossier, time, context),
        Message::AssessmentOrdered(order) => {
            next.assessment = Some(order.assessment.id.clone());
            let named = order.assessment.test_id.as_ref().map(|id| context.policy.mapped(id.as_str()).unwrap_or_else(|| id.to_string()));
            ask::ask(&mut next, named.as_deref(), time, context)
        }
        Message::ApplicationArchived(_) => ended(&mut next, "archived", context),
        Message::ApplicationDeleted(_) => ended(&mut next, "deleted", context),
        Message::ApplicationHired(_) => (vec![], Verdict::accepted("hired", "the application ended in a hire; recorded")),
        Message::ApplicationTransferred(_) => moved(&mut next, dossier, time, context),
        Message::AssessmentCancelled(_) => ended(&mut next, "assessment cancelled", context),
        Message::AssessmentDeleted(_) => ended(&mut next, "assessment deleted", context),
        Message::ScheduleRequested(_) => ask::told(&mut next, "schedule_elsewhere", context, |p| {
            format!(
                "An interview cannot be scheduled for a given time from here. Schedule it on the {p} platform: open the candidate there and choose Schedule."
            )
        }),
        Message::RedoRequested(_) => ask::told(&mut next, "redo_elsewhere", context, |p| {
            format!(
                "A redo cannot be invited from here. {p} offers it to the candidate by e-mail after the interview, for 24 hours; later, {p} support can send it."
            )
        }),
        _ => (vec![], Verdict::ignored("no_rule", "nothing follows from this kind of fact")),
    };
    save(next, dossier, effects, verdict, context.now)
}

fn empty(envelope: &Envelope, application: &Application, time: Timestamp, now: Timestamp) -> Dossier {
    Dossier {
        tenant: envelope.tenant.clone(),
        application: application.clone(),
        candidate: Candidate::default(),
        job: Job::default(),
        recruiter: None,
        grader: None,
        stage: None,
        assessment: None,
        fact_time: time,
        data_time: time,
        sequence: 0,
        status_written: 0,
        version: 0,
        candidacies: Vec::new(),
        created_at: now,
        updated_at: now,
    }
}

fn moved(next: &mut Dossier, before: Option<&Dossier>, time: Timestamp, context: Context<'_>) -> (Vec<Effect>, Verdict) {
    let Some(stage) = next.stage.clone() else {
        return (vec![], Verdict::ignored("no_stage", "the fact names no stage, and the ATS cannot be asked"));
    };
    let shown = stage.name.as_ref().map_or_else(|| stage.id.as_ref().map_or("?", AsRef::as_ref), AsRef::as_ref).to_owned();
    if !context.policy.is_trigger(&stage, next.job.id.as_ref().map(AsRef::as_ref)) {
        return (
            vec![],
            Verdict::ignored("not_trigger_stage", format!("`{shown}` is not a stage that invites; `tenant show` lists those that do")),
        );
    }
    // The same event by another message: a webhook and its related one, two bridges of one account.
    if before.and_then(Dossier::current).is_some_and(|c| c.asked_at == time) {
        return (vec![], Verdict::ignored("same_event", "this entry into the stage was heard of before"));
    }
    let named = ask::role_named(next, context.policy);
    ask::ask(next, named.as_deref(), time, context)
}

fn ended(next: &mut Dossier, what: &str, context: Context<'_>) -> (Vec<Effect>, Verdict) {
    let live = next.current().filter(|c| c.state.is_live()).cloned();
    let Some(Candidacy { invitation, .. }) = live else {
        return (vec![], Verdict::accepted("recorded", format!("{what} in the ATS; no interview is open")));
    };
    // B10: the interview is not cancelled with it, and whoever did it is told where that is done.
    let link = invitation.and_then(|i| i.link).map(|l| format!(" Open it: {l}")).unwrap_or_default();
    ask::told(next, "cancel_elsewhere", context, |p| {
        format!(
            "The {p} interview is not cancelled by this ({what} in the ATS). To cancel it, open the candidate on the {p} platform: Settings, Cancel Interview.{link}"
        )
    })
}

/// Decides on data that changed without a stage move: a corrected phone, a role set on the job, another recruiter. A
/// refused invite whose offending datum is now right is tried again (B5).
#[must_use]
pub fn correct(dossier: &Dossier, envelope: &Envelope, context: Context<'_>) -> Decision {
    let time = believed(envelope.time, context.now);
    if time < dossier.data_time {
        let text = format!("ignored, older: happened at {time}, and a fact of {} is known", dossier.data_time);
        return nothing(Verdict::ignored("older", text));
    }
    let newest_move = time >= dossier.fact_time;
    let mut next = dossier.clone();
    match &envelope.message {
        Message::CandidateUpdated(f) => {
            let own_job = f.application.as_ref().is_none_or(|a| a.id == dossier.application.id);
            let job = f.job.as_ref().filter(|_| own_job);
            next.learn(
                Some(&f.candidate),
                job,
                f.recruiter.as_ref(),
                f.grader.as_ref(),
                f.to_stage.as_ref().filter(|_| own_job && newest_move),
            );
            if f.candidate.phone.is_none() && f.candidate.email.is_some() {
                // A whole record without a phone says that there is none now.
                next.candidate.phone = None;
            }
        }
        Message::JobUpdated(f) => next.learn(None, Some(&f.job), None, None, None),
        _ => return nothing(Verdict::ignored("no_rule", "nothing follows from this kind of fact")),
    }
    next.data_time = time;
    let Some(State::Refused { error }) = next.current().map(|c| c.state.clone()) else {
        return save(next, Some(dossier), vec![], Verdict::accepted("recorded", "the change is recorded"), context.now);
    };
    let ordered = next.assessment.is_some();
    let in_stage = ordered || next.stage.as_ref().is_some_and(|s| context.policy.is_trigger(s, next.job.id.as_ref().map(AsRef::as_ref)));
    let named = if ordered { next.current().and_then(|c| c.role_named.clone()) } else { ask::role_named(&next, context.policy) };
    let cured = match error {
        InviteError::RoleMissing => named.is_some() && named != dossier.current().and_then(|c| c.role_named.clone()),
        InviteError::PhoneTooShort => next.candidate.phone != dossier.candidate.phone && !ask::phone_too_short(&next.candidate),
        InviteError::RecruiterIsCandidate => !ask::recruiter_is_candidate(&next, context.policy),
        InviteError::EmailMissing => next.candidate.email.is_some(),
        InviteError::AlreadyActive { .. } | InviteError::NoAnswer | InviteError::Other { .. } => false,
    };
    if !(cured && in_stage) {
        return save(
            next,
            Some(dossier),
            vec![],
            Verdict::accepted("recorded", "the change is recorded; the refused invite stays refused"),
            context.now,
        );
    }
    let (effects, verdict) = ask::ask(&mut next, named.as_deref(), time, context);
    save(next, Some(dossier), effects, verdict, context.now)
}

pub(super) fn save(mut next: Dossier, before: Option<&Dossier>, effects: Vec<Effect>, verdict: Verdict, now: Timestamp) -> Decision {
    if before == Some(&next) {
        return Decision { dossier: None, effects, verdict };
    }
    next.version = before.map_or(1, |d| d.version + 1);
    next.updated_at = now;
    Decision { dossier: Some(next), effects, verdict }
}

fn nothing(verdict: Verdict) -> Decision {
    Decision { dossier: None, effects: vec![], verdict }
}
