//! The platform says how an interview stands (B8). Compared with what the platform said before, and with nothing of the hub's own; what
//! is heard of an interview before its invitation is stored is kept until it is.

use super::{Case, Need, Outcome, Rule, kept, nobody_concerned, saved};
use crate::domain::{Context, Dossier, Lookup, State, Subject, Verdict, ask::Step, interview::Seen, tell::standing};
use atshub_schemas::Message;
use uuid::Uuid;

pub(super) const RULE: Rule = Rule { needs, decide };

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::InterviewChanged(fact) = &case.envelope.message else { return vec![] };
    let id = &fact.platform_candidacy_id;
    vec![Need::Dossiers(Lookup::PlatformCandidacy(id.clone())), Need::Heard(Subject::Interview(id.clone()))]
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::InterviewChanged(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, id) = (case.context, &fact.platform_candidacy_id);
    let Some(state) = State::from_platform(fact.interview.state.as_str()) else {
        return Outcome::nothing(Verdict::ignored(
            "unknown_state",
            format!("`{}` is not a state of an interview that the hub knows", fact.interview.state),
        ));
    };
    let seen = Seen::new(state, case.mark(), fact.interview.link.clone());
    let concerned = case.known.all().into_iter().filter_map(|before| {
        let index = before.candidacies.iter().position(|c| c.invitation.as_ref().is_some_and(|i| i.candidacy == *id))?;
        let mut next = before.clone();
        next.candidacies[index].interviews.hear(&fact.interview.id, seen.clone());
        let ours = next.candidacies[index].id;
        let step = follow(&mut next, ours, context);
        let verdict = if next == *before {
            Verdict::ignored("no_news", "newer news of this interview is known, or the same")
        } else {
            Verdict::accepted("recorded", "the change is recorded; the interview stands where it stood")
        };
        Some((Some(before.clone()), saved(Some(before), next, step, verdict, context)))
    });
    let decisions: Vec<_> = concerned.collect();
    if !decisions.is_empty() {
        return Outcome::of(decisions, nobody_concerned());
    }
    let mut heard = case.heard(Subject::Interview(id.clone()));
    heard.interviews.hear(&fact.interview.id, seen);
    Outcome::nothing(Verdict::ignored(
        "unknown_candidacy",
        "no invitation of this tenant has that candidacy on the platform; it is kept for when one comes",
    ))
    .with(kept(case, heard))
}

/// Takes over into a candidacy's state what is known of its interviews, and tells of it.
pub(in crate::domain) fn follow(next: &mut Dossier, id: Uuid, context: Context<'_>) -> Step {
    let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else { return Step::default() };
    let Some(seen) = candidacy.interviews.current().cloned() else { return Step::default() };
    // A state of a newer version stands until that version goes on from it.
    if seen.state == candidacy.state || matches!(candidacy.state, State::Unknown(_)) {
        return Step::default();
    }
    let link = candidacy.link().cloned();
    candidacy.state = seen.state.clone();
    candidacy.changed_at = context.now;
    let code = seen.state.code();
    let effect = standing(next, id, code, context.policy, link);
    Step::new(effect.into_iter().collect(), Verdict::accepted(code, format!("the interview is now {code}")))
}
