//! An application ended in a hire (B13): nobody is invited for it any more, and what goes on is left to go on.

use super::{Case, Rule, application_archived as archived};
use crate::domain::Ended;
use atshub_schemas::{Message, fact::ApplicationChange};

pub(super) const RULE: Rule =
    Rule { needs: |case| archived::needs(case, change(case)), decide: |case| archived::ended(case, change(case), &Ended::Hired) };

fn change(case: Case<'_>) -> Option<&ApplicationChange> {
    match &case.envelope.message {
        Message::ApplicationHired(fact) => Some(fact),
        _ => None,
    }
}
