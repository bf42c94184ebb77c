//! The outbox: claims, leases, order, and the bell.

use super::on_every_store;
use crate::support::build::{applied, later, moved, now, publishes, tenant};
use atshub_actors::ports::{Change, OutboxRow, Store};
use atshub_schemas::{Envelope, topology};
use futures_util::future::join_all;
use jiff::Timestamp;
use std::{collections::HashSet, sync::Arc, time::Duration};

type Tested = Arc<dyn Store>;

const LEASE: Duration = Duration::from_secs(30);

on_every_store! {
    rows_are_handed_out_oldest_first_and_not_before_their_time
    claimers_at_the_same_time_never_get_the_same_row
    a_row_that_was_sent_is_not_handed_out_again
    a_row_that_was_not_sent_within_its_lease_is_handed_out_again
    a_row_that_could_not_be_sent_is_handed_out_again_from_its_new_time_on
    the_next_due_time_is_that_of_the_earliest_row_nobody_has_claimed
    the_bell_rings_for_every_commit_of_an_outbox_row
    a_row_without_a_time_is_due_by_any_clock
    a_claim_hands_out_no_more_than_its_limit
    invitations_of_many_tenants_take_turns
    no_more_invitations_are_handed_out_than_asked_for_and_they_hold_nothing_else_up
}

async fn put(store: &Tested, not_before: &[Option<Timestamp>]) -> Vec<Envelope> {
    let messages: Vec<Envelope> = not_before.iter().map(|_| moved(&tenant("acme"), "a-1")).collect();
    let outbox = messages.iter().zip(not_before).map(|(m, due)| publishes(m, *due)).collect();
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    messages
}

async fn claimed(store: &Tested, at: Timestamp) -> Vec<String> {
    store.claim(at, 100, 100, LEASE).await.unwrap().into_iter().map(|r| r.message_id).collect()
}

fn ids(messages: &[&Envelope]) -> Vec<String> {
    messages.iter().map(|m| m.id.to_string()).collect()
}

async fn rows_are_handed_out_oldest_first_and_not_before_their_time(store: Tested) {
    let start = now();
    let at = |seconds| Some(later(start, seconds));
    let timed = put(&store, &[at(300), at(-60), at(100), at(-120)]).await;
    let at_once = put(&store, &[None, None]).await;
    assert_eq!(claimed(&store, now()).await, ids(&[&timed[3], &timed[1], &at_once[0], &at_once[1]]));
    assert_eq!(claimed(&store, later(start, 99)).await, ids(&[&timed[3], &timed[1], &at_once[0], &at_once[1]]), "their leases are over");
    assert_eq!(claimed(&store, later(start, 100)).await, ids(&[&timed[2]]));
    assert_eq!(claimed(&store, later(start, 299)).await.len(), 5);
}

async fn claimers_at_the_same_time_never_get_the_same_row(store: Tested) {
    for _ in 0..4 {
        put(&store, &[None; 100]).await;
    }
    let at = later(now(), 1);
    let claimers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let rows = store.claim(at, 7, 7, LEASE).await.unwrap();
                if rows.is_empty() {
                    return mine;
                }
                mine.extend(rows.into_iter().map(|r| r.row));
            }
        })
    });
    let all: Vec<i64> = join_all(claimers).await.into_iter().flat_map(Result::unwrap).collect();
    let distinct: HashSet<i64> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len(), "no row twice");
    let left = store.claim(at, 1_000, 1_000, LEASE).await.unwrap();
    assert_eq!(all.len() + left.len(), 400, "and none lost");
}

async fn a_row_that_was_sent_is_not_handed_out_again(store: Tested) {
    put(&store, &[None, None]).await;
    let mut rows = store.claim(now(), 100, 100, LEASE).await.unwrap();
    let kept = rows.remove(0);
    store.sent(rows.clone()).await.unwrap();
    store.sent(rows).await.unwrap();
    assert_eq!(claimed(&store, later(now(), 3_600)).await, std::slice::from_ref(&kept.message_id));
    // Whoever was too slow has sent it all the same.
    store.sent(vec![kept.clone()]).await.unwrap();
    store.unsent(kept, now(), "late").await.unwrap();
    assert!(claimed(&store, later(now(), 7_200)).await.is_empty());
}

async fn a_row_that_was_not_sent_within_its_lease_is_handed_out_again(store: Tested) {
    let start = later(now(), 1);
    put(&store, &[None]).await;
    let first = store.claim(start, 100, 100, LEASE).await.unwrap();
    assert!(store.claim(later(start, 29), 100, 100, LEASE).await.unwrap().is_empty());
    assert_eq!(store.claim(later(start, 30), 100, 100, LEASE).await.unwrap(), first);
    assert!(store.claim(later(start, 59), 100, 100, LEASE).await.unwrap().is_empty(), "it is under lease again");
}

async fn a_row_that_could_not_be_sent_is_handed_out_again_from_its_new_time_on(store: Tested) {
    let start = now();
    let messages = put(&store, &[None, Some(later(start, -5))]).await;
    for row in store.claim(now(), 100, 100, LEASE).await.unwrap() {
        store.unsent(row, later(start, 10), "nobody takes it").await.unwrap();
    }
    assert!(claimed(&store, later(start, 9)).await.is_empty());
    let again: HashSet<String> = claimed(&store, later(start, 10)).await.into_iter().collect();
    assert_eq!(again, ids(&[&messages[0], &messages[1]]).into_iter().collect());
}

async fn the_next_due_time_is_that_of_the_earliest_row_nobody_has_claimed(store: Tested) {
    assert_eq!(store.next_due().await.unwrap(), None);
    let (soon, far) = (later(now(), 60), later(now(), 86_400 * 28));
    put(&store, &[Some(far), Some(soon)]).await;
    assert_eq!(store.next_due().await.unwrap(), Some(soon));
    put(&store, &[None]).await;
    assert!(store.next_due().await.unwrap().unwrap() <= now());
    let rows = store.claim(later(soon, 1), 100, 100, LEASE).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(store.next_due().await.unwrap(), Some(far));
    store.sent(rows).await.unwrap();
    assert_eq!(store.next_due().await.unwrap(), Some(far));
}

async fn the_bell_rings_for_every_commit_of_an_outbox_row(store: Tested) {
    let bell = store.outbox_bell();
    let line = crate::support::build::line(&tenant("acme"), "a", now(), "x");
    applied(store.commit(Change { journal: vec![line], ..Change::default() }).await);
    assert!(futures_util::FutureExt::now_or_never(bell.notified()).is_none(), "nothing to send");
    for _ in 0..3 {
        put(&store, &[None]).await;
        tokio::time::timeout(Duration::from_secs(5), bell.notified()).await.expect("it rings");
    }
}

async fn a_row_without_a_time_is_due_by_any_clock(store: Tested) {
    let messages = put(&store, &[None]).await;
    assert_eq!(claimed(&store, Timestamp::UNIX_EPOCH).await, ids(&[&messages[0]]));
}

async fn a_claim_hands_out_no_more_than_its_limit(store: Tested) {
    let due = Some(later(now(), -1));
    put(&store, &[None, due, None, due, None]).await;
    let mut sizes = Vec::new();
    for _ in 0..4 {
        sizes.push(store.claim(now(), 2, 2, LEASE).await.unwrap().len());
    }
    assert_eq!(sizes, [2, 2, 1, 0]);
}

async fn put_invites(store: &Tested, tenant_name: &str, not_before: Option<Timestamp>, count: usize) -> Vec<String> {
    let messages: Vec<Envelope> = (0..count).map(|_| moved(&tenant(tenant_name), "a-1")).collect();
    let outbox = messages.iter().map(|m| OutboxRow { routing_key: topology::INVITES.into(), ..publishes(m, not_before) }).collect();
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    messages.iter().map(|m| m.id.to_string()).collect()
}

async fn claimed_invites(store: &Tested, most: usize) -> Vec<String> {
    store.claim(now(), 100, most, LEASE).await.unwrap().into_iter().map(|r| r.message_id).collect()
}

async fn invitations_of_many_tenants_take_turns(store: Tested) {
    let flood = put_invites(&store, "flood", None, 300).await;
    let (acme, globex) = (put_invites(&store, "acme", None, 2).await, put_invites(&store, "globex", None, 1).await);
    let first = claimed_invites(&store, 50).await;
    assert_eq!(first.len(), 50, "nobody else waits, so the flood goes on");
    let place = |id: &String| first.iter().position(|found| found == id);
    // What is in time goes before all that the flood has asked for beyond its share since its first request.
    for one in [&acme[0], &globex[0]] {
        assert!(place(one).is_some_and(|at| at < 20), "{:?}", place(one));
    }
    let theirs: Vec<&String> = first.iter().filter(|id| flood.contains(id)).collect();
    assert_eq!(theirs, flood.iter().take(theirs.len()).collect::<Vec<_>>(), "a tenant's own stay in order");
}

async fn no_more_invitations_are_handed_out_than_asked_for_and_they_hold_nothing_else_up(store: Tested) {
    let at_once = put_invites(&store, "flood", None, 200).await;
    let timed = put_invites(&store, "flood", Some(later(now(), -1)), 200).await;
    let other = put(&store, &[None, Some(later(now(), -1))]).await;
    let mut none = claimed_invites(&store, 0).await;
    none.sort();
    assert_eq!(none, ids(&[&other[0], &other[1]]), "no room for invitations, and all the others go");
    let some = claimed_invites(&store, 3).await;
    assert_eq!(some.len(), 3);
    assert!(some.iter().all(|id| timed.contains(id) || at_once.contains(id)));
    assert_eq!(claimed_invites(&store, 1_000).await.len(), 100, "the limit of all rows holds too");
    assert!(store.next_due().await.unwrap().is_some(), "and more wait");
}
