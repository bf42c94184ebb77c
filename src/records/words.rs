//! Words, numbers and times as both databases can keep them, and the way back.

use atshub_actors::ports::StoreError;
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// The words under which a failed try is remembered.
pub(crate) fn last_error(code: &str, detail: &str) -> String {
    format!("{code}: {detail}")
}

/// The time as it can be stored: to the microsecond.
pub(crate) fn stored(time: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

/// The same text without NUL, which no database takes in a text.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Refused(format!("cannot be written as JSON: {e}")))
}

/// Reads what [`to_json`] wrote; `what` names it in the error.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| {
        StoreError::Unreadable(format!(
            "{what} cannot be read by this version of atshub (line {} column {}): a newer version wrote it, or it is damaged",
            e.line(),
            e.column()
        ))
    })
}

/// Reads a checked string; `what` names it in the error.
pub(crate) fn checked<T: TryFrom<String>>(what: &str, value: String) -> Result<T, StoreError> {
    T::try_from(value).map_err(|_| StoreError::Unreadable(format!("{what} is not what it was when it was stored")))
}

/// A counter as both databases keep it.
pub(crate) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Refused("a version is too large to be stored".into()))
}

/// The way back from [`signed`]; a negative one cannot be and reads as zero.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

/// A count as the ports have it.
pub(crate) fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

pub(super) fn text(encoded: Result<Vec<u8>, serde_json::Error>) -> Result<String, StoreError> {
    let bytes = encoded.map_err(|e| StoreError::Refused(format!("an envelope cannot be written as JSON: {e}")))?;
    String::from_utf8(bytes).map_err(|_| StoreError::Refused("an envelope is not text".into()))
}

/// Who published a body that may be anything.
pub(super) fn source_of(body: &[u8]) -> Option<String> {
    if body.len() > atshub_schemas::MAX_BYTES {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let source = value.get("source")?.as_str()?;
    (source.chars().count() <= atshub_schemas::Line::MAX_CHARS).then(|| storable(source))
}
