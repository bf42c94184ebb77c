//! What operators ask of a tenant, on both pairs: stored where it is to last, done at once, refused where the phase forbids it.

use super::{Pair, envelope, on_both_pairs, on_hub, refused};
use crate::support::{build, hub::on_ground};
use atshub_actors::{
    ports::{Standing, Store, TenantRecord},
    supervision::Phase,
};
use atshub_schemas::{
    Line, Message,
    control::{ControlAction, ControlRequest},
    topology,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

on_both_pairs! {
    a_restarted_tenant_is_made_anew_and_its_neighbour_is_not
    a_quarantined_tenant_goes_on_when_it_is_released
    a_drained_tenant_is_paused_with_nothing_in_hand
    a_pause_with_an_end_ends_by_itself
    what_was_asked_long_ago_is_not_done_any_more
    what_is_no_request_of_an_operator_is_parked
    without_a_hub_what_lasts_is_stored_and_a_restart_is_refused
    what_cannot_be_is_refused_before_anything_is_stored
}

async fn record(store: &dyn Store, tenant: &str) -> TenantRecord {
    store.tenants().await.unwrap().into_iter().find(|record| record.name.as_str() == tenant).unwrap()
}

fn a_restarted_tenant_is_made_anew_and_its_neighbour_is_not(pair: Pair) {
    on_hub(pair, &["acme", "birch"], &[], async |walk| {
        walk.running("acme").await;
        walk.running("birch").await;
        // A tenant that was taken over before it had its credentials has been made anew already.
        let (acme, birch) = (walk.child("acme").generation, walk.child("birch").generation);
        let said = walk.ground.says(&["tenant", "restart", "acme", "--reason", "it looks odd", "-o", "json"]).await;
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(
            (said["done"].as_bool(), said["generation"].as_u64(), said["phase"].as_str()),
            (Some(true), Some(acme + 1), Some("running"))
        );
        assert_eq!((walk.child("acme").generation, walk.child("birch").generation), (acme + 1, birch));
        let last = walk.child("acme").history.pop().unwrap();
        assert_eq!(last.code, "operator");
        assert!(last.cause.starts_with("by ") && last.cause.contains('@') && last.cause.ends_with(": it looks odd"), "{}", last.cause);
        let fact = walk.fact("acme").await;
        walk.message(&fact, "handled").await;
    });
}

fn a_quarantined_tenant_goes_on_when_it_is_released(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        let said = walk.ground.says(&["tenant", "quarantine", "acme", "--reason", "odd data"]).await;
        assert!(said.starts_with("`acme` is quarantined"), "{said}");
        assert_eq!(record(&*walk.store(), "acme").await.standing, Standing::Quarantined);
        let held = walk.fact("acme").await;
        let (code, why) = refused(walk.ground, &["tenant", "resume", "acme", "--reason", "a slip"]).await;
        assert_eq!(code, Some(1));
        assert!(why.contains("`acme` is quarantined; that does not allow `resume`") && why.contains("`tenant release acme"), "{why}");
        let said = walk.ground.says(&["tenant", "release", "acme", "--reason", "the data is mended"]).await;
        assert!(said.starts_with("`acme` is running"), "{said}");
        walk.message(&held, "handled").await;
    });
}

fn a_drained_tenant_is_paused_with_nothing_in_hand(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        for _ in 0..20 {
            walk.fact("acme").await;
        }
        let said = walk.ground.says(&["tenant", "drain", "acme", "--reason", "maintenance"]).await;
        assert!(said.starts_with("`acme` has finished what it had in hand and is paused"), "{said}");
        assert_eq!((walk.child("acme").phase, walk.child("acme").in_hand), (Phase::Paused, 0));
        walk.ground.says(&["tenant", "resume", "acme", "--reason", "over"]).await;
        walk.nothing_is_left().await;
    });
}

fn a_pause_with_an_end_ends_by_itself(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        walk.ground.says(&["tenant", "pause", "acme", "--reason", "a moment", "--until", "5s"]).await;
        walk.running("acme").await;
        let record = record(&*walk.store(), "acme").await;
        assert_eq!((record.standing.as_str(), record.until), ("active", None));
    });
}

fn what_was_asked_long_ago_is_not_done_any_more(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        let first = walk.child("acme").generation;
        let request = || {
            let (reason, by) = (Line::new("a test").unwrap(), Line::new("test@here").unwrap());
            Message::ControlRequested(ControlRequest { action: ControlAction::Restart, reason, by, until: None })
        };
        let old = envelope("acme", Timestamp::now() - SignedDuration::from_mins(2), request());
        let new = envelope("acme", Timestamp::now(), request());
        walk.publish(topology::CONTROL, &old).await;
        walk.publish(topology::CONTROL, &new).await;
        walk.message(new.id.as_str(), "handled").await;
        walk.until("acme", "made anew", |row| row.generation == first + 1 && row.phase == Phase::Running).await;
        assert!(walk.store().message(old.id.as_str()).await.unwrap().is_empty(), "nobody has acted on it");
        // The same request once more is done once.
        walk.publish(topology::CONTROL, &new).await;
        let last = envelope("acme", Timestamp::now(), request());
        walk.publish(topology::CONTROL, &last).await;
        walk.message(last.id.as_str(), "handled").await;
        walk.until("acme", "made anew", |row| row.generation >= first + 2 && row.phase == Phase::Running).await;
        assert_eq!(walk.child("acme").generation, first + 2);
    });
}

fn what_is_no_request_of_an_operator_is_parked(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        let fact = envelope("acme", Timestamp::now(), atshub_schemas::samples::sample("role.changed.v1").unwrap().message);
        walk.publish(topology::CONTROL, &fact).await;
        let parked = walk.message(fact.id.as_str(), "parked").await.parked.unwrap();
        assert_eq!((parked.code.as_str(), parked.field.as_deref()), ("not_internal", Some("type")));
    });
}

fn without_a_hub_what_lasts_is_stored_and_a_restart_is_refused(pair: Pair) {
    on_ground(pair, async |ground, handle| {
        let store = atshub::app::open_store(&ground.config, handle).await.unwrap();
        add(&store, "acme").await;
        let said = ground.says(&["tenant", "pause", "acme", "--reason", "not yet"]).await;
        assert!(said.contains("stored; takes effect when a hub starts"), "{said}");
        assert_eq!(record(&*store, "acme").await.standing, Standing::Paused);
        ground.says(&["tenant", "resume", "acme", "--reason", "now"]).await;
        assert_eq!(record(&*store, "acme").await.standing, Standing::Active);
        let (code, why) = refused(ground, &["tenant", "restart", "acme", "--reason", "please"]).await;
        assert_eq!(code, Some(1));
        assert!(why.contains("no hub process is live") && why.contains("atshub serve"), "{why}");
    });
}

fn what_cannot_be_is_refused_before_anything_is_stored(pair: Pair) {
    on_ground(pair, async |ground, handle| {
        let store = atshub::app::open_store(&ground.config, handle).await.unwrap();
        add(&store, "acme").await;
        let version = store.tenants_version().await.unwrap();
        let cases: [(&[&str], i32, &str); 8] = [
            (&["tenant", "set", "acme"], 64, "--set"),
            (&["tenant", "set", "acme", "--platform", "nowhere"], 5, "no platform account `nowhere`"),
            (&["tenant", "pause", "acme"], 64, "--reason"),
            (&["tenant", "pause", "acme", "--reason", ""], 64, "--reason"),
            (&["tenant", "pause", "acme", "--reason", "x", "--until", "yesterday"], 64, "use a time like"),
            (&["tenant", "pause", "acmee", "--reason", "x"], 5, "did you mean `acme`?"),
            (&["tenant", "release", "acme", "--reason", "x"], 1, "that does not allow `release`"),
            (&["tenant", "resume", "acme", "--reason", "x", "--until", "2h"], 64, "--until"),
        ];
        for (words, code, text) in cases {
            let (ended, why) = refused(ground, words).await;
            assert_eq!(ended, Some(code), "{words:?}: {why}");
            assert!(why.contains(text), "{words:?}: {why}");
        }
        assert_eq!(store.tenants_version().await.unwrap(), version);
    });
}

async fn add(store: &Arc<dyn Store>, name: &str) {
    assert!(store.put_tenant(build::record(name), None).await.unwrap());
}
