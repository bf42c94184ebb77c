//! The platform's published Python client works against the simulator: same library, same documents, introspection first.
//! Python's packages go into a folder of their own under `target/`, made here if `deploy/dev-services` has not made it.

#![expect(clippy::expect_used, reason = "a test that cannot go on stops where it is, also in its helpers")]

use atshub_simulators::platform::{PlatformOptions, PlatformSimulator};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};
use tokio::process::Command;

/// The library that the published client is written with; its extra brings the transport that client uses.
const LIBRARY: &str = "gql[requests]==3.5.3";
const LIMIT: Duration = Duration::from_secs(300);

async fn run(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(LIMIT, child).await.expect("the command took too long").expect("the command did not start");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A Python that has the library. Made under another name and then renamed, so that a half-made one is never used.
async fn python() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder");
    let home = target.join("python-platform-client");
    if !home.join("bin/python").exists() {
        let making = tempfile::Builder::new().prefix("python-platform-client.").tempdir_in(target).expect("a folder");
        run(Command::new("python3").args(["-m", "venv"]).arg(making.path())).await;
        let python = making.path().join("bin/python");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", LIBRARY])).await;
        // Another run may have been faster: then its folder stays and this one goes.
        if std::fs::rename(making.path(), &home).is_ok() {
            let _moved = making.keep();
        }
    }
    home.join("bin/python")
}

#[tokio::test]
async fn the_published_client_introspects_lists_invites_and_updates_statuses() {
    let platform = PlatformSimulator::start(PlatformOptions::default()).await.expect("the platform");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/platform_client.py");
    let mut client = Command::new(python().await);
    client.arg(script).env("PLATFORM_URL", platform.url()).env("PLATFORM_TOKEN", platform.token()).env("NO_PROXY", "127.0.0.1");
    let seen: Value = serde_json::from_slice(&run(&mut client).await.stdout).expect("one JSON object");

    assert_eq!(seen["me"], "Rae Recruiter");
    assert_eq!(seen["roles"], json!(["Backend engineer", "Frontend engineer"]));
    assert_eq!((&seen["groups"], &seen["users"]), (&json!(1), &json!(["rae@platform.example"])));
    let active = "Invite failed: Role already has an active interview for this candidate. \
                  Please visit this interview to make changes to it.";
    let link = seen["link"].as_str().expect("a link");
    assert_eq!(seen["refusals"], json!([format!("{active} {link}"), "Phone is too short (minimum is 7 characters)."]));
    let candidacy = &seen["candidacy"];
    assert_eq!(seen["disposition"]["successfulUpdates"], json!([candidacy]));
    assert_eq!(seen["disposition"]["failedUpdates"], json!(["1", "24"]));
    assert_eq!(seen["candidacies"], json!([["OFFER_ACCEPTED", "ada@example.org", "SCHEDULING"]]));
    assert_eq!(seen["wrong_token"], 401);

    let effects: Vec<_> = platform.ledger().effects().into_iter().map(|it| (it.kind, it.subject)).collect();
    let expected = [("invitation", "ada@example.org"), ("candidacy_status", "ada@example.org")];
    assert_eq!(effects, expected.map(|(kind, subject)| (kind.to_owned(), subject.to_owned())));
}
