//! JSON of programs that cut texts between the two halves of a surrogate pair (JavaScript, Java and .NET count in halves), or that put
//! a byte order mark before it. Read as far as it can be where the writer cannot be told: in answers to the hub's own questions.

use serde_json::Value;
use std::ops::RangeInclusive;

/// Escaped first half of a pair, and second half (RFC 8259 §7).
const FIRST: RangeInclusive<u16> = 0xd800..=0xdbff;
const SECOND: RangeInclusive<u16> = 0xdc00..=0xdfff;
/// A byte order mark in UTF-8, which a reader of JSON may ignore (RFC 8259 §8.1).
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads an answer: without a byte order mark, and with U+FFFD in place of each half of a surrogate pair that stands alone. One cut
/// name would otherwise cost every other thing in the answer.
///
/// # Errors
/// As of the JSON that is no JSON all the same.
pub fn read_answer(body: &[u8]) -> Result<Value, serde_json::Error> {
    let body = body.strip_prefix(MARK).unwrap_or(body);
    serde_json::from_slice(body).or_else(|error| match whole(body) {
        Some(whole) => serde_json::from_slice(&whole),
        None => Err(error),
    })
}

/// What is wrong with a body that JSON's grammar allows and its reader does not take, with what would be right: a byte order mark, a
/// number out of range, half of a surrogate pair. `None`: it is no JSON. `error`: what the reader said of it.
#[must_use]
pub fn flaw(body: &[u8], error: &serde_json::Error) -> Option<String> {
    let (line, column) = (error.line(), error.column());
    if body.starts_with(MARK) {
        return Some("it begins with a byte order mark; send it without the mark".into());
    }
    if error.to_string().starts_with("number out of range") {
        let most = crate::shape::MAX_NUMBER;
        return Some(format!(
            "a number that no program can hold stands at line {line} column {column}; send whole numbers from 0 to {most}, and leave others out"
        ));
    }
    read_answer(body).is_ok().then(|| {
        format!(
            "half of a surrogate pair, such as `\\ud83d` without its second half, stands at line {line} column {column}; send the whole character, or leave it out: a text must not be cut within a character"
        )
    })
}

/// The unit that is escaped at the beginning of `bytes`.
fn escaped(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(br"\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?))
}

/// The JSON with U+FFFD for each half that stands alone; `None` if none does.
fn whole(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let (mut rest, mut found) = (body, false);
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let length = match escaped(rest) {
            Some(unit) if FIRST.contains(&unit) && rest.get(6..).and_then(escaped).is_some_and(|next| SECOND.contains(&next)) => 12,
            Some(unit) if FIRST.contains(&unit) || SECOND.contains(&unit) => {
                found = true;
                out.extend_from_slice(br"\ufffd");
                rest = &rest[6..];
                continue;
            }
            Some(_) => 6,
            None => rest.len().min(2),
        };
        out.extend_from_slice(&rest[..length]);
        rest = &rest[length..];
    }
    out.extend_from_slice(rest);
    found.then_some(out)
}
