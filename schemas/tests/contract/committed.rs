//! The files under `schemas/` against the Rust types. `ATSHUB_UPDATE=1` writes those that are generated.

use crate::support::folder;
use atshub_schemas::{
    Envelope, RefusalCode,
    catalog::{self, CATALOG},
    generate::{asyncapi_bundled, envelope_schema, generate, readme_characters, readme_table},
    samples::{minimal, sample},
    shape::KNOWN_KEYWORDS,
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

const TYPES_BEGIN: &str = "<!-- types:begin (made from the catalog; ATSHUB_UPDATE=1 cargo test -p atshub-schemas writes it) -->\n";
const TYPES_END: &str = "<!-- types:end -->";
const CHARACTERS_BEGIN: &str =
    "<!-- characters:begin (made from the table in src/text/marks.rs; ATSHUB_UPDATE=1 cargo test -p atshub-schemas writes it) -->\n";
const CHARACTERS_END: &str = "<!-- characters:end -->";

fn updating() -> bool {
    std::env::var_os("ATSHUB_UPDATE").is_some_and(|value| value == "1")
}

fn files_in(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    names.filter(|file| file.file_type().unwrap().is_file()).map(|file| file.file_name().into_string().unwrap()).collect()
}

#[test]
fn every_type_has_a_sample_that_says_its_type_and_comes_back_equal() {
    for entry in CATALOG {
        let sample = sample(entry.kind).unwrap_or_else(|| panic!("{} has no sample: add one in samples.rs", entry.kind));
        assert_eq!(sample.message.kind(), entry.kind);
        assert_eq!(Envelope::decode(&sample.encode().unwrap()).unwrap(), sample, "{}", entry.kind);
    }
    assert_eq!(sample("no.such.v1"), None);
}

#[test]
fn every_type_has_a_minimal_sample_that_decodes() {
    for entry in CATALOG {
        let value = minimal(entry.kind).unwrap();
        let decoded = Envelope::decode(&serde_json::to_vec(&value).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", entry.kind));
        assert_eq!(decoded.message.kind(), entry.kind);
        assert_eq!(value.as_object().unwrap().len(), 7, "{}: only what is required", entry.kind);
    }
}

#[test]
fn the_committed_files_are_current() {
    for (path, text) in generate() {
        let path = folder().join(path);
        if updating() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == text, "{} is not current: run ATSHUB_UPDATE=1 cargo test -p atshub-schemas", path.display());
    }
    let expected: BTreeSet<String> = CATALOG.iter().map(|entry| format!("{}.json", entry.kind)).collect();
    for place in ["json", "samples", "samples/minimal"] {
        assert_eq!(files_in(&folder().join(place)), expected, "{place} holds exactly one file per type");
    }
}

#[test]
fn what_is_generated_is_the_same_every_time() {
    assert_eq!(generate(), generate());
}

#[test]
fn the_readme_lists_every_type_every_class_of_characters_and_every_code() {
    let path = folder().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let types = with_table(&readme, TYPES_BEGIN, TYPES_END, &readme_table());
    let current = with_table(&types, CHARACTERS_BEGIN, CHARACTERS_END, &readme_characters());
    if updating() {
        fs::write(&path, &current).unwrap();
    } else {
        assert!(readme == current, "a table in README.md is not current: run with ATSHUB_UPDATE=1");
    }
    for code in RefusalCode::ALL {
        assert!(readme.contains(&format!("`{code}`")), "README.md does not say what becomes of `{code}`");
    }
}

/// The text with this table between these marks.
fn with_table(text: &str, begin: &str, end: &str, table: &str) -> String {
    let (head, rest) = text.split_once(begin).unwrap_or_else(|| panic!("the mark {begin}"));
    let (_, tail) = rest.split_once(end).unwrap_or_else(|| panic!("the mark {end}"));
    format!("{head}{begin}{table}{end}{tail}")
}

/// Old messages are still in queues and archives: what decoded once decodes for ever.
#[test]
fn every_frozen_sample_still_decodes_and_loses_nothing() {
    let frozen = folder().join("samples/v1");
    let names = files_in(&frozen);
    assert!(names.len() >= 2 * 27, "a frozen sample was removed: {} are left", names.len());
    for name in names {
        let body = fs::read(frozen.join(&name)).unwrap();
        let decoded = Envelope::decode(&body).unwrap_or_else(|e| panic!("samples/v1/{name}: {e}"));
        let again = decoded.to_value().unwrap();
        assert_eq!(Envelope::decode(&serde_json::to_vec(&again).unwrap()).unwrap(), decoded, "{name}");
        assert_kept(&serde_json::from_slice(&body).unwrap(), &again, &name);
    }
}

/// Whether all that stands in `old` stands in `new`; `new` may say defaults besides.
fn assert_kept(old: &Value, new: &Value, at: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(_)) => {
            old.iter().for_each(|(name, value)| assert_kept(value, &new[name], &format!("{at} {name}")));
        }
        (Value::Array(old), Value::Array(items)) => {
            assert_eq!(old.len(), items.len(), "{at}");
            old.iter().zip(items).for_each(|(old, new)| assert_kept(old, new, at));
        }
        _ => assert_eq!(old, new, "{at}"),
    }
}

#[test]
fn every_type_of_version_1_has_a_frozen_sample() {
    let frozen = files_in(&folder().join("samples/v1"));
    for entry in CATALOG.iter().filter(|entry| entry.version() == 1) {
        for name in [format!("{}.json", entry.kind), format!("{}.minimal.json", entry.kind)] {
            assert!(frozen.contains(&name), "copy samples of `{}` to samples/v1/{name}, once and for ever", entry.kind);
        }
    }
}

/// A keyword that the decoder does not know would be promised and not enforced.
#[test]
fn schemas_use_only_keywords_that_the_decoder_enforces() {
    fn walk(schema: &Value, at: &str) {
        let Some(object) = schema.as_object() else { return };
        for (keyword, value) in object {
            assert!(KNOWN_KEYWORDS.contains(&keyword.as_str()), "{at}: `{keyword}` is not enforced by shape.rs");
            match (keyword.as_str(), value) {
                ("properties" | "$defs", Value::Object(named)) => {
                    named.iter().for_each(|(name, schema)| walk(schema, &format!("{at}.{name}")));
                }
                ("anyOf" | "oneOf", Value::Array(branches)) => branches.iter().for_each(|schema| walk(schema, at)),
                ("items", schema) => walk(schema, at),
                _ => {}
            }
        }
    }
    for entry in CATALOG {
        let mut schema = entry.data_schema().to_value();
        schema.as_object_mut().unwrap().remove("$schema");
        walk(&schema, entry.kind);
    }
}

#[test]
fn every_schema_is_titled_described_and_identified() {
    for entry in CATALOG {
        let schema = envelope_schema(entry);
        jsonschema::meta::validate(&schema).unwrap_or_else(|e| panic!("{}: {e}", entry.kind));
        assert_eq!(schema["title"], entry.kind);
        assert_eq!(schema["$id"], format!("urn:atshub:schema:{}", entry.kind));
        assert!(schema["description"].as_str().is_some_and(|text| text.starts_with(entry.summary)), "{}", entry.kind);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            for (field, property) in definition["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string() || property["const"].is_string(), "{name}.{field} says nothing of itself");
            }
        }
    }
}

#[test]
fn types_that_share_a_name_in_two_schemas_are_the_same_type() {
    let bundled = asyncapi_bundled();
    for entry in CATALOG {
        for (name, definition) in envelope_schema(entry)["$defs"].as_object().unwrap() {
            let text = definition.to_string().replace("#/$defs/", "#/components/schemas/");
            assert_eq!(bundled["components"]["schemas"][name].to_string(), text, "`{name}` of {}", entry.kind);
        }
    }
}

#[test]
fn kinds_are_unique_and_versioned() {
    let kinds: BTreeSet<&str> = CATALOG.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds.len(), CATALOG.len());
    assert!(CATALOG.iter().all(|entry| entry.kind.ends_with(&format!(".v{}", entry.version()))));
    assert!(catalog::entry("application.moved.v1").is_some());
}
