//! What waits by its key: one row per key, moved and taken back; and what was heard of a subject.

use super::on_every_store;
use crate::support::build::{applied, external, later, moved, now, publishes, tenant};
use atshub_actors::{
    domain::{EffectKey, Heard, Subject},
    ports::{Change, ClaimedRow, CommitOutcome, Conflict, HeardWrite, OutboxRow, Store},
};
use atshub_schemas::Envelope;
use futures_util::future::join_all;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

type Tested = Arc<dyn Store>;

on_every_store! {
    a_row_whose_key_waits_takes_that_ones_place
    a_key_that_was_sent_is_free_again
    what_is_due_later_is_shown_while_it_waits_and_once_it_was_sent
    what_is_taken_back_is_not_sent
    one_change_may_take_back_a_key_and_ask_for_it_anew
    two_rows_of_one_change_with_one_key_are_one_and_the_later_stays
    a_key_is_its_tenants_own
    one_key_asked_for_by_many_at_once_waits_once
    what_was_heard_is_read_as_it_was_saved
    what_was_heard_is_saved_only_over_the_version_that_was_read
    a_sweep_forgets_what_was_heard_long_ago
}

fn key(what: &str) -> EffectKey {
    EffectKey { candidacy: Uuid::from_u128(7), intent: 1, what: what.into() }
}

fn asks(message: &Envelope, what: &str, not_before: Option<Timestamp>) -> OutboxRow {
    OutboxRow { key: Some(key(what)), ..publishes(message, not_before) }
}

async fn put(store: &Tested, rows: Vec<OutboxRow>) {
    applied(store.commit(Change { outbox: rows, ..Change::default() }).await);
}

async fn claim(store: &Tested, at: Timestamp) -> Vec<ClaimedRow> {
    store.claim(at, 100, 100, Duration::from_secs(30)).await.unwrap()
}

fn ids(rows: &[ClaimedRow]) -> Vec<&str> {
    rows.iter().map(|row| row.message_id.as_str()).collect()
}

async fn a_row_whose_key_waits_takes_that_ones_place(store: Tested) {
    let [first, second, third] = [(); 3].map(|()| moved(&tenant("acme"), "a-1"));
    put(&store, vec![asks(&first, "invite", None)]).await;
    let handed_out = claim(&store, now()).await;
    put(&store, vec![asks(&second, "invite", Some(later(now(), 60)))]).await;
    put(&store, vec![asks(&third, "invite", None)]).await;
    assert_eq!(ids(&claim(&store, later(now(), 3_600)).await), [third.id.as_str()]);
    // The first had been handed out and may have gone: its confirm checks off nothing of the third.
    store.sent(handed_out).await.unwrap();
    assert_eq!(ids(&claim(&store, later(now(), 7_200)).await), [third.id.as_str()]);
    assert!(store.message(second.id.as_str()).await.unwrap().is_empty(), "what was never sent does not look sent");
}

async fn a_key_that_was_sent_is_free_again(store: Tested) {
    let [first, second] = [(); 2].map(|()| moved(&tenant("acme"), "a-1"));
    put(&store, vec![asks(&first, "invite", None)]).await;
    store.sent(claim(&store, now()).await).await.unwrap();
    put(&store, vec![asks(&second, "invite", None)]).await;
    assert_eq!(ids(&claim(&store, now()).await), [second.id.as_str()]);
    assert_eq!(store.message(first.id.as_str()).await.unwrap()[0].state, "sent");
}

async fn what_is_due_later_is_shown_while_it_waits_and_once_it_was_sent(store: Tested) {
    let clock = moved(&tenant("acme"), "a-1");
    put(&store, vec![asks(&clock, "clock", Some(later(now(), 600)))]).await;
    let shown = async || {
        let shown = store.message(clock.id.as_str()).await.unwrap();
        assert_eq!((shown.len(), shown[0].kind.as_deref(), shown[0].body.is_some()), (1, Some(clock.message.kind()), true));
        shown[0].state.clone()
    };
    assert_eq!(shown().await, "scheduled");
    let rows = claim(&store, later(now(), 700)).await;
    assert_eq!((ids(&rows), rows[0].body.is_empty()), (vec![clock.id.as_str()], false));
    store.unsent_all(rows, later(now(), 1_200), "refused").await.unwrap();
    assert_eq!(shown().await, "scheduled");
    assert_eq!(claim(&store, later(now(), 700)).await, []);
    let rows = claim(&store, later(now(), 1_300)).await;
    assert_eq!(store.send_again("atshub.tenant.acme").await.unwrap(), 0, "it was not sent yet");
    store.sent(rows).await.unwrap();
    assert_eq!(shown().await, "sent");
    assert_eq!(store.send_again("atshub.tenant.acme").await.unwrap(), 1);
    assert_eq!(ids(&claim(&store, later(now(), 1)).await), [clock.id.as_str()]);
}

async fn what_is_taken_back_is_not_sent(store: Tested) {
    let [invite, status] = [(); 2].map(|()| moved(&tenant("acme"), "a-1"));
    put(&store, vec![asks(&invite, "invite", None), asks(&status, "status/1", None)]).await;
    let taken_back = vec![(tenant("acme"), key("invite")), (tenant("acme"), key("never asked for"))];
    applied(store.commit(Change { taken_back, ..Change::default() }).await);
    assert_eq!(ids(&claim(&store, now()).await), [status.id.as_str()]);
    assert!(store.message(invite.id.as_str()).await.unwrap().is_empty());
}

async fn one_change_may_take_back_a_key_and_ask_for_it_anew(store: Tested) {
    let [first, second] = [(); 2].map(|()| moved(&tenant("acme"), "a-1"));
    put(&store, vec![asks(&first, "invite", None)]).await;
    let change =
        Change { taken_back: vec![(tenant("acme"), key("invite"))], outbox: vec![asks(&second, "invite", None)], ..Change::default() };
    applied(store.commit(change).await);
    assert_eq!(ids(&claim(&store, now()).await), [second.id.as_str()]);
}

async fn two_rows_of_one_change_with_one_key_are_one_and_the_later_stays(store: Tested) {
    let [first, second] = [(); 2].map(|()| moved(&tenant("acme"), "a-1"));
    put(&store, vec![asks(&first, "invite", None), asks(&second, "invite", None)]).await;
    assert_eq!(ids(&claim(&store, now()).await), [second.id.as_str()]);
}

async fn a_key_is_its_tenants_own(store: Tested) {
    let [ours, theirs] = ["acme", "globex"].map(|name| moved(&tenant(name), "a-1"));
    put(&store, vec![asks(&ours, "invite", None), asks(&theirs, "invite", None)]).await;
    applied(store.commit(Change { taken_back: vec![(tenant("globex"), key("invite"))], ..Change::default() }).await);
    assert_eq!(ids(&claim(&store, now()).await), [ours.id.as_str()]);
}

async fn one_key_asked_for_by_many_at_once_waits_once(store: Tested) {
    let asked = (0..40).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { put(&store, vec![asks(&moved(&tenant("acme"), "a-1"), "invite", None)]).await })
    });
    for one in join_all(asked).await {
        one.unwrap();
    }
    assert_eq!(claim(&store, later(now(), 1)).await.len(), 1);
}

fn heard(version: u64, at: Timestamp) -> Heard {
    Heard { version, ..Heard::nothing(tenant("acme"), Subject::Person(external("p-1")), at) }
}

fn hears(heard: Heard) -> Change {
    let expected = heard.version.checked_sub(1).filter(|version| *version > 0);
    Change { heard: vec![HeardWrite { heard, expected }], ..Change::default() }
}

async fn what_was_heard_is_read_as_it_was_saved(store: Tested) {
    let at = now();
    applied(store.commit(hears(heard(1, at))).await);
    let of = vec![Subject::Job(external("p-1")), Subject::Person(external("p-1")), Subject::Person(external("p-2"))];
    assert_eq!(store.heard(&tenant("acme"), of.clone()).await.unwrap(), [heard(1, at)]);
    assert!(store.heard(&tenant("globex"), of).await.unwrap().is_empty());
    assert!(store.heard(&tenant("acme"), vec![]).await.unwrap().is_empty());
}

async fn what_was_heard_is_saved_only_over_the_version_that_was_read(store: Tested) {
    let (at, message) = (now(), moved(&tenant("acme"), "a-1"));
    applied(store.commit(hears(heard(1, at))).await);
    let stale = Change { outbox: vec![publishes(&message, None)], ..hears(heard(1, at)) };
    assert_eq!(store.commit(stale).await, Ok(CommitOutcome::Conflict(Conflict::Raced)));
    applied(store.commit(hears(heard(2, at))).await);
    let stale = Change { outbox: vec![publishes(&message, None)], ..hears(heard(2, at)) };
    assert_eq!(store.commit(stale).await, Ok(CommitOutcome::Conflict(Conflict::Raced)));
    assert!(claim(&store, now()).await.is_empty(), "nothing of a change that lost is kept");
}

async fn a_sweep_forgets_what_was_heard_long_ago(store: Tested) {
    let at = now();
    applied(store.commit(hears(heard(1, at))).await);
    store.sweep(at, at, jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    let of = vec![Subject::Person(external("p-1"))];
    assert_eq!(store.heard(&tenant("acme"), of.clone()).await.unwrap().len(), 1);
    store.sweep(at, later(at, 1), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert!(store.heard(&tenant("acme"), of).await.unwrap().is_empty());
}
