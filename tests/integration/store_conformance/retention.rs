//! The sweep: what is old goes, what is still wanted stays.

use super::on_every_store;
use crate::support::build::{applied, claim, days_later, dossier, external, handled, line, moved, now, parked, publishes, saves, tenant};
use atshub_actors::{
    domain::Lookup,
    ports::{Change, MessageKey, Store},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};

type Tested = Arc<dyn Store>;

on_every_store! {
    a_sweep_drops_old_history_and_keeps_the_new
    a_sweep_never_drops_a_row_that_was_not_sent
    a_sweep_keeps_dossiers_for_as_long_as_candidates_are_kept
    a_sweep_keeps_an_old_fact_that_was_handled_just_now
    rows_of_days_to_come_are_kept_and_found_whatever_sweeps_run
}

/// A handled message and a line of history of a day.
async fn history(store: &Tested, at: Timestamp, application: &str) -> MessageKey {
    let acme = tenant("acme");
    let mut fact = moved(&acme, application);
    fact.time = at;
    applied(store.commit(Change { handled: handled(&fact), journal: vec![line(&acme, application, at, "x")], ..Change::default() }).await);
    MessageKey::from(&fact)
}

async fn known(store: &Tested, key: &MessageKey, application: &str) -> (bool, usize) {
    let lines = store.journal(&tenant("acme"), &external(application)).await.unwrap().len();
    (store.begin(key, claim()).await.unwrap().handled, lines)
}

async fn a_sweep_drops_old_history_and_keeps_the_new(store: Tested) {
    let start = now();
    let old = history(&store, start, "old").await;
    let far = history(&store, days_later(start, 3), "far").await;
    let new = history(&store, days_later(start, 40), "new").await;
    let later = days_later(start, 41);
    store.sweep(later, days_later(later, -30), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(known(&store, &old, "old").await, (false, 0));
    assert_eq!(known(&store, &far, "far").await, (false, 0));
    assert_eq!(known(&store, &new, "new").await, (true, 1));
}

async fn a_sweep_never_drops_a_row_that_was_not_sent(store: Tested) {
    let start = now();
    let messages: Vec<_> = (0..3).map(|_| moved(&tenant("acme"), "a-1")).collect();
    let due = [None, Some(days_later(start, 2)), Some(days_later(start, 28))];
    let outbox = messages.iter().zip(due).map(|(m, due)| publishes(m, due)).collect();
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    let first = store.claim(now(), 10, 10, Duration::from_secs(1)).await.unwrap();
    assert_eq!(first.len(), 1);
    store.sent(first).await.unwrap();
    let later = days_later(start, 100);
    store.sweep(later, later, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let left: Vec<_> = store.claim(later, 10, 10, Duration::from_secs(60)).await.unwrap();
    let ids: Vec<_> = left.iter().map(|r| r.message_id.as_str()).collect();
    assert_eq!(ids, [messages[1].id.as_str(), messages[2].id.as_str()]);
    assert!(store.message(messages[0].id.as_str()).await.unwrap().is_empty(), "the sent one is gone");
    store.sent(left).await.unwrap();
    store.sweep(days_later(later, 1), days_later(later, 1), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(store.message(messages[1].id.as_str()).await.unwrap().is_empty());
}

async fn a_sweep_keeps_dossiers_for_as_long_as_candidates_are_kept(store: Tested) {
    let acme = tenant("acme");
    let aside = Some(parked("acme", Some("p-1"), "poison", b"{}"));
    applied(store.commit(Change { parked: aside, ..saves(&dossier(&acme, "a-1", "ada@example.org")) }).await);
    let found = async || store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap().len();
    store.sweep(now(), days_later(now(), -30), days_later(now(), -365)).await.unwrap();
    assert_eq!((found().await, store.message("p-1").await.unwrap()[0].state.as_str()), (1, "parked"));
    store.sweep(now(), days_later(now(), 30), days_later(now(), -365)).await.unwrap();
    assert_eq!((found().await, store.message("p-1").await.unwrap().len()), (1, 0));
    store.sweep(now(), days_later(now(), 30), days_later(now(), 30)).await.unwrap();
    assert_eq!(found().await, 0);
}

async fn a_sweep_keeps_an_old_fact_that_was_handled_just_now(store: Tested) {
    let key = history(&store, days_later(now(), -90), "a-1").await;
    store.sweep(now(), days_later(now(), -30), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(store.begin(&key, claim()).await.unwrap().handled, "its redelivery would be taken for new");
}

async fn rows_of_days_to_come_are_kept_and_found_whatever_sweeps_run(store: Tested) {
    let start = now();
    let timers: Vec<_> = (0..40).map(|day| (moved(&tenant("acme"), "a-1"), days_later(start, day))).collect();
    let outbox = timers.iter().map(|(m, due)| publishes(m, Some(*due))).collect();
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    for day in (0..40).step_by(5) {
        let today = days_later(start, day);
        store.sweep(today, days_later(today, -7), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
        assert!(store.next_due().await.unwrap().is_some());
    }
    let rows = store.claim(days_later(start, 40), 100, 100, Duration::from_secs(60)).await.unwrap();
    let found: Vec<_> = rows.iter().map(|r| r.message_id.clone()).collect();
    let right: Vec<_> = timers.iter().map(|(m, _)| m.id.to_string()).collect();
    assert_eq!(found, right);
    store.sent(rows).await.unwrap();
    assert!(store.claim(days_later(start, 50), 100, 100, Duration::from_secs(60)).await.unwrap().is_empty());
}
