//! What follows from a fact: one file for each kind of fact, one table that joins them. A rule says what must be known before it can
//! be decided (which dossiers, what was heard of whom, what the ATS says now), and then what follows for all of these dossiers. Pure:
//! the same knowledge, fact, policy and time give the same outcome. Reading, saving and sending is for others.

mod application_archived;
mod application_deleted;
mod application_hired;
mod application_moved;
mod application_transferred;
mod assessment_cancelled;
mod assessment_deleted;
mod assessment_ordered;
mod candidate_merged;
mod candidate_updated;
mod interview_changed;
mod job_updated;
mod known;
mod redo_requested;
mod role_changed;
mod schedule_requested;

pub(super) use interview_changed::follow;
pub use known::{Answer, Known, Need};

use super::{
    Context, Decision, Dossier, Heard, Verdict,
    ask::Step,
    versions::{Mark, believed},
};
use atshub_schemas::{Envelope, Message};

/// What follows from a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For each dossier that it concerns: the version that was read (`None` for a new one) and what follows.
    pub decisions: Vec<(Option<Dossier>, Decision)>,
    /// What is to be kept of subjects.
    pub heard: Vec<Heard>,
    /// What became of the fact as a whole.
    pub verdict: Verdict,
}

/// One fact while it is decided on.
#[derive(Clone, Copy)]
struct Case<'a> {
    envelope: &'a Envelope,
    known: &'a Known,
    context: Context<'a>,
}

/// The rule for one kind of fact.
struct Rule {
    /// What is wanted, given what is known so far. Asked again until nothing more is wanted.
    needs: fn(Case<'_>) -> Vec<Need>,
    /// What follows.
    decide: fn(Case<'_>) -> Outcome,
}

fn rule(message: &Message) -> Option<Rule> {
    Some(match message {
        Message::ApplicationMoved(_) => application_moved::RULE,
        Message::ApplicationArchived(_) => application_archived::RULE,
        Message::ApplicationHired(_) => application_hired::RULE,
        Message::ApplicationTransferred(_) => application_transferred::RULE,
        Message::ApplicationDeleted(_) => application_deleted::RULE,
        Message::CandidateUpdated(_) => candidate_updated::RULE,
        Message::CandidateMerged(_) => candidate_merged::RULE,
        Message::JobUpdated(_) => job_updated::RULE,
        Message::AssessmentOrdered(_) => assessment_ordered::RULE,
        Message::AssessmentCancelled(_) => assessment_cancelled::RULE,
        Message::AssessmentDeleted(_) => assessment_deleted::RULE,
        Message::ScheduleRequested(_) => schedule_requested::RULE,
        Message::RedoRequested(_) => redo_requested::RULE,
        Message::InterviewChanged(_) => interview_changed::RULE,
        Message::RoleChanged(_) => role_changed::RULE,
        _ => return None,
    })
}

/// What is still wanted before the fact can be decided on; empty: nothing. `None`: the message is no fact.
#[must_use]
pub fn needs(envelope: &Envelope, known: &Known, context: Context<'_>) -> Option<Vec<Need>> {
    let mut needs = (rule(&envelope.message)?.needs)(Case { envelope, known, context });
    needs.retain(|need| !known.has(need));
    Some(needs)
}

/// What follows from a fact. `None`: the message is no fact.
#[must_use]
pub fn decide(envelope: &Envelope, known: &Known, context: Context<'_>) -> Option<Outcome> {
    Some((rule(&envelope.message)?.decide)(Case { envelope, known, context }))
}

impl<'a> Case<'a> {
    /// When it happened, as far as that is believed, and when it was heard.
    fn mark(self) -> Mark {
        Mark { time: believed(self.envelope.time, self.context.now), received_at: self.context.now }
    }

    /// What was heard of a subject, to be added to.
    fn heard(self, subject: super::Subject) -> Heard {
        let kept = self.known.heard(&subject).cloned();
        kept.unwrap_or_else(|| Heard::nothing(self.envelope.tenant.clone(), subject, self.context.now))
    }
}

/// The same with what is to be saved of it: the next version, or nothing where nothing changed.
fn kept(case: Case<'_>, mut heard: Heard) -> Option<Heard> {
    if case.known.heard(&heard.subject) == Some(&heard) {
        return None;
    }
    heard.version += 1;
    heard.updated_at = case.context.now;
    Some(heard)
}

impl Outcome {
    /// Nothing changes.
    fn nothing(verdict: Verdict) -> Self {
        Self { decisions: vec![], heard: vec![], verdict }
    }

    /// It concerns one dossier.
    fn one(before: Option<&Dossier>, decision: Decision) -> Self {
        let verdict = decision.verdict.clone();
        Self { decisions: vec![(before.cloned(), decision)], heard: vec![], verdict }
    }

    /// It concerns some dossiers: the one for which most follows speaks for all.
    fn of(decisions: Vec<(Option<Dossier>, Decision)>, nobody: Verdict) -> Self {
        let weight = |verdict: &Verdict| match (verdict.word, verdict.code.as_str()) {
            ("ignored", _) => 0,
            (_, "recorded") => 1,
            _ => 2,
        };
        let verdict = decisions.iter().map(|(_, d)| &d.verdict).max_by_key(|v| weight(v)).cloned().unwrap_or(nobody);
        Self { decisions, heard: vec![], verdict }
    }

    fn with(mut self, heard: impl IntoIterator<Item = Heard>) -> Self {
        self.heard.extend(heard);
        self
    }
}

/// The change of one dossier: the next version of it, unless it stayed the same.
pub(super) fn saved(before: Option<&Dossier>, mut next: Dossier, step: Step, otherwise: Verdict, context: Context<'_>) -> Decision {
    let verdict = step.verdict.unwrap_or(otherwise);
    let (effects, taken_back) = (step.effects, step.taken_back);
    if before == Some(&next) {
        return Decision { dossier: None, effects, taken_back, verdict };
    }
    next.version = before.map_or(1, |d| d.version + 1);
    next.updated_at = context.now;
    Decision { dossier: Some(next), effects, taken_back, verdict }
}

fn older(case: Case<'_>, kept: Mark) -> Verdict {
    let time = case.mark().time;
    Verdict::ignored("older", format!("ignored, older: happened at {time}, and what happened at {} is known", kept.time))
}

fn nobody_concerned() -> Verdict {
    Verdict::ignored("nobody_concerned", "no application that the hub knows is concerned; it is kept for when one comes")
}
