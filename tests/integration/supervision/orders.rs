//! What operators can ask of a tenant's actor, and the end of the process.

use super::{
    on_both_pairs,
    probe::Start,
    stage::{on_stage, quick},
};
use crate::support::{
    build::{record, tenant},
    hub::{LIMIT, Pair, soon, until},
};
use atshub_actors::{
    ports::{Standing, TenantRecord},
    supervision::{Action, ChildSpec, Phase, Rehearsal, Shutdown},
};
use std::time::{Duration, Instant};

on_both_pairs! {
    a_paused_child_takes_nothing_and_a_resumed_one_takes_everything
    the_drain_finishes_what_was_begun_and_gives_back_the_rest
    a_drained_child_finishes_what_it_began_and_is_then_paused
    a_restart_begins_again_what_was_begun_and_counts_against_nobody
}

fn a_drained_child_finishes_what_it_began_and_is_then_paused(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["gated-1"]).await;
        stage.entered(1).await;
        assert_eq!(stage.control("tenant/acme", Action::Drain).await, Ok(Phase::Draining));
        stage.publish("acme", &["ok-1"]).await;
        stage.strings.gate.add_permits(1);
        assert_eq!(stage.collect(1).await, ["gated-1"]);
        stage.until("tenant/acme", Phase::Paused).await;
        assert!(until(async || stage.ready("acme").await == 1).await, "what came later waits at the broker");
        assert_eq!(stage.control("tenant/acme", Action::Resume).await, Ok(Phase::Starting));
        assert_eq!(stage.collect(1).await, ["ok-1"]);
    });
}

fn a_restart_begins_again_what_was_begun_and_counts_against_nobody(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["gated-1"]).await;
        stage.entered(1).await;
        assert_eq!(stage.control("tenant/acme", Action::Restart).await, Ok(Phase::Starting));
        stage.entered(1).await;
        stage.strings.gate.add_permits(2);
        assert_eq!(stage.collect(1).await, ["gated-1"]);
        stage.nothing_left("acme").await;
        assert!(stage.done.try_recv().is_err(), "done once");
        let acme = stage.board.child("tenant/acme").unwrap();
        assert_eq!((acme.generation, acme.restarts, acme.history[0].code.as_str()), (2, 0, "operator"));
    });
}

#[test]
fn a_standing_that_is_older_than_what_the_supervisor_stored_undoes_nothing_and_a_newer_one_counts_at_once() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        let acme = || vec![stage.spec("acme", Start::Well)];
        let before = Instant::now();
        stage.raise(acme()).await;
        stage.until("tenant/acme", Phase::Running).await;
        assert_eq!(stage.control("tenant/acme", Action::Pause).await, Ok(Phase::Paused));
        soon("it is stored", stage.stored.notified()).await;
        stage.tell(acme(), before).await;
        assert_eq!(stage.board.child("tenant/acme").unwrap().phase, Phase::Paused);
        stage.tell(acme(), Instant::now()).await;
        stage.until("tenant/acme", Phase::Running).await;
    });
}

#[test]
fn what_the_supervisor_decides_gives_way_to_a_standing_that_was_stored_meanwhile() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        assert!(stage.store.put_tenant(record("acme"), None).await.unwrap());
        let stored = async || stage.store.tenants().await.unwrap().remove(0);
        let spec =
            |seen: &TenantRecord| ChildSpec { stood: seen.stood, standing: seen.standing.phase(), ..stage.spec("acme", Start::Well) };
        stage.raise(vec![spec(&stored().await)]).await;
        stage.until("tenant/acme", Phase::Running).await;

        // Somebody switches the tenant off, and the supervisor has not heard of it when it is to be paused.
        let _stands = stage.store.set_standing(&tenant("acme"), Standing::Disabled, Some("its key was deleted"), None, None).await.unwrap();
        assert_eq!(stage.control("tenant/acme", Action::Pause).await, Ok(Phase::Paused));
        soon("what came of it is known", stage.stored.notified()).await;
        let seen = stored().await;
        assert_eq!((&seen.standing, seen.cause.as_deref()), (&Standing::Disabled, Some("its key was deleted")));

        stage.tell(vec![spec(&seen)], Instant::now()).await;
        stage.until("tenant/acme", Phase::Disabled).await;
    });
}

#[test]
fn standings_are_stored_in_the_order_in_which_the_supervisor_decided_them() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        assert!(stage.store.put_tenant(record("acme"), None).await.unwrap());
        let stood = stage.store.tenants().await.unwrap()[0].stood;
        stage.raise(vec![ChildSpec { stood, ..stage.spec("acme", Start::Well) }]).await;
        stage.until("tenant/acme", Phase::Running).await;
        for _ in 0..20 {
            assert_eq!(stage.control("tenant/acme", Action::Pause).await, Ok(Phase::Paused));
            assert_eq!(stage.control("tenant/acme", Action::Resume).await, Ok(Phase::Starting));
        }
        assert_eq!(stage.control("tenant/acme", Action::Quarantine).await, Ok(Phase::Quarantined));
        let quarantined = async || stage.store.tenants().await.unwrap()[0].standing == Standing::Quarantined;
        assert!(until(quarantined).await);
        let versions = stage.store.tenants_version().await.unwrap();
        assert_eq!(versions - stood, 41, "each was stored, in place of the one before");
    });
}

#[test]
fn a_fault_made_on_purpose_happens_once_or_for_as_long_as_was_asked() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.until("tenant/acme", Phase::Running).await;
        assert_eq!(stage.control("tenant/acme", Action::Rehearse(Rehearsal::Panic(Duration::ZERO))).await, Ok(Phase::Running));
        stage.publish("acme", &["ok-1", "ok-2"]).await;
        assert_eq!(stage.collect(2).await, ["ok-1", "ok-2"]);
        let acme = stage.board.child("tenant/acme").unwrap();
        assert_eq!((acme.generation, acme.history[0].cause.as_str()), (2, "a drill: told to panic"));
        assert!(stage.control("tenant/acme", Action::Rehearse(Rehearsal::Panic(LIMIT))).await.is_ok());
        stage.publish("acme", &["ok-3", "ok-4", "ok-5"]).await;
        stage.until("tenant/acme", Phase::Quarantined).await;
        assert!(stage.done.try_recv().is_err(), "every message made it panic");
    });
}

fn a_paused_child_takes_nothing_and_a_resumed_one_takes_everything(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.until("tenant/acme", Phase::Running).await;
        assert_eq!(stage.control("tenant/acme", Action::Pause).await, Ok(Phase::Paused));
        stage.publish("acme", &["ok-1", "ok-2"]).await;
        assert_eq!(stage.control("tenant/acme", Action::Resume).await, Ok(Phase::Starting));
        assert_eq!(stage.collect(2).await, ["ok-1", "ok-2"]);
        assert_eq!(
            stage.control("tenant/acme", Action::Release).await.unwrap_err(),
            "`tenant/acme` is running; that does not allow Release"
        );
        assert!(stage.control("tenant/nobody", Action::Pause).await.is_err());
    });
}

fn the_drain_finishes_what_was_begun_and_gives_back_the_rest(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["gated-1"]).await;
        stage.entered(1).await;
        let drain = stage.supervisor.send(Shutdown { deadline: LIMIT });
        stage.strings.gate.add_permits(1);
        drain.await.unwrap();
        assert_eq!(stage.collect(1).await, ["gated-1"]);
        stage.publish("acme", &["ok-late"]).await;
        // The consumption's end reaches the broker a moment later; what it was given meanwhile comes back.
        assert!(until(async || stage.ready("acme").await == 1).await, "it waits for the next hub");
        assert!(stage.done.try_recv().is_err(), "nothing is done after the drain");
    });
}
