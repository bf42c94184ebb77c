//! Whether the values of a configuration will do: addresses, folders, key file, numbers. It looks at this machine's files and
//! opens no connection; `atshub check store|broker` does that.

use super::{BrokerAddress, Config, SealKey, StoreAddress};
use crate::{credentials::check_key_file, http::base_url, postgres, rabbitmq, tls::Tls};
use std::path::Path;
use tracing_subscriber::EnvFilter;

/// Something about a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which setting.
    pub key: &'static str,
    /// The hub cannot run so (else it is a warning).
    pub fatal: bool,
    /// What is wrong, and what would be right.
    pub text: String,
}

/// The numbers that have bounds: setting, value, least, most.
fn bounded(config: &Config) -> [(&'static str, u64, u64, u64); 14] {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    [
        ("store.connections", config.store.connections.into(), 1, 500),
        ("http.max_body_bytes", count(config.http.max_body_bytes), 1024, 16 * 1024 * 1024),
        ("http.request_seconds", config.http.request_seconds, 1, 120),
        ("http.workers", count(config.http.workers), 1, 64),
        ("http.max_in_hand", count(config.http.max_in_hand), 4, 10_000),
        (
            "http.max_unverified_bytes",
            count(config.http.max_unverified_bytes),
            count(config.http.max_body_bytes).saturating_mul(4),
            4 * 1024 * 1024 * 1024,
        ),
        ("retention.days", config.retention.days.into(), 1, 3650),
        ("retention.candidate_days", config.retention.candidate_days.into(), 90, 36_500),
        ("hub.arbiters", count(config.hub.arbiters), 1, 256),
        ("hub.io_threads", count(config.hub.io_threads), 1, 256),
        ("hub.invite_actors", count(config.hub.invite_actors), 1, 256),
        ("hub.invite_prefetch", config.hub.invite_prefetch.into(), 1, 1000),
        ("hub.tenant_share", config.hub.tenant_share.into(), 1, 10_000),
        ("hub.drain_seconds", config.hub.drain_seconds, 1, 600),
    ]
}

/// Everything that is wrong or doubtful, fatal things first.
#[must_use]
pub fn check(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |key, fatal, text: String| found.push(Problem { key, fatal, text });
    match config.broker.url.broker() {
        Ok(BrokerAddress::Embedded(folder)) => drop(writable(&folder).map_err(|text| add("broker.url", true, text))),
        Ok(BrokerAddress::Amqp(url)) => way("broker.url", rabbitmq::clear_text(&url), "amqps://", &mut add),
        Ok(BrokerAddress::Memory) => {}
        Err(error) => add("broker.url", true, error.to_string()),
    }
    match config.store.url.store() {
        Ok(StoreAddress::Embedded(folder)) => drop(writable(&folder).map_err(|text| add("store.url", true, text))),
        Ok(StoreAddress::Postgres(url)) => way("store.url", postgres::clear_text(&url), "sslmode=require", &mut add),
        Ok(StoreAddress::Memory) => {}
        Err(error) => add("store.url", true, error.to_string()),
    }
    if let Err(error) = Tls::read(&config.tls) {
        add(error.key, true, error.text);
    }
    match config.seal_key() {
        Ok(SealKey::File(path)) => key_file(&path, &mut add),
        Ok(SealKey::FileOrNew(path)) if path.exists() => key_file(&path, &mut add),
        Ok(SealKey::NotSet) => add("seal.key_file", true, crate::credentials::KeyFileError::NotSet.to_string()),
        Ok(SealKey::FileOrNew(_) | SealKey::Forgetful) | Err(_) => {}
    }
    if let Some(previous) = config.seal.previous() {
        if let Err(error) = check_key_file(previous) {
            add("seal.previous_key_file", true, error.to_string());
        }
        if !matches!(config.seal_key(), Ok(SealKey::File(_))) {
            add("seal.previous_key_file", true, "a key before the present one needs `seal.key_file`, the present one; set both".into());
        }
    }
    for (key, value, least, most) in bounded(config) {
        if !(least..=most).contains(&value) {
            add(key, true, format!("{value} is out of bounds; use {least} to {most}"));
        }
    }
    if let Err(error) = EnvFilter::try_new(&config.log.level) {
        add("log.level", true, format!("`{}` is not understood ({error}); use error, warn, info, debug or trace", config.log.level));
    }
    let endpoint = &config.traces.endpoint;
    if let Some(why) = base_url(endpoint).err().filter(|_| !endpoint.is_empty()) {
        add(
            "traces.endpoint",
            true,
            format!("{why}; of a collector on this machine it is http://127.0.0.1:4318, and empty sends no spans"),
        );
    }
    if !config.http.listen.ip().is_loopback() {
        add(
            "http.listen",
            false,
            format!("{} can be reached from other machines, in plain HTTP; put a proxy with TLS in front", config.http.listen),
        );
    }
    if config.hub.drills && !cfg!(feature = "lab") {
        add("hub.drills", true, "this build has no drills (it was built without the feature `lab`); set it to false".into());
    } else if config.hub.drills {
        add(
            "hub.drills",
            false,
            "drills are allowed: whoever reaches broker and store can make faults here; not where anybody depends on it".into(),
        );
    }
    found.sort_by_key(|problem| !problem.fatal);
    found
}

/// What is to be said of the way to broker or store.
fn way(key: &'static str, clear_text: Result<Option<String>, String>, secured: &str, add: &mut impl FnMut(&'static str, bool, String)) {
    match clear_text {
        Ok(None) => {}
        Ok(Some(host)) => {
            let text =
                format!("the connection to {host} is clear text: candidates' data and the password can be read on the way; use {secured}");
            add(key, false, text);
        }
        Err(text) => add(key, true, text),
    }
}

fn key_file(path: &Path, add: &mut impl FnMut(&'static str, bool, String)) {
    match check_key_file(path) {
        Ok(None) => {}
        Ok(Some(warning)) => add("seal.key_file", false, warning),
        Err(error) => add("seal.key_file", true, error.to_string()),
    }
}

/// Whether files can be made in the folder, or the folder be made: tried in the nearest folder that exists.
fn writable(folder: &Path) -> Result<(), String> {
    let there = folder.ancestors().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }).find(|p| p.exists());
    let Some(there) = there else { return Err(format!("no part of the path `{}` exists", folder.display())) };
    if !there.is_dir() {
        return Err(format!("`{}` is a file; name a folder", there.display()));
    }
    match tempfile::tempfile_in(there) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("`{}` cannot be written to: {error}", there.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Address;
    use super::*;

    fn problems(change: impl FnOnce(&mut Config)) -> Vec<Problem> {
        let mut config = Config::default();
        config.broker.url = Address::new("embedded:memory");
        config.store.url = Address::new("embedded:memory");
        change(&mut config);
        check(&config)
    }

    #[test]
    fn the_default_values_will_do() {
        assert_eq!(problems(|_| {}), []);
    }

    #[test]
    fn wrong_values_are_named_with_what_would_be_right() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        type Change = Box<dyn FnOnce(&mut Config)>;
        let below_a_file = format!("embedded:{}/data", file.display());
        let not_a_key = file;
        let cases: Vec<(&str, &str, Change)> = vec![
            ("broker.url", "use amqp://", Box::new(|c| c.broker.url = Address::new("rabbit"))),
            ("store.url", "use postgres://", Box::new(|c| c.store.url = Address::new("mysql://h/d"))),
            ("broker.url", "`cacertfile` in the url is not taken", Box::new(|c| c.broker.url = Address::new("amqps://h/v?cacertfile=/c"))),
            (
                "store.url",
                "`sslrootcert` in the url is not taken",
                Box::new(|c| c.store.url = Address::new("postgres://h/d?sslrootcert=/c")),
            ),
            ("store.url", "cannot be read", Box::new(|c| c.store.url = Address::new("postgres://h:port/d"))),
            ("tls.ca_file", "cannot be read", Box::new(|c| c.tls.ca_file = "/nowhere/ca.pem".into())),
            ("tls.key_file", "set both or neither", Box::new(|c| c.tls.cert_file = "/nowhere/cert.pem".into())),
            ("store.url", "is a file", Box::new(move |c| c.store.url = Address::new(below_a_file))),
            ("seal.key_file", "head -c 32 /dev/urandom | base64", Box::new(|c| c.store.url = Address::new("postgres://h/d"))),
            ("seal.key_file", "holds no sealing key", Box::new(move |c| c.seal.key_file = not_a_key)),
            ("seal.key_file", "does not exist", Box::new(|c| c.seal.key_file = "/nowhere/key".into())),
            ("seal.previous_key_file", "does not exist", Box::new(|c| c.seal.previous_key_file = "/nowhere/key".into())),
            ("seal.previous_key_file", "set both", Box::new(|c| c.seal.previous_key_file = "/nowhere/key".into())),
            ("http.workers", "use 1 to 64", Box::new(|c| c.http.workers = 0)),
            ("http.max_body_bytes", "out of bounds", Box::new(|c| c.http.max_body_bytes = usize::MAX)),
            ("traces.endpoint", "http://127.0.0.1:4318", Box::new(|c| c.traces.endpoint = "collector:4318".into())),
            ("log.level", "is not understood", Box::new(|c| c.log.level = "atshub=loud".into())),
        ];
        for (key, text, change) in cases {
            let found = problems(change);
            assert!(found.iter().any(|p| p.key == key && p.fatal && p.text.contains(text)), "{key}: {found:?}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_a_warning() {
        let key = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(key.path(), "0123456789abcdef".repeat(4)).unwrap();
        let found = problems(|c| {
            c.broker.url = Address::new("amqp://hub:hush@rabbit.example/hub");
            c.store.url = Address::new("postgres://hub:hush@db.example/hub?sslmode=prefer");
            c.seal.key_file = key.path().into();
        });
        for (key, text) in [("broker.url", "rabbit.example is clear text"), ("store.url", "db.example is clear text")] {
            assert!(found.iter().any(|p| p.key == key && !p.fatal && p.text.contains(text)), "{found:?}");
        }
        assert!(found.iter().all(|p| !p.fatal && !p.text.contains("hush")), "{found:?}");
    }

    #[test]
    fn allowed_drills_are_a_warning() {
        let found = problems(|c| c.hub.drills = true);
        assert!(matches!(&found[..], [Problem { key: "hub.drills", fatal: false, .. }]), "{found:?}");
    }

    #[test]
    fn doors_open_to_the_network_are_a_warning() {
        let found = problems(|c| c.http.listen = ([0, 0, 0, 0], 8080).into());
        assert!(matches!(&found[..], [Problem { key: "http.listen", fatal: false, .. }]), "{found:?}");
    }
}
