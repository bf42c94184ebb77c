//! Places within a sample, and what the tests do to them. No expectations of its own.

use atshub_schemas::{Envelope, Refusal, catalog::CATALOG, samples::sample};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The folder of the crate, where the committed files are.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every type with its sample as JSON.
pub(crate) fn samples() -> impl Iterator<Item = (&'static str, Value)> {
    CATALOG.iter().map(|entry| (entry.kind, sample(entry.kind).unwrap().to_value().unwrap()))
}

pub(crate) fn decode(value: &Value) -> Result<Envelope, Refusal> {
    Envelope::decode(&serde_json::to_vec(value).unwrap())
}

/// Every place in `value`: its path as a refusal names it, and its JSON pointer. Without the root.
pub(crate) fn places(value: &Value) -> Vec<(String, String)> {
    fn walk(value: &Value, path: &str, pointer: &str, out: &mut Vec<(String, String)>) {
        let mut add = |path: String, pointer: String, value: &Value| {
            out.push((path.clone(), pointer.clone()));
            walk(value, &path, &pointer, out);
        };
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                    add(path, format!("{pointer}/{name}"), value);
                }
            }
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    add(format!("{path}[{n}]"), format!("{pointer}/{n}"), item);
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(value, "", "", &mut out);
    out
}

/// The object that holds the field at `pointer`, and the field's name; `None` for an item of a list.
pub(crate) fn holder<'a>(value: &'a mut Value, pointer: &str) -> Option<(&'a mut Map<String, Value>, String)> {
    let (parent, name) = pointer.rsplit_once('/')?;
    Some((value.pointer_mut(parent)?.as_object_mut()?, name.to_owned()))
}

/// The schema of the place at `pointer` of a message of type `kind`, its references and its "or null" followed.
pub(crate) fn schema_at(kind: &str, sample: &Value, pointer: &str) -> Value {
    let root = atshub_schemas::generate::envelope_schema(atshub_schemas::catalog::entry(kind).unwrap());
    let follow = |mut schema: Value, value: &Value| loop {
        if let Some(name) = schema["$ref"].as_str() {
            schema = root["$defs"][name.strip_prefix("#/$defs/").unwrap()].clone();
        } else if let Some(branch) = schema["anyOf"].as_array().and_then(|all| all.iter().find(|b| b["type"] != "null")) {
            schema = branch.clone();
        } else if let Some(branch) = schema["oneOf"]
            .as_array()
            .and_then(|all| all.iter().find(|b| b["properties"]["kind"]["const"] == value["kind"] && value.is_object()))
        {
            schema = branch.clone();
        } else {
            return schema;
        }
    };
    let (mut schema, mut value) = (root.clone(), sample);
    for step in pointer.split('/').skip(1) {
        let next = match value {
            Value::Array(_) => schema["items"].clone(),
            _ => schema["properties"][step].clone(),
        };
        value = value.pointer(&format!("/{step}")).unwrap();
        schema = follow(next, value);
    }
    schema
}

/// Whether the field `name` must be in the object at `pointer`.
pub(crate) fn is_required(kind: &str, sample: &Value, pointer: &str) -> bool {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    schema_at(kind, sample, parent)["required"].as_array().is_some_and(|all| all.iter().any(|field| field == name))
}
