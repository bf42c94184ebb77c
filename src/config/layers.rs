//! Where settings are read from: the default file, `atshub.toml`, the environment, the command line; later ones win. Unknown
//! names are refused with the nearest known one, whichever layer they stand in. It judges names and types, not values.

use super::{
    Config, DEFAULT_FILE, FILE,
    names::{keys, nearest, unknown_in},
    variables,
};
use atshub_schemas::text::trimmed;
use figment::{
    Figment, Metadata, Profile, Provider,
    error::Kind,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// What a number may be: none of the settings goes below zero.
const WHOLE: &str = "a whole number, 0 or more";
/// Longest piece of a written name that is repeated, in characters.
const MAX_SHOWN: usize = 100;

/// What there is to read.
#[derive(Clone, Default)]
pub struct Sources {
    /// The file that was asked for; it must exist.
    pub file: Option<PathBuf>,
    /// The file that is read if it is there.
    pub usual_file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Settings of the command line: flag, key (`broker.url`), value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Sources {
    /// This process's environment, and `atshub.toml` of the folder it stands in, or the file that was asked for.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Self {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into_owned())));
        Self { file, usual_file: Some(FILE.into()), environment: environment.collect(), flags: Vec::new() }
    }
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default file.
    Default,
    /// A file.
    File(PathBuf),
    /// A variable of the environment.
    Environment(String),
    /// The command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A configuration, and where each setting comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Key (`broker.url`) → origin.
    pub origins: BTreeMap<String, Origin>,
    /// What was passed over, and why.
    pub warnings: Vec<String>,
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("failed to read the configuration `{file}`: {cause}")]
    File {
        /// Which.
        file: String,
        /// Why.
        cause: String,
    },
    /// Names that no setting has.
    #[error("{}", .0.join("\n"))]
    Unknown(Vec<String>),
    /// A value of the wrong type.
    #[error("`{key}` ({origin}): {cause}")]
    Value {
        /// Which.
        key: String,
        /// Where it stands.
        origin: String,
        /// What was found and what would be right.
        cause: String,
    },
}

/// One layer: settings, and where they come from.
struct Layer {
    origin: Origin,
    settings: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.to_string())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Map::from([(Profile::Default, self.settings.clone())]))
    }
}

/// Reads and merges all layers.
///
/// # Errors
/// [`ConfigError`], with file or variable, key, and what would be right.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let known = default_settings()?;
    let mut layers = vec![Layer { origin: Origin::Default, settings: known.clone() }];
    let asked = sources.environment.iter().find(|(name, value)| name == "ATSHUB_CONFIG" && !value.is_empty());
    let asked = sources.file.clone().or_else(|| asked.map(|(_, path)| path.into()));
    if let Some(path) = asked.or_else(|| sources.usual_file.clone().filter(|path| path.exists())) {
        layers.push(read_file(path)?);
    }
    let mut unknown = Vec::new();
    for Layer { origin, settings } in &layers {
        let names = unknown_in(settings, &known, "");
        unknown.extend(names.into_iter().map(|path| {
            let path = readable(&path);
            format!("`{path}` ({origin}): no such setting{}", nearest(&path, &known))
        }));
    }
    let variables = variables::read(&sources.environment, &known)?;
    unknown.extend(variables.unknown);
    for variables::Found { origin, section, key, text } in variables.found {
        layers.push(one(origin, &known, &section, &key, &text)?);
    }
    for (flag, key, text) in &sources.flags {
        if let Some((section, key)) = key.split_once('.') {
            layers.push(one(Origin::Flag((*flag).to_owned()), &known, section, key, text)?);
        }
    }
    if !unknown.is_empty() {
        return Err(ConfigError::Unknown(unknown));
    }
    merge(layers, &known, variables.passed_over)
}

fn merge(layers: Vec<Layer>, known: &Dict, warnings: Vec<String>) -> Result<Loaded, ConfigError> {
    let mut origins = BTreeMap::new();
    let mut figment = Figment::new();
    for layer in layers {
        origins.extend(keys(&layer.settings).into_iter().map(|key| (key, layer.origin.clone())));
        figment = figment.merge(layer);
    }
    let config = figment.extract::<Config>().map_err(|error| {
        let key = error.path.join(".");
        let default = find_path(known, &key);
        let wanted = default.map(|value| format!("; the default is {}", shown(value))).unwrap_or_default();
        // An address that is no text can still be a password: what was found is not repeated.
        let cause = match &error.kind {
            // The parser's own words are types of the program (`usize`).
            Kind::InvalidType(..) | Kind::InvalidValue(..) if matches!(default, Some(Value::Num(..))) => format!("expected {WHOLE}"),
            Kind::InvalidType(_, wanted) | Kind::InvalidValue(_, wanted) => format!("expected {wanted}"),
            Kind::UnknownVariant(_, known) => format!("expected one of `{}`", known.join("`, `")),
            Kind::Message(text) => text.clone(),
            kind => kind.to_string(),
        };
        let cause = if key == "http.listen" { format!("{cause}; use an address and a port, IPv6 in brackets: [::1]:8080") } else { cause };
        let origin = origins.get(&key).map_or_else(|| "no layer".to_owned(), ToString::to_string);
        ConfigError::Value { key, origin, cause: format!("{cause}{wanted}") }
    })?;
    Ok(Loaded { config, origins, warnings })
}

/// The settings of the default file.
pub(super) fn default_settings() -> Result<Dict, ConfigError> {
    parse(DEFAULT_FILE).map_err(|cause| ConfigError::File { file: "default.toml".into(), cause })
}

fn read_file(path: PathBuf) -> Result<Layer, ConfigError> {
    let failed = |cause: String| ConfigError::File { file: path.display().to_string(), cause };
    let text = std::fs::read_to_string(Path::new(&path)).map_err(|e| failed(e.to_string()))?;
    let settings = parse(&text).map_err(failed)?;
    Ok(Layer { origin: Origin::File(path), settings })
}

fn parse(text: &str) -> Result<Dict, String> {
    let mut profiles = Toml::string(text).data().map_err(|error| {
        // The parser repeats the line it stumbled over, which may hold a password: its first and last line are enough.
        let text = error.to_string();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match lines.as_slice() {
            [first, .., last] => format!("{first}: {last}"),
            _ => text,
        }
    })?;
    Ok(profiles.remove(&Profile::Default).unwrap_or_default())
}

/// A layer of one setting, read as the type that the default file has for it.
fn one(origin: Origin, known: &Dict, section: &str, key: &str, text: &str) -> Result<Layer, ConfigError> {
    let wrong = |wanted: &str| ConfigError::Value {
        key: format!("{section}.{key}"),
        origin: origin.to_string(),
        cause: format!("expected {wanted}"),
    };
    let value = match find(known, section, key) {
        Some(Value::Num(..)) => Value::from(trimmed(text).parse::<u64>().map_err(|_| wrong(WHOLE))?),
        Some(Value::Bool(..)) => Value::from(trimmed(text).parse::<bool>().map_err(|_| wrong("true or false"))?),
        _ => Value::from(text),
    };
    let settings = Dict::from([(section.to_owned(), Value::from(Dict::from([(key.to_owned(), value)])))]);
    Ok(Layer { origin, settings })
}

pub(super) fn find<'a>(settings: &'a Dict, section: &str, key: &str) -> Option<&'a Value> {
    settings.get(section)?.as_dict()?.get(key)
}

fn find_path<'a>(settings: &'a Dict, path: &str) -> Option<&'a Value> {
    let (section, key) = path.split_once('.')?;
    find(settings, section, key)
}

/// A name as it was written, as far as it can be shown: on one line, without what steers a terminal, and short.
pub(super) fn readable(name: &str) -> String {
    name.chars().take(MAX_SHOWN).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Num(_, number) => number.to_u128_lossy().map_or_else(|| WHOLE.to_owned(), |n| n.to_string()),
        Value::Bool(_, truth) => truth.to_string(),
        _ => "a section".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> (tempfile::TempDir, Sources) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("atshub.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        (folder, sources)
    }

    fn with_environment(pairs: &[(&str, &str)]) -> Sources {
        Sources { environment: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), ..Sources::default() }
    }

    #[test]
    fn a_later_layer_wins_and_is_named_as_the_origin() {
        let (_folder, mut sources) = with_file("[http]\nlisten = \"127.0.0.1:1\"\nworkers = 3\n[broker]\nurl = \"amqp://a\"\n");
        sources.environment = vec![("ATSHUB_HTTP__LISTEN".into(), "127.0.0.1:2".into()), ("ATSHUB_BROKER__URL".into(), "amqp://b".into())];
        sources.flags = vec![("--broker", "broker.url", "amqp://c".into())];
        let Loaded { config, origins, .. } = load(&sources).unwrap();
        assert_eq!((config.http.listen.port(), config.http.workers, config.broker.url.as_str()), (2, 3, "amqp://c"));
        assert_eq!(origins["http.listen"], Origin::Environment("ATSHUB_HTTP__LISTEN".into()));
        assert_eq!(origins["http.workers"], Origin::File(sources.file.unwrap()));
        assert_eq!(origins["broker.url"], Origin::Flag("--broker".into()));
        assert_eq!(origins["log.level"], Origin::Default);
    }

    #[test]
    fn an_unknown_name_is_refused_with_file_key_and_the_nearest_known_one() {
        let (_folder, sources) =
            with_file("[http]\nlisen = \"127.0.0.1:1\"\n[brokr]\nurl = \"amqp://u:secret@a\"\n[store]\nlevel = \"x\"\n");
        let error = load(&sources).unwrap_err().to_string();
        let file = sources.file.unwrap();
        assert!(
            error.contains(&format!("`http.lisen` (file {}): no such setting; did you mean `http.listen`?", file.display())),
            "{error}"
        );
        assert!(error.contains("`brokr`") && error.contains("did you mean `broker`?"), "{error}");
        assert!(error.contains("`store.level`") && error.contains("did you mean `log.level`?"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_nearest_known_one() {
        let error =
            load(&with_environment(&[("ATSHUB_BROKER_URL", "amqp://u:secret@a"), ("ATSHUB_NOTHING__ALIKE_AT_ALL", "1")])).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("`ATSHUB_BROKER_URL` (environment): no such setting; did you mean `ATSHUB_BROKER__URL`?"), "{error}");
        assert!(error.contains("`ATSHUB_NOTHING__ALIKE_AT_ALL`") && error.contains("`atshub config default` prints them all"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn variables_for_tests_and_generators_are_no_settings() {
        let names = [
            ("ATSHUB_TEST_AMQP_URL", "amqp://x"),
            ("ATSHUB_TEST_DATABASE_URL", "x"),
            ("ATSHUB_UPDATE", "1"),
            ("ATSHUB_CONFIG", ""),
            ("HOME", "/"),
        ];
        assert_eq!(load(&with_environment(&names)).unwrap().config, Config::default());
    }

    #[test]
    fn the_file_may_be_named_by_a_variable_and_must_then_exist() {
        let (_folder, sources) = with_file("[log]\nformat = \"json\"\n");
        let file = sources.file.unwrap();
        let loaded = load(&with_environment(&[("ATSHUB_CONFIG", file.to_str().unwrap())])).unwrap();
        assert_eq!(loaded.config.log.format, super::super::LogFormat::Json);
        let error = load(&with_environment(&[("ATSHUB_CONFIG", "/nowhere/atshub.toml")])).unwrap_err();
        assert!(error.to_string().contains("`/nowhere/atshub.toml`"), "{error}");
        let usual = Sources { usual_file: Some("/nowhere/atshub.toml".into()), ..Sources::default() };
        assert!(load(&usual).is_ok(), "the usual file may be missing");
    }

    #[test]
    fn a_wrong_value_is_refused_with_key_origin_and_what_would_be_right() {
        for (text, wanted) in [
            ("[http]\nworkers = \"two\"\n", "`http.workers` (file "),
            ("[http]\nworkers = \"two\"\n", "expected a whole number, 0 or more; the default is 2"),
            ("[http]\nlisten = \"::1:8080\"\n", "IPv6 in brackets: [::1]:8080"),
            ("[http]\nlisten = \"nowhere\"\n", "the default is \"127.0.0.1:8080\""),
            ("[log]\nformat = \"xml\"\n", "`text`"),
            ("[broker]\nqueue_type = \"mirrored\"\n", "`quorum`"),
            ("http = 3\n", "`http` (file "),
            ("[http]\nworkers = -1\n", "`http.workers`"),
        ] {
            let (_folder, sources) = with_file(text);
            let error = load(&sources).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        let error = load(&with_environment(&[("ATSHUB_HTTP__WORKERS", "many")])).unwrap_err().to_string();
        assert_eq!(error, "`http.workers` (environment ATSHUB_HTTP__WORKERS): expected a whole number, 0 or more");
    }

    #[test]
    fn what_is_wrong_is_told_in_a_short_line_whatever_was_written() {
        let long = "x".repeat(100_000);
        for (text, wanted) in [
            ("[log]\nformat = \"\\u0000\"\n".to_owned(), "expected one of `text`, `json`; the default is \"text\""),
            (format!("[log]\nformat = \"{long}\"\n"), "expected one of `text`, `json`"),
            ("[log]\n\"le\\u001bvel\" = 1\n".to_owned(), "`log.le\\u{1b}vel`"),
            (format!("[log]\n{long} = 1\n"), "no such setting"),
        ] {
            let (_folder, sources) = with_file(&text);
            let error = load(&sources).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.len() < 500 && !error.contains(char::is_control), "{error:?}");
        }
        let error = load(&with_environment(&[("ATSHUB_LOG__LE\u{1b}VEL", "1")])).unwrap_err().to_string();
        assert!(error.contains("ATSHUB_LOG__LE\\u{1b}VEL") && !error.contains(char::is_control), "{error:?}");
    }

    #[test]
    fn a_variable_that_looks_like_another_type_stays_text() {
        let loaded = load(&with_environment(&[("ATSHUB_SEAL__KEY_FILE", "123"), ("ATSHUB_LOG__LEVEL", "true")])).unwrap();
        assert_eq!((loaded.config.seal.key_file.to_str(), loaded.config.log.level.as_str()), (Some("123"), "true"));
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_with_its_place_and_without_its_text() {
        let (_folder, sources) = with_file("[broker]\nurl = amqp://hub:secret@rabbit\n");
        let error = load(&sources).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("atshub.toml"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
