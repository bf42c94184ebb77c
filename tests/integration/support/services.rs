//! A RabbitMQ node and a PostgreSQL server of a test's own, which the test may kill and start again. Each in a folder and on a
//! port of its own, stopped with the value. The benchmarks use them too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and benchmarks call this, and they stop where it fails"
)]

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Longest wait for a service to answer on a busy machine.
const START: Duration = Duration::from_secs(90);

/// A port that is free now, of those that no operating system gives to a connection going out (Linux: 32,768 and above, `ip(7)`): a
/// server that is stopped and started again finds it free still, whatever connects meanwhile.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let start = u16::try_from(uuid::Uuid::now_v7().as_u128() % u128::from(COUNT)).unwrap();
    let mut ports = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port between 20,000 and 32,000")
}

/// The newest file that a pattern of folders holds: `/usr/lib/postgresql/*/bin/postgres`.
fn newest(base: &str, tail: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(base)
        .map(|entries| entries.flatten().map(|e| e.path().join(tail)).filter(|p| p.exists()).collect())
        .unwrap_or_default();
    found.sort();
    found.pop().unwrap_or_else(|| panic!("there is no {base}/*/{tail}; deploy/dev-services installs it"))
}

/// Ends a child and everything it started, which share its process group.
fn kill_group(child: &mut Child, signal: &str) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args([signal, "--", &group]).stderr(Stdio::null()).status();
    let _ = child.wait();
}

/// Starts a service, and waits until it is ready. One that ends by itself is started again: after a crash, processes of the one before
/// may hold its shared memory for a moment, and PostgreSQL then refuses to start. What it said is in the message of a failure.
fn started(what: &str, folder: &Path, spawn: impl Fn(fs::File) -> Child, mut ready: impl FnMut() -> bool) -> Child {
    let said = folder.join(format!("out-{}", uuid::Uuid::now_v7()));
    let log = fs::File::options().create(true).append(true).open(&said).unwrap();
    let (mut child, mut starts) = (spawn(log.try_clone().unwrap()), 1);
    let answers = within_time(|| {
        if child.try_wait().unwrap().is_some() {
            (child, starts) = (spawn(log.try_clone().unwrap()), starts + 1);
            return false;
        }
        ready()
    });
    if !answers {
        kill_group(&mut child, "-KILL");
        panic!("{what}, started {starts} times, did not answer within {START:?}; it said: {}", fs::read_to_string(&said).unwrap());
    }
    child
}

/// Whether it is ready within the time for it. The service gives no signal that reaches another process: it is asked.
fn within_time(mut ready: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !ready() {
        if began.elapsed() > START {
            return false;
        }
        #[expect(clippy::disallowed_methods, reason = "a test thread that waits for another program")]
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

/// A RabbitMQ node.
pub(crate) struct RabbitNode {
    folder: tempfile::TempDir,
    port: u16,
    dist: u16,
    child: Child,
}

impl RabbitNode {
    pub(crate) fn start() -> Self {
        Self::start_with("", "[]")
    }

    /// With more lines in its configuration, and these plugins.
    pub(crate) fn start_with(configuration: &str, plugins: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("plugins"), format!("{plugins}.\n")).unwrap();
        fs::write(folder.path().join("node.conf"), format!("loopback_users = none\n{configuration}")).unwrap();
        let (port, dist) = (free_port(), free_port());
        let child = Self::serve(folder.path(), port, dist);
        Self { folder, port, dist, child }
    }

    /// Starts it, until it serves. A node listens before it serves; the first frame tells.
    fn serve(folder: &Path, port: u16, dist: u16) -> Child {
        use std::io::{Read, Write};
        let serves = || {
            let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut first = [0u8; 1];
            stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok() && stream.read_exact(&mut first).is_ok()
        };
        started("the test's RabbitMQ", folder, |log| Self::spawn(folder, port, dist, log), serves)
    }

    fn spawn(folder: &Path, port: u16, dist: u16, log: fs::File) -> Child {
        let server = newest("/usr/lib/rabbitmq/lib", "sbin/rabbitmq-server");
        Command::new("sh")
            .args(["-c", "ulimit -n 65536 2>/dev/null || ulimit -n $(ulimit -Hn); exec \"$0\"", server.to_str().unwrap()])
            .env("HOME", folder)
            .env("RABBITMQ_NODENAME", format!("atshub-{port}@localhost"))
            .env("RABBITMQ_NODE_PORT", port.to_string())
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_DIST_PORT", dist.to_string())
            .env("RABBITMQ_MNESIA_BASE", folder.join("data"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("plugins"))
            .env("RABBITMQ_CONFIG_FILE", folder.join("node.conf"))
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap()
    }

    /// Its first process; the broker is that one or a child of it.
    #[allow(dead_code, reason = "benchmarks ask what it uses; tests do not")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.port)
    }

    /// Runs `rabbitmqctl` on it; what it says.
    #[allow(dead_code, reason = "benchmarks do not")]
    pub(crate) fn ctl(&self, words: &[&str]) -> String {
        let mut command = Command::new(newest("/usr/lib/rabbitmq/lib", "sbin/rabbitmqctl"));
        command.args(["-n", &format!("atshub-{}@localhost", self.port)]).args(words).env("HOME", self.folder.path());
        let ended = command.stdin(Stdio::null()).output().unwrap();
        assert!(ended.status.success(), "rabbitmqctl {words:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).into_owned()
    }

    /// Kills it, and starts it again on what is on its disk.
    pub(crate) fn crash_and_restart(&mut self) {
        kill_group(&mut self.child, "-KILL");
        self.child = Self::serve(self.folder.path(), self.port, self.dist);
    }
}

impl Drop for RabbitNode {
    fn drop(&mut self) {
        kill_group(&mut self.child, "-KILL");
    }
}

/// A PostgreSQL server.
pub(crate) struct PostgresServer {
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl PostgresServer {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// With something changed in its folder of data before it starts.
    pub(crate) fn start_with(change: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let give = || {
            // PostgreSQL refuses to run as root.
            if is_root() {
                assert!(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status().unwrap().success());
            }
        };
        give();
        let made = as_postgres(&newest("/usr/lib/postgresql", "bin/initdb"))
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "initdb failed");
        change(&data);
        give();
        let port = free_port();
        let child = Self::serve(folder.path(), port);
        Self { folder, port, child }
    }

    /// Starts it, until it takes connections.
    fn serve(folder: &Path, port: u16) -> Child {
        let (ready, data) = (newest("/usr/lib/postgresql", "bin/pg_isready"), folder.join("data"));
        let takes =
            || Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]).status().is_ok_and(|status| status.success());
        started("the test's PostgreSQL", folder, |log| Self::spawn(&data, port, log), takes)
    }

    fn spawn(data: &Path, port: u16, log: fs::File) -> Child {
        let mut command = as_postgres(&newest("/usr/lib/postgresql", "bin/postgres"));
        command.arg("-D").arg(data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off"]);
        command.arg("-k").arg(data).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0).spawn().unwrap()
    }

    /// Its first process; the others are its children.
    #[allow(dead_code, reason = "benchmarks ask what it uses; tests do not")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    #[allow(dead_code, reason = "benchmarks do not ask")]
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, and starts it again on what is on its disk.
    pub(crate) fn crash_and_restart(&mut self) {
        kill_group(&mut self.child, "-KILL");
        // The lock of a server that was killed; nobody else has this folder.
        let _ = fs::remove_file(self.folder.path().join("data/postmaster.pid"));
        self.child = Self::serve(self.folder.path(), self.port);
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        kill_group(&mut self.child, "-KILL");
    }
}

/// PgBouncer before a database.
#[allow(dead_code, reason = "benchmarks do not")]
pub(crate) struct PgBouncer {
    _folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

#[allow(dead_code, reason = "benchmarks do not")]
impl PgBouncer {
    /// Before the database at this address, in this mode (`pool_mode`), with more lines in its configuration.
    pub(crate) fn before(url: &str, mode: &str, more: &str) -> Self {
        let database: tokio_postgres::Config = url.parse().unwrap();
        let (tokio_postgres::config::Host::Tcp(host), port) = (&database.get_hosts()[0], free_port()) else { panic!("{url} has no host") };
        let password = database.get_password().map_or_else(String::new, |word| format!(" password={}", std::str::from_utf8(word).unwrap()));
        let (server, name, user) = (database.get_ports()[0], database.get_dbname().unwrap(), database.get_user().unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("pgbouncer.ini"),
            format!(
                "[databases]\n{name} = host={host} port={server} dbname={name} user={user}{password}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n{more}\n"
            ),
        )
        .unwrap();
        if is_root() {
            assert!(Command::new("chown").args(["-R", "postgres"]).arg(folder.path()).status().unwrap().success());
        }
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(Path::new).into_iter().find(|path| path.exists());
        let program = program.expect("there is no pgbouncer; deploy/dev-services installs it");
        let spawn = |log: fs::File| {
            let mut command = as_postgres(program);
            command.arg(folder.path().join("pgbouncer.ini")).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            command.process_group(0).spawn().unwrap()
        };
        let takes = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        let child = started("the test's PgBouncer", folder.path(), spawn, takes);
        Self { _folder: folder, port, child }
    }

    /// The database's address, by way of it.
    pub(crate) fn url(&self, url: &str) -> String {
        let database: tokio_postgres::Config = url.parse().unwrap();
        format!("postgres://anybody@127.0.0.1:{}/{}", self.port, database.get_dbname().unwrap())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        kill_group(&mut self.child, "-KILL");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}

fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program).current_dir("/");
    command
}
