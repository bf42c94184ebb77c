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

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let began = Instant::now();
    while !ready() {
        assert!(began.elapsed() < START, "{what} did not answer within {START:?}");
        // The service gives no signal that reaches another process; its port is asked.
        #[expect(clippy::disallowed_methods, reason = "a test thread that waits for another program")]
        std::thread::sleep(Duration::from_millis(100));
    }
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
        let child = Self::spawn(folder.path(), port, dist);
        let node = Self { folder, port, dist, child };
        node.wait();
        node
    }

    fn spawn(folder: &Path, port: u16, dist: u16) -> Child {
        let server = newest("/usr/lib/rabbitmq/lib", "sbin/rabbitmq-server");
        let log = fs::File::create(folder.join(format!("out-{}", uuid::Uuid::now_v7()))).unwrap();
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

    fn wait(&self) {
        // A node listens before it serves; the first frame tells.
        until("the test's RabbitMQ", || {
            use std::io::{Read, Write};
            let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", self.port)) else { return false };
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut first = [0u8; 1];
            stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok() && stream.read_exact(&mut first).is_ok()
        });
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
        self.child = Self::spawn(self.folder.path(), self.port, self.dist);
        self.wait();
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
        let child = Self::spawn(&data, port);
        let server = Self { folder, port, child };
        server.wait();
        server
    }

    fn spawn(data: &Path, port: u16) -> Child {
        let mut command = as_postgres(&newest("/usr/lib/postgresql", "bin/postgres"));
        command.arg("-D").arg(data).args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c", "logging_collector=off"]);
        command.arg("-k").arg(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0).spawn().unwrap()
    }

    fn wait(&self) {
        let ready = newest("/usr/lib/postgresql", "bin/pg_isready");
        until("the test's PostgreSQL", || {
            let port = self.port.to_string();
            Command::new(&ready).args(["-q", "-h", "127.0.0.1", "-p", &port]).status().is_ok_and(|s| s.success())
        });
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
        let data = self.folder.path().join("data");
        // The lock of a server that was killed; nobody else has this folder.
        let _ = fs::remove_file(data.join("postmaster.pid"));
        self.child = Self::spawn(&data, self.port);
        self.wait();
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
        let mut command = as_postgres(program.expect("there is no pgbouncer; deploy/dev-services installs it"));
        command.arg(folder.path().join("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().unwrap();
        until("the test's PgBouncer", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
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
