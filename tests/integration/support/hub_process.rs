//! The hub as a process of its own, which a test may kill, stop and let go on.

#![cfg(test)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longest wait for the hub to answer.
const START: Duration = Duration::from_secs(60);

pub(crate) struct HubProcess {
    config: PathBuf,
    log: PathBuf,
    address: SocketAddr,
    child: Child,
    pub(crate) kills: usize,
}

impl HubProcess {
    /// Writes its configuration into `folder`, starts it, and waits until it is ready.
    pub(crate) async fn start(folder: &Path, broker: &str, store: &str, key: &Path) -> Self {
        let mut hub = Self::begin(folder, broker, store, key);
        hub.ready().await;
        hub
    }

    /// The same with more settings: section, name, text.
    pub(crate) async fn start_set(folder: &Path, broker: &str, store: &str, key: &Path, more: &[(&str, &str, &str)]) -> Self {
        let mut hub = Self::begin_set(folder, broker, store, key, more);
        hub.ready().await;
        hub
    }

    /// The same without waiting.
    pub(crate) fn begin(folder: &Path, broker: &str, store: &str, key: &Path) -> Self {
        Self::begin_made(folder, broker, store, key, &[], |command| command)
    }

    fn begin_set(folder: &Path, broker: &str, store: &str, key: &Path, more: &[(&str, &str, &str)]) -> Self {
        Self::begin_made(folder, broker, store, key, more, |command| command)
    }

    /// The same with the command changed: another environment, another standard error, a program around it.
    pub(crate) fn begin_by(folder: &Path, broker: &str, store: &str, key: &Path, change: impl FnOnce(Command) -> Command) -> Self {
        Self::begin_made(folder, broker, store, key, &[], change)
    }

    fn begin_made(
        folder: &Path,
        broker: &str,
        store: &str,
        key: &Path,
        more: &[(&str, &str, &str)],
        change: impl FnOnce(Command) -> Command,
    ) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], super::services::free_port()));
        fs::create_dir_all(folder).unwrap();
        let config = folder.join("atshub.toml");
        let mut text = format!(
            "[broker]\nurl = \"{broker}\"\n[store]\nurl = \"{store}\"\nconnections = 4\n[http]\nlisten = \"{address}\"\n[seal]\nkey_file = \"{}\"\n[log]\nlevel = \"warn\"\n",
            key.display()
        );
        for (section, name, value) in more {
            text = text.replacen(&format!("[{section}]\n"), &format!("[{section}]\n{name} = \"{value}\"\n"), 1);
        }
        fs::write(&config, text).unwrap();
        let log = folder.join("hub.log");
        let child = change(command(&config, &log)).spawn().unwrap();
        Self { config, log, address, child, kills: 0 }
    }

    /// Its configuration's file.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Kills it without a word, and starts it again at once. Does not wait for it.
    pub(crate) fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.kills += 1;
        self.child = command(&self.config, &self.log).spawn().unwrap();
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without a word.
    pub(crate) fn kill(&self) {
        self.signal("-KILL");
    }

    /// Stops it where it stands: it hangs, and its connections stay open.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {signal}: {sent}");
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.child.wait().unwrap()
    }

    /// Whether its log has these words.
    pub(crate) fn logged(&self, words: &str) -> bool {
        fs::read_to_string(&self.log).unwrap_or_default().contains(words)
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&mut self) {
        let client = atshub_simulators::loopback_client(Duration::from_secs(2)).unwrap();
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the hub ended with {status}:\n{}", self.log_tail());
            }
            let answer = client.get(format!("{}/readyz", self.url())).send().await;
            if answer.is_ok_and(|a| a.status().is_success()) {
                return;
            }
            assert!(began.elapsed() < START, "the hub was not ready within {START:?}:\n{}", self.log_tail());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    pub(crate) fn panics(&self) -> usize {
        fs::read_to_string(&self.log).unwrap_or_default().matches("panicked at").count()
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(config: &Path, log: &Path) -> Command {
    let out = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
    command.args(["--config", config.to_str().unwrap(), "serve"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
    command
}
