//! Changes that stand on something: that a key waits still, that a message was not begun, that nothing was heard. And rows that the relay
//! of the same process gets without asking.

use super::on_every_store;
use crate::support::{
    build::{applied, dossier, external, handled, later, moved, now, publishes, tenant, write},
    postgres::TestDatabase,
};
use atshub_actors::{
    domain::{EffectKey, Heard, Lookup, Subject},
    ports::{Change, Claim, CommitOutcome, Conflict, HeardWrite, Journal, MessageKey, OutboxRow, Rail, Store},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

type Tested = Arc<dyn Store>;

on_every_store! {
    a_change_that_ends_what_waits_takes_it_back_and_only_once
    a_change_that_begins_a_message_is_applied_once_and_counts_as_the_first_attempt
    a_message_that_was_begun_or_handled_before_is_not_begun_by_a_change
    a_change_that_stands_on_having_heard_nothing_is_not_applied_once_something_was_heard
    of_many_changes_at_once_only_those_are_applied_that_nothing_stands_in_the_way_of
}

const LEASE: Duration = Duration::from_secs(30);

fn key(what: &str) -> EffectKey {
    EffectKey { candidacy: Uuid::from_u128(7), intent: 1, what: what.into() }
}

fn claim() -> Claim {
    Claim { owner: Uuid::now_v7(), lease: LEASE, takes_over: None }
}

fn refused(conflict: Conflict) -> Result<CommitOutcome, atshub_actors::ports::StoreError> {
    Ok(CommitOutcome::Conflict(conflict))
}

async fn a_change_that_ends_what_waits_takes_it_back_and_only_once(store: Tested) {
    let acme = tenant("acme");
    let [clock, answer, again] = [(); 3].map(|()| moved(&acme, "a-1"));
    let waits = OutboxRow { key: Some(key("unanswered")), ..publishes(&clock, Some(later(now(), 900))) };
    applied(store.commit(Change { outbox: vec![waits], ..Change::default() }).await);
    let ends = |answer| Change { handled: handled(answer), ends: Some((acme.clone(), key("unanswered"))), ..Change::default() };
    let elsewhere = Change { ends: Some((tenant("other"), key("unanswered"))), ..ends(&answer) };
    assert_eq!(store.commit(elsewhere).await, refused(Conflict::Ended), "a key is its tenant's own");
    applied(store.commit(ends(&answer)).await);
    assert_eq!(store.claim(later(now(), 1_000), 10, 10, LEASE).await.unwrap(), []);
    assert_eq!(store.commit(ends(&answer)).await, Ok(CommitOutcome::Duplicate), "its answer was lost, and it is repeated");
    assert_eq!(store.commit(ends(&again)).await, refused(Conflict::Ended));
    assert!(!store.begin(&MessageKey::from(&again), claim()).await.unwrap().handled, "nothing of it was applied");
    // What is due at once ends as what is due later does.
    let at_once = OutboxRow { key: Some(key("unanswered")), ..publishes(&clock, None) };
    applied(store.commit(Change { outbox: vec![at_once], ..Change::default() }).await);
    applied(store.commit(ends(&again)).await);
    assert_eq!(store.claim(later(now(), 1_000), 10, 10, LEASE).await.unwrap(), []);
    assert!(store.message(clock.id.as_str()).await.unwrap().is_empty(), "what was never sent does not look sent");
}

async fn a_change_that_begins_a_message_is_applied_once_and_counts_as_the_first_attempt(store: Tested) {
    let acme = tenant("acme");
    let work = moved(&acme, "a-1");
    let (first, saved) = (claim(), dossier(&acme, "a-1", "ada@example.org"));
    let begins = Change { begins: Some((MessageKey::from(&work), first)), dossiers: vec![write(&saved)], ..Change::default() };
    applied(store.commit(begins.clone()).await);
    assert!(matches!(store.commit(begins).await, Ok(CommitOutcome::Conflict(_))), "the dossier is there, and the message begun");
    let other = store.begin(&MessageKey::from(&work), claim()).await.unwrap();
    assert!(other.held_until.is_some() && other.owner.is_none(), "{other:?}");
    let own = store.begin(&MessageKey::from(&work), first).await.unwrap();
    assert_eq!((own.owner, own.begun), (Some(first.owner), 1), "the same claim is taken once");
}

async fn a_message_that_was_begun_or_handled_before_is_not_begun_by_a_change(store: Tested) {
    let acme = tenant("acme");
    let [begun, done] = [(); 2].map(|()| moved(&acme, "a-1"));
    store.begin(&MessageKey::from(&begun), claim()).await.unwrap();
    applied(store.commit(Change { handled: handled(&done), ..Change::default() }).await);
    for message in [&begun, &done] {
        let saved = dossier(&acme, "a-1", "ada@example.org");
        let change = Change { begins: Some((MessageKey::from(message), claim())), dossiers: vec![write(&saved)], ..Change::default() };
        assert_eq!(store.commit(change).await, refused(Conflict::Begun));
    }
    assert_eq!(store.dossiers(&acme, Lookup::Application(external("a-1"))).await.unwrap(), []);
}

async fn a_change_that_stands_on_having_heard_nothing_is_not_applied_once_something_was_heard(store: Tested) {
    let acme = tenant("acme");
    let subject = Subject::Interview(external("k-1"));
    let unheard = |message| Change { handled: handled(message), unheard: vec![(acme.clone(), subject.clone())], ..Change::default() };
    let [before, after] = [(); 2].map(|()| moved(&acme, "a-1"));
    applied(store.commit(unheard(&before)).await);
    let heard = Heard::nothing(acme.clone(), subject.clone(), now());
    let heard = HeardWrite { heard: Heard { version: 1, ..heard }, expected: None };
    applied(store.commit(Change { heard: vec![heard], ..Change::default() }).await);
    assert_eq!(store.commit(unheard(&after)).await, refused(Conflict::Heard));
    assert!(!store.begin(&MessageKey::from(&after), claim()).await.unwrap().handled);
}

async fn of_many_changes_at_once_only_those_are_applied_that_nothing_stands_in_the_way_of(store: Tested) {
    let acme = tenant("acme");
    let messages: Vec<_> = (0..40).map(|n| moved(&acme, &format!("a-{n}"))).collect();
    // Every fourth was handled before.
    for message in messages.iter().step_by(4) {
        applied(store.commit(Change { handled: handled(message), ..Change::default() }).await);
    }
    let commits = messages.iter().enumerate().map(|(n, message)| {
        let saved = dossier(&acme, &format!("a-{n}"), "ada@example.org");
        store.commit(Change { handled: handled(message), dossiers: vec![write(&saved)], ..Change::default() })
    });
    let outcomes = futures_util::future::join_all(commits).await;
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let expected = if n % 4 == 0 { CommitOutcome::Duplicate } else { CommitOutcome::Committed };
        assert_eq!(outcome, Ok(expected), "{n}");
        let found = store.dossiers(&acme, Lookup::Application(external(&format!("a-{n}")))).await.unwrap();
        assert_eq!(found.len(), usize::from(n % 4 != 0), "{n}");
    }
}

mod handed_over {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_row_that_the_relay_takes_comes_at_once_and_is_nobody_elses_until_its_lease_is_over() {
        let database = TestDatabase::empty().await;
        let store = database.store().await;
        let mut fresh = store.fresh(LEASE).unwrap();
        let [early, late, timed] = [(); 3].map(|()| moved(&tenant("acme"), "a-1"));
        applied(store.commit(Change { outbox: vec![publishes(&early, None)], ..Change::default() }).await);
        assert_eq!(store.claim(now(), 10, 10, LEASE).await.unwrap().len(), 1, "it is closed at first: rows go the long way");
        fresh.open(true);
        let rows = vec![publishes(&late, None), publishes(&timed, Some(later(now(), 60)))];
        applied(store.commit(Change { outbox: rows, ..Change::default() }).await);
        let row = fresh.next().await.unwrap();
        assert_eq!(row.message_id, late.id.as_str());
        assert_eq!(store.claim(now(), 10, 10, LEASE).await.unwrap(), [], "it is the relay's");
        let again = store.claim(later(now(), 31), 10, 10, LEASE).await.unwrap();
        assert!(again.iter().any(|r| r.row == row.row), "the relay died with it");
        store.sent(vec![row]).await.unwrap();
        let rest = store.claim(later(now(), 3_600), 10, 10, LEASE).await.unwrap();
        assert!(rest.iter().any(|r| r.message_id == timed.id.as_str()), "what has its time waits in the store");
        assert!(rest.iter().all(|r| r.message_id != late.id.as_str()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_change_that_is_not_applied_hands_over_nothing() {
        let database = TestDatabase::empty().await;
        let store = database.store().await;
        let mut fresh = store.fresh(LEASE).unwrap();
        fresh.open(true);
        let [message, lost, kept] = [(); 3].map(|()| moved(&tenant("acme"), "a-1"));
        applied(store.commit(Change { handled: handled(&message), ..Change::default() }).await);
        let again = Change { handled: handled(&message), outbox: vec![publishes(&lost, None)], ..Change::default() };
        assert_eq!(store.commit(again).await, Ok(CommitOutcome::Duplicate));
        applied(store.commit(Change { outbox: vec![publishes(&kept, None)], ..Change::default() }).await);
        assert_eq!(fresh.next().await.unwrap().message_id, kept.id.as_str());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_than_the_relay_has_room_for_goes_the_long_way_and_closes_the_short_one() {
        const MANY: usize = 1_100;
        let database = TestDatabase::empty().await;
        let store = database.store().await;
        let mut fresh = store.fresh(LEASE).unwrap();
        fresh.open(true);
        let message = moved(&tenant("acme"), "a-1");
        let outbox = (0..MANY).map(|_| publishes(&message, None)).collect();
        applied(store.commit(Change { outbox, ..Change::default() }).await);
        assert!(!fresh.is_open());
        let mut came = Vec::new();
        fresh.drain(&mut came, MANY);
        let waits = store.claim(now(), MANY, MANY, LEASE).await.unwrap();
        assert_eq!(came.len() + waits.len(), MANY, "each goes one way");
        assert!(!waits.is_empty() && !came.is_empty());
        assert!(came.iter().map(|r| r.row).max() < waits.iter().map(|r| r.row).min(), "what came at once is older");
    }
}
