//! Configuration: one small struct per concern, all defaults in one commented file that is compiled in. Where settings are
//! read from is in `layers.rs`; whether their values will do, in `check.rs`. Nothing here opens a connection.

mod address;
mod check;
mod layers;
mod names;
mod parameters;
mod variables;

pub use address::{Address, AddressError, BrokerAddress, StoreAddress};
pub use check::{Problem, check};
pub use layers::{ConfigError, Loaded, Origin, Sources, load};
pub use names::nearest_of as nearest;
pub(crate) use parameters::{is_this_machine, unknown_parameter};

use serde::{Deserialize, Serialize};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The default file: the manual of every setting.
pub const DEFAULT_FILE: &str = include_str!("default.toml");
/// The file that is read if it is there and none is named.
pub const FILE: &str = "atshub.toml";
/// Name of the sealing key's file beside an embedded store.
const SEAL_KEY: &str = "seal.key";

/// Every setting. Defaults stand in `default.toml` and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What carries messages.
    pub broker: Broker,
    /// What keeps everything.
    pub store: Store,
    /// The doors.
    pub http: Http,
    /// What connections to other machines stand on.
    pub tls: Tls,
    /// What seals credentials.
    pub seal: Seal,
    /// How long history is kept.
    pub retention: Retention,
    /// How much of what runs.
    pub hub: Hub,
    /// Logs.
    pub log: Log,
    /// Spans.
    pub traces: Traces,
}

/// What carries messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `amqp://`, `amqps://`, `embedded:<folder>` or `embedded:memory`.
    pub url: Address,
    /// Kind of RabbitMQ queues.
    pub queue_type: QueueType,
}

/// Kind of RabbitMQ queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueType {
    /// Replicated, counts deliveries.
    Quorum,
    /// On one node.
    Classic,
}

/// What keeps everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `postgres://`, `embedded:<folder>` or `embedded:memory`.
    pub url: Address,
    /// Connections to PostgreSQL at most.
    pub connections: u16,
}

/// The doors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Where they are.
    pub listen: SocketAddr,
    /// Largest body taken, in bytes.
    pub max_body_bytes: usize,
    /// Seconds in which a request has to be here.
    pub request_seconds: u64,
    /// Threads that answer.
    pub workers: usize,
    /// Requests of known senders in hand at once.
    pub max_in_hand: usize,
    /// Bytes held of bodies whose sender is not known yet.
    pub max_unverified_bytes: usize,
}

/// What connections to other machines stand on. Empty paths are not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Authorities that are trusted beside the system's.
    pub ca_file: PathBuf,
    /// This hub's certificate.
    pub cert_file: PathBuf,
    /// Its key.
    pub key_file: PathBuf,
}

/// What seals credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The key's file; empty for the one beside an embedded store.
    pub key_file: PathBuf,
    /// The file of the key before it, while keys are rotated; else empty.
    pub previous_key_file: PathBuf,
}

/// How long history is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days for messages and history.
    pub days: u32,
    /// Days for what is known of candidates, after the last change.
    pub candidate_days: u32,
}

/// How much of what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hub {
    /// Threads for actors.
    pub arbiters: usize,
    /// Threads for input and output.
    pub io_threads: usize,
    /// Actors that ask for invitations.
    pub invite_actors: usize,
    /// Invitations that one of them has in hand at most.
    pub invite_prefetch: u16,
    /// Deliveries that a tenant may take in a second while others are at work.
    pub tenant_share: u32,
    /// Seconds for the drain.
    pub drain_seconds: u64,
    /// Whether faults may be made on purpose.
    pub drills: bool,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Their form.
    pub format: LogFormat,
    /// Which are written.
    pub level: String,
}

/// Spans of what is done: for an OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traces {
    /// The collector's address, for OTLP over HTTP; empty: no spans.
    pub endpoint: String,
}

/// Form of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for Config {
    /// As in `default.toml`.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
        let loaded = load(&Sources::default()).expect("the default file holds every setting");
        loaded.config
    }
}

impl Http {
    /// Time in which a request has to be here.
    #[must_use]
    pub fn request_time(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }
}

impl Retention {
    /// How long.
    #[must_use]
    pub fn time(&self) -> Duration {
        Duration::from_secs(u64::from(self.days) * 24 * 3600)
    }

    /// How long what is known of candidates stays.
    #[must_use]
    pub fn candidates(&self) -> Duration {
        Duration::from_secs(u64::from(self.candidate_days) * 24 * 3600)
    }
}

impl Hub {
    /// Time for the drain.
    #[must_use]
    pub fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Where the sealing key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealKey {
    /// In this file, which must exist.
    File(PathBuf),
    /// In this file, which is made if there is none.
    FileOrNew(PathBuf),
    /// Nowhere: the store forgets, and so does the key.
    Forgetful,
    /// It is not set, and must be.
    NotSet,
}

impl Config {
    /// Where the sealing key is, by what is set and by the store.
    ///
    /// # Errors
    /// If the store's address is none.
    pub fn seal_key(&self) -> Result<SealKey, AddressError> {
        let set = !self.seal.key_file.as_os_str().is_empty();
        Ok(match self.store.url.store()? {
            _ if set => SealKey::File(self.seal.key_file.clone()),
            StoreAddress::Embedded(folder) => SealKey::FileOrNew(folder.join(SEAL_KEY)),
            StoreAddress::Memory => SealKey::Forgetful,
            StoreAddress::Postgres(_) => SealKey::NotSet,
        })
    }
}

impl Seal {
    /// The file of the key before this one, if there is one.
    #[must_use]
    pub fn previous(&self) -> Option<&std::path::Path> {
        Some(self.previous_key_file.as_path()).filter(|path| !path.as_os_str().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_and_the_structs_have_the_same_settings() {
        // Neither side has a default of its own: a setting missing in the file fails to load, one missing in a struct is
        // refused as unknown.
        let default = Config::default();
        assert_eq!(default.http.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(default.broker.url.as_str(), "embedded:./data");
        let written = figment::value::Value::serialize(&default).unwrap();
        let keys = names::keys(written.as_dict().unwrap());
        let in_file = names::keys(&layers::default_settings().unwrap());
        assert_eq!(keys, in_file);
        for key in keys {
            let name = key.rsplit('.').next().unwrap();
            assert!(DEFAULT_FILE.contains(&format!("\n{name} = ")), "{key} has a line");
        }
    }

    #[test]
    fn every_setting_of_the_default_file_has_a_comment_above_it() {
        let lines: Vec<&str> = DEFAULT_FILE.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains(" = ") && !line.starts_with('#')) {
            assert!(lines[at - 1].starts_with("# "), "{line}");
        }
    }

    #[test]
    fn a_configuration_survives_being_written_and_read() {
        let config = Config::default();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn the_sealing_key_stands_beside_an_embedded_store_and_must_be_named_for_a_shared_one() {
        let with = |url: &str, key_file: &str| {
            let mut config = Config::default();
            config.store.url = Address::new(url);
            config.seal.key_file = key_file.into();
            config.seal_key().unwrap()
        };
        assert_eq!(with("embedded:/srv/hub", ""), SealKey::FileOrNew("/srv/hub/seal.key".into()));
        assert_eq!(with("embedded:/srv/hub", "/etc/key"), SealKey::File("/etc/key".into()));
        assert_eq!(with("embedded:memory", ""), SealKey::Forgetful);
        assert_eq!(with("postgres://localhost/hub", ""), SealKey::NotSet);
        assert_eq!(with("postgres://localhost/hub", "/etc/key"), SealKey::File("/etc/key".into()));
    }
}
