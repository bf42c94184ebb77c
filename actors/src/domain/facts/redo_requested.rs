//! Somebody asked, in the ATS, for a redo (B12): the platform offers it to the candidate itself, and a note says so.

use super::{Outcome, Rule, nobody_concerned, schedule_requested as schedule};
use atshub_schemas::Message;

pub(super) const RULE: Rule = Rule {
    needs: |case| match &case.envelope.message {
        Message::RedoRequested(fact) => schedule::needs(&fact.application.id),
        _ => vec![],
    },
    decide: |case| match &case.envelope.message {
        Message::RedoRequested(fact) => schedule::elsewhere(case, &fact.application.id, "redo_elsewhere", |p, _| {
            format!(
                "A redo cannot be invited from here. {p} offers it to the candidate by e-mail after the interview, for 24 hours; later, {p} support can send it."
            )
        }),
        _ => Outcome::nothing(nobody_concerned()),
    },
};
