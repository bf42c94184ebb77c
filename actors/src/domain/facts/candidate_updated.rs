//! A person's data changed (B5, B13, B15): each application of theirs learns it, and an invite that was refused for it is tried again.
//! It is kept for applications that come later, too. The stage that such a fact names is not read: only a move is a move.

use super::{Case, Need, Outcome, Rule, kept, nobody_concerned, saved};
use crate::domain::{Dossier, Lookup, Subject, Verdict, ask::advance, learn::Said};
use atshub_schemas::{
    ExternalId, Message,
    fact::{Application, CandidateUpdate, Job},
};

pub(super) const RULE: Rule = Rule { needs, decide };

fn fact(case: Case<'_>) -> Option<&CandidateUpdate> {
    match &case.envelope.message {
        Message::CandidateUpdated(fact) => Some(fact),
        _ => None,
    }
}

fn application(fact: &CandidateUpdate) -> Option<&Application> {
    fact.application.as_ref()
}

/// The person by the id that is in force: a record that was merged away is the one that stayed.
fn person(case: Case<'_>, fact: &CandidateUpdate) -> Option<ExternalId> {
    let id = fact.candidate.id.clone()?;
    Some(case.known.heard(&Subject::Person(id.clone())).and_then(|heard| heard.merged_into.clone()).unwrap_or(id))
}

/// Where it is kept: under the person, or under the application where the fact does not say who the person is.
fn subject(case: Case<'_>, fact: &CandidateUpdate) -> Option<Subject> {
    person(case, fact).map(Subject::Person).or_else(|| application(fact).map(|a| Subject::Application(a.id.clone())))
}

fn needs(case: Case<'_>) -> Vec<Need> {
    let Some(fact) = fact(case) else { return vec![] };
    let mut needs = Vec::new();
    if let Some(id) = &fact.candidate.id {
        needs.push(Need::Heard(Subject::Person(id.clone())));
        needs.push(Need::Dossiers(Lookup::Candidate(id.clone())));
    }
    if let Some(id) = person(case, fact) {
        needs.push(Need::Heard(Subject::Person(id.clone())));
        needs.push(Need::Dossiers(Lookup::Candidate(id)));
    }
    if let Some(application) = application(fact) {
        needs.push(Need::Dossiers(Lookup::Application(application.id.clone())));
    }
    needs.extend(subject(case, fact).map(Need::Heard));
    needs
}

fn decide(case: Case<'_>) -> Outcome {
    let Some(fact) = fact(case) else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let own = |dossier: &Dossier| application(fact).is_none_or(|a| a.id == dossier.application.id);
    let mut candidate = fact.candidate.clone();
    candidate.id = person(case, fact);
    let said = Said { candidate: Some(&candidate), job: None, recruiter: fact.recruiter.as_ref(), grader: fact.grader.as_ref() };
    let decisions = case.known.all().into_iter().map(|before| {
        let mut next = before.clone();
        // Recruiter and grader are an application's; the job is that of the application it was seen through.
        // Another job is another role, of which such a fact may say nothing: that it went there, a move or a transfer tells.
        let same_job = |job: &&Job| job.id.is_none() || before.job.id.is_none() || job.id == before.job.id;
        let said = if own(before) {
            Said { job: fact.job.as_ref().filter(same_job), ..said }
        } else {
            Said { recruiter: None, grader: None, ..said }
        };
        next.hear(said, mark, context.now);
        let refused = before.current().is_some_and(|c| c.state.code() == "refused");
        let step = advance(&mut next, context);
        let text = if refused { "the change is recorded; the refused invite stays refused" } else { "the change is recorded" };
        let unchanged = next == *before;
        let verdict = if unchanged {
            Verdict::ignored("no_news", "all of it was known already, or newer data are")
        } else {
            Verdict::accepted("recorded", text)
        };
        (Some(before.clone()), saved(Some(before), next, step, verdict, context))
    });
    let outcome = Outcome::of(decisions.collect(), nobody_concerned());
    let heard = subject(case, fact).map(|subject| {
        // Recruiter, grader and job are an application's, not the person's.
        let said = match (&subject, application(fact)) {
            (Subject::Application(_), _) => Said { job: fact.job.as_ref(), ..said },
            (_, Some(_)) => Said { recruiter: None, grader: None, ..said },
            (_, None) => said,
        };
        let mut heard = case.heard(subject);
        heard.hear(said, mark, context.now);
        heard
    });
    outcome.with(heard.and_then(|heard| kept(case, heard)))
}
