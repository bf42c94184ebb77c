//! `POST /partner/{tenant}/…`.

use super::{
    client::post,
    world::{Making, broker_that_is_away},
};
use serde_json::json;

const SIGNED: &str = "X-Signed: yes\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_call_is_answered_with_the_platforms_roles() {
    let world = Making::well().open();
    let answer = post(world.address, "/partner/acme/roles", SIGNED, b"{}").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "roles": ["1201"], "live": false })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_durable_before_it_is_answered() {
    let world = Making::well().open();
    assert_eq!(post(world.address, "/partner/acme/order", SIGNED, b"{}").await.status, 200);
    assert_eq!(world.outbox().await.iter().map(|row| row.message_id.as_str()).collect::<Vec<_>>(), ["order-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_call_that_does_not_exist_or_is_not_signed_is_refused() {
    let world = Making::well().open();
    let answer = post(world.address, "/partner/acme/nothing", SIGNED, b"{}").await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "unknown_path"));
    let answer = post(world.address, "/partner/acme/order", "", b"{}").await;
    assert_eq!((answer.status, answer.problem().as_str()), (401, "bad_signature"));
    assert!(world.outbox().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_platform_the_ats_is_to_ask_again_for_its_roles() {
    let world = Making::well().open();
    assert_eq!(post(world.address, "/partner/bare/roles", SIGNED, b"{}").await.problem(), "platform_missing");
    assert_eq!(post(world.address, "/partner/bare/order", SIGNED, b"{}").await.status, 200, "an order needs no roles");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_broker_is_away_the_store_keeps_an_order() {
    let world = Making { broker: broker_that_is_away().await, ..Making::well() }.open();
    assert_eq!(post(world.address, "/partner/acme/order", SIGNED, b"{}").await.status, 200);
    assert_eq!(world.outbox().await.iter().map(|row| row.message_id.as_str()).collect::<Vec<_>>(), ["order-1"]);
}
