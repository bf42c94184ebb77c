//! A real PgBouncer between the hub and PostgreSQL: refused at once, with the reason and the way out, in every mode and configuration in
//! which it drops what the hub sets for its sessions. Nothing is waited for, and nothing works by halves.

use crate::support::{postgres::TestDatabase, services::PgBouncer};
use atshub::{
    credentials::Sealer,
    postgres::{PostgresOptions, PostgresStore},
};
use atshub_actors::ports::{Store, StoreError};
use std::process::{Command, Stdio};
use tokio::runtime::Handle;

const WAY_OUT: &str = "name PostgreSQL's own address in `store.url`";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_drops_what_the_hub_sets_for_its_sessions_is_refused_with_the_way_out() {
    let database = TestDatabase::empty().await;
    database.store().await;
    for (mode, more, why) in [
        ("transaction", "", "unsupported startup parameter"),
        ("session", "", "unsupported startup parameter"),
        ("transaction", "ignore_startup_parameters = options,extra_float_digits", "settings did not arrive"),
        ("session", "ignore_startup_parameters = options,extra_float_digits", "settings did not arrive"),
    ] {
        let pooler = PgBouncer::before(&database.url, mode, more);
        let url = pooler.url(&database.url);
        let failure = match PostgresStore::connect(&url, Handle::current(), PostgresOptions::default()).await {
            Ok(store) => store.tenants().await.map(drop).unwrap_err(),
            Err(failure) => failure,
        };
        let StoreError::Broken(text) = &failure else { panic!("{mode}, {more}: {failure:?}") };
        assert!(text.contains(why) && text.contains(WAY_OUT), "{mode}, {more}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_the_hub_end_with_the_reason_and_do_not_wait_for_a_pooler_to_become_postgresql() {
    let database = TestDatabase::empty().await;
    let pooler = PgBouncer::before(&database.url, "transaction", "ignore_startup_parameters = options,extra_float_digits");
    let folder = tempfile::tempdir().unwrap();
    let broker = format!("embedded:{}", folder.path().join("data").display());
    let key = folder.path().join("seal.key");
    Sealer::from_key_file_or_new(&key).unwrap();
    for words in [&["serve"][..], &["migrate"], &["check", "store"], &["tenant", "list"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
        command.args(words).args(["--broker", &broker, "--store", &pooler.url(&database.url)]);
        if words == ["serve"] {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let ended = command.current_dir(folder.path()).env("ATSHUB_SEAL__KEY_FILE", &key).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
        assert!(!ended.status.success() && said.contains(WAY_OUT), "{words:?}: {:?} {said}", ended.status.code());
    }
}
