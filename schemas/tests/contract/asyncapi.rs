//! The AsyncAPI document, checked for what its readers rely on: every reference leads somewhere, every type is there.

use crate::support::folder;
use atshub_schemas::{
    catalog::CATALOG,
    generate::{asyncapi, asyncapi_bundled},
};
use serde_json::Value;

fn references<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(target) if name == "$ref" => out.push(target),
                    other => references(other, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, out)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    for document in [asyncapi(), asyncapi_bundled()] {
        let mut all = Vec::new();
        references(&document, &mut all);
        assert!(all.len() > CATALOG.len());
        for target in all {
            match target.strip_prefix('#') {
                Some(pointer) => assert!(document.pointer(pointer).is_some(), "{target}"),
                None => assert!(folder().join(target).is_file(), "{target}"),
            }
        }
    }
}

#[test]
fn every_type_is_a_message_of_the_channel_of_its_exchange() {
    let document = asyncapi();
    assert_eq!(document["asyncapi"], "3.0.0");
    for entry in CATALOG {
        let message = &document["components"]["messages"][entry.kind];
        assert_eq!(message["payload"]["$ref"], format!("./json/{}.json", entry.kind));
        let channels = document["channels"].as_object().unwrap();
        let home = channels.values().find(|channel| channel["bindings"]["amqp"]["exchange"]["name"] == entry.family.exchange());
        assert!(home.is_some_and(|channel| channel["messages"][entry.kind].is_object()), "{}", entry.kind);
        let operations = document["operations"].as_object().unwrap();
        let target = format!("messages/{}", entry.kind);
        let used =
            |operation: &&Value| operation["messages"].as_array().unwrap().iter().any(|m| m["$ref"].as_str().unwrap().ends_with(&target));
        assert!(operations.values().any(|operation| used(&operation)), "no operation sends or receives {}", entry.kind);
    }
}

#[test]
fn the_bundled_document_needs_no_other_file() {
    let document = asyncapi_bundled();
    let mut all = Vec::new();
    references(&document, &mut all);
    assert!(all.iter().all(|target| target.starts_with("#/")));
    assert!(!document.to_string().contains("$defs"));
}
