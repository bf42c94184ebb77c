//! An application was deleted (B10): as if it had been archived.

use super::{Case, Rule, application_archived as archived};
use crate::domain::Ended;
use atshub_schemas::{Message, fact::ApplicationChange};

pub(super) const RULE: Rule =
    Rule { needs: |case| archived::needs(case, change(case)), decide: |case| archived::ended(case, change(case), &Ended::Deleted) };

fn change(case: Case<'_>) -> Option<&ApplicationChange> {
    match &case.envelope.message {
        Message::ApplicationDeleted(fact) => Some(fact),
        _ => None,
    }
}
