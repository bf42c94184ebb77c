//! Somebody asked, in the ATS, for the interview to be at a given time (B11): that is done on the platform, and a note says so. It says
//! nothing of where the application stands.

use super::{Case, Need, Outcome, Rule, nobody_concerned};
use crate::domain::{Decision, Lookup, Verdict, ask::told};
use atshub_schemas::{ExternalId, Link, Message};

pub(super) const RULE: Rule = Rule {
    needs: |case| match &case.envelope.message {
        Message::ScheduleRequested(fact) => needs(&fact.application.id),
        _ => vec![],
    },
    decide: |case| match &case.envelope.message {
        Message::ScheduleRequested(fact) => elsewhere(case, &fact.application.id, "schedule_elsewhere", |p, _| {
            format!(
                "An interview cannot be scheduled for a given time from here. Schedule it on the {p} platform: open the candidate there and choose Schedule."
            )
        }),
        _ => Outcome::nothing(nobody_concerned()),
    },
};

pub(super) fn needs(application: &ExternalId) -> Vec<Need> {
    vec![Need::Dossiers(Lookup::Application(application.clone()))]
}

/// A note that says where it is done.
pub(super) fn elsewhere(case: Case<'_>, application: &ExternalId, code: &str, words: impl Fn(&str, Option<&Link>) -> String) -> Outcome {
    let Some(before) = case.known.application(application) else {
        return Outcome::nothing(Verdict::ignored("no_candidacy", "nobody was invited for this application"));
    };
    let step = told(before, &[], code, case.mark().time, case.context, words);
    let verdict = step.verdict.unwrap_or_else(nobody_concerned);
    Outcome::one(Some(before), Decision { dossier: None, effects: step.effects, taken_back: vec![], verdict })
}
