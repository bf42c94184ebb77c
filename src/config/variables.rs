//! Settings in the environment: `ATSHUB_<SECTION>__<KEY>` holds a value, `ATSHUB_<SECTION>__<KEY>_FILE` names a file that holds it. Which
//! unknown variables are slips of a person, and which were set by something that does not mean the hub. Not types of values.

use super::{
    layers::{ConfigError, Origin, find, readable},
    names::{near_variable, variable_hint},
};
use atshub_schemas::text::{is_unseen, trimmed};
use figment::value::{Dict, Value};
use std::{collections::BTreeMap, fs::File, io::Read, path::Path};

/// Every setting's environment variable begins so.
pub(super) const PREFIX: &str = "ATSHUB_";
/// Variables that begin so and are no settings: the file to read, and what tests and generators are told.
const NOT_SETTINGS: [&str; 3] = ["ATSHUB_CONFIG", "ATSHUB_UPDATE", "ATSHUB_TEST_"];
/// What follows section and key where the variable names a file. Keys that end so themselves are paths and are not read so.
const FILE: &str = "_file";
/// Largest file with a value, in bytes.
const MAX_VALUE: u64 = 64 * 1024;

/// A setting that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The variable.
    pub(super) origin: Origin,
    /// Its section.
    pub(super) section: String,
    /// Its key.
    pub(super) key: String,
    /// Its value.
    pub(super) text: String,
}

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// Settings.
    pub(super) found: Vec<Found>,
    /// Variables that a person meant to be settings, and are none.
    pub(super) unknown: Vec<String>,
    /// Variables that nobody meant for the hub.
    pub(super) passed_over: Vec<String>,
}

/// What a variable of the hub's prefix is.
enum Meaning {
    /// This setting.
    Value(String, String),
    /// The file with this setting.
    File(String, String),
    /// Something of Kubernetes.
    ServiceLink,
    /// A slip.
    Slip,
    /// Nothing that a setting is alike to.
    Nothing,
}

/// Reads them.
///
/// # Errors
/// [`ConfigError::Value`]: a file that cannot be read or holds no value, or a setting that is given twice.
pub(super) fn read(environment: &[(String, String)], known: &Dict) -> Result<Variables, ConfigError> {
    let mut variables = Variables::default();
    let mut given: BTreeMap<(String, String), String> = BTreeMap::new();
    let ours = environment.iter().filter(|(name, _)| name.starts_with(PREFIX) && !is_no_setting(name));
    for (name, value) in ours {
        let (section, key, from_file) = match meaning(name, value, known) {
            Meaning::Value(section, key) => (section, key, false),
            Meaning::File(section, key) => (section, key, true),
            Meaning::ServiceLink => {
                variables.passed_over.push(format!(
                    "`{}` (environment) is no setting and is passed over: Kubernetes sets it for a Service; `enableServiceLinks: false` in the pod keeps such variables out",
                    readable(name)
                ));
                continue;
            }
            Meaning::Nothing => {
                variables.passed_over.push(format!(
                    "`{}` (environment) is no setting and is passed over{}",
                    readable(name),
                    variable_hint(PREFIX, name, known)
                ));
                continue;
            }
            Meaning::Slip => {
                variables.unknown.push(format!(
                    "`{}` (environment): no such setting{}",
                    readable(name),
                    variable_hint(PREFIX, name, known)
                ));
                continue;
            }
        };
        let origin = Origin::Environment(name.clone());
        let wrong = |cause: String| ConfigError::Value { key: format!("{section}.{key}"), origin: origin.to_string(), cause };
        if let Some(other) = given.insert((section.clone(), key.clone()), name.clone()) {
            return Err(wrong(format!("`{other}` is set too; set one of the two")));
        }
        let text = if from_file { read_value(value).map_err(wrong)? } else { value.clone() };
        variables.found.push(Found { origin, section, key, text });
    }
    Ok(variables)
}

fn is_no_setting(name: &str) -> bool {
    NOT_SETTINGS.iter().any(|other| name == *other || (other.ends_with('_') && name.starts_with(other)))
}

fn meaning(name: &str, value: &str, known: &Dict) -> Meaning {
    let written = name.get(PREFIX.len()..).unwrap_or_default().to_ascii_lowercase();
    match written.split_once("__") {
        Some((section, key)) if find(known, section, key).is_some() => Meaning::Value(section.to_owned(), key.to_owned()),
        Some((section, key)) => match key.strip_suffix(FILE) {
            Some(key) if !key.ends_with(FILE) && matches!(find(known, section, key), Some(Value::String(..))) => {
                Meaning::File(section.to_owned(), key.to_owned())
            }
            _ => Meaning::Slip,
        },
        None if is_service_link(name, value) => Meaning::ServiceLink,
        None if near_variable(PREFIX, name, known).is_some() => Meaning::Slip,
        None => Meaning::Nothing,
    }
}

/// Whether Kubernetes sets such a variable in every pod beside a Service whose name begins with `atshub`
/// (<https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables>).
fn is_service_link(name: &str, value: &str) -> bool {
    let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    let of_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|number| number.parse::<u16>().is_ok());
        let protocol = parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol));
        let part = parts.next().is_none_or(|part| ["PROTO", "PORT", "ADDR"].contains(&part));
        number && protocol && part && parts.next().is_none()
    };
    word(name)
        && (name.ends_with("_SERVICE_HOST")
            || name.ends_with("_SERVICE_PORT")
            || name.split_once("_SERVICE_PORT_").is_some_and(|(_, port)| word(port))
            || name.ends_with("_PORT") && value.contains("://")
            || name.rsplit_once("_PORT_").is_some_and(|(_, rest)| of_port(rest))
            || name.strip_suffix("_PORT").and_then(|name| name.rsplit_once("_PORT_")).is_some_and(|(_, rest)| of_port(rest)))
}

/// The value in a file: one line of text. Its end of line and a byte order mark are not part of it.
fn read_value(path: &str) -> Result<String, String> {
    let shown = readable(path);
    if path.is_empty() {
        return Err("names no file; set it to the path of the file that holds the value, or take it away".to_owned());
    }
    let mut bytes = Vec::new();
    let read = File::open(Path::new(path)).and_then(|file| file.take(MAX_VALUE + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        format!("the file `{shown}` cannot be read: {error}; it must hold the value, and be readable for the hub's user")
    })?;
    if bytes.len() as u64 > MAX_VALUE {
        return Err(format!("the file `{shown}` is larger than {MAX_VALUE} bytes; it must hold the value alone"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("the file `{shown}` is not text in UTF-8; write the value into it, and nothing else"))?;
    let value = text.trim_matches(is_unseen).trim_end_matches(['\r', '\n']).trim_matches(is_unseen);
    if trimmed(value).is_empty() {
        return Err(format!("the file `{shown}` is empty; write the value into it"));
    }
    if value.contains(is_unseen) {
        return Err(format!(
            "the file `{shown}` holds a mark that is not seen within its value; copy the value anew, without what stands around it"
        ));
    }
    if value.contains(char::is_control) {
        return Err(format!("the file `{shown}` holds more than one line, or control characters; it must hold the value alone"));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Loaded, Sources, load};
    use super::*;
    use std::path::PathBuf;

    fn loaded(pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        load(&Sources { environment: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), ..Sources::default() })
    }

    fn file(folder: &tempfile::TempDir, content: impl AsRef<[u8]>) -> PathBuf {
        let file = folder.path().join("value");
        std::fs::write(&file, content).unwrap();
        file
    }

    #[test]
    fn a_file_holds_the_value_whatever_ends_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let url = "amqp://hub:p@ss w@h/v";
        for content in [
            url.to_owned(),
            format!("{url}\n"),
            format!("{url}\r\n"),
            format!("{url}\n\n"),
            format!("\u{feff}{url}\n"),
            format!("\u{202a}{url}\u{202c}\r\n\u{200b}"),
        ] {
            let path = file(&folder, &content);
            let Loaded { config, origins, warnings } = loaded(&[("ATSHUB_BROKER__URL_FILE", path.to_str().unwrap())]).unwrap();
            assert_eq!((config.broker.url.as_str(), warnings), (url, vec![]), "{content:?}");
            assert_eq!(origins["broker.url"], Origin::Environment("ATSHUB_BROKER__URL_FILE".into()));
        }
    }

    #[test]
    fn every_text_setting_can_stand_in_a_file_and_a_path_stays_a_path() {
        let folder = tempfile::tempdir().unwrap();
        for (section, settings) in super::super::layers::default_settings().unwrap() {
            for (key, value) in settings.as_dict().unwrap() {
                let name = format!("ATSHUB_{}__{}_FILE", section.to_uppercase(), key.to_uppercase());
                let value = match value {
                    Value::String(_, text) if text.is_empty() => "something".to_owned(),
                    Value::String(_, text) => text.clone(),
                    _ => "1".to_owned(),
                };
                let path = file(&folder, &value);
                let outcome = loaded(&[(&name, path.to_str().unwrap())]);
                let text = matches!(find(&super::super::layers::default_settings().unwrap(), &section, key), Some(Value::String(..)));
                assert_eq!(outcome.is_ok(), text && !key.ends_with("_file"), "{name}: {outcome:?}");
            }
        }
        assert_eq!(loaded(&[("ATSHUB_SEAL__KEY_FILE", "/nowhere")]).unwrap().config.seal.key_file, PathBuf::from("/nowhere"));
    }

    #[test]
    fn a_file_that_holds_no_value_is_refused_with_its_name_and_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![b'x'; usize::try_from(MAX_VALUE).unwrap() + 1];
        for (content, wanted) in [
            (Vec::new(), "is empty; write the value into it"),
            (b"\n".to_vec(), "is empty"),
            (b" \r\n".to_vec(), "is empty"),
            ("\u{feff}".as_bytes().to_vec(), "is empty"),
            (b"secret\nsecret\n".to_vec(), "holds more than one line"),
            (b"sec\0ret".to_vec(), "control characters"),
            (b"sec\xffret".to_vec(), "is not text in UTF-8"),
            (large, "is larger than 65536 bytes"),
        ] {
            let path = file(&folder, content);
            let error = loaded(&[("ATSHUB_STORE__URL_FILE", path.to_str().unwrap())]).unwrap_err().to_string();
            let begin = format!("`store.url` (environment ATSHUB_STORE__URL_FILE): the file `{}` ", path.display());
            assert!(error.starts_with(&begin) && error.contains(wanted) && !error.contains("ret"), "{error}");
        }
        for (path, wanted) in [("/nowhere/url", "No such file"), (folder.path().to_str().unwrap(), "Is a directory"), ("", "names no file")]
        {
            let error = loaded(&[("ATSHUB_STORE__URL_FILE", path)]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn a_setting_that_is_given_twice_is_refused_whichever_stands_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "amqp://hub:secret@h/v");
        let mut pairs = [("ATSHUB_BROKER__URL", "amqp://hub:secret@h/w"), ("ATSHUB_BROKER__URL_FILE", path.to_str().unwrap())];
        for _ in 0..2 {
            let error = loaded(&pairs).unwrap_err().to_string();
            assert!(error.contains(&format!("`{}` is set too; set one of the two", pairs[0].0)), "{error}");
            assert!(error.contains(pairs[1].0) && !error.contains("secret"), "{error}");
            pairs.reverse();
        }
    }

    #[test]
    fn variables_that_nobody_meant_for_the_hub_are_named_and_passed_over() {
        for (name, value, cause) in [
            ("ATSHUB_SERVICE_HOST", "10.0.0.1", "enableServiceLinks"),
            ("ATSHUB_SERVICE_PORT", "8080", "enableServiceLinks"),
            ("ATSHUB_SERVICE_PORT_HTTP", "8080", "enableServiceLinks"),
            ("ATSHUB_PORT", "tcp://10.0.0.1:8080", "enableServiceLinks"),
            ("ATSHUB_PORT_8080_TCP", "tcp://10.0.0.1:8080", "enableServiceLinks"),
            ("ATSHUB_PORT_8080_TCP_PROTO", "tcp", "enableServiceLinks"),
            ("ATSHUB_PORT_8080_TCP_PORT", "8080", "enableServiceLinks"),
            ("ATSHUB_PORT_8080_TCP_ADDR", "10.0.0.1", "enableServiceLinks"),
            ("ATSHUB_PORT_53_UDP", "udp://10.0.0.1:53", "enableServiceLinks"),
            ("ATSHUB_PORT_9_SCTP_PORT", "9", "enableServiceLinks"),
            // Services named atshub-http, atshub-broker and atshub-config: like settings, but for their endings.
            ("ATSHUB_HTTP_SERVICE_HOST", "10.0.0.1", "enableServiceLinks"),
            ("ATSHUB_BROKER_PORT", "tcp://10.0.0.1:5672", "enableServiceLinks"),
            ("ATSHUB_BROKER_SERVICE_PORT_AMQP_TLS", "5671", "enableServiceLinks"),
            ("ATSHUB_CONFIG_PORT_80_TCP_ADDR", "10.0.0.1", "enableServiceLinks"),
            ("ATSHUB_STORE_PORT_5432_TCP_PORT", "5432", "enableServiceLinks"),
            ("ATSHUB_NOTHING_ALIKE_AT_ALL", "1", "`atshub config default` prints them all"),
            ("ATSHUB_PORT", "8080", "passed over"),
            ("ATSHUB_X", "", "passed over"),
        ] {
            let Loaded { config, warnings, .. } = loaded(&[(name, value)]).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
            assert_eq!(config, Config::default(), "{name}");
            let named = format!("`{name}` (environment) is no setting and is passed over");
            assert!(matches!(&warnings[..], [one] if one.starts_with(&named) && one.contains(cause)), "{name}={value}: {warnings:?}");
        }
    }

    #[test]
    fn variables_that_a_person_meant_as_settings_are_refused() {
        for (name, value, near) in [
            ("ATSHUB_BROKER_URL", "amqp://h", "did you mean `ATSHUB_BROKER__URL`?"),
            ("ATSHUB_BROKR__URL", "amqp://h", "did you mean `ATSHUB_BROKER__URL`?"),
            ("ATSHUB_STORE_URL_FILE", "/x", "did you mean `ATSHUB_STORE__URL"),
            ("ATSHUB_BROKER__URL_FIL", "/x", "did you mean `ATSHUB_BROKER__URL"),
            ("ATSHUB_HTTP_LISTEN", "127.0.0.1:1", "did you mean `ATSHUB_HTTP__LISTEN`?"),
            ("ATSHUB_HTTP__WORKERS_FILE", "/x", "did you mean `ATSHUB_HTTP__WORKERS`?"),
            ("ATSHUB_SEAL__KEY_FILE_FILE", "/x", "did you mean `ATSHUB_SEAL__KEY_FILE`?"),
            ("ATSHUB_LOGLEVEL", "info", "did you mean `ATSHUB_LOG__LEVEL`?"),
            ("ATSHUB_NOTHING__ALIKE_AT_ALL", "1", "`atshub config default` prints them all"),
            ("ATSHUB__BROKER__URL", "amqp://h", "did you mean `ATSHUB_BROKER__URL`?"),
            // Two underscores are a person's: no name of a Service makes them but one with two hyphens.
            ("ATSHUB_BROKER__PORT", "tcp://10.0.0.1:5672", "no such setting"),
            ("ATSHUB_HTTP__SERVICE_HOST", "10.0.0.1", "no such setting"),
            // Endings that are alike to those of Kubernetes, and are not.
            ("ATSHUB_BROKER_PORT", "5672", "no such setting"),
        ] {
            let error = loaded(&[(name, value)]).map(|loaded| loaded.warnings).expect_err(name).to_string();
            assert!(error.contains(&format!("`{name}` (environment)")) && error.contains(near), "{name}: {error}");
        }
    }
}
