//! Two applications of one person for one role, at the same time: the platform is asked for the first, and what it answers
//! decides the second. And what becomes of a request that nobody gets an answer to.

use crate::support::{
    build::entered,
    guards::with_and_without_guard,
    hub::{LIMIT, Pair, Walk, happens, on_hub, on_tuned_hub, until, values},
};
use atshub::{app::Tuning, http};
use atshub_actors::{
    domain::{Lookup, State},
    supervision::{Action, Rehearsal},
};
use atshub_simulators::{Fault, platform::Guard};
use serde_json::{Value, json};
use std::time::Duration;

const CALL: &str = "Invite failed: Role already has an active interview for this candidate.";
const NAME: &str = "Ada Rival";
const NAMELESS: &str = "Name can't be blank";
/// Long enough for the second application to come while the platform does not answer for the first.
const NO_ANSWER: Duration = Duration::from_secs(5);

with_and_without_guard! {
    the_second_of_two_at_once_is_shown_the_link_of_the_first
    the_second_of_two_at_once_is_invited_when_the_first_is_refused
    a_request_to_invite_that_is_given_up_is_told_to_the_recruiter_and_a_second_move_invites
    a_request_to_invite_that_crashes_its_actor_twice_is_told_to_the_recruiter_and_a_second_move_invites
}

/// The first asking has no answer, and the next one this, if any; the second application comes meanwhile, and waits.
fn on_rivals(guard: Guard, next: Option<Value>, play: impl AsyncFnOnce(&mut Walk<'_>)) {
    let calls = http::Options { total_time: NO_ANSWER, ..http::Options::default() };
    on_tuned_hub(Pair::Embedded, Tuning { calls, ..Tuning::default() }, &[], &["dune"], async |walk| {
        walk.world.platform.set_guard(guard);
        walk.world.platform.faults().next("createInvitation", Fault::Hang, 1);
        if let Some(answer) = next {
            walk.world.platform.faults().next("createInvitation", Fault::Answer(answer), 1);
        }
        applies(walk, "first").await;
        let tenant = walk.world.bridges[0].tenant().clone();
        let asked = until(async || {
            let found = walk.store().dossiers(&tenant, Lookup::Application("first".parse().unwrap())).await.unwrap();
            found.first().and_then(|d| d.current()).is_some_and(|c| c.state == State::Inviting)
        });
        assert!(asked.await, "the platform is not asked for the first");
        applies(walk, "second").await;
        let waits = until(async || {
            let history = walk.store().journal(&tenant, &"second".parse().unwrap()).await.unwrap();
            history.iter().any(|line| line.code == "postponed" && line.text.contains("for another application"))
        });
        assert!(waits.await, "the second does not wait for what becomes of the first");
        play(walk).await;
        walk.nothing_is_left().await;
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
        let invited = walk.world.platform.ledger().effects();
        assert_eq!(invited.iter().filter(|e| e.kind == "invitation").count(), 1, "{invited:?}");
    });
}

/// The same person's application for a job with the same role.
async fn applies(walk: &Walk<'_>, application: &str) {
    let bridge = &walk.world.bridges[0];
    bridge.publish(&entered(bridge.tenant(), application, NAME, "ada@dune.example", None)).await;
}

/// Waits until an application's last status begins like this; answers with all of them.
async fn shows(walk: &Walk<'_>, application: &str, status: &str) -> Vec<String> {
    let ledger = walk.world.bridges[0].ledger();
    let so = |effects: &[atshub_simulators::Effect]| {
        let last = effects.iter().rev().find(|e| e.kind == "status" && e.subject == application);
        last.and_then(|e| e.value.as_str()).is_some_and(|text| text.starts_with(status))
    };
    happens(&ledger, status, so).await;
    values(&ledger, "status", application)
}

fn the_second_of_two_at_once_is_shown_the_link_of_the_first(guard: Guard) {
    on_rivals(guard, None, async |walk| {
        shows(walk, "first", "Invited").await;
        let told = shows(walk, "second", CALL).await;
        assert_eq!(told.len(), 2, "{told:?}");
        let link = walk.world.platform.base_url();
        assert!(told[0] == "Received" && told[1].contains(&link), "{told:?} without {link}");
    });
}

fn the_second_of_two_at_once_is_invited_when_the_first_is_refused(guard: Guard) {
    let refused = json!({ "data": { "createInvitation": { "assessment": null, "errors": [{ "message": NAMELESS }] } } });
    on_rivals(guard, Some(refused), async |walk| {
        shows(walk, "first", NAMELESS).await;
        let told = shows(walk, "second", "Invited").await;
        assert!(told.len() == 2 && told[0] == "Received", "{told:?}");
    });
}

fn a_request_to_invite_that_is_given_up_is_told_to_the_recruiter_and_a_second_move_invites(guard: Guard) {
    on_hub(Pair::Embedded, &[], &["dune"], async |walk| {
        walk.world.platform.set_guard(guard);
        // An answer that says for good that there is nothing of that kind: it is not asked for again.
        walk.world.platform.faults().next("roles", Fault::Fail(404), 1);
        applies(walk, "only").await;
        let told = shows(walk, "only", "Invite failed: no usable answer from Karat.").await;
        assert_eq!(told.len(), 2, "{told:?}");
        let parked = until(async || walk.store().parked_counts(None).await.unwrap().get("http_404") == Some(&1));
        assert!(parked.await, "an operator can see that it was given up");
        applies(walk, "only").await;
        let told = shows(walk, "only", "Invited").await;
        assert_eq!(told[2..], ["Received".to_owned(), told[3].clone()], "{told:?}");
        walk.nothing_is_left().await;
        assert_eq!(walk.world.platform.ledger().count("invitation"), 1);
    });
}

fn a_request_to_invite_that_crashes_its_actor_twice_is_told_to_the_recruiter_and_a_second_move_invites(guard: Guard) {
    on_hub(Pair::Real, &[], &["dune"], async |walk| {
        walk.world.platform.set_guard(guard);
        let panic = async |time| {
            for child in ["invites/1", "invites/2"] {
                walk.running.hub.control(child, Action::Rehearse(Rehearsal::Panic(time)), "a test").await.unwrap();
            }
        };
        panic(LIMIT).await;
        applies(walk, "only").await;
        let told = shows(walk, "only", "Invite failed: no usable answer from Karat.").await;
        assert_eq!(told.len(), 2, "{told:?}");
        let tenant = walk.world.bridges[0].tenant().clone();
        assert_eq!(walk.store().parked_counts(Some(&tenant)).await.unwrap().get("poison"), Some(&1));
        let history = walk.store().journal(&tenant, &"only".parse().unwrap()).await.unwrap();
        assert!(history.iter().any(|line| line.code == "parked" && line.text.contains("crashed")), "{history:?}");
        // Once more at most, which parks nothing.
        panic(Duration::ZERO).await;
        applies(walk, "only").await;
        shows(walk, "only", "Invited").await;
        walk.nothing_is_left().await;
        assert_eq!(walk.world.platform.ledger().count("invitation"), 1);
    });
}
