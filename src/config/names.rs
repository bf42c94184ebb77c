//! Names of settings: which there are, which there are not, and which known one an unknown one was meant to be. Not values.

use atshub_schemas::text::key;
use figment::value::{Dict, Value};
use std::collections::BTreeSet;

/// A name nearer than this to a known one is taken for a slip (0 is nothing alike, 1 the same).
const ALIKE: f64 = 0.7;

/// All keys, dotted.
pub(super) fn keys(settings: &Dict) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, value) in settings {
        match value.as_dict() {
            Some(inner) => found.extend(keys(inner).into_iter().map(|key| format!("{name}.{key}"))),
            None => {
                found.insert(name.clone());
            }
        }
    }
    found
}

/// Dotted names that the known settings do not have.
pub(super) fn unknown_in(settings: &Dict, known: &Dict, section: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in settings {
        let path = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match (known.get(name), value.as_dict()) {
            (Some(Value::Dict(_, there)), Some(inner)) => found.extend(unknown_in(inner, there, &path)),
            (Some(_), _) => {}
            (None, _) => found.push(path),
        }
    }
    found
}

/// The variable of the environment that this one was meant to be, if any is alike at all. All begin so.
pub(super) fn near_variable(prefix: &str, name: &str, known: &Dict) -> Option<String> {
    let names = keys(known).into_iter().map(|key| format!("{prefix}{}", key.replacen('.', "__", 1).to_ascii_uppercase()));
    nearest_of(name, names)
}

/// The same in words.
pub(super) fn variable_hint(prefix: &str, name: &str, known: &Dict) -> String {
    near_variable(prefix, name, known).map_or_else(list_hint, |near| format!("; did you mean `{near}`?"))
}

/// The known name that is most like this one: among its neighbours, else anywhere by its last part.
pub(super) fn nearest(path: &str, known: &Dict) -> String {
    let all = keys(known);
    let beside = match path.split_once('.') {
        Some((section, _)) => all.iter().filter(|key| key.starts_with(&format!("{section}."))).cloned().collect(),
        None => known.keys().cloned().collect::<Vec<_>>(),
    };
    let leaf = path.rsplit('.').next();
    match nearest_of(path, beside.into_iter()).or_else(|| all.into_iter().find(|key| key.rsplit('.').next() == leaf)) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => list_hint(),
    }
}

fn list_hint() -> String {
    "; `atshub config default` prints them all".to_owned()
}

/// The name most like this one, if any is alike at all.
pub fn nearest_of(name: &str, names: impl Iterator<Item = String>) -> Option<String> {
    let scored = names.map(|known| (strsim::normalized_damerau_levenshtein(&key(name), &key(&known)), known));
    scored.filter(|(alike, _)| *alike >= ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}
