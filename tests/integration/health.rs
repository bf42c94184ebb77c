//! A hub that cannot do its work says so, with the cause: by ending with 64 where no wait mends it (another sealing key, another store's
//! broker), at `/readyz` where one does (nothing can be written, nothing can be published).

use crate::support::{
    hub::{Ground, Pair, on_ground, until},
    hub_process::HubProcess,
    postgres::{TestDatabase, client},
    rabbitmq::VirtualHost,
    services::RabbitNode,
};
use atshub::{credentials::Sealer, embedded::store::SqliteStore};
use atshub_actors::ports::Standing;
use atshub_actors::ports::Store;
use std::{
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What the parts of a hub say of themselves at `/readyz`: the answer's code, and the causes of store and broker.
async fn readiness(url: &str) -> Option<(u16, String, String)> {
    let client = atshub_simulators::loopback_client(Duration::from_secs(10)).unwrap();
    let answer = client.get(format!("{url}/readyz")).send().await.ok()?;
    let status = answer.status().as_u16();
    let body: serde_json::Value = answer.json().await.ok()?;
    let cause = |part: &str| body[part]["cause"].as_str().unwrap_or_default().to_owned();
    Some((status, cause("store"), cause("broker")))
}

fn key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    drop(Sealer::from_key_file_or_new(&path).unwrap());
    path
}

/// The file that [`SET_PLATFORM`] and [`ADD_TENANT`] read their secret from, in the folder they run in.
const SECRET: &str = "secret";
const SET_PLATFORM: [&str; 9] = ["platform", "add", "main", "--kind", "karat", "--url", "http://127.0.0.1:1", "--token-file", SECRET];
const ADD_TENANT: [&str; 11] =
    ["tenant", "add", "acme", "--ats", "ashby", "--platform", "main", "--trigger-stage", "Assessment", "--key-file", SECRET];

/// A folder for commands to run in, with the [`SECRET`] they read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(SECRET), "a-secret-of-the-other-side").unwrap();
    folder
}

/// A command of the real program, with this sealing key: its exit code, and what it said.
fn command(words: &[&str], broker: &str, store: &str, key: Option<&Path>, at: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
    command.args(words).args(["--broker", broker, "--store", store]).current_dir(at);
    if words.first() == Some(&"serve") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.envs(key.map(|key| ("ATSHUB_SEAL__KEY_FILE", key)));
    let ended = command.output().unwrap();
    (ended.status.code(), String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_or_command_with_another_sealing_key_ends_with_64_and_the_one_that_runs_goes_on() {
    let (host, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, folder());
    let store = database.store().await;
    let (right, wrong) = (key(folder.path(), "right.key"), key(folder.path(), "wrong.key"));
    let run = |words: &[&str], key: &Path| command(words, &host.url(), &database.url, Some(key), folder.path());
    let (code, said) = run(&SET_PLATFORM, &right);
    assert_eq!(code, Some(0), "{said}");

    let mut hub = HubProcess::start(folder.path(), &host.url(), &database.url, &right).await;
    for words in [&["serve"][..], &SET_PLATFORM, &ADD_TENANT, &["platform", "test", "main"]] {
        let (code, said) = run(words, &wrong);
        assert_eq!(code, Some(64), "{words:?}: {said}");
        for part in [
            &format!("sealed with key `{}…`", Sealer::from_key_file(&right).unwrap().mark()),
            &format!("this sealing key is `{}…`", Sealer::from_key_file(&wrong).unwrap().mark()),
            "point `seal.key_file` to the key that was used",
        ] {
            assert!(said.contains(part), "{words:?}: {said}");
        }
    }
    assert!(store.tenants().await.unwrap().is_empty(), "a refused command changes nothing");
    assert_eq!(store.processes(Duration::from_secs(10)).await.unwrap().len(), 1, "a refused process is none");
    let (code, said) = run(&ADD_TENANT, &right);
    assert_eq!(code, Some(0), "{said}");
    hub.ready().await;
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_while_a_hub_runs_with_both_and_no_tenant_is_started_anew() {
    let (host, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, folder());
    let store = database.store().await;
    let (old, new) = (key(folder.path(), "old.key"), key(folder.path(), "new.key"));
    let run = |words: &[&str], key: &Path| command(words, &host.url(), &database.url, Some(key), folder.path());
    for words in [&SET_PLATFORM[..], &ADD_TENANT] {
        let (code, said) = run(words, &old);
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = run(&["seal", "rotate"], &new);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("seal.previous_key_file"), "{said}");

    let mut hub =
        HubProcess::start_set(folder.path(), &host.url(), &database.url, &new, &[("seal", "previous_key_file", old.to_str().unwrap())])
            .await;
    let running = async || {
        let children = store.children(Some("tenant/acme")).await.unwrap();
        children.first().map(|shown| (shown.child.phase, shown.child.generation))
    };
    let up = until(async || matches!(running().await, Some((atshub_actors::supervision::Phase::Running, _)))).await;
    assert!(up, "{}", hub.log_tail());
    let before = running().await;
    let config = folder.path().join("atshub.toml");
    let configured = |words: &[&str]| {
        let words = [words, &["--config", config.to_str().unwrap()]].concat();
        command(&words, &host.url(), &database.url, None, folder.path())
    };
    let (code, said) = configured(&["seal", "rotate"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("2 credential(s) sealed anew") && said.contains("not needed any more"), "{said}");
    let (code, said) = run(&["seal", "show"], &new);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = run(&["seal", "show"], &old);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("tenant/acme/api_key") && said.contains("platform/main/token"), "{said}");
    assert_eq!(run(&["serve"], &old).0, Some(64));
    // Another tenant's coming has the hub read everything again.
    let (code, said) = configured(&["tenant", "add", "other", "--ats", "bridge", "--platform", "main", "--trigger-stage", "x"]);
    assert_eq!(code, Some(0), "{said}");
    let taken = until(async || !store.children(Some("tenant/other")).await.unwrap().is_empty()).await;
    assert!(taken, "{}", hub.log_tail());
    assert_eq!(running().await, before, "the same actor as before");
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[test]
fn a_hub_whose_sealing_key_is_gone_makes_no_other_in_its_place() {
    let folder = folder();
    let place = format!("embedded:{}", folder.path().join("data").display());
    let run = |words: &[&str]| command(words, &place, &place, None, folder.path());
    let (code, said) = run(&SET_PLATFORM);
    assert_eq!(code, Some(0), "{said}");
    let seal_key = folder.path().join("data/seal.key");
    let kept = std::fs::read(&seal_key).unwrap();
    std::fs::remove_file(&seal_key).unwrap();
    for words in [&["serve"][..], &SET_PLATFORM, &["seal", "show"]] {
        let (code, said) = run(words);
        assert_eq!(code, Some(64), "{words:?}: {said}");
        assert!(said.contains("is gone") && said.contains("1 credential(s)") && said.contains("put it back from its copy"), "{said}");
        assert!(!seal_key.exists(), "{words:?} made another");
    }
    std::fs::write(&seal_key, kept).unwrap();
    assert_eq!(run(&["seal", "show"]).0, Some(0));
    std::fs::remove_file(&seal_key).unwrap();
    assert_eq!(run(&["seal", "reset"]).0, Some(2));
    let (code, said) = run(&["seal", "reset", "--yes"]);
    assert!(code == Some(0) && said.contains("platform/main/token"), "{said}");
    let (code, said) = run(&SET_PLATFORM);
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_hub_on_another_store_does_not_run_on_the_same_broker() {
    for pair in [Pair::Real, Pair::Embedded] {
        on_ground(pair, async |ground: &Ground, _| {
            let mut first = HubProcess::start(ground.place(), &ground.addresses.0, &ground.addresses.1, &ground.config.seal.key_file).await;
            let other = tempfile::tempdir().unwrap();
            let database;
            let store = if pair == Pair::Real {
                database = TestDatabase::empty().await;
                drop(database.store().await);
                database.url.clone()
            } else {
                format!("embedded:{}", other.path().display())
            };
            let own = key(other.path(), "seal.key");
            if pair == Pair::Embedded {
                // Beside it nobody would be let into the folder, whatever its store.
                assert!(first.terminate().success(), "{}", first.log_tail());
            }
            let (code, said) = command(&["serve"], &ground.addresses.0, &store, Some(&own), other.path());
            assert_eq!(code, Some(64), "{pair:?}: {said}");
            assert!(
                said.contains("belong to the hub on another store") && said.contains("a virtual host (or a folder) of its own"),
                "{said}"
            );
            if pair == Pair::Real {
                first.ready().await;
                assert!(first.terminate().success(), "{}", first.log_tail());
            }
            assert_eq!(command(&["broker", "release"], &ground.addresses.0, &store, Some(&own), other.path()).0, Some(2));
            let (code, said) = command(&["broker", "release", "--yes"], &ground.addresses.0, &store, Some(&own), other.path());
            assert_eq!(code, Some(0), "{said}");
            let mut second = HubProcess::start(other.path(), &ground.addresses.0, &store, &own).await;
            assert!(second.terminate().success(), "{}", second.log_tail());
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_whose_broker_was_given_to_another_store_lets_go_of_it_and_says_so() {
    let (host, folder) = (VirtualHost::new(), tempfile::tempdir().unwrap());
    let (first, second) = (TestDatabase::empty().await, TestDatabase::empty().await);
    drop((first.store().await, second.store().await));
    let key = key(folder.path(), "seal.key");
    let [of_first, of_second] = ["first", "second"].map(|name| folder.path().join(name));
    let hub = HubProcess::start(&of_first, &host.url(), &first.url, &key).await;
    let (code, said) = command(&["broker", "release", "--yes"], &host.url(), &second.url, Some(&key), folder.path());
    assert_eq!(code, Some(0), "{said}");
    let mut other = HubProcess::start(&of_second, &host.url(), &second.url, &key).await;
    let let_go =
        async || matches!(readiness(&hub.url()).await, Some((503, store, broker)) if store.is_empty() && broker.contains("another store"));
    assert!(until(let_go).await, "{:?}\n{}", readiness(&hub.url()).await, hub.log_tail());
    other.ready().await;
    assert!(other.terminate().success(), "{}", other.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_can_only_be_read_is_not_ready_and_says_so_until_it_can_be_written() {
    let (host, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, tempfile::tempdir().unwrap());
    drop(database.store().await);
    let mut hub = HubProcess::start(folder.path(), &host.url(), &database.url, &key(folder.path(), "seal.key")).await;
    let admin = client(&database.url).await;
    let name: String = admin.query_one("select current_database()", &[]).await.unwrap().get(0);
    let becomes = async |read_only: &str| {
        // Sessions keep what they began with.
        let sql = format!(
            "set default_transaction_read_only = off; alter database {name} set default_transaction_read_only = {read_only}; \
             select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        );
        admin.batch_execute(&sql).await.unwrap();
    };
    becomes("on").await;
    let ill = until(async || matches!(readiness(&hub.url()).await, Some((503, store, _)) if store.contains("read-only"))).await;
    assert!(ill, "{:?}\n{}", readiness(&hub.url()).await, hub.log_tail());
    let (code, said) = command(&["check", "store"], &host.url(), &database.url, None, folder.path());
    assert!(code == Some(1) && said.contains("read-only"), "{code:?} {said}");
    becomes("off").await;
    assert!(until(async || matches!(readiness(&hub.url()).await, Some((200, ..)))).await, "{}", hub.log_tail());
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_whose_memory_alarm_is_on_is_not_ready_and_says_so_until_it_takes_publications_again() {
    let (node, database, folder) = (RabbitNode::start(), TestDatabase::empty().await, tempfile::tempdir().unwrap());
    drop(database.store().await);
    let mut hub = HubProcess::start(folder.path(), &node.url(), &database.url, &key(folder.path(), "seal.key")).await;
    node.ctl(&["set_vm_memory_high_watermark", "absolute", "1000"]);
    let ill =
        until(async || matches!(readiness(&hub.url()).await, Some((503, store, broker)) if store.is_empty() && !broker.is_empty())).await;
    assert!(ill, "{:?}\n{}", readiness(&hub.url()).await, hub.log_tail());
    let (_, _, cause) = readiness(&hub.url()).await.unwrap();
    assert!(cause.contains("memory") || cause.contains("takes no publications") || cause.contains("no answer to a publication"), "{cause}");
    node.ctl(&["set_vm_memory_high_watermark", "0.6"]);
    assert!(until(async || matches!(readiness(&hub.url()).await, Some((200, ..)))).await, "{}", hub.log_tail());
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_store_that_fails_whoever_writes_is_not_well_although_it_answers_questions() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    store.gone_back().await.unwrap();
    assert_eq!(store.ping().await, Ok(()));
    // The table of credentials alone is damaged; everything else answers.
    let page = {
        let file = rusqlite::Connection::open(folder.path().join("hub.db")).unwrap();
        file.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())).unwrap();
        let root: i64 = file.query_row("select rootpage from sqlite_schema where name = 'secrets'", [], |row| row.get(0)).unwrap();
        let size: i64 = file.query_row("pragma page_size", [], |row| row.get(0)).unwrap();
        (u64::try_from((root - 1) * size).unwrap(), usize::try_from(size).unwrap())
    };
    drop(store);
    let path = folder.path().join("hub.db");
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(page.0)).unwrap();
    file.write_all(&vec![0xa5; page.1]).unwrap();
    file.sync_all().unwrap();

    let store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.ping().await, Ok(()), "nobody has met it yet");
    let sealed = Sealer::forgetful().seal("tenant/acme", "api_key", "a-key").unwrap();
    let why = store.put_secret(sealed).await.unwrap_err().to_string();
    assert!(why.contains("damaged") && why.contains("back-up"), "{why}");
    assert_eq!(store.ping().await.unwrap_err().to_string(), why, "whoever asks hears of it");
    let _stands = store.set_standing(&"acme".parse().unwrap(), Standing::Active, None, None, None).await.unwrap();
    assert_eq!(store.ping().await, Ok(()), "the last change was done");
}
