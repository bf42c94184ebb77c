//! Clocks that were wrong: the process's, the store's own; and a store that was restored.

use super::Subject;
use crate::support::{
    build::{applied, handled, later, moved, now, publishes, tenant},
    clock::SetClock,
    postgres::{TestDatabase, client},
};
use atshub::embedded::store::SqliteStore;
use atshub_actors::ports::{Attempt, Beat, Change, Claim, Clock, Journal, MessageKey, Rail, Standing, Store};
use atshub_schemas::Envelope;
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

const MONTH: i64 = 30;
const ALIVE: Duration = Duration::from_secs(10);

/// A row that is due in ten minutes, and one that is due in four weeks, by this clock; and an attempt at a message that is held.
async fn waits_and_leases(store: &dyn Store, clock: &SetClock) -> Envelope {
    let acme = tenant("acme");
    let [soon, timer, held] = ["a-1", "a-2", "a-3"].map(|id| moved(&acme, id));
    let at = |seconds| Some(clock.now() + SignedDuration::from_secs(seconds));
    let outbox = vec![publishes(&soon, at(600)), publishes(&timer, at(28 * 86_400))];
    let attempt = Attempt {
        key: MessageKey::from(&soon),
        owner: None,
        counts: false,
        code: "transient".into(),
        detail: "502".into(),
        next_at: at(600),
    };
    applied(store.commit(Change { outbox, attempt: Some(attempt), ..Change::default() }).await);
    let claim = Claim { owner: Uuid::now_v7(), lease: Duration::from_secs(40), takes_over: None };
    assert!(store.begin(&MessageKey::from(&held), claim).await.unwrap().owner.is_some());
    let until = at(7_200);
    assert!(store.set_standing(&acme, Standing::Paused, Some("by test: moved"), until, None).await.unwrap().is_some());
    held
}

/// The waits are as long as they were meant to be, and what was held is free soon.
async fn are_pulled_back(store: &dyn Store, held: &Envelope) {
    let due = store.next_due().await.unwrap().unwrap();
    assert!((5..=10).contains(&due.duration_since(Timestamp::now()).as_mins()), "due in {}", due.duration_since(Timestamp::now()));
    let early = store.claim(later(Timestamp::now(), 60), 10, 10, ALIVE).await.unwrap();
    assert!(early.is_empty(), "{early:?}");
    assert_eq!(store.claim(later(Timestamp::now(), 601), 10, 10, Duration::ZERO).await.unwrap().len(), 1);
    assert_eq!(store.claim(later(Timestamp::now(), 27 * 86_400), 10, 10, Duration::ZERO).await.unwrap().len(), 1, "a long wait stays long");
    assert_eq!(store.claim(later(Timestamp::now(), 28 * 86_400 + 60), 10, 10, Duration::ZERO).await.unwrap().len(), 2);
    let claim = Claim { owner: Uuid::now_v7(), lease: ALIVE, takes_over: None };
    let until = store.begin(&MessageKey::from(held), claim).await.unwrap().held_until.unwrap();
    assert!(until.duration_since(Timestamp::now()) <= SignedDuration::from_secs(70), "held until {until}");
    let ends = store.tenants().await.unwrap()[0].until.unwrap().duration_since(Timestamp::now());
    assert!((100..=120).contains(&ends.as_mins()), "the standing ends in {ends}");
}

async fn with_a_tenant(store: &dyn Store) {
    assert!(store.put_tenant(crate::support::build::record("acme"), None).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_what_a_clock_that_was_a_month_ahead_put_off_is_pulled_back_once_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(SetClock::default());
    let store = SqliteStore::open(folder.path()).unwrap().with_clock(Arc::clone(&clock) as _);
    with_a_tenant(&store).await;
    clock.set_days_ahead(MONTH);
    let held = waits_and_leases(&store, &clock).await;
    let beat = Beat { process: Uuid::now_v7(), name: "there:1".into(), started_at: clock.now(), able: true };
    store.beat(beat, ALIVE).await.unwrap();
    assert_eq!(store.pull_back().await.unwrap(), 0, "by that clock nothing is wrong");
    clock.set_days_ahead(0);
    assert!(!store.processes(ALIVE).await.unwrap()[0].live, "who was heard of in a month may be long dead");
    assert!(store.pull_back().await.unwrap() > 0);
    assert_eq!(store.pull_back().await.unwrap(), 0, "once");
    are_pulled_back(&store, &held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_a_process_whose_clock_is_a_month_ahead_puts_nothing_off_for_a_month() {
    let database = TestDatabase::empty().await;
    let clock = Arc::new(SetClock::default());
    clock.set_days_ahead(MONTH);
    let store = database.store().await.with_clock(Arc::clone(&clock) as _).await.unwrap();
    with_a_tenant(&store).await;
    let held = waits_and_leases(&store, &clock).await;
    let due = store.next_due().await.unwrap().unwrap();
    assert!((5..=10).contains(&due.duration_since(clock.now()).as_mins()), "by its own clock it is the same: {due}");
    assert!(store.claim(clock.now(), 10, 10, ALIVE).await.unwrap().is_empty(), "and it takes nothing that is not due");
    // The ends of standings are looked at by whoever has the right time.
    assert!(database.unmigrated().await.pull_back().await.unwrap() > 0);
    are_pulled_back(&database.unmigrated().await, &held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_a_clock_that_is_set_between_two_answers_is_reckoned_with() {
    let database = TestDatabase::empty().await;
    let clock = Arc::new(SetClock::default());
    let store = database.store().await.with_clock(Arc::clone(&clock) as _).await.unwrap();
    clock.set_days_ahead(-MONTH);
    let acme = tenant("acme");
    let outbox = vec![publishes(&moved(&acme, "a-1"), Some(clock.now() + SignedDuration::from_mins(10)))];
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    let due = database.unmigrated().await.next_due().await.unwrap().unwrap();
    assert!((5..=10).contains(&due.duration_since(Timestamp::now()).as_mins()), "{due}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_what_the_databases_own_clock_put_off_while_it_was_a_month_ahead_is_pulled_back() {
    let database = TestDatabase::empty().await;
    let store = database.store().await;
    with_a_tenant(&store).await;
    let held = waits_and_leases(&store, &SetClock::default()).await;
    let beat = Beat { process: Uuid::now_v7(), name: "there:1".into(), started_at: now(), able: true };
    store.beat(beat, ALIVE).await.unwrap();
    assert_eq!(store.pull_back().await.unwrap(), 0);
    let month = |columns: &[&str]| columns.iter().map(|c| format!("{c} = {c} + interval '{MONTH} days'")).collect::<Vec<_>>().join(", ");
    let behind = format!(
        "update waiting set claimed_until = now(); update waiting set {}; update attempts set {}; update tenants set {}; update processes set {}",
        month(&["made_at", "not_before", "due", "claimed_until"]),
        month(&["held_until", "updated_at", "next_at"]),
        month(&["until", "updated_at"]),
        month(&["beat_at"]),
    );
    client(&database.url).await.batch_execute(&behind).await.unwrap();
    assert!(!store.processes(ALIVE).await.unwrap()[0].live, "who was heard of in a month may be long dead");
    assert!(store.pull_back().await.unwrap() > 0);
    assert_eq!(store.pull_back().await.unwrap(), 0, "once");
    are_pulled_back(&store, &held).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_by_a_clock_that_is_a_month_ahead_of_the_databases_drops_nothing_that_is_not_old() {
    let database = TestDatabase::empty().await;
    let clock = Arc::new(SetClock::default());
    clock.set_days_ahead(2 * MONTH);
    let store = database.store().await.with_clock(Arc::clone(&clock) as _).await.unwrap();
    let fact = moved(&tenant("acme"), "a-1");
    applied(store.commit(Change { handled: handled(&fact), ..Change::default() }).await);
    store.sweep(clock.now(), clock.now() - SignedDuration::from_hours(24 * MONTH), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(store.message(fact.id.as_str()).await.unwrap()[0].state, "handled");
}

/// Sends one row, which nobody handles.
async fn sends_one(store: &dyn Store) -> Envelope {
    let fact = moved(&tenant("acme"), "a-1");
    applied(store.commit(Change { outbox: vec![publishes(&fact, None)], ..Change::default() }).await);
    let rows = store.claim(now(), 10, 10, ALIVE).await.unwrap();
    store.sent(rows).await.unwrap();
    fact
}

async fn goes_out_again(store: &dyn Store, fact: &Envelope) {
    assert_eq!(store.gone_back().await.unwrap(), Some(1));
    let again = store.claim(later(now(), 1), 10, 10, ALIVE).await.unwrap();
    assert_eq!(again.iter().map(|row| row.message_id.as_str()).collect::<Vec<_>>(), [fact.id.as_str()]);
    assert_eq!(store.gone_back().await.unwrap(), None, "once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_knows_that_it_is_a_copy_and_sends_again_what_is_not_handled() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let store = SqliteStore::open(&first).unwrap();
    store.gone_back().await.unwrap();
    let fact = sends_one(&store).await;
    assert_eq!(store.gone_back().await.unwrap(), None);
    assert_eq!(SqliteStore::open(&first).unwrap().gone_back().await.unwrap(), None, "the same, opened again");
    let copied = std::process::Command::new("cp").arg("-a").args([&first, &second]).status().unwrap();
    assert!(copied.success());
    drop(store);
    goes_out_again(&SqliteStore::open(&second).unwrap(), &fact).await;
    assert_eq!(Subject::memory().await.store.gone_back().await.unwrap(), None, "memory is never older than it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_knows_that_it_was_restored_and_sends_again_what_is_not_handled() {
    let (database, other) = (TestDatabase::empty().await, TestDatabase::empty().await);
    let store = database.store().await;
    store.gone_back().await.unwrap();
    let fact = sends_one(&store).await;
    assert_eq!(store.gone_back().await.unwrap(), None);
    assert_eq!(database.unmigrated().await.gone_back().await.unwrap(), None, "another process on the same");
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let run = |program: &str, words: &[&str]| assert!(std::process::Command::new(program).args(words).status().unwrap().success());
    run("pg_dump", &["--format=custom", "--file", dump.to_str().unwrap(), &database.url]);
    run("pg_restore", &["--no-owner", "--dbname", &other.url, dump.to_str().unwrap()]);
    goes_out_again(&other.unmigrated().await, &fact).await;
}
