//! An assessment order was cancelled in the ATS (B10). The ATS may name the order alone: the hub knows whose it is, or keeps it until the
//! order comes.

use super::{Case, Need, Outcome, Rule, application_archived as archived, kept, nobody_concerned, saved};
use crate::domain::{Lookup, Subject, Verdict, ask::advance};
use atshub_schemas::{ExternalId, Message, fact::AssessmentEnd};

pub(super) const RULE: Rule =
    Rule { needs: |case| needs(case, change(case)), decide: |case| ended(case, change(case), "assessment cancelled") };

fn change(case: Case<'_>) -> Option<&AssessmentEnd> {
    match &case.envelope.message {
        Message::AssessmentCancelled(fact) => Some(fact),
        _ => None,
    }
}

fn application(case: Case<'_>, fact: &AssessmentEnd) -> Option<ExternalId> {
    let known = || case.known.heard(&Subject::Order(fact.assessment.id.clone())).and_then(|order| order.ordered_for.clone());
    fact.application.as_ref().map(|a| a.id.clone()).or_else(known)
}

pub(super) fn needs(case: Case<'_>, fact: Option<&AssessmentEnd>) -> Vec<Need> {
    let Some(fact) = fact else { return vec![] };
    let mut needs = vec![Need::Heard(Subject::Order(fact.assessment.id.clone()))];
    needs.extend(application(case, fact).map(|id| Need::Dossiers(Lookup::Application(id))));
    needs
}

pub(super) fn ended(case: Case<'_>, fact: Option<&AssessmentEnd>, what: &str) -> Outcome {
    let Some(fact) = fact else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let mut order = case.heard(Subject::Order(fact.assessment.id.clone()));
    order.order_ended = Some(what.to_owned());
    let order = kept(case, order);
    let Some(before) = application(case, fact).and_then(|id| case.known.application(&id)) else {
        return Outcome::nothing(Verdict::accepted(
            "recorded",
            format!("{what}; the order is not known yet, and nobody will be invited for it"),
        ))
        .with(order);
    };
    let mut next = before.clone();
    if next.assessment.as_ref() != Some(&fact.assessment.id) && next.assessment.is_some() {
        let verdict = Verdict::ignored("other_order", "another order of this application is in force");
        return Outcome::one(Some(before), saved(Some(before), next, crate::domain::ask::Step::default(), verdict, context)).with(order);
    }
    if next.assessment.is_some() {
        next.order_ended = Some(what.to_owned());
    }
    let mut step = advance(&mut next, context);
    archived::cancel_elsewhere(&next, what, mark.time, &mut step, context);
    let otherwise = Verdict::accepted("recorded", format!("{what} in the ATS; no interview is open"));
    Outcome::one(Some(before), saved(Some(before), next, step, otherwise, context)).with(order)
}
