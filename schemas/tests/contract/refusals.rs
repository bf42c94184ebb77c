//! Every field of every type, one at a time: absent, of another type, too long. The refusal names it and says what would be right.

use crate::support::{decode, holder, is_required, places, samples, schema_at};
use atshub_schemas::{Envelope, MAX_BYTES, Refusal, RefusalCode};
use serde_json::{Value, json};

/// Words of which every refusal has one, because it says what would be right.
const ADVICE: &[&str] = &[
    "send ",
    "use ",
    "is not one of",
    "is not \"",
    "whole number from",
    "leave the field out",
    "did you mean",
    "prints them all",
    "at most",
];

#[track_caller]
fn assert_refused(value: &Value, code: RefusalCode, field: &str) -> Refusal {
    let refusal = decode(value).expect_err(&format!("`{field}` was taken"));
    assert_eq!((refusal.code, refusal.field.as_deref()), (code, Some(field)), "{refusal}");
    assert!(ADVICE.iter().any(|word| refusal.detail.contains(word)), "does not say what would be right: {refusal}");
    assert!(refusal.to_string().starts_with(&format!("{code}: `{field}` ")), "{refusal}");
    refusal
}

fn set(sample: &Value, pointer: &str, new: Value) -> Value {
    let mut value = sample.clone();
    *value.pointer_mut(pointer).unwrap() = new;
    value
}

#[test]
fn a_missing_field_is_named_if_it_is_required_and_not_missed_if_not() {
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            let mut value = sample.clone();
            let Some((object, name)) = holder(&mut value, &pointer) else { continue };
            object.remove(&name);
            if is_required(kind, &sample, &pointer) {
                assert_refused(&value, RefusalCode::MissingField, &path);
                assert_refused(&set(&sample, &pointer, Value::Null), RefusalCode::MissingField, &path);
            } else {
                decode(&value).unwrap_or_else(|e| panic!("{kind} without the optional `{path}`: {e}"));
            }
        }
    }
}

#[test]
fn a_wrong_typed_field_is_named() {
    let others =
        [json!(7), json!(-7), json!(1.5), json!(1e300), json!(true), json!("\u{0}"), json!([]), json!([["x"]]), json!({}), json!({"x": 1})];
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            let right = sample.pointer(&pointer).unwrap();
            let typed = |value: &Value| std::mem::discriminant(value);
            for other in others.iter().filter(|other| typed(other) != typed(right)) {
                let refusal = assert_refused(&set(&sample, &pointer, other.clone()), RefusalCode::InvalidField, &path);
                assert_eq!(refusal.kind.as_deref(), (path != "type").then_some(kind), "{refusal}");
            }
        }
    }
}

#[test]
fn an_array_is_not_taken_for_an_object_with_its_fields_in_order() {
    let (_, sample) = samples().next().unwrap();
    assert_refused(&set(&sample, "/data/application", json!(["8842"])), RefusalCode::InvalidField, "data.application");
    assert_refused(&set(&sample, "/data", json!([{ "id": "8842" }])), RefusalCode::InvalidField, "data");
}

#[test]
fn a_text_or_list_one_longer_than_its_limit_is_named() {
    let mut tried = 0;
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            let schema = schema_at(kind, &sample, &pointer);
            let current = sample.pointer(&pointer).unwrap();
            if let (Some(most), Some(text)) = (schema["maxLength"].as_u64(), current.as_str()) {
                // Two bytes a character where the type takes them: limits are in characters.
                let fill = if text.len() > 60 || matches!(path.as_str(), "id" | "tenant") || path.ends_with("_id") { "7" } else { "ü" };
                let longer = |n: u64| json!(format!("{text}{}", fill.repeat(n as usize - text.chars().count())));
                decode(&set(&sample, &pointer, longer(most))).unwrap_or_else(|e| panic!("`{path}` of {most}: {e}"));
                let refusal = assert_refused(&set(&sample, &pointer, longer(most + 1)), RefusalCode::InvalidField, &path);
                assert_eq!(refusal.detail, format!("has {} characters; send at most {most}", most + 1));
                tried += 1;
            }
            if let (Some(most), Some(items)) = (schema["maxItems"].as_u64(), current.as_array()) {
                let longer = |n: u64| Value::Array(items.iter().cycle().take(n as usize).cloned().collect());
                decode(&set(&sample, &pointer, longer(most))).unwrap();
                let refusal = assert_refused(&set(&sample, &pointer, longer(most + 1)), RefusalCode::InvalidField, &path);
                assert_eq!(refusal.detail, format!("has {} items; send at most {most}", most + 1));
                tried += 1;
            }
        }
    }
    assert!(tried > 250, "only {tried} limits were tried");
}

#[test]
fn every_string_and_every_list_has_a_limit() {
    for (kind, sample) in samples() {
        for (path, pointer) in places(&sample) {
            let schema = schema_at(kind, &sample, &pointer);
            let bounded = match sample.pointer(&pointer).unwrap() {
                Value::String(_) => ["maxLength", "format", "const", "enum", "oneOf"].iter().any(|keyword| schema.get(keyword).is_some()),
                Value::Array(_) => schema["maxItems"].is_u64(),
                Value::Number(_) => schema["maximum"].is_u64(),
                _ => true,
            };
            assert!(bounded, "{kind} `{path}` has no limit: {schema}");
        }
    }
}

#[test]
fn a_body_one_byte_too_large_is_refused_and_one_less_is_read() {
    let (_, sample) = samples().next().unwrap();
    let body = |size: usize| {
        let mut body = serde_json::to_vec(&sample).unwrap();
        body.resize(size, b' ');
        body
    };
    Envelope::decode(&body(MAX_BYTES)).unwrap();
    let refusal = Envelope::decode(&body(MAX_BYTES + 1)).unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_deref()), (RefusalCode::TooLarge, None));
    assert!(refusal.detail.contains("262145 bytes") && refusal.detail.contains("at most 262144"), "{refusal}");
}

#[test]
fn refusals_keep_what_finds_the_message_again() {
    let (kind, mut sample) = samples().next().unwrap();
    sample["data"]["job"]["followers"][1]["email"] = json!("nobody");
    let refusal = assert_refused(&sample, RefusalCode::InvalidField, "data.job.followers[1].email");
    assert_eq!(refusal.id.as_deref(), sample["id"].as_str());
    assert_eq!((refusal.kind.as_deref(), refusal.tenant.as_deref()), (Some(kind), Some("acme")));
}

#[test]
fn refusals_never_repeat_what_the_field_held() {
    for (_, sample) in samples() {
        for (path, pointer) in places(&sample).into_iter().filter(|(path, _)| path.starts_with("data.")) {
            for secret in [json!("hush-4711\u{0}"), json!(["hush-4711"]), json!({"hush-4711": 1})] {
                if let Err(refusal) = decode(&set(&sample, &pointer, secret)) {
                    assert!(!refusal.to_string().contains("hush-4711"), "`{path}`: {refusal}");
                }
            }
        }
    }
}

#[test]
fn an_unknown_type_is_answered_with_the_nearest() {
    let (_, mut sample) = samples().next().unwrap();
    sample["type"] = json!("application.moved.v2");
    let refusal = assert_refused(&sample, RefusalCode::UnknownType, "type");
    assert!(refusal.detail.ends_with("did you mean `application.moved.v1`?"), "{refusal}");
    sample["type"] = json!("\u{1b}[2J".to_owned() + &"x".repeat(9_999));
    let refusal = assert_refused(&sample, RefusalCode::UnknownType, "type");
    assert!(refusal.detail.len() < 200 && !refusal.detail.contains('\u{1b}'), "{refusal}");
    sample["type"] = json!("");
    assert_refused(&sample, RefusalCode::UnknownType, "type");
}

#[test]
fn only_this_cloudevents_version_and_this_content_type_are_taken() {
    let (_, sample) = samples().next().unwrap();
    assert_refused(&set(&sample, "/specversion", json!("0.3")), RefusalCode::InvalidField, "specversion");
    assert_refused(&set(&sample, "/datacontenttype", json!("text/xml")), RefusalCode::InvalidField, "datacontenttype");
}

#[test]
fn the_fields_of_a_tagged_union_are_named_to_their_end() {
    let (_, sample) = samples().find(|(kind, _)| *kind == "writeback.requested.v1").unwrap();
    let mut without_kind = sample.clone();
    without_kind["data"]["write"].as_object_mut().unwrap().remove("kind");
    assert_refused(&without_kind, RefusalCode::MissingField, "data.write.kind");
    assert_refused(&set(&sample, "/data/write/kind", json!("fax")), RefusalCode::InvalidField, "data.write.kind");
    let note =
        |body: Value| set(&sample, "/data/write", json!({ "kind": "note", "marker": "[m]", "body": body, "sequence": "not a note's" }));
    decode(&note(json!("text"))).unwrap();
    assert_refused(&note(json!("a\u{0}b")), RefusalCode::InvalidField, "data.write.body");
    assert_refused(&note(json!(7)), RefusalCode::InvalidField, "data.write.body");
    assert_refused(&note(Value::Null), RefusalCode::MissingField, "data.write.body");
}
