//! An assessment was ordered for an application (B1). Compared with orders only: that the application moved later makes no order old.

use super::{Case, Need, Outcome, Rule, application_moved as moved, kept, nobody_concerned, older, saved};
use crate::domain::{Ended, Subject, Verdict, ask::advance, learn::Said};
use atshub_schemas::{Message, fact::AssessmentOrder};

pub(super) const RULE: Rule = Rule { needs, decide };

fn said(fact: &AssessmentOrder) -> Said<'_> {
    Said { candidate: fact.candidate.as_ref(), job: fact.job.as_ref(), recruiter: fact.recruiter.as_ref(), grader: None }
}

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::AssessmentOrdered(fact) = &case.envelope.message else { return vec![] };
    let mut needs = moved::of_application(case, &fact.application.id, said(fact));
    needs.push(Need::Heard(Subject::Order(fact.assessment.id.clone())));
    let before = case.known.application(&fact.application.id);
    needs.extend(moved::look(case, &fact.application.id, moved::is_whole(before, said(fact), true)));
    needs
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::AssessmentOrdered(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let before = case.known.application(&fact.application.id);
    let mut next = moved::begun(case, &fact.application, said(fact));
    let mut order = case.heard(Subject::Order(fact.assessment.id.clone()));
    order.ordered_for = Some(fact.application.id.clone());
    let (order_ended, order) = (order.order_ended.clone(), kept(case, order));
    if let Some(newer) =
        next.versions.order.filter(|o| !o.gives_way_to(mark.time, context.now) && next.assessment.as_ref() != Some(&fact.assessment.id))
    {
        let step = advance(&mut next, context);
        return Outcome::one(before, saved(before, next, step, older(case, newer), context)).with(order);
    }
    next.assessment = Some(fact.assessment.id.clone());
    next.ordered_test.clone_from(&fact.assessment.test_id);
    (next.order_ended, next.versions.order) = (order_ended, Some(mark));
    if case.known.is_gone() {
        next.ended = Some(Ended::Deleted);
    } else if let Some(snapshot) = case.known.snapshot() {
        // What the ATS says now, it says of the application, whatever was heard before. An order does not move it.
        next.ended.clone_from(&snapshot.ended);
        next.stage = snapshot.stage.clone().or(next.stage.take());
    }
    let step = advance(&mut next, context);
    let otherwise = match (&next.order_ended, &next.ended) {
        (Some(ended), _) => {
            Verdict::ignored("ended_meanwhile", format!("the order was ended ({ended} in the ATS) before it came; nobody is invited"))
        }
        (_, Some(ended)) => {
            Verdict::ignored("ended_meanwhile", format!("the application is {} in the ATS by now; nobody is invited", ended.word()))
        }
        _ => Verdict::ignored("same_event", "this order was heard of before"),
    };
    Outcome::one(before, saved(before, next, step, otherwise, context)).with(order)
}
