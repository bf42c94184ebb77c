//! A role was added, renamed or archived on the platform (B5, B17): invites that were refused for want of it are tried again.

use super::{Case, Need, Outcome, Rule, nobody_concerned, saved};
use crate::domain::{InviteError, Lookup, State, Verdict, ask::try_again};
use atshub_schemas::{
    Message,
    text::{names_id, same},
};

pub(super) const RULE: Rule = Rule { needs, decide };

fn needs(case: Case<'_>) -> Vec<Need> {
    match &case.envelope.message {
        Message::RoleChanged(fact) if !fact.role.archived => vec![Need::Dossiers(Lookup::Refused)],
        _ => vec![],
    }
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::RoleChanged(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, role) = (case.context, &fact.role);
    let is_it = |named: &str| names_id(named, role.id.as_str()) || same(named, role.name.as_str());
    let decisions = case.known.all().into_iter().filter_map(|before| {
        let current = before.current()?;
        let waits =
            matches!(current.state, State::Refused { error: InviteError::RoleMissing }) && current.role_named.as_deref().is_some_and(is_it);
        let mut next = before.clone();
        let step = if waits { try_again(&mut next, context)? } else { return None };
        let verdict = Verdict::accepted("recorded", "the role is there now; the refused invite stays refused");
        Some((Some(before.clone()), saved(Some(before), next, step, verdict, context)))
    });
    let nobody = if role.archived {
        Verdict::accepted("recorded", "the role is no longer offered; an invitation that asks for it is refused from now on")
    } else {
        Verdict::accepted(
            "recorded",
            "no refused invite waits for this role; the list that the platform gives is read before each invitation",
        )
    };
    Outcome::of(decisions.collect(), nobody)
}
