//! How far a message has come: counted before the work, and never forgotten.

use super::on_every_store;
use crate::support::build::{applied, claim, handled, later, moved, now, publishes, tenant};
use atshub_actors::ports::{Attempt, Change, MessageKey, Progress, Store};
use futures_util::future::join_all;
use std::{collections::BTreeSet, sync::Arc};

type Tested = Arc<dyn Store>;

on_every_store! {
    every_beginning_is_counted
    beginnings_at_the_same_time_are_counted_each
    a_failed_try_counts_unless_it_was_only_a_wait
    crashes_are_counted_per_message
    what_was_handled_says_so_and_is_not_begun_again
}

async fn every_beginning_is_counted(store: Tested) {
    let (one, other) = (moved(&tenant("acme"), "a-1"), moved(&tenant("acme"), "a-1"));
    let mut last = None;
    for begun in 1..=3 {
        let before = now();
        let progress = store.begin(&MessageKey::from(&one), claim()).await.unwrap();
        assert_eq!(progress, Progress { begun, earlier: progress.earlier, owner: progress.owner, ..Progress::default() });
        // When it was begun the time before, which was after the time before that.
        assert_eq!(progress.earlier.is_some(), begun > 1);
        assert!(progress.earlier.is_none_or(|earlier| last.is_some_and(|last| last <= earlier) && earlier <= now()), "{progress:?}");
        last = Some(before);
    }
    assert_eq!(store.begin(&MessageKey::from(&other), claim()).await.unwrap().begun, 1);
}

async fn beginnings_at_the_same_time_are_counted_each(store: Tested) {
    let envelopes: Vec<_> = (0..100).map(|_| moved(&tenant("acme"), "a-1")).collect();
    let begin = |envelope: &atshub_schemas::Envelope| {
        let (store, key) = (Arc::clone(&store), MessageKey::from(envelope));
        tokio::spawn(async move { store.begin(&key, claim()).await.unwrap().begun })
    };
    let of_many = join_all(envelopes.iter().map(begin)).await;
    assert!(of_many.into_iter().all(|begun| begun.unwrap() == 1));
    let of_one: BTreeSet<u32> = join_all((0..50).map(|_| begin(&envelopes[0]))).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(of_one, (2..=51).collect());
}

async fn a_failed_try_counts_unless_it_was_only_a_wait(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let next = later(now(), 60);
    for (counts, failures) in [(true, 1), (false, 1), (true, 2)] {
        store.begin(&key, claim()).await.unwrap();
        let attempt =
            Attempt { key: key.clone(), owner: None, counts, code: "transient".into(), detail: "timed out".into(), next_at: Some(next) };
        let change = Change { attempt: Some(attempt), outbox: vec![publishes(&fact, Some(next))], ..Change::default() };
        applied(store.commit(change).await);
        let view = store.message(fact.id.as_str()).await.unwrap().remove(0);
        assert_eq!(view.failures, failures);
        assert_eq!(view.last_error.as_deref(), Some("transient: timed out"));
        assert_eq!(view.next_at, Some(next));
    }
    let progress = store.begin(&key, claim()).await.unwrap();
    assert_eq!((progress.handled, progress.begun, progress.failures, progress.crashes), (false, 4, 2, 0));
}

async fn crashes_are_counted_per_message(store: Tested) {
    let (one, other) = (moved(&tenant("acme"), "a-1"), moved(&tenant("acme"), "a-1"));
    assert_eq!(store.crashed(&MessageKey::from(&one), None, "index out of bounds").await.unwrap(), 1);
    assert_eq!(store.crashed(&MessageKey::from(&other), None, "overflow").await.unwrap(), 1);
    assert_eq!(store.crashed(&MessageKey::from(&one), None, "overflow").await.unwrap(), 2);
    let progress = store.begin(&MessageKey::from(&one), claim()).await.unwrap();
    assert_eq!(progress, Progress { begun: 1, owner: progress.owner, crashes: 2, ..Progress::default() });
    assert_eq!(store.message(one.id.as_str()).await.unwrap()[0].last_error.as_deref(), Some("overflow"));
}

async fn what_was_handled_says_so_and_is_not_begun_again(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    store.begin(&key, claim()).await.unwrap();
    let attempt =
        Attempt { key: key.clone(), owner: None, counts: true, code: "bug".into(), detail: "x".into(), next_at: Some(later(now(), 9)) };
    applied(store.commit(Change { attempt: Some(attempt), ..Change::default() }).await);
    applied(store.commit(Change { handled: handled(&fact), ..Change::default() }).await);
    for _ in 0..2 {
        let progress = store.begin(&key, claim()).await.unwrap();
        assert_eq!((progress.handled, progress.begun, progress.failures, progress.crashes), (true, 1, 1, 0));
    }
    assert_eq!(store.message(fact.id.as_str()).await.unwrap()[0].next_at, None, "nothing is tried again");
    let never_begun = moved(&tenant("acme"), "a-2");
    applied(store.commit(Change { handled: handled(&never_begun), ..Change::default() }).await);
    let progress = store.begin(&MessageKey::from(&never_begun), claim()).await.unwrap();
    assert_eq!(progress, Progress { handled: true, ..Progress::default() });
}
