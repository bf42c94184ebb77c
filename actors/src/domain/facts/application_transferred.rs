//! An application went to another job or opportunity (B13). What is known of the old job's stage says nothing of the new one. Where the
//! ATS makes a new application of it, the candidacies go with it: the interview is the person's, and its status belongs where the
//! recruiter now looks.

use super::{Case, Need, Outcome, Rule, application_moved as moved, nobody_concerned, older, saved};
use crate::domain::{
    Decision, Dossier, Ended, Lookup, Verdict,
    ask::{Step, advance},
    learn::Said,
};
use atshub_schemas::{Message, fact::ApplicationTransfer};

pub(super) const RULE: Rule = Rule { needs, decide };

fn said(fact: &ApplicationTransfer) -> Said<'_> {
    Said { candidate: fact.candidate.as_ref(), job: fact.job.as_ref(), ..Said::default() }
}

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::ApplicationTransferred(fact) = &case.envelope.message else { return vec![] };
    let mut needs = moved::of_application(case, &fact.application.id, said(fact));
    if let Some(from) = fact.from_application.as_ref().filter(|from| from.id != fact.application.id) {
        needs.push(Need::Dossiers(Lookup::Application(from.id.clone())));
    }
    needs.push(Need::Snapshot { application: fact.application.id.clone(), insist: true });
    needs
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::ApplicationTransferred(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let before = case.known.application(&fact.application.id);
    let mut next = moved::begun(case, &fact.application, said(fact));
    if let Some(kept) = next.versions.stage.filter(|kept| !kept.gives_way_to(mark.time, context.now)) {
        // Of where it stands it is no news; what nobody has said yet of person and job may be.
        let step = advance(&mut next, context);
        return Outcome::one(before, saved(before, next, step, older(case, kept), context));
    }
    let left = fact
        .from_application
        .as_ref()
        .filter(|from| from.id != fact.application.id)
        .and_then(|from| case.known.application(&from.id))
        .map(|old| leave(case, old, &mut next));
    next.stage = None;
    next.entered = None;
    (next.ended, next.versions.stage) = (None, Some(mark));
    moved::standing(case, &mut next, fact.to_stage.as_ref(), None);
    let step = advance(&mut next, context);
    let otherwise = Verdict::accepted("transferred", "the application went to another job; what is under way goes with it");
    let arrived = saved(before, next, step, otherwise, context);
    let verdict = arrived.verdict.clone();
    let decisions = left.into_iter().chain([(before.cloned(), arrived)]).collect();
    Outcome { decisions, heard: vec![], verdict }
}

/// Ends the application that was left, and hands its candidacies over.
fn leave(case: Case<'_>, old: &Dossier, next: &mut Dossier) -> (Option<Dossier>, Decision) {
    let mut left = old.clone();
    (left.ended, left.versions.stage) = (Some(Ended::Transferred), Some(case.mark()));
    let known: Vec<_> = next.candidacies.iter().map(|c| c.id).collect();
    let mut all: Vec<_> = left.candidacies.drain(..).filter(|c| !known.contains(&c.id)).collect();
    next.asked = next.asked.max(left.asked);
    next.sequence = next.sequence.max(left.sequence);
    all.append(&mut next.candidacies);
    next.candidacies = all;
    let text = format!("transferred to application {}", next.application.id);
    let step = Step::new(vec![], Verdict::accepted("transferred", text));
    (Some(old.clone()), saved(Some(old), left, step, nobody_concerned(), case.context))
}
