//! What signals do to a hub, and what it says to systemd when one stops it.

use super::runtime;
use crate::support::{hub::until, hub_process::HubProcess};
use std::{os::unix::net::UnixDatagram, path::Path, process::Command, time::Duration};

fn begin(folder: &Path, change: impl FnOnce(&mut Command)) -> HubProcess {
    let address = format!("embedded:{}", folder.join("data").display());
    let key = folder.join("seal.key");
    std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
    HubProcess::begin_by(folder, &address, &address, &key, |mut command| {
        command.env("ATSHUB_LOG__LEVEL", "info");
        change(&mut command);
        command
    })
}

#[test]
fn signals_that_mean_nothing_to_it_are_a_line_in_the_log_and_the_others_drain_it() {
    runtime().block_on(async {
        for stops in ["-TERM", "-INT", "-QUIT"] {
            let folder = tempfile::tempdir().unwrap();
            let mut hub = begin(folder.path(), |_| {});
            hub.ready().await;
            for nothing in ["HUP", "USR1", "USR2", "HUP"] {
                hub.signal(&format!("-{nothing}"));
                let line = format!("SIG{nothing} has no effect");
                assert!(until(async || hub.logged(&line)).await, "{nothing}: {}", hub.log_tail());
            }
            hub.ready().await;
            hub.signal(stops);
            assert_eq!(hub.ended().code(), Some(0), "{stops}: {}", hub.log_tail());
            assert!(hub.logged("told to stop; draining") && hub.logged("stopped"), "{stops}: {}", hub.log_tail());
        }
    });
}

/// The moment at which it says that it is ready is the first at which systemd may stop it.
#[test]
fn systemd_is_asked_to_wait_for_the_whole_drain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let said = |wanted: &str| {
        let mut bytes = [0; 4096];
        loop {
            let count = socket.recv(&mut bytes).unwrap_or_else(|error| panic!("{wanted} was not said: {error}"));
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            if text.lines().any(|line| line == wanted) {
                return text;
            }
        }
    };
    let mut hub = begin(folder.path(), |command| {
        command.env("NOTIFY_SOCKET", &path).env("ATSHUB_HUB__DRAIN_SECONDS", "100");
    });
    said("READY=1");
    hub.signal("-TERM");
    let stopping = said("STOPPING=1");
    assert!(stopping.lines().any(|line| line == "EXTEND_TIMEOUT_USEC=115000000"), "{stopping}");
    assert_eq!(hub.ended().code(), Some(0), "{}", hub.log_tail());
}
