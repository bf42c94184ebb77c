//! The life of an invitation after the platform has answered: states, steps, order.

use super::*;

pub(super) fn interview(state: &str) -> Message {
    Message::InterviewChanged(InterviewChange {
        platform_candidacy_id: "p-1".parse().unwrap(),
        ats_url: None,
        interview: Interview {
            id: "i-1".parse().unwrap(),
            state: line(state),
            start_time: None,
            end_time: None,
            link: None,
            is_redo: false,
        },
    })
}

#[test]
fn all_fifteen_states_of_the_platform_have_a_state_here() {
    let table = [
        ("SCHEDULING", "invited"),
        ("SCHEDULED", "scheduled"),
        ("RESCHEDULED", "rescheduled"),
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
    ];
    for (theirs, ours) in table {
        assert_eq!(State::from_platform(theirs).map(|s| s.code().to_owned()).as_deref(), Some(ours), "{theirs}");
    }
    assert_eq!(State::from_platform("SOMETHING_NEW"), None);
}

#[test]
fn every_step_of_the_table_starts_and_ends_at_a_state_and_ends_lead_nowhere_but_to_a_new_asking() {
    let codes = [
        "received",
        "inviting",
        "invited",
        "scheduled",
        "rescheduled",
        "in_progress",
        "processing",
        "completed",
        "cancelled",
        "timed_out",
        "no_show",
        "refused",
    ];
    for (from, to, why) in TRANSITIONS {
        assert!(codes.contains(from) && codes.contains(to) && !why.is_empty(), "{from} -> {to}");
    }
    for end in ["completed", "cancelled", "timed_out", "no_show", "refused"] {
        assert!(TRANSITIONS.iter().filter(|(from, ..)| *from == end).all(|(_, to, _)| *to == "received"), "{end}");
    }
}
