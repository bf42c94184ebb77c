//! Every way in which an actor can die, and what becomes of its messages and of its neighbour.

use super::{
    on_both_pairs,
    probe::Start,
    stage::{Setting, on_stage, on_stage_set, quick},
};
use crate::support::hub::{Pair, until};
use atshub_actors::supervision::{Action, Phase, RestartPolicy};
use std::time::Duration;

on_both_pairs! {
    a_message_that_panics_twice_is_parked_and_only_it
    a_panic_in_a_future_is_tied_to_its_message_as_well
    what_a_dead_actor_had_in_hand_is_done_by_the_next_generation
    an_actor_that_stops_in_the_middle_of_work_is_made_anew_and_the_message_is_blamed_after_three_times
    an_actor_that_dies_at_its_start_backs_off_and_is_quarantined_at_the_sixth_death
    a_quarantined_child_that_is_released_goes_on_with_what_waited
    whatever_an_actor_dies_of_its_messages_are_done_by_the_next_and_its_neighbour_notices_nothing
}

/// What one generation is told, and the code under which its death is noted. `plain_actix.rs` has the same ways, with
/// `actix::Supervisor` alone, which survives none of them whole.
const WAYS: [(&str, &str); 9] = [
    ("sync1st", "panic"),   // in the handler
    ("panic1st", "panic"),  // in the future of the work
    ("spawn1st", "panic"),  // in another future of the actor
    ("stop1st", "stopped"), // in the middle of work
    ("terminate1st", "stopped"),
    ("abandon1st", "stopped"), // while the work waits
    ("arbiter1st", "moved"),   // the thread ends, with every actor on it
    ("start-panics", "panic"),
    ("start-stops", "stopped"),
];

fn whatever_an_actor_dies_of_its_messages_are_done_by_the_next_and_its_neighbour_notices_nothing(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        let mut specs = vec![stage.spec("other", Start::Well)];
        specs.extend(WAYS.iter().enumerate().map(|(n, (way, _))| {
            let start = match *way {
                "start-panics" => Start::PanicsAtFirst,
                "start-stops" => Start::StopsAtFirst,
                _ => Start::Well,
            };
            stage.spec(&format!("acme-{n}"), start)
        }));
        stage.raise(specs).await;
        // What its neighbour is is compared with what it was: that is to be a first generation that is up.
        stage.until("tenant/other", Phase::Running).await;
        for (n, (way, code)) in WAYS.into_iter().enumerate() {
            let (tenant, first, before) = (format!("acme-{n}"), format!("{way}-1"), stage.board.child("tenant/other").unwrap());
            let child = format!("tenant/{tenant}");
            stage.publish(&tenant, &["ok-1", &first, "ok-2", "ok-3"]).await;
            stage.publish("other", &["ok-4"]).await;
            let mut all = vec!["ok-1", "ok-2", "ok-3", "ok-4", &first];
            all.sort_unstable();
            assert_eq!(stage.collect(5).await, all, "{way}");
            // The thread that ends takes those with it that lived there before; all others are what they were.
            stage.becomes(&child, |row| row.generation >= 2 && row.phase == Phase::Running).await;
            stage.nothing_left(&tenant).await;
            let (acme, other) = (stage.board.child(&child).unwrap(), stage.board.child("tenant/other").unwrap());
            let noted: Vec<&str> = acme.history.iter().map(|death| death.code.as_str()).collect();
            if code == "moved" {
                assert!(noted.is_empty() && acme.restarts == 0, "{way}: nobody on that thread died of itself: {acme:?}");
            } else {
                assert_eq!((noted, acme.restarts), (vec![code], 1), "{way}");
                assert_eq!(other.generation, before.generation, "{way}: the neighbour was made anew");
            }
            assert!(other.history.is_empty(), "{way}: {other:?}");
        }
        assert!(stage.store.parked_counts(None).await.unwrap().is_empty(), "one death parks nothing");
        assert!(stage.done.try_recv().is_err(), "something was done twice");
    });
}

/// A delivery that its actor throws away is given to it again, not at once and for ever: an actor that does nothing else gets
/// nothing done, and is made anew.
#[test]
fn an_actor_that_throws_its_deliveries_away_is_made_anew_and_they_are_done() {
    let restarts = RestartPolicy { patience: Duration::from_millis(800), ..quick() };
    on_stage_set(Pair::Embedded, Setting { restarts, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["throw1st-1"]).await;
        assert_eq!(stage.collect(1).await, ["throw1st-1"]);
        let acme = stage.board.child("tenant/acme").unwrap();
        assert_eq!((acme.generation, acme.history[0].code.as_str()), (2, "no_progress"));
    });
}

#[test]
fn work_that_never_ends_is_given_up_three_times_and_then_parked_while_the_rest_goes_on() {
    let restarts = RestartPolicy { patience: Duration::from_millis(400), restarts: 50, ..quick() };
    on_stage_set(Pair::Embedded, Setting { restarts, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        let ids = stage.publish("acme", &["hang-1", "ok-1", "hang1st-2"]).await;
        stage.becomes("tenant/acme", |row| row.poisoned == 1).await;
        assert_eq!(stage.collect(2).await, ["hang1st-2", "ok-1"]);
        let parked = stage.store.message(&ids[0]).await.unwrap().remove(0).parked.unwrap();
        assert_eq!(parked.code, "poison");
        stage.nothing_left("acme").await;
        let acme = stage.board.child("tenant/acme").unwrap();
        assert!(acme.history.iter().all(|death| death.code == "no_progress"), "{acme:?}");
        assert_eq!(stage.board.child("tenant/other").unwrap().generation, 1);
    });
}

fn a_message_that_panics_twice_is_parked_and_only_it(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("acme", &["ok-1", "panic-1", "ok-2", "ok-3"]).await;
        stage.publish("other", &["ok-4"]).await;
        assert_eq!(stage.collect(4).await, ["ok-1", "ok-2", "ok-3", "ok-4"]);
        stage.becomes("tenant/acme", |row| row.poisoned == 1).await;
        assert_eq!(stage.store.parked_counts(None).await.unwrap().get("poison"), Some(&1));
        stage.nothing_left("acme").await;
        assert_eq!(stage.board.child("tenant/other").unwrap().generation, 1, "the neighbour was not made anew");
        stage.becomes("tenant/acme", |row| row.generation == 3).await;
    });
}

fn a_panic_in_a_future_is_tied_to_its_message_as_well(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["ok-1", "late-1", "ok-2"]).await;
        assert_eq!(stage.collect(2).await, ["ok-1", "ok-2"]);
        stage.becomes("tenant/acme", |row| row.poisoned == 1).await;
        stage.nothing_left("acme").await;
    });
}

fn what_a_dead_actor_had_in_hand_is_done_by_the_next_generation(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        // The gated ones are begun when the panic kills their actor; they are begun again, and done.
        stage.publish("acme", &["gated-1", "gated-2", "panic1st-1", "gated-3"]).await;
        stage.becomes("tenant/acme", |row| row.generation == 2).await;
        stage.strings.gate.add_permits(100);
        assert_eq!(stage.collect(4).await, ["gated-1", "gated-2", "gated-3", "panic1st-1"]);
        stage.nothing_left("acme").await;
        assert!(stage.store.parked_counts(None).await.unwrap().is_empty());
    });
}

fn an_actor_that_stops_in_the_middle_of_work_is_made_anew_and_the_message_is_blamed_after_three_times(pair: Pair) {
    on_stage(pair, RestartPolicy { restarts: 50, ..quick() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["abandon-1", "ok-1"]).await;
        stage.becomes("tenant/acme", |row| row.poisoned == 1).await;
        assert!(stage.collect(1).await == ["ok-1"]);
        stage.nothing_left("acme").await;
    });
}

fn an_actor_that_dies_at_its_start_backs_off_and_is_quarantined_at_the_sixth_death(pair: Pair) {
    for start in [Start::Stops, Start::Panics] {
        on_stage(pair, quick(), async |stage, _| {
            stage.raise(vec![stage.spec("acme", start), stage.spec("other", Start::Well)]).await;
            stage.publish("acme", &["ok-1", "ok-2"]).await;
            stage.publish("other", &["ok-3"]).await;
            stage.until("tenant/acme", Phase::Quarantined).await;
            assert_eq!(stage.board.child("tenant/acme").unwrap().generation, 6, "no storm");
            assert_eq!(stage.collect(1).await, ["ok-3"], "the neighbour works");
            // Its messages are at the broker again, not lost and not with it.
            stage.becomes("tenant/acme", |row| row.in_hand == 0).await;
            assert!(until(async || stage.ready("acme").await == 2).await, "both messages are at the broker");
            // Released with a working factory, it goes on where it was.
            assert!(stage.control("tenant/acme", Action::Resume).await.is_err(), "resume is not release");
        });
    }
}

fn a_quarantined_child_that_is_released_goes_on_with_what_waited(pair: Pair) {
    on_stage(pair, RestartPolicy { restarts: 0, ..quick() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["panic1st-1", "ok-1"]).await;
        stage.until("tenant/acme", Phase::Quarantined).await;
        assert_eq!(stage.control("tenant/acme", Action::Release).await, Ok(Phase::Starting));
        let mut seen = stage.collect(2).await;
        seen.dedup();
        assert!(seen.contains(&"panic1st-1".to_owned()), "{seen:?}");
        stage.nothing_left("acme").await;
    });
}
