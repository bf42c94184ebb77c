//! Two records of one person became one (B13): the applications of the record that is gone are the other's now, so that later
//! corrections, and notes that still wait, reach them.

use super::{Case, Need, Outcome, Rule, kept, nobody_concerned, saved};
use crate::domain::{Lookup, Subject, Verdict, ask::advance};
use atshub_schemas::Message;

pub(super) const RULE: Rule = Rule { needs, decide };

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::CandidateMerged(fact) = &case.envelope.message else { return vec![] };
    vec![
        Need::Dossiers(Lookup::Candidate(fact.from.id.clone())),
        Need::Heard(Subject::Person(fact.from.id.clone())),
        Need::Heard(Subject::Person(fact.into.id.clone())),
    ]
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::CandidateMerged(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let context = case.context;
    let (from, into) = (case.heard(Subject::Person(fact.from.id.clone())), case.heard(Subject::Person(fact.into.id.clone())));
    let (mut gone, mut stays) = (from.clone(), into);
    gone.merged_into = Some(fact.into.id.clone());
    stays.absorb(&from, context.now);
    let decisions = case.known.all().into_iter().map(|before| {
        let mut next = before.clone();
        next.absorb(&stays, context.now);
        next.candidate.id = Some(fact.into.id.clone());
        let step = advance(&mut next, context);
        (
            Some(before.clone()),
            saved(Some(before), next, step, Verdict::accepted("merged", "the person goes on under another record"), context),
        )
    });
    let nobody = Verdict::accepted(
        "merged",
        "no application of that person is known; later facts about the record that is gone count for the one that stays",
    );
    Outcome::of(decisions.collect(), nobody).with([kept(case, gone), kept(case, stays)].into_iter().flatten())
}
