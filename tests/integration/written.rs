//! Text as people and programs write it, through a whole hub: a person out of a contact book is invited under their own name, once; what
//! no reader takes costs its own message. On both pairs.

#![cfg(test)]

use crate::support::{
    build::{entered, external, tenant},
    hub::{Pair, Walk, happens, on_hub, values},
};
use atshub_actors::domain::Lookup;
use atshub_simulators::Effect;
use serde_json::{Value, json};

macro_rules! on_both_pairs {
    ($($case:ident)*) => {
        mod on_rabbitmq_and_postgres { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Real); })* }
        mod embedded { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Embedded); })* }
    };
}

on_both_pairs! {
    a_person_out_of_a_contact_book_is_invited_once_under_their_own_name
    what_no_reader_takes_is_parked_alone_and_said_by_name
    a_fact_at_either_end_of_time_is_handled
}

const RIGHT_TO_LEFT: &str = "\u{639}\u{644}\u{64a} \u{645}\u{62b}\u{627}\u{644}";

/// A move into the stage that invites, as JSON.
fn move_of(application: &str, address: &str) -> Value {
    entered(&tenant("acme"), application, "Ada Lovelace", address, None).to_value().unwrap()
}

/// Published as another program writes it, and handled.
async fn handled(walk: &Walk<'_>, fact: &Value) {
    let id = fact["id"].as_str().unwrap();
    walk.send_bytes("acme.application.moved.v1".into(), id, serde_json::to_vec(fact).unwrap()).await;
    walk.message(id, "handled").await;
    walk.nothing_is_left().await;
}

async fn invited(walk: &Walk<'_>, address: &str) {
    let invited = |effects: &[Effect]| effects.iter().any(|e| e.kind == "invitation" && e.subject == address);
    happens(&walk.world.platform.ledger(), "an invitation", invited).await;
}

fn a_person_out_of_a_contact_book_is_invited_once_under_their_own_name(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        let wrapped = |text: &str| json!(format!("\u{202b}{text}\u{202c}"));
        let mut fact = move_of("a-1", "j\u{fc}rgen@example.org");
        let stage = fact["data"]["to_stage"]["name"].as_str().unwrap().replace(' ', "\u{a0}").to_uppercase();
        fact["data"]["candidate"] = json!({
            "name": wrapped(RIGHT_TO_LEFT), "email": "\u{feff}Ju\u{308}rgen@example.org\u{a0}", "phone": wrapped("+44 20 7946 0002"),
        });
        fact["data"]["to_stage"]["name"] = wrapped(&stage);
        handled(walk, &fact).await;
        invited(walk, "J\u{fc}rgen@example.org").await;
        let known = walk.store().dossiers(&tenant("acme"), Lookup::Application(external("a-1"))).await.unwrap().remove(0).candidate;
        assert_eq!(known.name.as_ref().map(AsRef::as_ref), Some(RIGHT_TO_LEFT));
        assert_eq!(known.phone.as_ref().map(AsRef::as_ref), Some("+44 20 7946 0002"));
        // The same person for the same role by another application, written in another way (B2).
        handled(walk, &move_of("a-2", "j\u{fc}r\u{200d}gen@EXAMPLE.org")).await;
        let told = |effects: &[Effect]| {
            effects
                .iter()
                .any(|e| e.kind == "status" && e.subject == "a-2" && e.value.to_string().contains("already has an active interview"))
        };
        happens(&walk.world.bridges[0].ledger(), "the refusal", told).await;
        assert_eq!(values(&walk.world.platform.ledger(), "invitation", "J\u{fc}rgen@example.org").len(), 1);
    });
}

fn what_no_reader_takes_is_parked_alone_and_said_by_name(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        let generation = |walk: &Walk<'_>| walk.running.hub.board().child("tenant/acme").unwrap().generation;
        let before = generation(walk);
        for (n, (from, to, words)) in [
            ("Ada Lovelace", "Ada \\ud83d", "half of a surrogate pair"),
            ("\"data\":{", "\"data\":{\"x\":1e400,", "a number that no program can hold"),
            ("{\"data\"", "\u{feff}{\"data\"", "byte order mark"),
            ("Ada Lovelace", "Ada \\u0000", "a control character (U+0000)"),
        ]
        .into_iter()
        .enumerate()
        {
            let fact = move_of(&format!("bad-{n}"), &format!("bad-{n}@example.org"));
            let (id, text) = (fact["id"].as_str().unwrap(), fact.to_string());
            let body = if from.starts_with('{') { format!("\u{feff}{text}") } else { text.replacen(from, to, 1) };
            assert_ne!(body, text);
            walk.send_bytes("acme.application.moved.v1".into(), id, body.into_bytes()).await;
            let good = format!("good-{n}@example.org");
            handled(walk, &move_of(&format!("good-{n}"), &good)).await;
            invited(walk, &good).await;
            let parked = walk.message(id, "parked").await.parked.unwrap();
            assert!(parked.detail.contains(words) && parked.detail.contains("send "), "{}", parked.detail);
        }
        assert_eq!(generation(walk), before, "nothing broke");
    });
}

fn a_fact_at_either_end_of_time_is_handled(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        for (n, time) in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999-23:59", "0001-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59"]
            .iter()
            .enumerate()
        {
            let address = format!("p-{n}@example.org");
            let mut fact = move_of(&format!("a-{n}"), &address);
            fact["time"] = json!(time);
            handled(walk, &fact).await;
            invited(walk, &address).await;
        }
    });
}
