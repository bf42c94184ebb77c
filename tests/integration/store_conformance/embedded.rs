//! What only the SQLite store promises: kill -9 loses nothing that was answered, two processes may share a folder, and a
//! deleted credential is not in the file.

use crate::support::build::{applied, candidacy, dossier, external, handled, moved, next, now, publishes, record, saves, tenant};
use atshub::embedded::store::SqliteStore;
use atshub_actors::{
    domain::{Lookup, State},
    ports::{Beat, Change, CommitOutcome, Conflict, Dossiers, Journal, Rail, SealedSecret, Store, TenantRecord},
};
use atshub_schemas::{Envelope, MessageId};
use futures_util::future::join_all;
use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// Set for the child alone: the folder to commit into.
const CHILD: &str = "ATSHUB_TEST_COMMIT_INTO";
/// What the child says before each number that was answered.
const ANSWERED: &str = "committed ";

/// The whole of one piece of work: a dossier, its message, a row to publish.
fn work(n: u64) -> (Change, Envelope) {
    let acme = tenant("acme");
    let mut fact = moved(&acme, &format!("a-{n}"));
    fact.id = MessageId::new(format!("m-{n}")).unwrap();
    let saved = saves(&dossier(&acme, &format!("a-{n}"), &format!("p{n}@example.org")));
    (Change { handled: handled(&fact), outbox: vec![publishes(&fact, None)], ..saved }, fact)
}

/// Not a test of its own: the child of the one below. Without the folder there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_commits_until_it_is_killed() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let store = Arc::new(SqliteStore::open(Path::new(&folder)).unwrap());
    let lanes = (0..8_u64).map(|lane| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for n in 0.. {
                let n = lane * 1_000_000 + n;
                assert_eq!(store.commit(work(n).0).await, Ok(CommitOutcome::Committed));
                println!("{ANSWERED}{n}");
            }
        })
    });
    join_all(lanes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_everything_that_was_answered_is_there_and_nothing_by_halves() {
    let folder = tempfile::tempdir().unwrap();
    let mut answered = HashSet::new();
    for round in 0..3 {
        let folder = folder.path().join(format!("hub-{round}"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_conformance::embedded::child_that_commits_until_it_is_killed", "--nocapture"])
            .env(CHILD, &folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.map_while(Result::ok).filter_map(|l| l.strip_prefix(ANSWERED).and_then(|n| n.parse::<u64>().ok()));
        answered.clear();
        for n in numbers {
            answered.insert(n);
            if answered.len() == 200 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(answered.len() >= 200, "the child ran");

        let store = SqliteStore::open(&folder).unwrap();
        let rows = store.claim(now(), 1_000_000, 1_000_000, Duration::from_secs(60)).await.unwrap();
        let published: HashSet<String> = rows.into_iter().map(|r| r.message_id).collect();
        for n in &answered {
            assert!(published.contains(&format!("m-{n}")), "{n} was answered and is lost");
        }
        for id in &published {
            let n: u64 = id.strip_prefix("m-").unwrap().parse().unwrap();
            let by = Lookup::Application(external(&format!("a-{n}")));
            assert_eq!(store.dossiers(&tenant("acme"), by).await.unwrap().len(), 1, "{n} is there by half");
            assert_eq!(store.message(id).await.unwrap()[0].state, "handled", "{n} is there by half");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_may_write_into_the_same_folder_at_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_conformance::embedded::child_that_commits_until_it_is_killed", "--nocapture"])
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).filter(|l| l.starts_with(ANSWERED));
    for n in 0..50 {
        lines.next().expect("the child goes on");
        assert_eq!(store.commit(work(90_000_000 + n).0).await, Ok(CommitOutcome::Committed));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_handles_on_one_folder_see_each_others_work_and_exclude_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, cli) = (SqliteStore::open(folder.path()).unwrap(), SqliteStore::open(folder.path()).unwrap());
    let version = hub.tenants_version().await.unwrap();
    let record = TenantRecord { ats: "ashby".into(), ..record("acme") };
    assert!(cli.put_tenant(record, None).await.unwrap());
    assert!(hub.tenants_version().await.unwrap() > version, "the running hub notices");
    let mut known = dossier(&tenant("acme"), "a-1", "ada@example.org");
    for _ in 0..20 {
        let (one, other) = tokio::join!(hub.commit(saves(&known)), cli.commit(saves(&known)));
        let outcomes = [one.unwrap(), other.unwrap()];
        assert!(outcomes.contains(&CommitOutcome::Committed), "{outcomes:?}");
        assert!(outcomes.contains(&CommitOutcome::Conflict(Conflict::Raced)), "{outcomes:?}");
        known = next(&known);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_or_replaced_credential_is_not_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let sealed = |text: &str| SealedSecret {
        owner: "tenant/acme".into(),
        name: "api_key".into(),
        sealed: bytes::Bytes::from(text.repeat(40)),
        fingerprint: "ab12".into(),
        set_at: now(),
    };
    let found = |text: &str| {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|f| std::fs::read(f.unwrap().path()).unwrap());
        files.filter(|bytes| bytes.windows(text.len()).any(|w| w == text.as_bytes())).count()
    };
    store.put_secret(sealed("FIRST-CIPHER")).await.unwrap();
    assert!(found("FIRST-CIPHER") > 0, "the search finds what is there");
    store.put_secret(sealed("SECOND-CIPHER")).await.unwrap();
    assert_eq!(found("FIRST-CIPHER"), 0);
    assert!(store.delete_secret("tenant/acme", "api_key").await.unwrap());
    assert_eq!(found("SECOND-CIPHER"), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    applied(store.commit(work(1).0).await);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_not_heard_of_for_a_day_is_forgotten_with_its_children_by_the_next_beat_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let behind = rusqlite::Connection::open(folder.path().join("hub.db")).unwrap();
    let [gone, quiet, here] = [(); 3].map(|()| uuid::Uuid::now_v7());
    let beat = async |process| {
        let beat = Beat { process, name: "host:1".into(), started_at: now(), able: true };
        store.beat(beat, Duration::from_secs(10)).await.unwrap()
    };
    for (process, hours, child) in [(gone, 25, "tenant/acme"), (quiet, 23, "tenant/globex")] {
        beat(process).await;
        let (process, earlier) = (process.to_string(), i64::from(hours) * 3_600_000_000);
        let board = "insert into children (name, process, at, snapshot) values (?, ?, 0, '{}')";
        behind.execute(board, (child, &process)).unwrap();
        behind.execute("update processes set beat_at = beat_at - ? where process = ?", (earlier, &process)).unwrap();
    }
    let seen: Vec<_> = beat(here).await.into_iter().map(|record| (record.process, record.live)).collect();
    assert_eq!(seen, [(quiet, false), (here, true)]);
    let left: String = behind.query_row("select group_concat(name) from children", (), |row| row.get(0)).unwrap();
    assert_eq!(left, "tenant/globex");
}

/// Keys of a release that compared addresses byte by byte are made anew, once: a dossier that was found by them is found still.
#[tokio::test]
async fn keys_of_an_earlier_release_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let acme = tenant("acme");
    let mut kept = dossier(&acme, "a-1", "j\u{fc}rgen@example.org");
    kept.candidacies = vec![candidacy(State::Invited, "1201")];
    let store = SqliteStore::open(folder.path()).unwrap();
    applied(store.commit(saves(&kept)).await);
    drop(store);
    let file = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    let file = file.into_iter().find(|file| file.extension().is_some_and(|end| end == "sqlite" || end == "db")).unwrap();
    let old = rusqlite::Connection::open(file).unwrap();
    old.execute_batch(
        "update dossiers set body = replace(body, 'j\u{fc}rgen', 'ju\u{308}rgen'); \
         update searched set email_key = 'ju\u{308}rgen@example.org'; \
         update candidacies set live_key = 'ju\u{308}rgen@example.org|1201'; update versions set value = 1 where name = 'searched'",
    )
    .unwrap();
    drop(old);
    let store = SqliteStore::open(folder.path()).unwrap();
    for by in [Lookup::Email("Ju\u{308}rgen@example.org".parse().unwrap()), Lookup::Live("j\u{fc}rgen@example.org|1201".into())] {
        let found = store.dossiers(&acme, by.clone()).await.unwrap();
        assert_eq!(found.first().map(|d| d.application.id.as_str()), Some("a-1"), "{by:?}");
    }
}
