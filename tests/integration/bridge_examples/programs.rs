//! The examples as programs: their dependencies, their processes, and a virtual host for them to talk to. No expectations of its own.

use super::TENANT;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

/// Long enough for an interpreter to start on a busy machine; nothing here waits for it in the normal case.
const RUN_LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
pub(super) enum Language {
    Python,
    Node,
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) async fn run(language: Language, what: &str, url: &str, words: &[&str]) -> Output {
    let installed = tokio::task::spawn_blocking(move || installed(language)).await.unwrap();
    let (program, script) = match (language, what) {
        (Language::Python, "publish") => (installed.join("venv/bin/python"), examples("python").join("publish_move.py")),
        (Language::Python, _) => (installed.join("venv/bin/python"), examples("python").join("perform_commands.py")),
        (Language::Node, "publish") => ("node".into(), installed.join("publish-move.mjs")),
        (Language::Node, _) => ("node".into(), installed.join("perform-commands.mjs")),
    };
    let mut command = tokio::process::Command::new(program);
    command.arg(script).args(words).env("AMQP_URL", url).env("TENANT", TENANT).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    tokio::time::timeout(RUN_LIMIT, command.output()).await.expect("the example ends by itself").unwrap()
}

fn examples(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/examples").join(language)
}

/// The folder in which a language's pinned dependencies are installed: made once, remade when what is pinned changes.
/// A file lock holds off the other tests of this run, and of another run in the same folder.
fn installed(language: Language) -> PathBuf {
    let (name, pins, tools) = match language {
        Language::Python => ("python", "requirements.txt", ["python3"].as_slice()),
        Language::Node => ("node", "package-lock.json", ["node", "npm"].as_slice()),
    };
    for tool in tools {
        let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
        assert!(found, "`{tool}` is not installed: the examples for bridge authors are run by it. `deploy/dev-services` installs it");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bridge-examples").join(name);
    fs::create_dir_all(&folder).unwrap();
    let lock = fs::File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    // Node finds packages beside the script, so the scripts go where the packages are.
    if let Language::Node = language {
        for file in ["package.json", "package-lock.json", "publish-move.mjs", "perform-commands.mjs"] {
            fs::copy(examples(name).join(file), folder.join(file)).unwrap();
        }
    }
    let pinned = fs::read_to_string(examples(name).join(pins)).unwrap();
    let stamp = folder.join("installed");
    if fs::read_to_string(&stamp).ok().as_deref() != Some(pinned.as_str()) {
        match language {
            Language::Python => {
                must(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")));
                must(
                    Command::new(folder.join("venv/bin/python"))
                        .args(["-m", "pip", "install", "--quiet", "-r"])
                        .arg(examples(name).join(pins)),
                );
            }
            Language::Node => {
                must(Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]).arg(&folder));
            }
        }
        fs::write(stamp, pinned).unwrap();
    }
    folder
}

fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; `deploy/dev-services` installs what this needs"));
    assert!(
        output.status.success(),
        "{command:?} failed; `deploy/dev-services` installs what this needs\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// A virtual host of the test's own, gone when it is dropped. To give way to the one in `support`.
pub(super) struct VirtualHost(String);

impl VirtualHost {
    pub(super) fn new() -> Self {
        let host = Self(format!("atshub-test-{}", uuid::Uuid::now_v7()));
        must(Command::new("rabbitmqctl").args(["add_vhost", &host.0]));
        let base = Self::base();
        let user = base.split("://").nth(1).and_then(|rest| rest.split([':', '@']).next()).unwrap();
        must(Command::new("rabbitmqctl").args(["set_permissions", "-p", &host.0, user, ".*", ".*", ".*"]));
        host
    }

    fn base() -> String {
        let url = std::env::var("ATSHUB_TEST_AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672".into());
        let (scheme, rest) = url.split_once("://").unwrap();
        format!("{scheme}://{}", rest.split('/').next().unwrap())
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    pub(super) fn url(&self) -> String {
        format!("{}/{}", Self::base(), self.0)
    }
}

impl Drop for VirtualHost {
    fn drop(&mut self) {
        let _ = Command::new("rabbitmqctl").args(["delete_vhost", &self.0]).output();
    }
}
