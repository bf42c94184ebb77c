//! The files of `deploy/` say what its README promises. That they are well-formed is `tests/run`'s linters' to say; here are
//! the promises that no linter knows: limits, health checks, no root, secrets by file, the same rights wherever they stand.

use super::broker::{repository, run};
use serde_json::Value;
use std::{path::Path, process::Command};

pub(super) fn text(file: &str) -> String {
    std::fs::read_to_string(repository().join("deploy").join(file)).unwrap_or_else(|error| panic!("deploy/{file}: {error}"))
}

/// The compose file with its anchors resolved, by the YAML reader of Debian's Python or of the linters' folder.
pub(super) fn compose() -> Value {
    let script = "import json, sys\n\
        try:\n    import yaml\n    tree = yaml.safe_load(sys.stdin)\n\
        except ImportError:\n    from ruamel.yaml import YAML\n    tree = YAML(typ='safe', pure=True).load(sys.stdin)\n\
        json.dump(tree, sys.stdout)";
    let linters = repository().join("target/linters/bin/python3");
    let python = if linters.exists() { linters } else { "python3".into() };
    let (code, out, err) = run(Command::new(python).args(["-c", script]), Some(&text("compose.yaml")));
    assert_eq!(code, 0, "deploy/dev-services installs what reads YAML: {err}");
    serde_json::from_str(&out).unwrap()
}

fn services(compose: &Value) -> impl Iterator<Item = (&String, &Value)> {
    compose["services"].as_object().unwrap().iter()
}

#[test]
fn every_service_is_bounded_and_looked_after() {
    let compose = compose();
    assert_eq!(services(&compose).count(), 4);
    for (name, service) in services(&compose) {
        for limit in ["cpus", "memory", "pids"] {
            assert!(!service["deploy"]["resources"]["limits"][limit].is_null(), "{name} has no limit of {limit}");
        }
        let tag = service["image"].as_str().unwrap().split_once(':').map_or("latest", |(_, tag)| tag);
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{name}: pin its image by version");
        assert!(!service["logging"]["options"]["max-size"].is_null(), "{name} may fill the disk with logs");
        // A job that ends has nothing to be asked later; whoever waits for it waits for its success.
        if service["restart"] != "no" {
            assert_eq!(service["restart"], "unless-stopped", "{name}");
            assert!(!service["healthcheck"]["test"].is_null(), "{name} has no health check");
            assert!(!service["stop_grace_period"].is_null(), "{name} is killed after 10 s");
        }
        for (needed, condition) in service["depends_on"].as_object().into_iter().flatten() {
            let once = compose["services"][needed]["restart"] == "no";
            let wanted = if once { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(condition["condition"], wanted, "{name} does not wait for {needed}");
        }
    }
    for name in ["hub", "rabbitmq"] {
        assert_eq!(compose["services"][name]["ulimits"]["nofile"]["soft"], 65536, "{name}");
    }
}

#[test]
fn nothing_is_reachable_from_other_machines_and_no_secret_stands_in_the_file() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} publishes {port}");
        }
        for (key, value) in service["environment"].as_object().into_iter().flatten() {
            let secret = ["PASSWORD", "KEY", "URL", "TOKEN"].iter().any(|word| key.contains(word));
            assert!(!secret || key.ends_with("_FILE") && value.as_str().unwrap().starts_with("/run/secrets/"), "{name}: {key}");
        }
    }
    assert!(compose["services"]["postgres"]["ports"].is_null());
    assert_eq!(compose["networks"]["inside"]["internal"], true);
    for name in ["hub", "migrate"] {
        let service = &compose["services"][name];
        assert_eq!(service["read_only"], true);
        assert_eq!(service["cap_drop"][0], "ALL");
    }
    let ignored = std::fs::read_to_string(repository().join(".gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "/deploy/secrets/"), "secrets could be committed");
    let ignored = std::fs::read_to_string(repository().join(".dockerignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "deploy/secrets"), "secrets could end in an image's layer");
}

#[test]
fn every_secret_of_the_compose_file_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let make = || run(Command::new(repository().join("deploy/make-secrets")).arg(folder.path()), None);
    let read = || -> Vec<(String, String)> {
        let compose = compose();
        let files = compose["secrets"].as_object().unwrap().values().map(|secret| secret["file"].as_str().unwrap());
        files.map(|file| file.strip_prefix("./secrets/").unwrap()).map(|file| (file.into(), content(&folder.path().join(file)))).collect()
    };
    assert_eq!(make().0, 0);
    let made = read();
    assert_eq!(make().0, 0);
    assert_eq!(made, read(), "a second run changed a secret");
    let of = |name: &str| made.iter().find(|(file, _)| file == name).unwrap().1.trim().to_owned();
    let password = of("rabbitmq-password.conf").strip_prefix("default_pass = ").unwrap().to_owned();
    assert_eq!(of("broker-url"), format!("amqp://hub:{password}@rabbitmq:5672/atshub"));
    assert_eq!(of("store-url"), format!("postgres://atshub:{}@postgres:5432/atshub", of("store-password")));
}

fn content(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn the_image_is_pinned_small_and_not_roots() {
    let file = text("Containerfile");
    let lines: Vec<&str> = file.lines().filter(|line| !line.starts_with('#')).collect();
    let stages: Vec<&&str> = lines.iter().filter(|line| line.starts_with("FROM ")).collect();
    assert_eq!(stages.len(), 2, "the compiler stays out of the image");
    for stage in stages {
        let tag = stage.split_whitespace().nth(1).unwrap().split_once(':').map_or("", |(_, tag)| tag);
        assert!(tag.starts_with(|first: char| first.is_ascii_digit()), "{stage}: pin the base by its version");
    }
    let last_user = lines.iter().rfind(|line| line.starts_with("USER ")).expect("no USER");
    assert!(last_user[5..].split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{last_user}: a number that is not 0");
    assert!(lines.iter().any(|line| line.starts_with("HEALTHCHECK ")), "no health check");
    assert!(lines.iter().any(|line| line.contains("--locked")), "the image must be built from Cargo.lock");
    assert!(!lines.iter().any(|line| line.starts_with("ADD ")), "ADD fetches and unpacks: use COPY");
    let compiler = lines.iter().find_map(|line| line.strip_prefix("FROM rust:")).unwrap();
    let version = std::fs::read_to_string(repository().join("Cargo.toml")).unwrap();
    let version = version.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"').to_owned();
    assert!(compiler.starts_with(&version), "the image is built with {compiler}, the workspace wants {version}");
}

#[test]
fn systemd_takes_the_unit_and_finds_it_locked_down() {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("atshub.service");
    // The unit's binary is where an operator installs it; here it is what was just built.
    std::fs::write(&unit, text("atshub.service").replace("/usr/bin/atshub", env!("CARGO_BIN_EXE_atshub"))).unwrap();
    let (code, out, err) = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit), None);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "deploy/dev-services installs systemd-analyze");
    let security = ["security", "--offline=true", "--no-pager", "--threshold=20"]; // of 100
    let (code, out, err) = run(Command::new("systemd-analyze").args(security).arg(&unit), None);
    assert_eq!(code, 0, "{out}{err}");

    let unit = text("atshub.service");
    for line in [
        "Type=notify",
        "WatchdogSec=30",
        "KillSignal=SIGTERM",
        "DynamicUser=yes",
        "ProtectSystem=strict",
        "NoNewPrivileges=yes",
        "MemoryMax=1G",
        "LimitNOFILE=65536",
        "SystemCallFilter=@system-service",
        "Restart=always",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=64",
    ] {
        assert!(unit.lines().any(|found| found == line), "the unit lost `{line}`");
    }
    // systemd starts a unit again whose ExecStartPre= failed, whatever the code: wrong settings would be tried for ever.
    assert!(!unit.lines().any(|line| line.starts_with("ExecStartPre=")), "what ends before the hub is not kept from a restart");
}

/// The hub's rights stand in the definitions and in the broker's configuration: two ways to the same broker must not differ.
/// (A bridge's, in the definitions and in the script, are tried on the broker by the same list: `broker_rights`.)
#[test]
fn the_hubs_rights_are_the_same_wherever_they_are_written() {
    let definitions: Value = serde_json::from_str(&text("rabbitmq/definitions.json")).unwrap();
    let rights = |user: &str| definitions["permissions"].as_array().unwrap().iter().find(|row| row["user"] == user).unwrap().clone();
    let conf = text("rabbitmq/rabbitmq.conf");
    let value = |key: &str| conf.lines().find_map(|line| line.strip_prefix(&format!("{key} = "))).unwrap_or_else(|| panic!("no {key}"));
    for right in ["configure", "write", "read"] {
        assert_eq!(rights("hub")[right], value(&format!("default_permissions.{right}")), "{right}");
    }
    assert_eq!((value("default_user"), value("default_vhost"), value("default_user_tags.administrator")), ("hub", "atshub", "false"));
    for user in definitions["users"].as_array().unwrap() {
        assert_eq!((&user["password_hash"], &user["tags"]), (&Value::from(""), &serde_json::json!([])), "{user}");
    }
}

#[test]
fn dev_services_may_be_run_many_times_at_once_and_starts_nothing_that_was_named() {
    let script = repository().join("deploy/dev-services");
    let runs: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| run(&mut Command::new(&script), None))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    for (code, out, err) in &runs {
        assert_eq!((*code, out), (0, &runs[0].1), "{err}");
        assert_eq!(out.lines().filter(|line| line.starts_with("export ATSHUB_TEST_")).count(), 2, "{out}");
    }
    // A broker that was named is the caller's: if it does not answer, that is said, and nothing else is offered. Port 9 has
    // nobody; what answers there without speaking AMQP would do as little.
    let mut named = Command::new(&script);
    named.env("ATSHUB_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:9/%2f");
    let (code, out, err) = run(&mut named, None);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nothing that speaks AMQP answers at ATSHUB_TEST_AMQP_URL (127.0.0.1:9)"), "{err}");
}
