//! An application was archived or rejected (B10): nobody is invited for it any more; a live interview is not cancelled by it, and a
//! note says where that is done. The other ways in which an application ends share this.

use super::{Case, Need, Outcome, Rule, application_moved as moved, nobody_concerned, older, saved};
use crate::domain::{
    Context, Dossier, Ended, Verdict,
    ask::{Step, advance, is_open, told},
};
use atshub_schemas::{Message, fact::ApplicationChange};
use jiff::Timestamp;
use uuid::Uuid;

pub(super) const RULE: Rule = Rule { needs: |case| needs(case, change(case)), decide: |case| ended(case, change(case), &Ended::Archived) };

fn change(case: Case<'_>) -> Option<&ApplicationChange> {
    match &case.envelope.message {
        Message::ApplicationArchived(fact) => Some(fact),
        _ => None,
    }
}

pub(super) fn needs(case: Case<'_>, fact: Option<&ApplicationChange>) -> Vec<Need> {
    fact.map(|fact| moved::of_application(case, &fact.application.id, moved::said(fact))).unwrap_or_default()
}

pub(super) fn ended(case: Case<'_>, fact: Option<&ApplicationChange>, how: &Ended) -> Outcome {
    let Some(fact) = fact else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let before = case.known.application(&fact.application.id);
    let mut next = moved::begun(case, &fact.application, moved::said(fact));
    if let Some(kept) = next.versions.stage.filter(|kept| !kept.gives_way_to(mark.time, context.now)) {
        // Of where it stands it is no news; what nobody has said yet of person and job may be.
        let step = advance(&mut next, context);
        return Outcome::one(before, saved(before, next, step, older(case, kept), context));
    }
    moved::standing(case, &mut next, fact.to_stage.as_ref(), Some(how.clone()));
    let mut step = advance(&mut next, context);
    if *how != Ended::Hired {
        cancel_elsewhere(&next, how.word(), mark.time, &mut step, context);
    }
    let text = format!("{} in the ATS; no interview is open", how.word());
    let otherwise = if *how == Ended::Hired {
        Verdict::accepted("hired", "the application ended in a hire; recorded")
    } else {
        Verdict::accepted("recorded", text)
    };
    Outcome::one(before, saved(before, next, step, otherwise, context))
}

/// B10: a live interview is not cancelled, and the person who acted in the ATS is told where that is done. Every live one, not only the
/// newest.
pub(super) fn cancel_elsewhere(next: &Dossier, what: &str, time: Timestamp, step: &mut Step, context: Context<'_>) {
    let live: Vec<Uuid> = next.candidacies.iter().filter(|c| is_open(&c.state)).map(|c| c.id).collect();
    if live.is_empty() {
        return;
    }
    let told = told(next, &live, "cancel_elsewhere", time, context, |p, link| {
        let link = link.map(|l| format!(" Open it: {l}")).unwrap_or_default();
        format!(
            "The {p} interview is not cancelled by this ({what} in the ATS). To cancel it, open the candidate on the {p} platform: Settings, Cancel Interview.{link}"
        )
    });
    step.effects.extend(told.effects);
    step.verdict = told.verdict;
}
