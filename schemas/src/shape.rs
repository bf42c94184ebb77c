//! Checks a value against the JSON Schema of its Rust type, and says where it is wrong and what would be right. So the
//! schema that bridge authors read is the very thing that is enforced: lengths of lists, bounds of numbers, the kinds
//! of a tagged union. Not a general validator: it knows the keywords that the types here use, and a test holds them to
//! that; the patterns of strings are checked by the text types, which a test holds to their patterns.

use crate::{RefusalCode, text};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Map, Value};

/// The keywords that this reads, or that say nothing about what is taken.
pub const KNOWN_KEYWORDS: &[&str] = &[
    "$defs",
    "$ref",
    "anyOf",
    "const",
    "default",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minLength",
    "minimum",
    "oneOf",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
];

/// Largest whole number taken: up to here every language's JSON reader is exact (RFC 8259 §6).
pub const MAX_NUMBER: u64 = 9_007_199_254_740_991;

/// Pattern of a time: RFC 3339 with an offset, upper case, at most nanoseconds.
pub const TIME_PATTERN: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";

/// Pattern of a UUID as RFC 9562 §4 writes it.
pub const UUID_PATTERN: &str = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$";

/// What is wrong, and where.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) code: RefusalCode,
    pub(crate) path: String,
    pub(crate) detail: String,
}

fn invalid(path: &str, detail: impl Into<String>) -> Wrong {
    Wrong { code: RefusalCode::InvalidField, path: path.to_owned(), detail: detail.into() }
}

/// Checks `value`, which stands at `path`, against the root schema `root`.
pub(crate) fn check(root: &Value, value: &Value, path: &str) -> Result<(), Wrong> {
    walk(root, root, value, path)
}

fn walk(root: &Value, schema: &Value, value: &Value, path: &str) -> Result<(), Wrong> {
    if let Some((name, target)) = resolve(root, schema) {
        if let Value::String(string) = value
            && let Some(checked) = text::check(name, string)
        {
            return checked.map_err(|e| invalid(path, e.0));
        }
        return walk(root, target, value, path);
    }
    if let Some(branches) = list(schema, "anyOf") {
        // How the types here write "may be null".
        return match branches.iter().find(|branch| branch["type"] != "null") {
            _ if value.is_null() => Ok(()),
            Some(branch) => walk(root, branch, value, path),
            None => Err(invalid(path, "is not null")),
        };
    }
    if let Some(branches) = list(schema, "oneOf") {
        return one_of(root, branches, value, path);
    }
    let (wanted, nullable) = wanted_type(schema);
    match (wanted, value) {
        (_, Value::Null) if nullable => Ok(()),
        ("object", Value::Object(object)) => fields(root, schema, object, path),
        ("array", Value::Array(items)) => {
            let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
            if items.len() as u64 > most {
                return Err(invalid(path, format!("has {} items; send at most {most}", items.len())));
            }
            items.iter().enumerate().try_for_each(|(n, item)| walk(root, &schema["items"], item, &format!("{path}[{n}]")))
        }
        ("string", Value::String(string)) => string_format(schema, string, path),
        ("boolean", Value::Bool(_)) => Ok(()),
        ("integer", Value::Number(number)) => {
            let (least, most) = bounds(schema);
            match number.as_u64() {
                Some(n) if (least..=most).contains(&n) => Ok(()),
                _ => Err(invalid(path, format!("is not a whole number from {least} to {most}, written in digits alone"))),
            }
        }
        _ => Err(invalid(path, format!("is {}; send {}", called(value), described(root, schema)))),
    }
}

fn fields(root: &Value, schema: &Value, object: &Map<String, Value>, path: &str) -> Result<(), Wrong> {
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for name in list(schema, "required").into_iter().flatten().filter_map(Value::as_str) {
        if object.get(name).is_none_or(Value::is_null) {
            let detail = format!("is missing; send {}", described(root, &properties[name]));
            return Err(Wrong { code: RefusalCode::MissingField, path: format!("{path}.{name}"), detail });
        }
    }
    properties.iter().try_for_each(|(name, property)| match object.get(name) {
        Some(value) => walk(root, property, value, &format!("{path}.{name}")),
        None => Ok(()),
    })
}

/// A list of words, or a union told apart by a field with a constant.
fn one_of(root: &Value, branches: &[Value], value: &Value, path: &str) -> Result<(), Wrong> {
    if branches.iter().any(|branch| branch.get("const").is_some()) {
        let known = branches.iter().any(|branch| branch.get("const") == Some(value));
        return if known { Ok(()) } else { Err(invalid(path, format!("is not one of {}", words(branches.iter().map(|b| &b["const"]))))) };
    }
    let Value::Object(object) = value else {
        return Err(invalid(path, format!("is {}; send an object", called(value))));
    };
    let tag = branches.iter().filter_map(|b| b["properties"].as_object()).flatten().find(|(_, p)| p.get("const").is_some());
    let Some((tag, _)) = tag else { return Err(invalid(path, "has no shape that is known")) };
    let constant = |branch: &Value| branch["properties"][tag.as_str()]["const"].clone();
    let given = object.get(tag).unwrap_or(&Value::Null);
    if let Some(branch) = branches.iter().find(|branch| constant(branch) == *given) {
        return fields(root, branch, object, path);
    }
    let constants: Vec<Value> = branches.iter().map(constant).collect();
    let path = format!("{path}.{tag}");
    match given {
        Value::Null => {
            Err(Wrong { code: RefusalCode::MissingField, path, detail: format!("is missing; send one of {}", words(&constants)) })
        }
        _ => Err(invalid(&path, format!("is not one of {}", words(&constants)))),
    }
}

fn string_format(schema: &Value, string: &str, path: &str) -> Result<(), Wrong> {
    if let Some(constants) = list(schema, "enum")
        && !constants.iter().any(|constant| constant == string)
    {
        return Err(invalid(path, format!("is not one of {}", words(constants))));
    }
    match schema["format"].as_str() {
        Some("date-time") if time(string).is_none() => {
            Err(invalid(path, "is not an RFC 3339 time with an offset; use the form `2026-11-23T10:15:00Z`"))
        }
        Some("uuid") if string.len() != 36 || uuid::Uuid::try_parse(string).is_err() => {
            Err(invalid(path, "is not a UUID; use the form `01980000-0000-7000-8000-000000000000`"))
        }
        _ => Ok(()),
    }
}

/// A time in the one form taken, [`TIME_PATTERN`]. The parser behind it would take more: a space for the `T`, no seconds, a zone's name,
/// and years before 0000, which no message can carry. Whoever makes a message out of somebody else's JSON reads its times with this.
pub fn time(string: &str) -> Option<jiff::Timestamp> {
    let shape = |at: usize, c: u8| match at {
        4 | 7 => c == b'-',
        10 => c == b'T',
        13 | 16 => c == b':',
        17 => (b'0'..=b'5').contains(&c),
        _ => c.is_ascii_digit(),
    };
    let (head, tail) = string.split_at_checked(19)?;
    let tail = match tail.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            rest.split_at_checked(digits).filter(|_| (1..=9).contains(&digits))?.1
        }
        None => tail,
    };
    let offset = match tail.as_bytes() {
        [b'Z'] => true,
        [b'+' | b'-', h1, h2, b':', b'0'..=b'5', m2] => {
            matches!((h1, h2), (b'0' | b'1', b'0'..=b'9') | (b'2', b'0'..=b'3')) && m2.is_ascii_digit()
        }
        _ => false,
    };
    (offset && head.bytes().enumerate().all(|(at, c)| shape(at, c))).then(|| held(string, string.len() - tail.len())).flatten()
}

/// The earliest time that can be written in four digits of year.
const EARLIEST: jiff::Timestamp = jiff::Timestamp::constant(-62_167_219_200, 0);

/// The time, or the earliest or latest that can be held: the largest date of other languages (9999-12-31T23:59:59) lies a day behind
/// what fits here, and an offset moves one at either end past it. Both are a time all the same, and mean "at no time that matters".
fn held(string: &str, without_offset: usize) -> Option<jiff::Timestamp> {
    match string.parse::<jiff::Timestamp>() {
        Ok(time) => Some(time.max(EARLIEST)),
        Err(_) => {
            let civil: jiff::civil::DateTime = string.get(..without_offset)?.parse().ok()?;
            Some(if civil.year() > 0 { jiff::Timestamp::MAX } else { EARLIEST })
        }
    }
}

/// A time within `data`, read as [`time`] reads it.
pub(crate) fn deserialize_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<jiff::Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    time(&text).ok_or_else(|| D::Error::custom("is not an RFC 3339 time with an offset"))
}

/// The same where it may be absent.
pub(crate) fn deserialize_optional_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<jiff::Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| time(&text).ok_or_else(|| D::Error::custom("is not an RFC 3339 time with an offset"))).transpose()
}

/// The value with nothing in it but what `schema` requires.
pub(crate) fn only_required(root: &Value, schema: &Value, value: &Value) -> Value {
    if let Some((_, target)) = resolve(root, schema) {
        return only_required(root, target, value);
    }
    let Value::Object(object) = value else { return value.clone() };
    let tagged =
        |b: &&Value| b["properties"].as_object().into_iter().flatten().any(|(n, p)| p.get("const").is_some_and(|c| *c == value[n]));
    let schema = list(schema, "oneOf").and_then(|branches| branches.iter().find(tagged)).unwrap_or(schema);
    let required = list(schema, "required").into_iter().flatten().filter_map(Value::as_str);
    let kept = required.filter_map(|name| object.get(name).map(|v| (name.to_owned(), only_required(root, &schema["properties"][name], v))));
    Value::Object(kept.collect())
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<(&'a str, &'a Value)> {
    let name = schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")?;
    Some((name, root.get("$defs")?.get(name)?))
}

fn list<'a>(schema: &'a Value, keyword: &str) -> Option<&'a [Value]> {
    schema.get(keyword)?.as_array().map(Vec::as_slice)
}

fn wanted_type(schema: &Value) -> (&str, bool) {
    match &schema["type"] {
        Value::Array(types) => {
            let mut names = types.iter().filter_map(Value::as_str);
            (names.clone().find(|name| *name != "null").unwrap_or("null"), names.any(|name| name == "null"))
        }
        other => (other.as_str().unwrap_or("object"), false),
    }
}

fn bounds(schema: &Value) -> (u64, u64) {
    (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64().unwrap_or(MAX_NUMBER))
}

/// What a value is, for a person: never the value itself, which may be anybody's data.
pub(crate) fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn described(root: &Value, schema: &Value) -> String {
    let resolved = resolve(root, schema).map_or(schema, |(_, target)| target);
    let kind = match wanted_type(resolved).0 {
        _ if list(resolved, "oneOf").is_some_and(|branches| branches.iter().any(|b| b.get("const").is_some())) => "a string",
        "array" => "an array",
        "string" => "a string",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "an object",
    };
    match schema["description"].as_str().or(resolved["description"].as_str()).and_then(|text| text.split(". ").next()) {
        Some(text) => format!("{kind} ({})", text.trim_end_matches('.').replace('\n', " ")),
        None => kind.to_owned(),
    }
}

fn words<'a>(constants: impl IntoIterator<Item = &'a Value>) -> String {
    constants.into_iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
