//! Where a hub cannot run it ends with its reason, and does not stand there without doors.

use super::runtime;
use crate::support::hub_process::HubProcess;
use std::{
    path::Path,
    process::{Command, Stdio},
};

fn begin(folder: &Path, change: impl FnOnce(Command) -> Command) -> HubProcess {
    let address = format!("embedded:{}", folder.join("data").display());
    let key = folder.join("seal.key");
    std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
    HubProcess::begin_by(folder, &address, &address, &key, change)
}

/// The same command with so many file handles.
fn with_handles(command: &Command, handles: u64, log: &Path) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {handles} && exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    limited
}

#[test]
fn with_too_few_file_handles_it_ends_with_its_reason_and_with_just_enough_its_doors_are_open() {
    runtime().block_on(async {
        for handles in [24, 40, 64, 100, 127] {
            let folder = tempfile::tempdir().unwrap();
            let mut hub = begin(folder.path(), |command| with_handles(&command, handles, &folder.path().join("hub.log")));
            assert_eq!(hub.ended().code(), Some(1), "{handles}: {}", hub.log_tail());
            let sentence = format!("{handles} file handles are too few to run on");
            assert!(hub.logged(&sentence) && hub.logged("LimitNOFILE=") && hub.panics() == 0, "{}", hub.log_tail());
        }
        let folder = tempfile::tempdir().unwrap();
        let mut hub = begin(folder.path(), |command| with_handles(&command, 128, &folder.path().join("hub.log")));
        hub.ready().await;
        assert!(hub.terminate().success() && hub.panics() == 0, "{}", hub.log_tail());
    });
}

/// Handles that are enough by the look of it, and then are not: each thread of the doors takes some.
#[test]
fn a_hub_whose_doors_cannot_open_ends_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = begin(folder.path(), |command| {
        let mut command = with_handles(&command, 128, &folder.path().join("hub.log"));
        command.env("ATSHUB_HTTP__WORKERS", "64").env("ATSHUB_HUB__ARBITERS", "1");
        command
    });
    assert_eq!(hub.ended().code(), Some(1), "{}", hub.log_tail());
    assert!(hub.logged("the doors did not open, or fell shut") && hub.logged("ulimit -n"), "{}", hub.log_tail());
}

#[test]
fn a_second_hub_on_an_embedded_folder_ends_with_its_reason_and_one_after_the_first_runs() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let mut first = begin(folder.path(), |command| command);
        first.ready().await;
        let second = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
            command.args(["--config", first.config().to_str().unwrap()]);
            command
        };
        let ended = second().args(["serve", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let data = folder.path().join("data");
        assert!(said.contains(&format!("another hub runs on `{}`", data.display())), "{said}");
        // The command line opens the same folder beside the hub.
        let listed = second().args(["tenant", "list"]).output().unwrap();
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        first.kill_and_restart();
        first.ready().await;
        assert!(first.terminate().success(), "{}", first.log_tail());
    });
}
