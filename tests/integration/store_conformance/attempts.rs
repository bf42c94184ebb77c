//! Attempts have an owner: of any number that want a message one has it, until it settles or its lease is over; a settlement that is
//! repeated counts once.

use super::on_every_store;
use crate::support::build::{applied, claim, handled, later, moved, now, parked, publishes, tenant};
use atshub_actors::ports::{Attempt, Change, Claim, CommitOutcome, MessageKey, Progress, Store};
use atshub_schemas::Envelope;
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

type Tested = Arc<dyn Store>;

on_every_store! {
    of_a_hundred_that_want_a_message_at_once_one_has_it
    the_same_claim_twice_is_taken_once_because_its_answer_may_have_been_lost
    a_message_is_free_again_when_its_owners_lease_is_over_and_not_while_it_is_renewed
    a_settlement_that_is_repeated_counts_once_and_adds_no_row
    an_owner_whose_message_was_taken_by_another_one_settles_nothing
    a_crash_ends_the_attempt_and_the_next_one_at_the_same_delivery_may_take_it_over
    a_crash_with_another_copy_in_hand_ends_no_attempt_and_takes_none_over
    work_that_is_put_off_before_it_began_leaves_the_message_with_its_owner
    an_attempt_that_is_put_off_lets_go_of_its_message
    what_was_handled_is_taken_by_nobody
    what_was_handled_is_neither_tried_again_nor_set_aside
}

fn for_a_minute() -> Claim {
    Claim { lease: Duration::from_secs(60), ..claim() }
}

/// The end of an attempt that failed, with the row of the next one.
fn failed(fact: &Envelope, owner: Option<Uuid>) -> Change {
    let next = later(now(), 600);
    let attempt =
        Attempt { key: MessageKey::from(fact), owner, counts: true, code: "transient".into(), detail: "502".into(), next_at: Some(next) };
    Change { attempt: Some(attempt), outbox: vec![publishes(fact, Some(next))], ..Change::default() }
}

async fn rows_of(store: &Tested, fact: &Envelope) -> usize {
    let due = later(now(), 3_600);
    store.claim(due, 100, 100, Duration::ZERO).await.unwrap().iter().filter(|row| row.message_id == fact.id.as_str()).count()
}

async fn of_a_hundred_that_want_a_message_at_once_one_has_it(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let wanted = (0..100).map(|_| {
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.begin(&key, for_a_minute()).await.unwrap() }
    });
    let progress: Vec<Progress> = join_all(wanted).await;
    let (taken, held): (Vec<Progress>, Vec<Progress>) = progress.into_iter().partition(|p| p.owner.is_some());
    assert_eq!((taken.len(), taken[0].begun), (1, 1));
    assert!(held.iter().all(|p| p.held_until.is_some() && !p.handled), "{held:?}");
}

async fn the_same_claim_twice_is_taken_once_because_its_answer_may_have_been_lost(store: Tested) {
    let key = MessageKey::from(&moved(&tenant("acme"), "a-1"));
    let claim = for_a_minute();
    for _ in 0..3 {
        let progress = store.begin(&key, claim).await.unwrap();
        assert_eq!((progress.owner, progress.begun, progress.held_until), (Some(claim.owner), 1, None));
    }
}

async fn a_message_is_free_again_when_its_owners_lease_is_over_and_not_while_it_is_renewed(store: Tested) {
    let key = MessageKey::from(&moved(&tenant("acme"), "a-1"));
    let dead = claim();
    store.begin(&key, dead).await.unwrap();
    let next = Claim { lease: Duration::ZERO, ..for_a_minute() };
    assert_eq!(store.begin(&key, next).await.unwrap().begun, 2, "the lease of the first was over at once");
    assert!(!store.renew(&key, dead).await.unwrap(), "it is another's");
    assert!(store.renew(&key, Claim { lease: Duration::from_secs(60), ..next }).await.unwrap());
    assert!(store.begin(&key, for_a_minute()).await.unwrap().held_until.is_some());
}

async fn a_settlement_that_is_repeated_counts_once_and_adds_no_row(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    applied(store.commit(failed(&fact, owner)).await);
    for _ in 0..3 {
        assert_eq!(store.commit(failed(&fact, owner)).await, Ok(CommitOutcome::Duplicate));
    }
    assert_eq!(rows_of(&store, &fact).await, 1);
    let progress = store.begin(&key, for_a_minute()).await.unwrap();
    assert_eq!((progress.failures, progress.begun), (1, 2), "{progress:?}");
}

async fn an_owner_whose_message_was_taken_by_another_one_settles_nothing(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let late = store.begin(&key, claim()).await.unwrap().owner;
    let heir = store.begin(&key, for_a_minute()).await.unwrap().owner;
    assert_eq!(store.commit(failed(&fact, late)).await, Ok(CommitOutcome::Duplicate));
    assert_eq!(rows_of(&store, &fact).await, 0);
    applied(store.commit(failed(&fact, heir)).await);
    assert_eq!(rows_of(&store, &fact).await, 1);
}

async fn a_crash_ends_the_attempt_and_the_next_one_at_the_same_delivery_may_take_it_over(store: Tested) {
    let key = MessageKey::from(&moved(&tenant("acme"), "a-1"));
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    assert_eq!(store.crashed(&key, owner, "panicked").await.unwrap(), 1);
    let second = store.begin(&key, for_a_minute()).await.unwrap();
    assert_eq!(second.begun, 2);
    let over = Claim { takes_over: second.owner, ..for_a_minute() };
    assert_eq!(store.begin(&key, over).await.unwrap().begun, 3, "its calls have ended");
}

async fn a_crash_with_another_copy_in_hand_ends_no_attempt_and_takes_none_over(store: Tested) {
    let key = MessageKey::from(&moved(&tenant("acme"), "a-1"));
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner.unwrap();
    for other in [None, Some(Uuid::now_v7())] {
        store.crashed(&key, other, "panicked").await.unwrap();
        let progress = store.begin(&key, Claim { takes_over: other, ..for_a_minute() }).await.unwrap();
        assert!(progress.held_until.is_some() && progress.owner.is_none(), "{other:?}: {progress:?}");
    }
    assert!(store.renew(&key, Claim { owner, ..for_a_minute() }).await.unwrap());
}

/// A change that puts a message off: a copy that found it held, or an attempt that found its host closed.
fn put_off(fact: &Envelope, owner: Option<Uuid>) -> Change {
    let Change { attempt, outbox, .. } = failed(fact, owner);
    Change { attempt: attempt.map(|attempt| Attempt { counts: false, ..attempt }), outbox, ..Change::default() }
}

async fn work_that_is_put_off_before_it_began_leaves_the_message_with_its_owner(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    for _ in 0..3 {
        applied(store.commit(put_off(&fact, None)).await);
        assert!(store.begin(&key, for_a_minute()).await.unwrap().held_until.is_some(), "another attempt at it began");
    }
    applied(store.commit(failed(&fact, owner)).await);
    assert_eq!(store.begin(&key, for_a_minute()).await.unwrap().begun, 2);
}

async fn an_attempt_that_is_put_off_lets_go_of_its_message(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    applied(store.commit(put_off(&fact, owner)).await);
    assert_eq!(store.commit(put_off(&fact, owner)).await, Ok(CommitOutcome::Duplicate));
    let progress = store.begin(&key, for_a_minute()).await.unwrap();
    assert_eq!((progress.begun, progress.failures), (2, 0), "{progress:?}");
}

async fn what_was_handled_is_taken_by_nobody(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    applied(store.commit(Change { handled: handled(&fact), ..Change::default() }).await);
    let progress = store.begin(&key, for_a_minute()).await.unwrap();
    assert!(progress.handled && progress.owner.is_none() && progress.held_until.is_none());
    assert!(owner.is_some());
}

/// The attempt at one copy has ended well; one that had its message from an earlier lease on ends badly afterwards.
async fn what_was_handled_is_neither_tried_again_nor_set_aside(store: Tested) {
    let fact = moved(&tenant("acme"), "a-1");
    let key = MessageKey::from(&fact);
    let owner = store.begin(&key, for_a_minute()).await.unwrap().owner;
    applied(store.commit(Change { handled: handled(&fact), ..Change::default() }).await);
    let aside = parked("acme", Some(fact.id.as_str()), "retries_used_up", &fact.encode().unwrap());
    for change in [failed(&fact, owner), Change { parked: Some(aside), ..failed(&fact, owner) }, put_off(&fact, None)] {
        assert_eq!(store.commit(change).await, Ok(CommitOutcome::Duplicate));
    }
    assert_eq!(rows_of(&store, &fact).await, 0);
    let shown = store.message(fact.id.as_str()).await.unwrap().remove(0);
    assert_eq!((shown.state.as_str(), shown.failures), ("handled", 0));
}
