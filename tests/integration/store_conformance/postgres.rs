//! What only the PostgreSQL store promises: lost connections, a database that hangs, migrations, partitions.

use crate::support::{
    build::{applied, candidacy, claim, days_later, dossier, external, handled, line, moved, now, publishes, saves, tenant},
    postgres::{MAX_CONNECTIONS, TestDatabase, address, client},
    proxy::Proxy,
};
use atshub::postgres::{PostgresOptions, PostgresStore, Schema};
use atshub_actors::{
    domain::{Lookup, State},
    ports::{Beat, Change, CommitOutcome, Dossiers, Journal, MessageKey, Rail, Store, StoreError},
};
use futures_util::future::join_all;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_connections_are_cut_in_the_middle_every_answer_was_true_and_work_goes_on() {
    let database = TestDatabase::empty().await;
    let store = Arc::new(database.store().await);
    let acme = tenant("acme");
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let lanes: Vec<_> = (0..16)
        .map(|lane| {
            let (store, acme, stop, done) = (Arc::clone(&store), acme.clone(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut committed, mut away) = (Vec::new(), 0);
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("a-{lane}-{n}");
                    let fact = moved(&acme, &id);
                    let change = Change { handled: handled(&fact), ..saves(&dossier(&acme, &id, &format!("{id}@example.org"))) };
                    match store.commit(change).await {
                        Ok(CommitOutcome::Committed) => committed.push((id, MessageKey::from(&fact))),
                        Err(StoreError::Away(_)) => away += 1,
                        other => panic!("{other:?}"),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                (committed, away)
            })
        })
        .collect();
    let killer = client(&database.url).await;
    let kill =
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
    for round in 1..=8 {
        while done.load(Ordering::Relaxed) < round * 200 {
            tokio::task::yield_now().await;
        }
        killer.query(kill, &[]).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let (mut committed, mut away) = (Vec::new(), 0);
    for lane in join_all(lanes).await {
        let (mine, lost) = lane.unwrap();
        committed.extend(mine);
        away += lost;
    }
    assert!(away > 0, "something was cut");
    // Each connection that was idle when it was cut may cost one more answer, no more.
    let mut answers = Vec::new();
    for n in 0..=MAX_CONNECTIONS {
        answers.push(store.commit(saves(&dossier(&acme, &format!("late-{n}"), &format!("late{n}@example.org")))).await);
    }
    assert!(answers.contains(&Ok(CommitOutcome::Committed)), "{answers:?}");
    killer.batch_execute("delete from dossiers where application_id like 'late-%'").await.unwrap();
    let store = database.unmigrated().await;
    for (id, key) in committed {
        assert_eq!(store.dossiers(&acme, Lookup::Application(external(&id))).await.unwrap().len(), 1, "{id} was answered and is lost");
        assert!(store.begin(&key, claim()).await.unwrap().handled, "{id} is there by half");
    }
    // What is there is whole, also where the answer was lost.
    let halves = "select (select count(*) from dossiers) - (select count(*) from inbox)";
    assert_eq!(killer.query_one(halves, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_the_database_refuses_does_not_fail_its_neighbours() {
    let database = TestDatabase::empty().await;
    let store = Arc::new(database.store().await);
    let acme = tenant("acme");
    client(&database.url).await.batch_execute("alter table journal add check (code <> 'poison')").await.unwrap();
    let commits = (0..100).map(|n| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        let code = if n == 50 { "poison" } else { "fine" };
        tokio::spawn(async move { store.commit(Change { journal: vec![line(&acme, "a-1", now(), code)], ..Change::default() }).await })
    });
    for (n, outcome) in join_all(commits).await.into_iter().enumerate() {
        match outcome.unwrap() {
            Err(StoreError::Refused(text)) if n == 50 => assert!(text.contains("journal"), "{text}"),
            outcome => assert_eq!(outcome, Ok(CommitOutcome::Committed), "change {n}"),
        }
    }
    assert_eq!(store.journal(&acme, &external("a-1")).await.unwrap().len(), 99);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_is_away_within_the_limit_and_comes_back() {
    let database = TestDatabase::empty().await;
    drop(database.store().await);
    let options = PostgresOptions {
        max_connections: 4,
        statement_timeout: Duration::from_millis(500),
        answer_within: Duration::from_millis(700),
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(&database.url, tokio::runtime::Handle::current(), options).await.unwrap();
    let mut other = client(&database.url).await;
    let holding = other.transaction().await.unwrap();
    holding.batch_execute("lock table dossiers, attempts, tenants in access exclusive mode").await.unwrap();
    let acme = tenant("acme");
    let key = MessageKey::from(&moved(&acme, "a-1"));
    let started = Instant::now();
    let (commit, begin, read) =
        tokio::join!(store.commit(saves(&dossier(&acme, "a-1", "ada@example.org"))), store.begin(&key, claim()), store.tenants(),);
    assert!(matches!(commit, Err(StoreError::Away(_))), "{commit:?}");
    assert!(matches!(begin, Err(StoreError::Away(_))), "{begin:?}");
    assert!(matches!(read, Err(StoreError::Away(_))), "{read:?}");
    assert!(started.elapsed() < Duration::from_secs(3));
    holding.rollback().await.unwrap();
    assert_eq!(store.commit(saves(&dossier(&acme, "a-1", "ada@example.org"))).await, Ok(CommitOutcome::Committed));
    assert_eq!(store.begin(&key, claim()).await.unwrap().begun, 1, "the one that was refused did not count");
}

/// With a lease of an hour, so that nobody waits for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_whose_claim_had_no_answer_are_handed_out_again_without_waiting_for_the_end_of_a_lease() {
    const LEASE: Duration = Duration::from_secs(3600);
    let database = TestDatabase::empty().await;
    drop(database.store().await);
    let proxy = Proxy::to(address()).await;
    let options = PostgresOptions { max_connections: 4, answer_within: Duration::from_secs(2), ..PostgresOptions::default() };
    let url = database.url_at(proxy.address);
    let store = PostgresStore::connect(&url, tokio::runtime::Handle::current(), options).await.unwrap();
    let (acme, behind) = (tenant("acme"), client(&database.url).await);
    let relay = store.fresh(LEASE).unwrap();
    // What is asked first has to be prepared, which takes an answer.
    applied(store.commit(Change { outbox: vec![publishes(&moved(&acme, "first"), None)], ..Change::default() }).await);
    let rows = store.claim(now(), 10, 0, LEASE).await.unwrap();
    store.unsent_all(rows, now(), "to be prepared").await.unwrap();
    let rows = store.claim(now(), 10, 0, LEASE).await.unwrap();
    store.sent(rows).await.unwrap();
    relay.open(true);

    let handed_out = async |what: &str| {
        proxy.speak();
        loop {
            match store.claim(now(), 10, 0, LEASE).await {
                Ok(rows) if !rows.is_empty() => return rows,
                Ok(_) | Err(StoreError::Away(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("{what}: {other:?}"),
            }
        }
    };
    let claimed = async |what: &str| {
        let sql = "select count(*) from waiting where claimed_until > now() + interval '30 minutes'";
        assert_eq!(behind.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 1, "{what}: the row is claimed");
    };
    let fact = moved(&acme, "a-1");
    proxy.lose_answers();
    let change = Change { outbox: vec![publishes(&fact, None)], ..Change::default() };
    let lost = store.commit(change).await;
    assert!(matches!(lost, Err(StoreError::Away(_))), "{lost:?}");
    claimed("a commit that promises to the relay").await;
    let rows = handed_out("a commit that promises to the relay").await;
    assert_eq!(rows[0].message_id, fact.id.to_string());

    // What is done without an answer has put the rows off: here it is not done.
    proxy.turn_away();
    let lost = store.unsent_all(rows, now(), "the queue is full").await;
    assert!(matches!(lost, Err(StoreError::Away(_))), "{lost:?}");
    claimed("putting off").await;
    proxy.let_in();
    let rows = handed_out("putting off").await;
    store.unsent_all(rows, now(), "once more").await.unwrap();

    proxy.lose_answers();
    let lost = store.claim(now(), 10, 0, LEASE).await;
    assert!(matches!(lost, Err(StoreError::Away(_))), "{lost:?}");
    claimed("a claim").await;
    assert_eq!(handed_out("a claim").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_there_is_away() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://postgres@{free}/postgres");
    let io = tokio::runtime::Handle::current();
    let refused = PostgresStore::connect(&url, io.clone(), PostgresOptions::default()).await;
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
    let store = PostgresStore::lazy(&url, io, &PostgresOptions::default()).unwrap();
    let commit = store.commit(saves(&dossier(&tenant("acme"), "a-1", "ada@example.org"))).await;
    assert!(matches!(commit, Err(StoreError::Away(_))), "{commit:?}");
}

/// Waiting does not make it right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_or_database_that_the_server_does_not_know_is_no_absence() {
    let database = TestDatabase::empty().await;
    let no_database = format!("{}_gone", database.url);
    let no_user = database.url.replacen("postgres@", "nobody_of_that_name@", 1);
    for (url, said) in [(no_database, "does not exist (3D000)"), (no_user, "does not exist (28000)")] {
        let refused = PostgresStore::connect(&url, tokio::runtime::Handle::current(), PostgresOptions::default()).await;
        assert!(matches!(&refused, Err(StoreError::Broken(text)) if text.contains(said)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_url_is_refused_without_repeating_it() {
    let url = "postgres://user:pa55word@host:notaport/db";
    let refused = PostgresStore::lazy(url, tokio::runtime::Handle::current(), &PostgresOptions::default()).unwrap_err();
    assert!(matches!(&refused, StoreError::Broken(text) if !text.contains("pa55word")), "{refused}");
}

#[test]
fn a_caller_without_a_runtime_of_its_own_is_answered_and_one_that_stands_still_holds_up_nobody() {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (database, store) = io.block_on(async {
        let database = TestDatabase::empty().await;
        let store = Arc::new(database.store().await);
        (database, store)
    });
    let acme = tenant("acme");
    // Asked once, and never polled again: an arbiter that stands still.
    let mut frozen: Vec<_> = (0..20)
        .map(|n| {
            let (store, acme) = (Arc::clone(&store), acme.clone());
            Box::pin(async move { store.commit(saves(&dossier(&acme, &format!("f-{n}"), &format!("f{n}@example.org")))).await })
        })
        .collect();
    for asked in &mut frozen {
        assert!(futures_util::FutureExt::now_or_never(asked).is_none());
    }
    let commits = (0..20).map(|n| store.commit(saves(&dossier(&acme, &format!("a-{n}"), &format!("p{n}@example.org")))));
    for outcome in futures_executor(join_all(commits)) {
        assert_eq!(outcome, Ok(CommitOutcome::Committed));
    }
    for outcome in futures_executor(join_all(frozen)) {
        assert_eq!(outcome, Ok(CommitOutcome::Committed));
    }
    drop(store);
    drop(database);
}

/// Polls to the end on this thread, with no timers and no IO of its own.
fn futures_executor<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_may_migrate_at_once_and_one_of_them_does() {
    let database = TestDatabase::empty().await;
    let stores = join_all((0..3).map(|_| database.unmigrated())).await;
    assert_eq!(stores[0].schema().await, Ok(Schema::Older));
    let applied: Vec<Vec<String>> = join_all(stores.iter().map(PostgresStore::migrate)).await.into_iter().map(Result::unwrap).collect();
    let mut lengths: Vec<usize> = applied.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let all = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/migrations")).unwrap().count();
    assert_eq!(lengths, [0, 0, all], "{applied:?}");
    for store in &stores {
        assert_eq!(store.schema().await, Ok(Schema::Current));
    }
    let ahead = "insert into refinery_schema_history (version, name, applied_on, checksum) values (999, 'later', '', '0')";
    let behind = client(&database.url).await;
    behind.batch_execute(ahead).await.unwrap();
    assert_eq!(stores[0].schema().await, Ok(Schema::Newer), "laid out by a later release that lets this one work");
    assert_eq!(stores[0].migrate().await, Ok(Vec::new()), "and there is nothing to do");
    behind.batch_execute("insert into versions (name, value) values ('least_schema', 999)").await.unwrap();
    assert_eq!(stores[0].schema().await, Ok(Schema::TooNew));
    let refused = stores[0].migrate().await.unwrap_err().to_string();
    assert!(refused.contains("a newer release of atshub"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_have_partitions_of_their_own_which_are_dropped_whole() {
    let database = TestDatabase::empty().await;
    let store = database.store().await;
    let behind = client(&database.url).await;
    let partitions = async || {
        let sql = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'outbox'::regclass";
        behind.query(sql, &[]).await.unwrap().len()
    };
    assert_eq!(partitions().await, 9, "today, a week, and the default");
    let acme = tenant("acme");
    let start = now();
    let (today, far) = (moved(&acme, "a-1"), moved(&acme, "a-1"));
    let outbox = vec![publishes(&today, None), publishes(&far, Some(days_later(start, 20)))];
    applied(store.commit(Change { outbox, ..Change::default() }).await);
    let in_default = async || behind.query_one("select count(*) from outbox_default", &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(in_default().await, 0, "the far one waits, and is not kept yet");
    let rows = store.claim(days_later(start, 21), 10, 10, Duration::from_secs(60)).await.unwrap();
    let (today, far): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.message_id == today.id.as_str());
    assert_eq!((today.len(), far.len()), (1, 1));
    store.sent(far).await.unwrap();
    assert_eq!(in_default().await, 1, "it is kept in the default partition");
    store.sweep(days_later(start, 15), days_later(start, 10), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(in_default().await, 0, "and moved when its day was made");
    assert_eq!(partitions().await, 1 + 8 + 1, "today's holds an unsent row, the others of that week are gone");
    store.sent(today).await.unwrap();
    store.sweep(days_later(start, 15), days_later(start, 10), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(partitions().await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_not_heard_of_for_a_day_is_forgotten_with_its_children_by_the_next_beat_of_another() {
    let database = TestDatabase::empty().await;
    let store = database.store().await;
    let [gone, quiet, here] = [(); 3].map(|()| uuid::Uuid::now_v7());
    let beat = async |process| {
        let beat = Beat { process, name: "host:1".into(), started_at: now(), able: true };
        store.beat(beat, Duration::from_secs(10)).await.unwrap()
    };
    let board = "insert into children (name, process, at, snapshot) values ($1, $2, now(), '{}')";
    let behind = client(&database.url).await;
    for (process, since, child) in [(gone, "25 hours", "tenant/acme"), (quiet, "23 hours", "tenant/globex")] {
        beat(process).await;
        behind.execute(board, &[&child, &process]).await.unwrap();
        let sql = format!("update processes set beat_at = beat_at - interval '{since}' where process = $1");
        behind.execute(&sql, &[&process]).await.unwrap();
    }
    let seen: Vec<_> = beat(here).await.into_iter().map(|record| (record.process, record.live)).collect();
    assert_eq!(seen, [(quiet, false), (here, true)]);
    let left = behind.query("select name from children", &[]).await.unwrap();
    assert_eq!(left.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["tenant/globex"]);
}

/// Keys of a release that compared addresses byte by byte are made anew, once: a dossier that was found by them is found still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_an_earlier_release_are_made_anew() {
    let database = TestDatabase::empty().await;
    let store = database.store().await;
    let acme = tenant("acme");
    let mut kept = dossier(&acme, "a-1", "j\u{fc}rgen@example.org");
    kept.candidacies = vec![candidacy(State::Invited, "1201")];
    applied(store.commit(saves(&kept)).await);
    let old = client(&database.url).await;
    old.batch_execute(
        "update dossiers set body = replace(body::text, 'j\u{fc}rgen', 'ju\u{308}rgen')::json; \
         update searched set email_key = 'ju\u{308}rgen@example.org'; \
         update candidacies set live_key = 'ju\u{308}rgen@example.org|1201'; update versions set value = 1 where name = 'searched'",
    )
    .await
    .unwrap();
    store.migrate().await.unwrap();
    for by in [Lookup::Email("Ju\u{308}rgen@example.org".parse().unwrap()), Lookup::Live("j\u{fc}rgen@example.org|1201".into())] {
        let found = store.dossiers(&acme, by.clone()).await.unwrap();
        assert_eq!(found.first().map(|d| d.application.id.as_str()), Some("a-1"), "{by:?}");
    }
}
