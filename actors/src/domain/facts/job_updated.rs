//! A job changed (B4, B5, B15): invites that were refused on it learn it and are tried again, and it is kept for every application that
//! is at this job, or will be.

use super::{Case, Need, Outcome, Rule, kept, nobody_concerned, saved};
use crate::domain::{Lookup, Subject, Verdict, ask::advance, learn::Said};
use atshub_schemas::Message;

pub(super) const RULE: Rule = Rule { needs, decide };

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::JobUpdated(fact) = &case.envelope.message else { return vec![] };
    let Some(id) = fact.job.id.clone() else { return vec![] };
    vec![Need::Dossiers(Lookup::WaitingOfJob(id.clone())), Need::Heard(Subject::Job(id))]
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::JobUpdated(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let Some(id) = fact.job.id.clone() else {
        return Outcome::nothing(Verdict::ignored(
            "no_job_id",
            "the fact names no job: `data.job.id` is missing, without which nothing can be found by it",
        ));
    };
    let said = Said { job: Some(&fact.job), ..Said::default() };
    let decisions = case.known.all().into_iter().map(|before| {
        let mut next = before.clone();
        next.hear(said, mark, context.now);
        let step = advance(&mut next, context);
        let verdict = Verdict::accepted("recorded", "the change is recorded; the refused invite stays refused");
        (Some(before.clone()), saved(Some(before), next, step, verdict, context))
    });
    let decisions: Vec<_> = decisions.collect();
    let mut heard = case.heard(Subject::Job(id));
    heard.hear(said, mark, context.now);
    let heard = kept(case, heard);
    let nobody = if heard.is_some() {
        Verdict::accepted("recorded", "the job is kept as it is now, for the applications that come")
    } else {
        Verdict::ignored("no_news", "all of it was known already, or newer data are")
    };
    Outcome::of(decisions, nobody).with(heard)
}
