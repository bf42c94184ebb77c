//! The programs that are measured, the hub and the one by hand, each with a database and a virtual host of its own on the services
//! that `ATSHUB_TEST_AMQP_URL` and `ATSHUB_TEST_DATABASE_URL` name. Both are removed with the value.

use crate::{
    floor,
    ground::{Config, Hub},
    load::TRIGGER,
    platform::{Platform, TOKEN},
    postgres::TestDatabase,
    rabbitmq::VirtualHost,
};
use atshub::credentials::Sealer;
use atshub_schemas::TenantName;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};
use tokio::{runtime, task::block_in_place};

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Hub,
    /// The program by hand, in a process of its own.
    Floor,
    /// The same on a thread of this process, where there is no benchmark's own program to start again.
    #[allow(dead_code, reason = "for the test of the benchmark")]
    FloorHere,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hub => "atshub",
            Self::Floor | Self::FloorHere => "by hand",
        }
    }

    /// Those named, with commas between them.
    pub(crate) fn named(names: &str) -> Vec<Self> {
        let program = |name: &str| match name {
            "hub" => Self::Hub,
            "floor" => Self::Floor,
            other => panic!("--programs takes hub, floor or both with a comma between them, not `{other}`"),
        };
        names.split(',').map(program).collect()
    }
}

/// A program that runs. Ended when dropped, and its services' corners removed after that.
pub(crate) struct Running {
    pub(crate) pid: u32,
    process: Process,
    pub(crate) database: TestDatabase,
    pub(crate) host: VirtualHost,
    _folder: tempfile::TempDir,
}

enum Process {
    Hub(Hub),
    Child(Child),
    Here,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Child(child) = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    pub(crate) async fn start(program: Program, platform: &Platform, tenants: &[TenantName]) -> Self {
        let (database, host) = (TestDatabase::empty().await, block_in_place(VirtualHost::new));
        let folder = tempfile::tempdir().unwrap();
        let process = match program {
            Program::Hub => Process::Hub(hub(folder.path(), &host.url(), &database.url, platform, tenants).await),
            Program::Floor => Process::Child(block_in_place(|| child(&host.url(), &database.url, platform.url(), tenants))),
            Program::FloorHere => {
                here(&host.url(), &database.url, platform.url(), tenants).await;
                Process::Here
            }
        };
        let pid = match &process {
            Process::Hub(hub) => hub.pid(),
            Process::Child(child) => child.id(),
            Process::Here => std::process::id(),
        };
        Self { pid, process, database, host, _folder: folder }
    }

    /// The end of what it had to say, where it keeps a log.
    pub(crate) fn last_words(&self) -> String {
        match &self.process {
            Process::Hub(hub) => hub.last_words(),
            Process::Child(_) | Process::Here => String::new(),
        }
    }
}

/// The hub, set up by its own command line as an operator would.
async fn hub(folder: &Path, broker: &str, database: &str, platform: &Platform, tenants: &[TenantName]) -> Hub {
    let config = Config::write(folder, broker, database);
    Sealer::from_key_file_or_new(&folder.join("seal.key")).unwrap();
    let token = folder.join("token");
    fs::write(&token, TOKEN).unwrap();
    let run = |words: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_atshub")).arg("--config").arg(&config.file).args(words).output().unwrap();
        assert!(command.status.success(), "atshub {}: {}", words.join(" "), String::from_utf8_lossy(&command.stderr));
    };
    block_in_place(|| {
        run(&["migrate"]);
        run(&["platform", "add", "main", "--kind", "karat", "--url", platform.url(), "--token-file", token.to_str().unwrap()]);
        for tenant in tenants {
            run(&["tenant", "add", tenant.as_str(), "--ats", "bridge", "--platform", "main", "--trigger-stage", TRIGGER]);
        }
    });
    config.start().await
}

/// What the child is told, by which its `main` knows what it is.
pub(crate) const FLOOR: &str = "floor";

/// This benchmark's program again, as the program by hand.
fn child(broker: &str, database: &str, platform: &str, tenants: &[TenantName]) -> Child {
    let names: Vec<&str> = tenants.iter().map(TenantName::as_str).collect();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--bench", &format!("--{FLOOR}"), "yes", "--broker", broker, "--database", database, "--platform", platform])
        .args(["--names", &names.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), READY, "the program by hand did not start; what it said stands above");
    child
}

/// What the child says once it consumes.
const READY: &str = "ready";

/// The child's side.
pub(crate) fn floor_of(broker: &str, database: &str, platform: &str, names: &str) {
    let tenants: Vec<TenantName> = names.split(',').map(|name| name.parse().unwrap()).collect();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(floor::serve(broker, database, platform, &tenants, || println!("{READY}")));
    panic!("the program by hand ended: {ended:?}");
}

async fn here(broker: &str, database: &str, platform: &str, tenants: &[TenantName]) {
    let (tell, told) = tokio::sync::oneshot::channel();
    let (broker, database, platform, tenants) = (broker.to_owned(), database.to_owned(), platform.to_owned(), tenants.to_vec());
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // Ends with the virtual host that it runs in.
        let _ = runtime.block_on(floor::serve(&broker, &database, &platform, &tenants, || {
            let _ = tell.send(()); // it is awaited below
        }));
    });
    told.await.expect("the program by hand did not start");
}
