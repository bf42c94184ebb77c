//! Every sample, damaged where it hurts. More than the few hundred cases of a test run, by hand:
//! `ATSHUB_TEST_FUZZ_CASES=1000000 cargo test --release -p atshub-schemas --test contract fuzz`. Each run draws anew, and prints the
//! smallest case that fails.

use crate::{
    agreement::VALIDATORS,
    damage::{config, damaged, damages, scratched, scratches},
};
use atshub_schemas::{Envelope, MAX_BYTES, Refusal, RefusalCode, catalog::CATALOG, samples};
use proptest::prelude::*;
use serde_json::Value;
use std::time::{Duration, Instant};

/// A decoder that needs longer for one body loops, however busy the machine is.
const LOOPS: Duration = Duration::from_secs(20);
/// Deeper than this a body may be refused for its depth alone, which a schema cannot say.
const FLAT: usize = 100;
/// Longest text of any part of a refusal, in characters: it is stored, logged and shown.
const MAX_TEXT: usize = 600;

/// A full or a minimal sample of one type.
fn sample() -> impl Strategy<Value = (&'static str, Value)> {
    (0..CATALOG.len(), any::<bool>()).prop_map(|(row, full)| {
        let kind = CATALOG[row].kind;
        let sample = if full { samples::sample(kind).unwrap().to_value().unwrap() } else { samples::minimal(kind).unwrap() };
        (kind, sample)
    })
}

/// What every refusal promises, whatever was sent.
fn assert_bounded_sentence(refusal: &Refusal) {
    assert!(RefusalCode::ALL.contains(&refusal.code));
    assert!(refusal.detail.trim().contains(' '), "no sentence: {refusal:?}");
    let parts = [Some(&refusal.detail), refusal.field.as_ref(), refusal.id.as_ref(), refusal.kind.as_ref(), refusal.tenant.as_ref()];
    for part in parts.into_iter().flatten() {
        assert!(part.chars().count() <= MAX_TEXT, "too long: {refusal:?}");
        assert!(!part.chars().any(char::is_control), "holds a control character: {refusal:?}");
    }
}

fn decoded(body: &[u8]) -> Result<Envelope, Refusal> {
    let began = Instant::now();
    let decoded = Envelope::decode(body);
    assert!(began.elapsed() < LOOPS, "{} bytes took {:?}", body.len(), began.elapsed());
    match &decoded {
        Ok(envelope) => {
            let again = envelope.encode().unwrap();
            assert_eq!(Envelope::decode(&again).as_ref(), Ok(envelope));
            assert_eq!(Envelope::decode(&again).unwrap().encode().unwrap(), again, "encoding settles at once");
        }
        Err(refusal) => assert_bounded_sentence(refusal),
    }
    decoded
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_damaged_sample_is_read_as_the_schema_says_or_refused_with_a_bounded_sentence((kind, sample) in sample(), damage in damages(5)) {
        let value = damaged(&sample, &damage);
        let body = serde_json::to_vec(&value).unwrap();
        let decoded = decoded(&body);
        if body.len() > MAX_BYTES || depth(&value) > FLAT {
            return Ok(());
        }
        // Its type may have been damaged into another one.
        let kind = value["type"].as_str().filter(|kind| VALIDATORS.contains_key(kind)).unwrap_or(kind);
        let by_schema = VALIDATORS[kind].validate(&value).map_err(|error| error.to_string());
        prop_assert_eq!(by_schema.is_ok(), decoded.is_ok(), "{}: schema {:?}, decoder {:?}", value, by_schema, decoded);
    }

    #[test]
    fn damaged_bytes_of_a_damaged_sample_are_read_or_refused((_, sample) in sample(), damage in damages(2), scratch in scratches(4)) {
        let body = scratched(serde_json::to_vec(&damaged(&sample, &damage)).unwrap(), &scratch);
        let _ = decoded(&body);
    }
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn a_body_of_any_size_is_read_or_refused((_, sample) in sample(), size in 0..2 * MAX_BYTES, fill in any::<u8>()) {
        let mut value = sample;
        value["padding"] = "x".repeat(size).into();
        let mut body = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(decoded(&body).is_ok(), body.len() <= MAX_BYTES);
        body.resize(size, fill);
        let _ = decoded(&body);
    }
}
