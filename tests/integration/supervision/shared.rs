//! Children that work for all tenants: one tenant's messages crash them, and it is that tenant that is set aside.

use super::{
    on_both_pairs,
    probe::Start,
    stage::{Setting, Stage, on_stage, on_stage_set, quick},
};
use crate::support::{
    build::{dossier, line, record, tenant},
    hub::{LIMIT, Pair, until},
};
use atshub_actors::{
    ports::{Change, DossierWrite, Standing},
    supervision::{LastWords, Phase, RestartPolicy},
};
use atshub_schemas::Message;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

on_both_pairs! {
    a_tenant_whose_messages_crash_what_works_for_all_is_quarantined_and_the_others_do_not_wait
    a_tenant_that_another_process_runs_is_quarantined_in_the_store
    a_tenant_whose_message_makes_the_thread_of_what_works_for_all_stand_still_twice_is_quarantined
}

/// Nobody who had to wait for a restart would be done before the test ends.
fn patient() -> RestartPolicy {
    RestartPolicy { first: LIMIT * 10, longest: LIMIT * 10, ..RestartPolicy::default() }
}

async fn standing(stage: &Stage, name: &str) -> (Standing, Option<String>) {
    let found = stage.store.tenants().await.unwrap().into_iter().find(|record| record.name == tenant(name)).unwrap();
    (found.standing, found.cause)
}

fn a_tenant_whose_messages_crash_what_works_for_all_is_quarantined_and_the_others_do_not_wait(pair: Pair) {
    on_stage(pair, patient(), async |stage, _| {
        assert!(stage.store.put_tenant(record("bad"), None).await.unwrap());
        stage.raise(vec![stage.shared(Start::Well), stage.spec("bad", Start::Well), stage.spec("other", Start::Well)]).await;
        // In hand at every crash, and never to blame.
        stage.ask("other", &["gated-1"]).await;
        stage.entered(1).await;
        stage.ask("bad", &["panic-1", "panic-2"]).await;
        assert!(until(async || stage.store.parked_counts(None).await.unwrap().get("poison") == Some(&2)).await);
        assert_eq!(stage.board.child("tenant/bad").unwrap().phase, Phase::Running, "four deaths are not too many");
        stage.ask("bad", &["late-3", "panic-4"]).await;
        stage.until("tenant/bad", Phase::Quarantined).await;
        assert!(until(async || standing(stage, "bad").await.0 == Standing::Quarantined).await);
        let cause = standing(stage, "bad").await.1.unwrap();
        assert!(cause.starts_with("its messages made what works for all tenants die too often, last: told to panic"), "{cause}");

        stage.ask("other", &["ok-2"]).await;
        stage.strings.gate.add_permits(1);
        assert_eq!(stage.collect(2).await, ["gated-1", "ok-2"]);
        assert!(until(async || stage.store.parked_counts(None).await.unwrap().get("poison") == Some(&4)).await);
        assert!(stage.store.parked_counts(Some(&tenant("other"))).await.unwrap().is_empty(), "nobody else is to blame");
        stage.until("invites/1", Phase::Running).await;
        let other = stage.board.child("tenant/other").unwrap();
        assert_eq!((other.phase, other.generation), (Phase::Running, 1));
    });
}

fn a_tenant_that_another_process_runs_is_quarantined_in_the_store(pair: Pair) {
    on_stage(pair, patient(), async |stage, _| {
        for name in ["bad", "paused"] {
            assert!(stage.store.put_tenant(record(name), None).await.unwrap());
        }
        let _stands = stage.store.set_standing(&tenant("paused"), Standing::Paused, Some("by an operator"), None, None).await.unwrap();
        stage.raise(vec![stage.shared(Start::Well)]).await;
        for name in ["paused", "bad"] {
            stage.ask(name, &["panic-1", "panic-2", "panic-3"]).await;
        }
        assert!(until(async || standing(stage, "bad").await.0 == Standing::Quarantined).await);
        assert_eq!(standing(stage, "paused").await.0, Standing::Paused, "somebody has set it aside already");
    });
}

fn a_tenant_whose_message_makes_the_thread_of_what_works_for_all_stand_still_twice_is_quarantined(pair: Pair) {
    on_stage_set(pair, Setting { restarts: patient(), arbiters: 1, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.shared(Start::Well), stage.spec("bad", Start::Well)]).await;
        stage.ask("bad", &["block-1"]).await;
        stage.until("tenant/bad", Phase::Quarantined).await;
        stage.ask("other", &["ok-1"]).await;
        assert_eq!(stage.collect(1).await, ["ok-1"]);
        assert!(!stage.strings.block.has_ended(), "the threads stand still all this time");
        assert!(until(async || stage.store.parked_counts(None).await.unwrap().get("poison") == Some(&1)).await);
    });
}

#[test]
fn a_child_that_works_for_all_and_does_not_even_start_is_tried_again_for_ever() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        stage.raise(vec![stage.shared(Start::Stops)]).await;
        stage.becomes("invites/1", |row| row.generation > 9).await;
        assert_ne!(stage.board.child("invites/1").unwrap().phase, Phase::Quarantined);
    });
}

#[test]
fn what_is_to_be_said_of_a_poisonous_message_is_stored_with_it_and_cannot_keep_it_from_being_parked() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        let (dune, asked) = (tenant("dune"), Arc::new(AtomicUsize::new(0)));
        let stale = dossier(&dune, "a-stale", "ada@example.org");
        let (name, count) = (dune.clone(), Arc::clone(&asked));
        let words: LastWords = Arc::new(move |envelope| {
            let (name, stale, nth) = (name.clone(), stale.clone(), count.fetch_add(1, Ordering::SeqCst));
            async move {
                let Message::ApplicationMoved(fact) = &envelope.message else { panic!("another message") };
                let id = fact.application.id.as_str();
                assert_ne!(id, "panic-2", "these words are poison too");
                let said = Change { journal: vec![line(&name, id, Timestamp::now(), "said")], ..Change::default() };
                // What the first is about was changed by somebody meanwhile: asked again.
                let write = DossierWrite { dossier: stale, expected: Some(7) };
                if nth == 0 { Change { dossiers: vec![write], ..said } } else { said }
            }
            .boxed()
        });
        let mut spec = stage.shared(Start::Well);
        spec.last_words = Some(words);
        stage.raise(vec![spec]).await;
        stage.ask("dune", &["panic-1"]).await;
        assert!(until(async || stage.store.parked_counts(None).await.unwrap().get("poison") == Some(&1)).await);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        assert_eq!(stage.store.journal(&dune, &"panic-1".parse().unwrap()).await.unwrap().len(), 1);
        stage.ask("dune", &["panic-2"]).await;
        assert!(until(async || stage.store.parked_counts(None).await.unwrap().get("poison") == Some(&2)).await);
    });
}

#[test]
fn a_death_that_no_message_explains_counts_against_no_tenant() {
    on_stage(Pair::Embedded, quick(), async |stage, _| {
        stage.raise(vec![stage.shared(Start::Well), stage.spec("other", Start::Well)]).await;
        // Enough in hand to be quarantined for, were each of them blamed.
        let ids: Vec<String> = (0..6).map(|n| format!("gated-{n}")).collect();
        stage.ask("other", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        stage.entered(6).await;
        stage.ask("bad", &["abandon-1"]).await;
        assert!(until(async || stage.store.parked_counts(Some(&tenant("bad"))).await.unwrap().get("poison") == Some(&1)).await);
        stage.until("invites/1", Phase::Running).await;
        assert_eq!(stage.board.child("tenant/other").unwrap().phase, Phase::Running);
    });
}
