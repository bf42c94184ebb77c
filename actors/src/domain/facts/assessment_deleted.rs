//! An assessment order was deleted in the ATS (B10): as if it had been cancelled.

use super::{Case, Rule, assessment_cancelled as cancelled};
use atshub_schemas::{Message, fact::AssessmentEnd};

pub(super) const RULE: Rule =
    Rule { needs: |case| cancelled::needs(case, change(case)), decide: |case| cancelled::ended(case, change(case), "assessment deleted") };

fn change(case: Case<'_>) -> Option<&AssessmentEnd> {
    match &case.envelope.message {
        Message::AssessmentDeleted(fact) => Some(fact),
        _ => None,
    }
}
