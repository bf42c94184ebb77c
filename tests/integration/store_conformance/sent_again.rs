//! What was sent to a queue that had to be made anew is sent again, as far as it is not handled.

use super::on_every_store;
use crate::support::build::{applied, handled, later, moved, now, parked, publishes, tenant};
use atshub_actors::ports::{Change, OutboxRow, Store};
use atshub_schemas::topology;
use std::{sync::Arc, time::Duration};

type Tested = Arc<dyn Store>;

on_every_store! {
    what_was_sent_to_a_queue_and_is_not_handled_is_sent_again_and_nothing_else
}

async fn due(store: &Tested, seconds: i64) -> Vec<String> {
    store.claim(later(now(), seconds), 100, 100, Duration::ZERO).await.unwrap().into_iter().map(|row| row.message_id).collect()
}

async fn what_was_sent_to_a_queue_and_is_not_handled_is_sent_again_and_nothing_else(store: Tested) {
    let acme = tenant("acme");
    let [lost, done, set_aside, waits_again, another] = ["a-1", "a-2", "a-3", "a-4", "a-5"].map(|id| moved(&acme, id));
    let work: Vec<OutboxRow> = [&lost, &done, &set_aside, &waits_again].map(|m| publishes(m, None)).to_vec();
    let fact = OutboxRow { exchange: topology::EVENTS.into(), routing_key: another.routing_key(), ..publishes(&another, None) };
    let beta = moved(&tenant("beta"), "a-1");
    let outbox = work.into_iter().chain([fact, publishes(&beta, None)]).collect();
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    let rows = store.claim(now(), 100, 100, Duration::from_secs(30)).await.unwrap();
    assert_eq!(rows.len(), 6);
    store.sent(rows).await.unwrap();
    let aside = parked("acme", Some(set_aside.id.as_str()), "poison", b"{}");
    applied(store.commit(Change { handled: handled(&done), ..Change::default() }).await);
    applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    applied(store.commit(Change { outbox: vec![publishes(&waits_again, Some(later(now(), 600)))], ..Change::default() }).await);

    assert_eq!(store.send_again("atshub.tenant.acme").await.unwrap(), 2);
    let mut again = due(&store, 1).await;
    again.sort();
    let mut wanted = [lost.id.to_string(), another.id.to_string()];
    wanted.sort();
    assert_eq!(again, wanted);
    assert_eq!(store.send_again("atshub.tenant.acme").await.unwrap(), 0, "they wait already");
    assert_eq!(store.send_again("atshub.tenant.nobody").await.unwrap(), 0);
}
