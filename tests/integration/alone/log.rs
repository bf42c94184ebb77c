//! A log that cannot be written, or that nobody reads, neither stops nor ends the hub: lines are dropped and counted.

use super::{Ground, runtime};
use crate::support::hub_process::HubProcess;
use std::{fs::OpenOptions, io::Read as _, process::Stdio, time::Duration};

/// Everything that any part has to say.
const ALL: &str = "trace,lapin=off";

/// A hub whose standard error goes there does its work, says how many lines were dropped, and stops when it is told to.
async fn works(stderr: Stdio, level: &str) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let ground = Ground::new(folder.path()).await;
    let (mut hub, crowd) = ground
        .invites(folder.path(), |mut command| {
            command.env("ATSHUB_LOG__LEVEL", level).stderr(stderr);
            command
        })
        .await;
    let client = atshub_simulators::loopback_client(Duration::from_secs(5)).unwrap();
    let metrics = client.get(format!("{}/metrics", hub.url())).send().await.unwrap().text().await.unwrap();
    assert_eq!(hub.terminate().code(), Some(0));
    assert_eq!(crowd.wrong(), [""; 0]);
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("atshub_log_lines_dropped_total "));
    dropped.unwrap_or_else(|| panic!("no count in {metrics}")).parse().unwrap()
}

#[test]
fn a_log_whose_reader_is_gone_costs_its_lines_alone() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(runtime().block_on(works(writer.into(), "info")) > 0);
}

#[test]
fn a_log_on_a_full_disk_costs_its_lines_alone() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert!(runtime().block_on(works(full.into(), "info")) > 0);
}

#[test]
fn a_log_that_nobody_reads_holds_up_no_work() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    runtime().block_on(works(writer.into(), ALL));
    let mut written = Vec::new();
    reader.read_to_end(&mut written).unwrap();
    assert!(written.len() >= 60_000, "{} bytes did not fill the pipe: the test says nothing", written.len());
}

/// What a hub that does its work writes at this level, and how many lines it dropped.
fn written(level: &str) -> (String, u64) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    let dropped = runtime().block_on(works(writer.into(), level));
    (reading.join().unwrap().unwrap(), dropped)
}

#[test]
fn at_debug_each_decision_and_each_call_is_a_line_by_ids_alone() {
    let (text, _) = written("debug");
    for part in ["kind=\"application.moved.v1\"", "code=\"invited\"", "call=\"createInvitation\" outcome=\"2xx\" took_ms="] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for personal in [".example", "Candidate "] {
        assert!(!text.contains(personal), "{personal} is in {text}");
    }
}

#[test]
fn a_log_that_is_read_is_whole() {
    let (text, dropped) = written("info");
    assert_eq!(dropped, 0, "{text}");
    // What came again in the last seconds is counted at the end.
    let mut once = text.lines().filter(|line| !line.contains(" repeated="));
    assert!(text.contains("the hub is up") && once.next_back().is_some_and(|line| line.contains("stopped")), "{text}");
}

/// The error that ends a hub is said even so, and nothing waits for a reader.
#[test]
fn a_hub_that_cannot_go_on_ends_though_nobody_reads_why() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("seal.key");
    std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Full to the last byte: whoever writes to it waits.
    std::io::Write::write_all(&mut writer, &[b'x'; 64 * 1024]).unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("embedded:{}", folder.path().display());
    let mut hub = HubProcess::begin_by(folder.path(), &address, &address, &key, |mut command| {
        command.env("ATSHUB_HTTP__LISTEN", taken.local_addr().unwrap().to_string()).stderr(writer);
        command
    });
    assert_eq!(hub.ended().code(), Some(1));
    drop(reader);
}
