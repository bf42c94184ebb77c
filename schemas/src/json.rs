//! Bytes to a JSON value, strictly: bounded depth, no name given twice in one object (the first reader of a message and
//! the second would see different values). Knows nothing of envelopes.

use crate::{Refusal, RefusalCode};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, error::Category};
use std::fmt;

/// Longest piece of a sender's own text that a refusal repeats, in characters.
const SHOWN_CHARS: usize = 80;

/// A sender's own text as it may be shown: short, and nothing in it that a terminal would obey.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|c| crate::text::is_kept(crate::text::Kind::Id, *c)).take(SHOWN_CHARS).collect()
}

/// Reads one JSON value.
pub(crate) fn read(body: &[u8]) -> Result<Value, Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let mut track = serde_path_to_error::Track::new();
    let value = Strict.deserialize(serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let path = track.path().to_string();
        let field = Some(shown(&path)).filter(|path| !matches!(path.as_str(), "" | "." | "?"));
        let refusal = match error.classify() {
            Category::Data => Refusal::new(RefusalCode::InvalidField, "is given twice in one object; send each field once"),
            // What JSON allows and no reader takes is said by name: the writer's program made it without a complaint.
            _ => Refusal::new(
                RefusalCode::UndecodableBody,
                format!(
                    "is where the body stops being JSON in UTF-8 ({}); send one CloudEvents 1.0 object in structured mode",
                    crate::text::flaw(body, &error).unwrap_or_else(|| error.to_string())
                ),
            ),
        };
        match (&field, refusal.code) {
            (None, RefusalCode::UndecodableBody) => {
                Refusal { detail: format!("the body {}", refusal.detail.replacen("is where the body stops being", "is not", 1)), ..refusal }
            }
            _ => Refusal { field, ..refusal },
        }
    })
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            out.push(item);
        }
        Ok(Value::Array(out))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if out.contains_key(&name) {
                // Fails inside the value, so that the path ends in the name.
                fields.next_value_seed(GivenTwice)?;
            } else {
                let value = fields.next_value_seed(Strict)?;
                out.insert(name, value);
            }
        }
        Ok(Value::Object(out))
    }
}

struct GivenTwice;

impl<'de> DeserializeSeed<'de> for GivenTwice {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_ignored_any(IgnoredAny)?;
        Err(D::Error::custom("given twice"))
    }
}
