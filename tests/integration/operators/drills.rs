//! Drills, through the real command line: every fault shows and passes, and nobody is drilled who must not be.

use super::{Pair, on_hub, on_hub_set, refused};
use serde_json::Value;
use std::collections::BTreeMap;

/// Runs a drill on `acme` that sets nothing aside, and what it says as data.
fn drill(pair: Pair, words: &[&str]) -> Value {
    let (said, parked) = drill_that_parks(pair, words);
    assert!(parked.is_empty(), "nothing is set aside: {parked:?}");
    said
}

/// The same, and what is parked at its end, by code.
fn drill_that_parks(pair: Pair, words: &[&str]) -> (Value, BTreeMap<String, u64>) {
    let (mut said, mut parked) = (Value::Null, BTreeMap::new());
    on_hub_set(
        pair,
        |config| config.hub.drills = true,
        &["acme", "birch"],
        &[],
        async |walk| {
            walk.running("acme").await;
            walk.running("birch").await;
            let birch = walk.child("birch").generation;
            let words = [&["drill"], words, &["--tenant", "acme", "-o", "json"]].concat();
            said = serde_json::from_str(&walk.ground.says(&words).await).unwrap();
            assert_eq!((said["recovered"].as_bool(), said["tenant"].as_str()), (Some(true), Some("acme")), "{said:#}");
            assert_eq!(walk.child("birch").generation, birch, "the neighbour was not made anew");
            walk.nothing_is_left().await;
            parked = walk.store().parked_counts(None).await.unwrap();
        },
    );
    (said, parked)
}

fn saw(said: &Value, words: &str) -> bool {
    said["observed"].as_array().unwrap().iter().any(|line| line["what"].as_str().is_some_and(|what| what.contains(words)))
}

#[test]
fn a_tenant_that_panics_is_made_anew_on_the_real_services() {
    let said = drill(Pair::Real, &["tenant-panic"]);
    assert!(saw(&said, "ended (panic)") && saw(&said, " is running"), "{said:#}");
}

#[test]
fn a_tenant_that_panics_at_every_message_for_a_while_parks_those_and_recovers() {
    let (said, parked) = drill_that_parks(Pair::Embedded, &["tenant-panic", "--seconds", "8"]);
    assert!(saw(&said, "is parked, ") && saw(&said, " is running"), "{said:#}");
    assert!(parked.keys().eq(["poison"]), "{parked:?}");
}

#[test]
fn a_tenant_that_blocks_its_thread_is_noticed_and_made_anew() {
    let said = drill(Pair::Embedded, &["tenant-freeze", "--seconds", "3"]);
    assert!(saw(&said, "ended (frozen)"), "{said:#}");
}

#[test]
fn a_flood_is_worked_off_and_its_neighbour_hardly_notices() {
    let said = drill(Pair::Embedded, &["tenant-flood"]);
    assert!(saw(&said, "2000 of 2000 facts are published") && saw(&said, "messages wait in its queue"), "{said:#}");
    assert!(said["beside"]["slowest_probe_seconds"].as_f64().unwrap() < 10.0, "{said:#}");
}

#[test]
fn an_ats_that_asks_for_a_pause_gets_it() {
    let said = drill(Pair::Embedded, &["ats-429", "--seconds", "2"]);
    assert!(saw(&said, "write-back"), "{said:#}");
}

#[test]
fn a_key_that_is_not_accepted_pauses_the_tenant_until_it_is_resumed() {
    let said = drill(Pair::Embedded, &["key-revoked", "--seconds", "2"]);
    assert!(saw(&said, "running → paused") && saw(&said, "the key is good again"), "{said:#}");
}

#[test]
fn an_ats_that_is_away_is_waited_for() {
    let said = drill(Pair::Embedded, &["ats-down", "--seconds", "2"]);
    assert!(saw(&said, "write-back"), "{said:#}");
}

#[test]
fn a_broker_that_is_lost_is_found_again() {
    drill(Pair::Embedded, &["broker-drop"]);
}

#[test]
fn a_broker_that_is_lost_is_found_again_on_the_real_services() {
    drill(Pair::Real, &["broker-drop"]);
}

#[test]
fn a_store_that_is_away_is_waited_for() {
    let said = drill(Pair::Embedded, &["store-drop", "--seconds", "3"]);
    assert!(said["seconds"].as_f64().unwrap() >= 3.0, "{said:#}");
}

#[test]
fn a_store_that_is_away_is_waited_for_on_the_real_services() {
    let said = drill(Pair::Real, &["store-drop", "--seconds", "3"]);
    assert!(said["seconds"].as_f64().unwrap() >= 3.0, "{said:#}");
}

#[test]
fn nobody_is_drilled_who_must_not_be() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        let (code, why) = refused(walk.ground, &["drill", "tenant-panic", "--tenant", "acme"]).await;
        assert_eq!(code, Some(4), "{why}");
        assert!(why.contains("allows no drills") && why.contains("hub.drills = true"), "{why}");
        walk.ground.says(&["tenant", "set", "acme", "--set", "sandbox=false"]).await;
        for words in [&["drill", "tenant-flood", "--tenant", "acme"][..], &["drill", "tenant-flood"]] {
            let (code, why) = refused(walk.ground, words).await;
            assert_eq!(code, Some(4), "{why}");
            assert!(why.contains("sandbox=true"), "{why}");
        }
        assert_eq!(walk.child("acme").history, []);
    });
}
