//! Threads that stand still: the culprit's neighbours go on at once, the culprit on a thread of its own, and what the old thread
//! does when it goes on is nobody's business any more. The block ends only with the test, so that nothing here depends on time.

use super::stage::quick;
use super::{
    on_both_pairs,
    probe::Start,
    stage::{Setting, on_stage_set},
};
use crate::support::hub::{LIMIT, Pair, soon};
use atshub_actors::supervision::{Action, Phase, RestartPolicy};

on_both_pairs! {
    a_thread_that_stands_still_costs_its_neighbours_nothing_and_the_culprit_one_start
    a_tenant_that_makes_its_thread_stand_still_again_is_quarantined_and_the_message_parked
}

/// Everybody on one thread.
fn crowded() -> Setting {
    Setting { arbiters: 1, ..Setting::default() }
}

fn a_thread_that_stands_still_costs_its_neighbours_nothing_and_the_culprit_one_start(pair: Pair) {
    on_stage_set(pair, crowded(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        // The neighbour has work begun, and work waiting, when the thread stops.
        stage.publish("other", &["gated-1"]).await;
        stage.entered(1).await;
        stage.publish("acme", &["block1st-1", "ok-1"]).await;
        stage.entered(1).await;
        stage.publish("other", &["ok-2"]).await;
        // The neighbour's begun work is begun again, once, and all of it is done while the thread stands still.
        stage.strings.gate.add_permits(2);
        assert_eq!(stage.collect(4).await, ["block1st-1", "gated-1", "ok-1", "ok-2"]);
        assert!(!stage.strings.block.has_ended(), "the thread stands still all this time");
        let (acme, other) = (stage.board.child("tenant/acme").unwrap(), stage.board.child("tenant/other").unwrap());
        assert_eq!((acme.generation, acme.restarts, acme.history[0].code.as_str()), (2, 1, "frozen"), "{acme:?}");
        assert_eq!((other.generation, other.restarts, other.history.len()), (2, 0, 0), "moved, and nothing against it: {other:?}");
        assert!(stage.board.threads().iter().any(|thread| thread.name == "tenant/acme"), "{:?}", stage.board.threads());

        // The old thread goes on: its work is dropped at the next step, and the thread ends.
        stage.strings.block.end();
        soon("the end of the old thread", async {
            while stage.board.threads().len() > 2 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stage.nothing_left("acme").await;
        stage.nothing_left("other").await;
        assert!(stage.done.try_recv().is_err(), "nothing was done twice");
        assert!(stage.store.parked_counts(None).await.unwrap().is_empty());
    });
}

fn a_tenant_that_makes_its_thread_stand_still_again_is_quarantined_and_the_message_parked(pair: Pair) {
    on_stage_set(pair, crowded(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("acme", &["block-1"]).await;
        stage.until("tenant/acme", Phase::Quarantined).await;
        stage.becomes("tenant/acme", |row| row.poisoned == 1 && row.in_hand == 0).await;
        assert_eq!(stage.store.parked_counts(None).await.unwrap().get("poison"), Some(&1));
        stage.publish("other", &["ok-1"]).await;
        assert_eq!(stage.collect(1).await, ["ok-1"]);
        assert_eq!(stage.board.child("tenant/other").unwrap().generation, 2, "moved once; the second time it was not there");
        // Released, it lives with the others again, and does what waited.
        stage.publish("acme", &["ok-2"]).await;
        assert_eq!(stage.control("tenant/acme", Action::Release).await, Ok(Phase::Starting));
        assert_eq!(stage.collect(1).await, ["ok-2"]);
    });
}

#[test]
fn work_that_was_interrupted_is_begun_again_only_when_its_call_has_ended() {
    on_stage_set(Pair::Embedded, crowded(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("other", &["flight-1"]).await;
        stage.entered(1).await;
        let call = soon("the call", stage.flights.recv()).await.unwrap();
        stage.publish("acme", &["block1st-1"]).await;
        stage.entered(1).await;
        stage.becomes("tenant/other", |row| row.generation == 2 && row.phase == Phase::Running).await;
        // The next generation does other things, and leaves that one alone while the call is under way.
        stage.publish("other", &["ok-1"]).await;
        let mut seen = stage.collect(2).await;
        seen.sort();
        assert_eq!(seen, ["block1st-1", "ok-1"]);
        assert_eq!(stage.strings.entered.available_permits(), 0, "not begun again");
        drop(call);
        assert_eq!(stage.collect(1).await, ["flight-1"]);
    });
}

#[test]
fn a_process_that_loses_too_many_threads_says_that_it_should_end() {
    on_stage_set(
        Pair::Embedded,
        Setting { arbiters: 1, restarts: RestartPolicy { restarts: 0, ..quick() }, ..Setting::default() },
        async |stage, _| {
            let names: Vec<String> = (0..9).map(|n| format!("t-{n}")).collect();
            let all = names.iter().map(|name| stage.spec(name, Start::Well)).collect();
            stage.raise(all).await;
            let mut fatal = stage.fatal.subscribe();
            for name in &names {
                assert!(fatal.borrow_and_update().is_none(), "too early, at {name}");
                stage.publish(name, &["block-1"]).await;
                stage.until(&format!("tenant/{name}"), Phase::Quarantined).await;
            }
            let said = tokio::time::timeout(LIMIT, fatal.wait_for(Option::is_some)).await;
            assert!(said.unwrap().unwrap().as_ref().unwrap().starts_with("9 threads stand still"));
        },
    );
}
