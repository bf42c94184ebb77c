//! Karat's words for the state of an interview, and ours (B8). Data; nothing decides here.

use atshub_schemas::text::same;

/// All 15 interview states of the API, each with the [`State`](atshub_actors::domain::State) code it means. `CANCELLED` is
/// also what Karat says after its 28 days: whether the clock ran out is for the reader of the clocks to say.
pub const INTERVIEW_STATES: [(&str, &str); 15] = [
    ("SCHEDULING", "invited"),
    ("SCHEDULED", "scheduled"),
    ("INTERVIEWING", "in_progress"),
    ("PROCESSING", "processing"),
    ("CREATING", "processing"),
    ("AWAITING_QC", "processing"),
    ("QC", "processing"),
    ("HOLD", "processing"),
    ("FINAL_CHECK", "processing"),
    ("CONTENT_CHECK", "processing"),
    ("READY_TO_SHIP", "processing"),
    ("SHIPPING", "processing"),
    ("SHIPPED", "completed"),
    ("CANCELLED", "cancelled"),
    ("RESCHEDULED", "rescheduled"),
];

/// States in which an earlier attempt to invite is still good. The first three are what Karat's own guard against
/// doubles looks at; an interview under way, or one whose result is not out yet, is no reason to invite again either.
pub const LIVE: [&str; 13] = [
    "SCHEDULING",
    "SCHEDULED",
    "RESCHEDULED",
    "INTERVIEWING",
    "PROCESSING",
    "CREATING",
    "AWAITING_QC",
    "QC",
    "HOLD",
    "FINAL_CHECK",
    "CONTENT_CHECK",
    "READY_TO_SHIP",
    "SHIPPING",
];

/// Our code for a word of Karat's; `None` for a word that is not in its documentation.
#[must_use]
pub fn state_code(word: &str) -> Option<&'static str> {
    INTERVIEW_STATES.iter().find(|(theirs, _)| same(theirs, word)).map(|(_, ours)| *ours)
}

/// Whether an interview in this state still counts as an invitation.
#[must_use]
pub fn is_live(word: &str) -> bool {
    LIVE.iter().any(|live| same(live, word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_actors::domain::State;
    use std::collections::BTreeSet;

    #[test]
    fn every_word_is_there_once_and_means_a_state_the_hub_has() {
        let ours = [
            State::Invited,
            State::Scheduled,
            State::Rescheduled,
            State::InProgress,
            State::Processing,
            State::Completed,
            State::Cancelled { reason: String::new() },
        ];
        let codes: BTreeSet<_> = ours.iter().map(State::code).collect();
        assert_eq!(INTERVIEW_STATES.iter().map(|(theirs, _)| theirs).collect::<BTreeSet<_>>().len(), 15);
        assert_eq!(INTERVIEW_STATES.iter().map(|(_, ours)| *ours).collect::<BTreeSet<_>>(), codes);
        assert!(LIVE.iter().all(|word| state_code(word).is_some()));
    }

    #[test]
    fn words_compare_without_case_and_unknown_ones_mean_nothing() {
        assert_eq!(state_code(" shipped "), Some("completed"));
        assert_eq!(state_code("PAUSED"), None);
        assert!(is_live("Scheduling") && is_live("INTERVIEWING"));
        assert!(!is_live("SHIPPED") && !is_live("CANCELLED") && !is_live(""));
    }
}
