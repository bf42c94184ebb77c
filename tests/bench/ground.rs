//! What a benchmark stands on: a RabbitMQ node and a PostgreSQL server of its own, and the hub as a process of its own, the
//! release binary. Everything is gone when it is dropped.

use crate::{
    services::{PostgresServer, RabbitNode, free_port},
    usage::{self, Usage},
};
use atshub::{credentials::Sealer, postgres::PostgresStore};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Longest wait for the hub to answer: with thousands of queues to declare it takes its time.
const START: Duration = Duration::from_secs(600);
/// How often it is asked.
const LOOK: Duration = Duration::from_millis(20);

/// Services of this benchmark's own, with the schema laid out.
pub(crate) struct Ground {
    pub(crate) node: RabbitNode,
    pub(crate) server: PostgresServer,
    pub(crate) store: PostgresStore,
    pub(crate) sealer: Sealer,
    folder: tempfile::TempDir,
}

impl Ground {
    pub(crate) async fn new() -> Self {
        let (node, server) = tokio::task::block_in_place(|| (RabbitNode::start(), PostgresServer::start()));
        let folder = tempfile::tempdir().unwrap();
        let store = PostgresStore::connect(&server.url(), Handle::current(), Default::default()).await.unwrap();
        store.migrate().await.unwrap();
        let sealer = Sealer::from_key_file_or_new(&folder.path().join("seal.key")).unwrap();
        Self { node, server, store, sealer, folder }
    }

    /// Starts the hub, and waits until it says that it is ready.
    pub(crate) async fn hub(&self) -> Hub {
        Config::write(self.folder.path(), &self.node.url(), &self.server.url()).start().await
    }

    /// What everything but the machine's other users has used so far: hub, broker, database, and this program.
    pub(crate) fn spent(&self, hub: &Hub) -> Spent {
        Spent {
            at: Instant::now(),
            hub: hub.usage().cpu,
            broker: usage::of_tree(self.node.pid()).cpu,
            database: usage::of_tree(self.server.pid()).cpu,
            outside: usage::of_process(std::process::id()).cpu,
            machine: usage::machine(),
        }
    }
}

/// Processor time spent up to a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    at: Instant,
    hub: Duration,
    broker: Duration,
    database: Duration,
    outside: Duration,
    machine: Duration,
}

/// Shares of one processor between two moments, in per cent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    pub(crate) hub: f64,
    pub(crate) broker: f64,
    pub(crate) database: f64,
    /// Simulators, bridges and this program.
    pub(crate) outside: f64,
    /// Whoever else is on this machine: the noise.
    pub(crate) others: f64,
}

impl Spent {
    pub(crate) fn until(&self, later: &Self) -> Shares {
        let whole = later.at.duration_since(self.at).as_secs_f64();
        let share = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() / whole * 100.0;
        let (hub, broker) = (share(self.hub, later.hub), share(self.broker, later.broker));
        let (database, outside) = (share(self.database, later.database), share(self.outside, later.outside));
        let others = (share(self.machine, later.machine) - hub - broker - database - outside).max(0.0);
        Shares { hub, broker, database, outside, others }
    }
}

/// The configuration of a hub that is to be measured, in a folder that outlives it.
pub(crate) struct Config {
    pub(crate) file: PathBuf,
    address: SocketAddr,
    log: PathBuf,
}

impl Config {
    pub(crate) fn write(folder: &Path, broker: &str, store: &str) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = folder.join("atshub.toml");
        let text = format!(
            "[broker]\nurl = \"{broker}\"\n[store]\nurl = \"{store}\"\n[http]\nlisten = \"{address}\"\n[seal]\nkey_file = \"{}\"\n[hub]\ndrills = true\n[log]\nlevel = \"warn\"\n",
            folder.join("seal.key").display()
        );
        fs::write(&file, text).unwrap();
        Self { file, address, log: folder.join("hub.log") }
    }

    /// Starts the hub, and waits until it says that it is ready.
    pub(crate) async fn start(self) -> Hub {
        let out = fs::File::create(&self.log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_atshub"))
            .args(["--config", self.file.to_str().unwrap(), "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .unwrap();
        let mut hub = Hub { child, address: self.address, log: self.log };
        hub.ready().await;
        hub
    }
}

/// The hub's process. Killed when dropped.
pub(crate) struct Hub {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Hub {
    async fn ready(&mut self) {
        let client = atshub_simulators::loopback_client(Duration::from_secs(2)).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the hub ended with {status}:\n{}", self.last_words());
            }
            let answer = client.get(format!("{}/readyz", self.url())).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return;
            }
            assert!(began.elapsed() < START, "the hub was not ready within {START:?}:\n{}", self.last_words());
            tokio::time::sleep(LOOK).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn usage(&self) -> Usage {
        usage::of_process(self.child.id())
    }

    pub(crate) fn files(&self) -> usize {
        usage::files(self.child.id())
    }

    /// Lines of its log that hold these words.
    pub(crate) fn said(&self, words: &str) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().lines().filter(|line| line.contains(words)).count()
    }

    /// The first of those.
    pub(crate) fn first_said(&self, words: &str) -> Option<String> {
        fs::read_to_string(&self.log).unwrap_or_default().lines().find(|line| line.contains(words)).map(str::to_owned)
    }

    /// What it warned of: each text once, and how often, the most frequent first.
    pub(crate) fn warnings(&self) -> Vec<(String, usize)> {
        let mut times = std::collections::BTreeMap::<String, usize>::new();
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        for line in log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")) {
            // The text stands before the fields; what differs in it is mostly a number or a name.
            let text = line.split_once(": ").map_or(line, |(_, text)| text);
            *times.entry(text.chars().take(120).collect()).or_default() += 1;
        }
        let mut warnings: Vec<_> = times.into_iter().collect();
        warnings.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        warnings.truncate(12);
        warnings
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Tells it to stop, and waits for the end of its drain.
    pub(crate) async fn stop(mut self) -> Duration {
        let began = Instant::now();
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(LOOK).await;
        }
        began.elapsed()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commit that is measured, with a mark if the sources differ from it.
pub(crate) fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.ok().filter(|o| o.status.success()).map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    git(&["rev-parse", "--short", "HEAD"]).map_or_else(|| "unknown".into(), |c| if changed { format!("{c} with changes") } else { c })
}
