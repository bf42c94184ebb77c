//! `POST /hooks/{tenant}`.

use super::{
    client::{get, post},
    world::{Making, broker_that_is_away, store_that_is_away},
};
use std::net::TcpListener;

const SIGNED: &str = "X-Signed: yes\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_durable_before_it_is_answered() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/acme", SIGNED, b"d-1").await;
    assert_eq!((answer.status, answer.json()["accepted"].as_u64()), (202, Some(1)), "{answer:?}");
    assert_eq!(answer.json()["messages"], serde_json::json!(["d-1"]), "the ids by which it is found");
    let rows = world.outbox().await;
    let row: Vec<_> = rows.iter().map(|r| (r.exchange.as_str(), r.routing_key.as_str(), r.message_id.as_str())).collect();
    assert_eq!(row, [("atshub.events", "acme.application.moved.v1", "d-1")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_of_which_nothing_follows_is_answered_200_with_the_reason() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/acme", SIGNED, b"ping").await;
    assert_eq!((answer.status, answer.json()["because"].as_str()), (200, Some("a ping")));
    assert!(world.outbox().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_signature_is_unauthorised_and_keeps_nothing() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/acme", "", b"d-1").await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "bad_signature"));
    assert!(world.outbox().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tenant_is_asked_to_come_back_and_never_told_404() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/nobody", SIGNED, b"d-1").await;
    assert_eq!((answer.status, answer.problem().as_str(), answer.header("retry-after")), (503, "unknown_tenant", Some("300")));
    let metrics = get(world.address, "/metrics").await.body;
    assert!(metrics.contains("atshub_door_requests_total{door=\"hook\",outcome=\"unknown_tenant\"} 1"), "{metrics}");
    assert!(!metrics.contains("nobody"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_ats_does_not_call_has_no_hook() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/silent", SIGNED, b"d-1").await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "no_inbound"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_the_store_keeps_it() {
    let world = Making { broker: broker_that_is_away().await, ..Making::well() }.open();
    let answer = post(world.address, "/hooks/acme", SIGNED, b"d-1").await;
    assert_eq!((answer.status, answer.json()["messages"].clone()), (202, serde_json::json!(["d-1"])), "{answer:?}");
    assert_eq!(world.outbox().await.iter().map(|row| row.message_id.as_str()).collect::<Vec<_>>(), ["d-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_away_or_silent_the_ats_keeps_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for store in [store_that_is_away(None), store_that_is_away(Some(&silent))] {
        let world = Making { store, ..Making::well() }.open();
        let answer = post(world.address, "/hooks/acme", SIGNED, b"d-1").await;
        assert_eq!((answer.status, answer.problem().as_str(), answer.header("retry-after")), (503, "store_away", Some("5")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_connector_is_our_fault_and_the_next_request_is_served() {
    let world = Making::well().open();
    let answer = post(world.address, "/hooks/acme", SIGNED, b"panic").await;
    assert_eq!((answer.status, answer.problem().as_str(), answer.header("retry-after")), (503, "fault_in_hub", Some("5")));
    assert_eq!(post(world.address, "/hooks/acme", SIGNED, b"d-2").await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_for_another_tenant_is_not_kept() {
    let world = Making::well().open();
    assert_eq!(post(world.address, "/hooks/acme", SIGNED, b"stray").await.problem(), "fault_in_hub");
    assert!(world.outbox().await.is_empty());
}
