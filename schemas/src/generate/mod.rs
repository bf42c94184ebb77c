//! The files under `schemas/` that are made from the Rust types: a JSON Schema and two samples per message type, and
//! one AsyncAPI document. Makes text; a test compares it with what is committed and can write it. See [`asyncapi`].

mod asyncapi;

use crate::{
    Entry, Family, catalog,
    envelope::{DATA_CONTENT_TYPE, SPEC_VERSION},
    samples,
    shape::TIME_PATTERN,
    text::{self, Becomes, CLASSES, Class, Compared, ExternalId, Kind, Line, MessageId, TenantName},
};
use schemars::JsonSchema;
use serde_json::{Map, Value, json};
use std::{fmt::Write, path::PathBuf};

pub use asyncapi::{asyncapi, asyncapi_bundled};

/// Every generated file: its path within `schemas/` and its text. The same every time.
#[must_use]
pub fn generate() -> Vec<(PathBuf, String)> {
    let mut files = vec![(PathBuf::from("asyncapi.json"), pretty(&asyncapi()))];
    for entry in catalog::CATALOG {
        let kind = entry.kind;
        let sample = samples::sample(kind).and_then(|sample| sample.to_value().ok());
        files.push((format!("json/{kind}.json").into(), pretty(&envelope_schema(entry))));
        files.extend(sample.map(|value| (format!("samples/{kind}.json").into(), pretty(&value))));
        files.extend(samples::minimal(kind).map(|value| (format!("samples/minimal/{kind}.json").into(), pretty(&value))));
    }
    files
}

/// JSON Schema 2020-12 of the whole envelope of one type: what `atshub schema show <type>` prints.
#[must_use]
pub fn envelope_schema(entry: &Entry) -> Value {
    let mut data = entry.data_schema().to_value();
    let mut definitions = match data.as_object_mut() {
        Some(object) => {
            object.remove("$schema");
            object.remove("$defs").and_then(|defs| defs.as_object().cloned()).unwrap_or_default()
        }
        None => Map::new(),
    };
    let name = entry.rust_type.rsplit("::").next().unwrap_or(entry.rust_type).to_owned();
    definitions.insert(name.clone(), data);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("urn:atshub:schema:{}", entry.kind),
        "title": entry.kind,
        "description": format!("{} {} CloudEvents 1.0, structured JSON.", entry.summary, who(entry.family)),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "tenant", "time", "data"],
        "properties": {
            "specversion": { "const": SPEC_VERSION, "description": "Version of CloudEvents." },
            "id": attribute::<MessageId>("Unique within `source`, for ever: the same id twice is the same message, and is handled once."),
            "source": as_sent(attribute::<Line>("Who published it, for example `/bridges/jobvite/acme`.")),
            "type": { "const": entry.kind, "description": "What `data` is, with its version." },
            "tenant": attribute::<TenantName>("Whose it is: the part of the routing key before the first full stop."),
            "subject": or_null(attribute::<ExternalId>("What it is about, for example `application/8842`.")),
            "time": {
                "type": "string", "format": "date-time", "pattern": TIME_PATTERN,
                "description": "When it happened, by the clock of whoever saw it, RFC 3339 with an offset. Facts are ordered by this.",
            },
            "datacontenttype": { "enum": [DATA_CONTENT_TYPE, null], "description": "Form of `data`." },
            "traceparent": or_null(attribute::<Line>("W3C Trace Context, for those who trace.")),
            "data": { "$ref": format!("#/$defs/{name}") },
        },
        "$defs": definitions,
    })
}

fn attribute<T: JsonSchema>(description: &str) -> Value {
    let mut schema = T::json_schema(&mut schemars::SchemaGenerator::default());
    schema.insert("description".into(), description.into());
    schema.to_value()
}

fn or_null(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("type".into(), json!(["string", "null"]));
    }
    schema
}

/// The source belongs to the key by which a message is known again: it is kept as it is sent.
fn as_sent(mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("pattern".into(), text::verbatim().into());
    }
    schema
}

/// Who publishes a family, and where, in a sentence.
fn who(family: Family) -> &'static str {
    match family {
        Family::Fact => "A fact, published on `atshub.events`.",
        Family::Answer => "A bridge's answer to a command, published on `atshub.events`.",
        Family::Command => "A command, published by the hub on `atshub.commands` and performed by the tenant's bridge.",
        Family::Internal => "The hub's own, on `atshub.work`: from anybody else it is parked as `not_internal`.",
        Family::Lifecycle => "The hub's own event, on `atshub.lifecycle`.",
        Family::Control => "Asked by an operator, published on `atshub.control` and heard by every hub process.",
    }
}

/// The table of types in `schemas/README.md`, between the marks `types:begin` and `types:end`.
#[must_use]
pub fn readme_table() -> String {
    let mut out =
        String::from("| type | who publishes it, and where | what it says | what follows | schema | sample |\n|---|---|---|---|---|---|\n");
    for entry in catalog::CATALOG {
        let (kind, exchange) = (entry.kind, entry.family.exchange());
        let who = match entry.family {
            Family::Fact => "a bridge, a connector or the platform",
            Family::Answer => "a bridge",
            Family::Command | Family::Internal | Family::Lifecycle => "the hub",
            Family::Control => "an operator's command line",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "| `{kind}` | {who}, `{exchange}` | {} | {} | [schema](json/{kind}.json) | [sample](samples/{kind}.json), [minimal](samples/minimal/{kind}.json) |",
            entry.summary, entry.follows
        );
    }
    out
}

/// The table of characters in `schemas/README.md`, between the marks `characters:begin` and `characters:end`.
#[must_use]
pub fn readme_characters() -> String {
    let mut out = String::from(
        "| characters | which | text on one line | in several lines | e-mail | phone | link | id, `source` | compared |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for class in &CLASSES {
        let cells: Vec<&str> =
            [Kind::Line, Kind::Prose, Kind::Email, Kind::Phone, Kind::Link, Kind::Id].map(|kind| word(class, kind)).into();
        let compared = match class.compared {
            Compared::Ignored => "not there",
            Compared::AsSpace => "one space",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "| {} | {} | {} | {compared} |", class.what, class.characters(), cells.join(" | "));
    }
    out
}

fn word(class: &Class, kind: Kind) -> &'static str {
    match class.becomes(kind) {
        Becomes::Kept => "kept",
        Becomes::LeftOut => "left out",
        Becomes::Space => "a space",
        Becomes::LineFeed => "a line feed",
        Becomes::LeftOutAround => "left out around, refused within",
        Becomes::Refused => "refused",
    }
}

fn pretty(value: &Value) -> String {
    let mut value = value.clone();
    // Another crate of the build may switch on serde_json's `preserve_order`; the files are the same either way.
    value.sort_all_objects();
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}
