//! Going back to an older state: a restored dump, on the broker as it is and on an empty one, and a copy of the embedded folder.

use super::{Stage, runtime};
use crate::support::{
    crowd::Crowd, guards::with_and_without_guard, hub::until, hub_process::HubProcess, postgres::TestDatabase, rabbitmq::VirtualHost,
};
use atshub::embedded::store::SqliteStore;
use atshub_actors::ports::Standing;
use atshub_actors::ports::Store;
use atshub_simulators::platform::Guard;
use std::{
    path::Path,
    process::{Command, Output},
};

const ACCOUNTS: [&str; 2] = ["acme", "birch"];

with_and_without_guard! {
    a_dump_taken_under_load_and_restored_beside_the_broker_as_it_is_loses_nobody_and_invites_nobody_twice
    a_dump_taken_under_load_and_restored_beside_an_empty_broker_loses_nobody_and_invites_nobody_twice
    a_folder_that_was_copied_while_the_hub_ran_on_it_loses_nobody_and_invites_nobody_twice
    a_backup_made_while_the_hub_runs_loses_nobody_and_invites_nobody_twice
}

/// Runs a program to its end.
fn run(program: &str, words: &[&str]) {
    let ended = Command::new(program).args(words).output().unwrap();
    assert!(ended.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
}

/// Two crowds: one of a tenant that works, one of a tenant that is set aside until the older state is back. All of them are accepted
/// when this answers, and some of the first are invited.
async fn accepted<'a>(stage: &'a Stage, store: &dyn Store) -> [Crowd<'a>; 2] {
    let idle = &stage.world.ashby[1].0;
    assert!(store.set_standing(idle, Standing::Paused, Some("by test: set aside"), None, None).await.unwrap().is_some());
    let (mut works, mut waits) = (Crowd::of(&stage.world, 0).await, Crowd::of(&stage.world, 1).await);
    waits.enter(20).await;
    works.enter(40).await;
    waits.is_taken().await;
    works.is_taken().await;
    works.invitations(5).await;
    [works, waits]
}

/// What follows when the older state is back: everybody is invited, once, and the ATS shows no failure.
async fn all_are_invited_once(stage: &Stage, store: &dyn Store, crowds: [Crowd<'_>; 2], mut hub: HubProcess) {
    hub.ready().await;
    assert!(store.set_standing(&stage.world.ashby[1].0, Standing::Active, None, None, None).await.unwrap().is_some());
    for crowd in &crowds {
        crowd.is_shown_as_invited().await;
    }
    // Nothing is on its way any more that could make it worse.
    assert!(until(async || store.next_due().await.unwrap().is_none_or(|due| due > jiff::Timestamp::now())).await);
    assert!(hub.terminate().success(), "{}", hub.log_tail());
    for crowd in &crowds {
        assert_eq!(crowd.wrong(), [""; 0], "{}", hub.log_tail());
    }
}

fn restored_dump(guard: Guard, broker_is_kept: bool) {
    runtime().block_on(async {
        let (host, before, after) = (VirtualHost::new(), TestDatabase::empty().await, TestDatabase::empty().await);
        let store = before.store().await;
        let stage = Stage::new(&ACCOUNTS, &store).await;
        stage.world.platform.set_guard(guard);
        let mut hub = stage.hub(&host.url(), &before.url);
        hub.ready().await;
        let crowds = accepted(&stage, &store).await;
        let dump = stage.folder.path().join("dump");
        run("pg_dump", &["--format=custom", "--file", dump.to_str().unwrap(), &before.url]);
        // The hub went on meanwhile; what it did since is not in the dump.
        crowds[0].invitations(30).await;
        hub.kill();
        drop(hub);
        run("pg_restore", &["--no-owner", "--exit-on-error", "--dbname", &after.url, dump.to_str().unwrap()]);
        if !broker_is_kept {
            host.make_anew();
        }
        let hub = stage.hub(&host.url(), &after.url);
        all_are_invited_once(&stage, &after.unmigrated().await, crowds, hub).await;
    });
}

fn a_dump_taken_under_load_and_restored_beside_the_broker_as_it_is_loses_nobody_and_invites_nobody_twice(guard: Guard) {
    restored_dump(guard, true);
}

fn a_dump_taken_under_load_and_restored_beside_an_empty_broker_loses_nobody_and_invites_nobody_twice(guard: Guard) {
    restored_dump(guard, false);
}

/// Goes back to a copy of the embedded folder that was made by this while the hub ran on it.
fn copied_folder(guard: Guard, copy: impl FnOnce(&Path, &Path)) {
    runtime().block_on(async {
        let stage = Stage::unknown(&ACCOUNTS).await;
        stage.world.platform.set_guard(guard);
        let [data, older] = ["data", "older"].map(|name| stage.folder.path().join(name));
        let address = |folder: &Path| format!("embedded:{}", folder.display());
        let store = SqliteStore::open(&data).unwrap();
        stage.register(&ACCOUNTS, &store).await;
        let mut hub = stage.hub(&address(&data), &address(&data));
        hub.ready().await;
        let crowds = accepted(&stage, &store).await;
        copy(&data, &older);
        crowds[0].invitations(30).await;
        hub.kill();
        drop(hub);
        drop(store);
        let hub = stage.hub(&address(&older), &address(&older));
        all_are_invited_once(&stage, &SqliteStore::open(&older).unwrap(), crowds, hub).await;
    });
}

fn a_folder_that_was_copied_while_the_hub_ran_on_it_loses_nobody_and_invites_nobody_twice(guard: Guard) {
    copied_folder(guard, |data, older| run("cp", &["-a", data.to_str().unwrap(), older.to_str().unwrap()]));
}

fn backup(data: &str, to: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_atshub");
    Command::new(program).args(["backup", "--store", data, "--broker", data]).arg(to).current_dir(to.parent().unwrap()).output().unwrap()
}

fn a_backup_made_while_the_hub_runs_loses_nobody_and_invites_nobody_twice(guard: Guard) {
    copied_folder(guard, |data, older| {
        let data = format!("embedded:{}", data.display());
        let made = backup(&data, older);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(said.contains("hub.db") && said.contains("broker.db"), "{said}");
        let files: Vec<_> = std::fs::read_dir(older).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(files.len(), 2, "two files, and no sealing key: {files:?}");
        let again = backup(&data, older);
        assert_eq!(again.status.code(), Some(64));
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(said.contains("exists, and nothing is written over"), "{said}");
    });
}

#[test]
fn there_is_no_backup_of_what_is_not_there_or_not_embedded_and_none_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let (data, to) = (folder.path().join("data"), folder.path().join("older"));
    for (store, code, words) in [
        (format!("embedded:{}", data.display()), 5, "there is no `"),
        ("postgres://postgres@127.0.0.1:5432/x".to_owned(), 64, "pg_dump"),
        ("embedded:memory".to_owned(), 64, "there is nothing to copy"),
    ] {
        let ended = backup(&store, &to);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!((ended.status.code(), said.contains(words)), (Some(code), true), "{store}: {said}");
        assert!(!to.exists() && !data.exists(), "nothing was made");
    }
}
