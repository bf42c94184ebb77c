//! The binary in the environment that `deploy/` gives it: compose's variables and secrets and nothing else, the unit's credentials, what
//! Kubernetes adds. Only the secrets' folder is another one; no container is started.

use super::{
    broker::{repository, run},
    files::{compose, text},
};
use crate::support::{hub::until, postgres::TestDatabase, rabbitmq::VirtualHost, services::free_port};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What compose gives to the hub's service.
struct Container {
    /// The working folder, with the secrets in it.
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    hub: Value,
    port: u16,
}

/// A hub that is ended with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Container {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("secrets");
        let (code, _, err) = run(Command::new(repository().join("deploy/make-secrets")).arg(&secrets), None);
        assert_eq!(code, 0, "{err}");
        let (hub, port) = (compose()["services"]["hub"].clone(), free_port());
        let value = |value: &Value| {
            let value = value.as_str().unwrap().replace("/run/secrets/", &format!("{}/", secrets.display()));
            value.strip_suffix(":8080").map_or(value.clone(), |ip| format!("{ip}:{port}"))
        };
        let variables = hub["environment"].as_object().unwrap().iter().map(|(name, set)| (name.clone(), value(set))).collect();
        Self { folder, variables, hub, port }
    }

    fn secret(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join("secrets").join(name), content).unwrap();
    }

    /// A command of the image, with the container's environment alone, as `docker compose exec` and a health check run it.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").envs(self.variables.iter().cloned());
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    /// What a list in the compose file runs, behind the image's entry point or, with `CMD`, without it.
    fn of(&self, list: &Value) -> Command {
        let words: Vec<&str> = list.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        match words[..] {
            ["CMD", "atshub", ref arguments @ ..] => self.command(arguments),
            ["CMD" | "CMD-SHELL", ..] => panic!("not the hub's binary: {list}"),
            ref arguments => self.command(arguments),
        }
    }
}

/// The word after this one in the container file, as a list.
fn instruction(name: &str) -> Value {
    let file = text("Containerfile");
    let line = file.lines().rfind(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(&line[line.find('[').unwrap()..]).unwrap()
}

#[test]
fn health_check_migration_and_operators_commands_work_in_the_containers_own_environment() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        assert_eq!(instruction("ENTRYPOINT "), serde_json::json!(["atshub"]), "the binary is its own entry point");
        let (host, database, container) = (VirtualHost::new(), TestDatabase::empty().await, Container::new());
        // As make-secrets writes them, but for the place.
        container.secret("broker-url", &format!("{}\n", host.url()));
        container.secret("store-url", &format!("{}\n", database.url));
        let health = &container.hub["healthcheck"]["test"];
        let image_health = text("Containerfile").lines().find(|line| line.starts_with("HEALTHCHECK ")).unwrap().to_owned();
        assert_eq!(
            serde_json::from_str::<Value>(&image_health[image_health.find('[').unwrap()..]).unwrap(),
            serde_json::json!(["atshub", "check", "live"])
        );
        assert_eq!(*health, serde_json::json!(["CMD", "atshub", "check", "live"]));

        let (code, _, err) = run(&mut container.of(health), None);
        assert_eq!(code, 1, "nobody is there yet: {err}");
        let (code, _, err) = run(&mut container.of(&compose()["services"]["migrate"]["command"]), None);
        assert_eq!(code, 0, "{err}");
        let log = fs::File::create(container.folder.path().join("log")).unwrap();
        let serve = container.of(&container.hub["command"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut served = Served(serve);
        let client = atshub_simulators::loopback_client(Duration::from_secs(2)).unwrap();
        let ready = format!("http://127.0.0.1:{}/readyz", container.port);
        let is_ready = async || client.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success());
        let said = || fs::read_to_string(container.folder.path().join("log")).unwrap();
        assert!(until(is_ready).await, "{}", said());

        let (code, out, err) = run(&mut container.of(health), None);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains(&format!("http://127.0.0.1:{}/livez", container.port)), "{out}");
        for command in [&["tenant", "list"][..], &["process", "list"], &["check", "store"], &["check", "broker"], &["config", "check"]] {
            let (code, out, err) = run(&mut container.command(command), None);
            assert_eq!(code, 0, "{command:?}: {out}{err}");
        }
        let (_, shown, _) = run(&mut container.command(&["config", "check"]), None);
        assert!(shown.contains("environment ATSHUB_BROKER__URL_FILE") && shown.contains("environment ATSHUB_STORE__URL_FILE"), "{shown}");
        // A command that seals finds the key.
        container.secret("token", "a-token");
        let token = container.folder.path().join("secrets/token");
        let add = ["platform", "add", "main", "--kind", "karat", "--url", "http://127.0.0.1:9", "--token-file", token.to_str().unwrap()];
        let (code, _, err) = run(&mut container.command(&add), None);
        assert_eq!(code, 0, "{err}");

        assert!(Command::new("kill").args(["-TERM", &served.0.id().to_string()]).status().unwrap().success());
        assert_eq!(served.0.wait().unwrap().code(), Some(0), "{}", said());
    });
}

#[test]
fn a_secret_that_will_not_do_stops_every_command_with_its_name_and_nothing_falls_back_to_a_default() {
    for (content, wanted) in [(None, "No such file"), (Some(""), "is empty"), (Some("a\nb\n"), "more than one line")] {
        let container = Container::new();
        let secret = container.folder.path().join("secrets/store-url");
        match content {
            None => fs::remove_file(&secret).unwrap(),
            Some(content) => fs::write(&secret, content).unwrap(),
        }
        for command in [&["serve"][..], &["migrate"], &["check", "live"], &["tenant", "list"]] {
            let (code, out, err) = run(&mut container.command(command), None);
            assert_eq!((code, out.as_str()), (64, ""), "{command:?}: {err}");
            let begin = format!("error: `store.url` (environment ATSHUB_STORE__URL_FILE): the file `{}`", secret.display());
            assert!(err.starts_with(&begin) && err.contains(wanted), "{command:?}: {err}");
        }
        assert!(!Path::new(&container.folder.path().join("data")).exists(), "an embedded store was made");
    }
}

#[test]
fn a_service_of_kubernetes_called_atshub_is_a_warning_of_the_check_and_once_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut links = vec![("ATSHUB_SERVICE_HOST", "10.0.0.1"), ("ATSHUB_SERVICE_PORT", "8080"), ("ATSHUB_PORT", "tcp://10.0.0.1:8080")];
    links.extend([("ATSHUB_PORT_8080_TCP", "tcp://10.0.0.1:8080"), ("ATSHUB_PORT_8080_TCP_ADDR", "10.0.0.1")]);
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
        command.env_clear().env("PATH", "/usr/bin:/bin").envs(links.iter().copied()).current_dir(folder.path()).args(arguments);
        command
    };
    let (code, _, err) = run(&mut command(&["config", "check"]), None);
    assert_eq!(code, 0, "{err}");
    for (name, _) in &links {
        assert_eq!(err.lines().filter(|line| line.starts_with(&format!("warning: `{name}` (environment)"))).count(), 1, "{err}");
    }
    // An address that is taken ends it, after its warnings.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, _, err) = run(&mut command(&["serve", "--listen", &taken.local_addr().unwrap().to_string()]), None);
    assert_eq!(code, 1, "{err}");
    for (name, _) in &links {
        assert_eq!(err.lines().filter(|line| line.contains("WARN") && line.contains(&format!("`{name}` "))).count(), 1, "{err}");
    }
    let (code, _, err) = run(command(&["config", "check"]).env("ATSHUB_BROKER_URL", "amqp://h"), None);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("did you mean `ATSHUB_BROKER__URL`?"), "{err}");
}

/// The steps of deploy/README, "Under systemd", with another folder in place of /etc/atshub: passwords with characters that a shell would
/// take for its own reach the hub as they are.
#[test]
fn the_readmes_steps_for_systemd_keep_every_character_of_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc");
    let readme = text("README.md");
    let block = readme.split("## Under systemd\n```\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap();
    // What installs the unit and the binary is not tried, nor is there a database to migrate.
    let steps: Vec<&str> = block.lines().filter(|line| !line.starts_with("install -m") && !line.starts_with("systemctl")).collect();
    let steps = steps.join("\n").replace("/etc/atshub", etc.to_str().unwrap()).replace("&& atshub migrate", "");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_atshub"), bin.join("atshub")).unwrap();
    let broker = "amqp://hub:a$b;c'd\"e%26@127.0.0.1:5672/atshub?heartbeat=5&frame_max=131072";
    let store = "postgres://hub:pw%26@/db?host=/run/postgresql&port=5433&application_name=$HOME;#x";
    let mut shell = Command::new("bash");
    shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", bin.display())).current_dir(folder.path());
    shell.env("broker_url", broker).env("store_url", store).args(["-euc", &format!("{steps}\n")]);
    let (code, out, err) = run(&mut shell, None);
    assert_eq!(code, 0, "{out}{err}\n{steps}");
    assert!(out.contains("application_name=$HOME;#x") && out.contains("port=5433") && out.contains("frame_max=131072"), "{out}");
    assert!(!folder.path().join("data").exists(), "an embedded store was made");
    // The unit shows the same files to the hub, by the same settings.
    let (unit, operator) = (text("atshub.service"), fs::read_to_string(etc.join("operator.env")).unwrap());
    for (variable, file) in
        [("ATSHUB_BROKER__URL_FILE", "broker-url"), ("ATSHUB_STORE__URL_FILE", "store-url"), ("ATSHUB_SEAL__KEY_FILE", "sealing-key")]
    {
        assert!(unit.contains(&format!("\nLoadCredential={file}:/etc/atshub/{file}\n")), "{file}");
        assert!(unit.contains(&format!("\nEnvironment={variable}=%d/{file}\n")), "{variable}");
        assert!(operator.contains(&format!("{variable}={}/{file}\n", etc.display())), "{operator}");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(etc.join(file)).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{file} is readable for others");
    }
}
