//! A bridge that checks its messages against the committed schemas is never surprised: schema and decoder say the same,
//! about the samples, about damaged ones, and about strings made to hurt.

use crate::support::{decode, places, samples, schema_at};
use atshub_schemas::{
    catalog::{self, CATALOG},
    generate::envelope_schema,
    samples::minimal,
    text::CLASSES,
};
use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::LazyLock};

pub(crate) static VALIDATORS: LazyLock<HashMap<&str, Validator>> = LazyLock::new(|| {
    let made = |kind| jsonschema::options().should_validate_formats(true).build(&envelope_schema(catalog::entry(kind).unwrap())).unwrap();
    CATALOG.iter().map(|entry| (entry.kind, made(entry.kind))).collect()
});

#[track_caller]
fn assert_agree(kind: &str, value: &Value, what: &str) {
    let by_schema = VALIDATORS[kind].validate(value).map_err(|e| e.to_string());
    let by_decoder = decode(value).map_err(|e| e.to_string());
    assert_eq!(by_schema.is_ok(), by_decoder.is_ok(), "{kind}, {what}: schema {by_schema:?}, decoder {by_decoder:?}");
}

/// Strings that have hurt somebody.
pub(crate) const HOSTILE: &[&str] = &[
    "",
    " ",
    "a",
    "\0",
    "a\0b",
    "a\u{1b}[31mb",
    "a\nb",
    "a\tb",
    "a\r\nBcc: eve@example.org",
    "a\u{85}b",
    "a\u{2028}b",
    "a\u{202e}b",
    "a\u{2066}b",
    "a\u{feff}b",
    "ada@example.org",
    "ada@example.org\r\nBcc: eve@example.org",
    "ada@example.org,eve@example.org",
    "Ada <ada@example.org>",
    "\"a b\"@example.org",
    "a@b@c",
    "@b",
    "a@",
    "a b@example.org",
    "a\u{a0}b@example.org",
    "ada@ex\u{200b}ample.org",
    "\u{feff}ada@example.org\r\n",
    "\u{202a}ada@example.org\u{202c}",
    "ada\u{200d}@example.org",
    "ada@\u{200b}",
    "\u{200d}@example.org",
    "ada@example.org\u{37e}eve",
    "\u{200b}",
    "\u{202a}\u{202c}",
    "\u{202a}+44 20 7946 0002\u{202c}",
    "Ju\u{308}rgen",
    "\u{e0001}",
    "\u{fdd0}\u{ffff}",
    "\u{feff}https://example.org/\u{200e}",
    "https://ex\u{ad}ample.org/\u{200d}",
    "https://\u{200b}/",
    "https://\u{200d}/",
    "ht\u{200b}tps://example.org/",
    "\u{200d}https://example.org/",
    "https://b\u{fc}cher.example/\u{e9}",
    "ada@[127.0.0.1]",
    "j\u{fc}rgen@b\u{fc}cher.example",
    "a;b@example.org",
    "a\\b@example.org",
    "javascript:alert(1)",
    "JAVASCRIPT://x",
    "data:text/html,x",
    "//example.org/",
    "https://",
    "https:///x",
    "https://ats.example.org@evil.example/",
    "https://x y/",
    "https://x/\u{202e}",
    "https://example.org/a?b=c#d",
    "http://[::1]:8080/",
    "https://example.org\\@evil.example",
    "https://x/<script>",
    "HTTPS://example.org",
    "ftp://example.org",
    " https://example.org",
    "acme",
    "acme.eu",
    "acme.#",
    "*",
    "#",
    "acme*",
    "Acme",
    "-acme",
    "acme-",
    "a_b",
    "../acme",
    "acm\u{e9}",
    "2026-11-23T10:15:00Z",
    "2026-11-23T10:15:00+01:00",
    "2026-11-23T10:15:00.123456789Z",
    "2026-11-23T10:15:00.1234567891Z",
    "2026-11-23T10:15:00",
    "2026-11-23 10:15:00Z",
    "2026-11-23t10:15:00z",
    "2026-11-23T10:15Z",
    "2026-11-23",
    "2026-02-30T10:15:00Z",
    "2026-11-23T24:00:00Z",
    "2026-11-23T10:15:60Z",
    "2026-11-23T10:15:00+24:00",
    "2026-11-23T10:15:00+0100",
    "2026-11-23T10:15:00+01:00[Europe/Berlin]",
    "20261123T101500Z",
    "+002026-11-23T10:15:00Z",
    "2026-11-23T10:15:00.Z",
    "1700000000",
    "01936b2e-5f00-7000-8000-0000000000ca",
    "01936B2E-5F00-7000-8000-0000000000CA",
    "01936b2e5f0070008000000000000000ca",
    "{01936b2e-5f00-7000-8000-0000000000ca}",
    "urn:uuid:01936b2e-5f00-7000-8000-0000000000ca",
    "application/json",
    "1.0",
    "engineer",
    "Engineer",
    "status",
    "note",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{627}\u{644}\u{639}",
    "' OR 1=1 --",
    "${jndi:ldap://x}",
    "<script>alert(1)</script>",
    "%00",
    "\\u0000",
];

#[test]
fn samples_fit_their_schemas() {
    for (kind, value) in samples() {
        VALIDATORS[kind].validate(&value).unwrap_or_else(|e| panic!("{kind}: {e}"));
        VALIDATORS[kind].validate(&minimal(kind).unwrap()).unwrap_or_else(|e| panic!("minimal {kind}: {e}"));
    }
}

#[test]
fn schema_and_decoder_agree_on_every_hostile_string_in_every_field() {
    for (kind, sample) in samples() {
        // Another type in `type` is another message.
        for (path, pointer) in places(&sample).into_iter().filter(|(path, _)| path != "type") {
            for text in HOSTILE {
                let mut value = sample.clone();
                *value.pointer_mut(&pointer).unwrap() = json!(text);
                assert_agree(kind, &value, &format!("`{path}` = {text:?}"));
            }
        }
    }
}

#[test]
fn schema_and_decoder_agree_on_every_wrong_type_and_every_absence() {
    let others = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(u64::MAX),
        json!(4_294_967_296_u64),
        json!(9_007_199_254_740_991_u64),
        json!(9_007_199_254_740_992_u64),
        json!([]),
        json!({}),
        json!([[]]),
        json!([{}]),
        json!([null]),
    ];
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            for other in &others {
                let mut value = sample.clone();
                *value.pointer_mut(&pointer).unwrap() = other.clone();
                assert_agree(kind, &value, &format!("`{path}` = {other}"));
            }
            let mut value = sample.clone();
            if let Some((object, name)) = crate::support::holder(&mut value, &pointer) {
                object.remove(&name);
                assert_agree(kind, &value, &format!("without `{path}`"));
            }
        }
    }
}

#[test]
fn schema_and_decoder_agree_on_every_length() {
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            let schema = schema_at(kind, &sample, &pointer);
            let current = sample.pointer(&pointer).unwrap();
            for (most, grow) in [("maxLength", true), ("maxItems", false)] {
                let Some(most) = schema[most].as_u64() else { continue };
                for size in [most, most + 1] {
                    let mut value = sample.clone();
                    *value.pointer_mut(&pointer).unwrap() = match current {
                        Value::Array(items) if !grow => Value::Array(items.iter().cycle().take(size as usize).cloned().collect()),
                        // Grown at the end, so that an address stays one.
                        Value::String(text) => format!("{text}{}", "7".repeat(size as usize - text.chars().count())).into(),
                        _ => continue,
                    };
                    assert_agree(kind, &value, &format!("`{path}` of {size}"));
                }
            }
        }
    }
}

/// Texts of addresses, links and names, with characters of every class anywhere in them.
fn odd_text() -> impl Strategy<Value = String> {
    let ends = CLASSES.iter().flat_map(|class| class.ranges).flat_map(|(first, last)| [*first, *last]).collect::<Vec<char>>();
    let base = proptest::sample::select(
        &["ada@example.org", "https://ats.example/a?b#c", "Ada Lovelace", "2026-11-23T10:15:00Z", "@", "https://"][..],
    );
    let odd = prop_oneof![3 => proptest::sample::select(ends), 1 => any::<char>(), 1 => proptest::sample::select(vec!['@', '<', '/', ';', '\u{37e}'])];
    (base, proptest::collection::vec((any::<proptest::sample::Index>(), odd), 0..4)).prop_map(|(base, odd)| {
        let mut text: Vec<char> = base.chars().collect();
        for (place, c) in odd {
            text.insert(place.index(text.len() + 1), c);
        }
        text.into_iter().collect()
    })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(HOSTILE).prop_map(Value::from),
        odd_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map("[a-z_]{1,12}|id|kind|email|name|url", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn schema_and_decoder_agree_on_texts_with_odd_characters(row in 0..CATALOG.len(), place in any::<proptest::sample::Index>(), text in odd_text()) {
        let kind = CATALOG[row].kind;
        let mut value = samples().nth(row).unwrap().1;
        let texts: Vec<_> = places(&value).into_iter().filter(|(path, at)| path != "type" && value.pointer(at).is_some_and(Value::is_string)).collect();
        let (path, pointer) = place.get(&texts);
        *value.pointer_mut(pointer).unwrap() = json!(text);
        prop_assert_eq!(VALIDATORS[kind].is_valid(&value), decode(&value).is_ok(), "{} `{}` = {:?}: {:?}", kind, path, text, decode(&value).err());
    }

    #[test]
    fn schema_and_decoder_agree_on_any_value_at_any_place(row in 0..CATALOG.len(), place in any::<proptest::sample::Index>(), new in any_json()) {
        let kind = CATALOG[row].kind;
        let mut value = samples().nth(row).unwrap().1;
        let places: Vec<_> = places(&value).into_iter().filter(|(path, _)| path != "type").collect();
        let (path, pointer) = place.get(&places);
        *value.pointer_mut(pointer).unwrap() = new;
        let by_schema = VALIDATORS[kind].is_valid(&value);
        let by_decoder = decode(&value);
        prop_assert_eq!(by_schema, by_decoder.is_ok(), "{} `{}`: {:?}", kind, path, by_decoder);
        if let Err(refusal) = by_decoder {
            // The field that is named is the damaged one or one within it.
            prop_assert!(refusal.field.as_deref().is_some_and(|field| field.starts_with(path.as_str())), "`{}` was damaged: {}", path, refusal);
        }
    }
}
