//! A candidacy in a state that a newer version of the hub wrote: it stands, whatever comes.

use super::*;
use serde::{Deserialize as _, de::value::MapDeserializer};

fn of_tomorrow() -> State {
    let written = MapDeserializer::<_, serde::de::value::Error>::new([("state", "waitlisted"), ("until", "tomorrow")].into_iter());
    State::deserialize(written).unwrap()
}

#[test]
fn no_fact_changes_a_state_of_a_newer_version_or_invites_beside_it() {
    let mut before = invited_dossier();
    before.candidacies[0].state = of_tomorrow();
    assert_eq!(before.candidacies[0].state.code(), "waitlisted");
    let later_jobs = JobUpdate { job: job(Some("1202")) };
    for (what, message) in [
        ("asked again", moved("Interview")),
        ("moved on", moved("Onsite")),
        ("archived", Message::ApplicationArchived(change("x"))),
        ("ordered", Message::AssessmentOrdered(ordered("o-1"))),
        ("another role", Message::JobUpdated(later_jobs)),
        ("scheduled", interview("SCHEDULED")),
        ("over", interview("SHIPPED")),
        ("called off", interview("CANCELLED")),
    ] {
        let decision = run(Some(&before), 10, message);
        let after = decision.dossier.as_ref().unwrap_or(&before);
        assert_eq!(after.candidacies[0].state, of_tomorrow(), "{what}: {:?}", decision.verdict);
        assert_eq!(after.candidacies.len(), 1, "{what}: nobody is invited beside it");
        assert!(statuses(&decision).is_empty(), "{what}: {decision:?}");
    }
}

#[test]
fn an_interview_in_a_state_of_a_newer_version_gives_way_to_newer_news_alone() {
    let (id, mark) = ("i-1".parse().unwrap(), |seconds| Mark { time: at(seconds), received_at: at(seconds) });
    let mut interviews = Interviews::default();
    interviews.hear(&id, Seen::new(of_tomorrow(), mark(10), None));
    interviews.hear(&id, Seen::new(State::Completed, mark(5), None));
    assert_eq!(interviews.current().unwrap().state, of_tomorrow(), "older news, however far it is");
    interviews.hear(&id, Seen::new(State::Scheduled, mark(20), None));
    assert_eq!(interviews.current().unwrap().state, State::Scheduled);
    interviews.hear(&id, Seen::new(of_tomorrow(), mark(15), None));
    assert_eq!(interviews.current().unwrap().state, State::Scheduled);
}
