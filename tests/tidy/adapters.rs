//! Laws of `src/`: adapters do not know each other, and nobody but its own folder knows an ATS or a platform.

use super::{code, none, root, sources};
use std::{collections::BTreeSet, fs};

/// Folders of `src/` that each touch one part of the world.
const ADAPTERS: &[&str] = &["rabbitmq", "postgres", "embedded", "ats", "platform", "notice", "api", "console"];

/// What the doors, which are told kinds by name, may take from the two registries: their front, never a kind's folder.
const REGISTRIES: &[&str] = &["ats", "platform"];

/// Kinds that exist at customers, so that one is noticed where it does not belong before its folder exists.
const KNOWN_KINDS: &[&str] = &[
    "ashby",
    "lever",
    "greenhouse",
    "icims",
    "jobvite",
    "recruitee",
    "smartrecruiters",
    "successfactors",
    "teamtailor",
    "workable",
    "workday",
];

/// The first names of all paths `crate::<name>` and, one level deeper, `crate::<name>::<inner>` of a line of code.
fn crate_paths(text: &str) -> Vec<(usize, String, Option<String>)> {
    let mut found = Vec::new();
    // Imports in braces are drawn out by hand: `use crate::{a, b::{c, d}}` names crate::a and crate::b.
    let flat: Vec<(usize, &str)> = code(text).collect();
    let mut braces: Option<i32> = None;
    for (at, line) in flat {
        let mut rest = line;
        if let Some(depth) = braces.as_mut() {
            rest = grouped(at, rest, depth, &mut found);
            if *depth > 0 {
                continue;
            }
            braces = None;
        }
        while let Some(start) = rest.find("crate::") {
            rest = &rest[start + "crate::".len()..];
            if let Some(inner) = rest.strip_prefix('{') {
                let mut depth = 1;
                rest = grouped(at, inner, &mut depth, &mut found);
                if depth > 0 {
                    braces = Some(depth);
                }
            } else {
                let (name, after) = word(rest);
                found.push((at, name.to_owned(), after.strip_prefix("::").map(|inner| word(inner).0.to_owned()).filter(|w| !w.is_empty())));
            }
        }
    }
    found
}

/// Names at the top of `{…}` of a `crate::{…}` import; ends where it closes or the line does.
fn grouped<'a>(at: usize, line: &'a str, depth: &mut i32, found: &mut Vec<(usize, String, Option<String>)>) -> &'a str {
    let mut start = true;
    for (index, character) in line.char_indices() {
        match character {
            '{' => *depth += 1,
            '}' => *depth -= 1,
            ',' => start = true,
            _ if *depth == 1 && start && (character.is_alphabetic() || character == '_') => {
                let (name, after) = word(&line[index..]);
                found.push((at, name.to_owned(), after.strip_prefix("::").map(|inner| word(inner).0.to_owned()).filter(|w| !w.is_empty())));
                start = false;
            }
            _ => {}
        }
        if *depth == 0 {
            return &line[index + 1..];
        }
    }
    ""
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// Adapters meet in `src/app.rs` alone: each can be read, tested and replaced without the others.
#[test]
fn adapters_do_not_import_each_other() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let Some(inside) = file.strip_prefix("src/") else { continue };
        let folder = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let kind = inside.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs");
        for (at, name, inner) in crate_paths(&text) {
            let door = ["api", "console"].contains(&folder) && REGISTRIES.contains(&name.as_str());
            let into_a_kind = REGISTRIES.contains(&name.as_str()) && inner.as_deref().is_some_and(|inner| kinds(&name).contains(inner));
            let allowed_by_place = folder == "app" || folder == name && (!into_a_kind || inner.as_deref() == Some(kind) || kind == "mod");
            let adapter_to_adapter = ADAPTERS.contains(&folder) && ADAPTERS.contains(&name.as_str()) && !door;
            if !allowed_by_place && (adapter_to_adapter || into_a_kind) || (ADAPTERS.contains(&folder) && name == "app") {
                broken.push(format!("{file}:{at} names crate::{name}{}", inner.map(|inner| format!("::{inner}")).unwrap_or_default()));
            }
        }
    }
    none(&broken, "adapters meet in src/app.rs alone");
}

/// Folders of a registry.
fn kinds(registry: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("src").join(registry)).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// A connector that is not registered is dead code that looks alive; the conformance suites run over the registries.
#[test]
fn every_ats_and_platform_folder_is_registered_and_has_its_fixtures() {
    let registered = |kinds: Vec<&str>| kinds.iter().map(|kind| kind.replace('-', "_")).collect::<BTreeSet<_>>();
    assert_eq!(
        kinds("ats"),
        registered(atshub::ats::REGISTRY.iter().map(|entry| entry.kind).collect()),
        "folders of src/ats, and its REGISTRY"
    );
    assert_eq!(
        kinds("platform"),
        registered(atshub::platform::REGISTRY.iter().map(|entry| entry.kind).collect()),
        "folders of src/platform, and its REGISTRY"
    );
    for entry in atshub::ats::REGISTRY {
        let fixtures = root().join(entry.fixtures);
        assert!(fixtures.read_dir().is_ok_and(|mut files| files.next().is_some()), "{} has no fixtures in {}", entry.kind, entry.fixtures);
    }
}

/// A new ATS is one folder and one line of the registry. Code elsewhere that asks "is this Lever?" would make it more: what
/// differs between ATSs is a column of the capability table.
#[test]
fn no_code_outside_its_folder_names_an_ats_or_platform() {
    let mut names: BTreeSet<String> = KNOWN_KINDS.iter().map(ToString::to_string).collect();
    names.extend(REGISTRIES.iter().flat_map(|registry| kinds(registry)));
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let hub = file.starts_with("src/") || file.starts_with("actors/") || file.starts_with("schemas/");
        let demo = file.starts_with("src/demo/") || file.contains("/tests/");
        if !hub || demo {
            continue;
        }
        for (at, line) in code(&text) {
            for kind in names
                .iter()
                .filter(|kind| line.contains(&format!("\"{kind}\"")) || line.contains(&format!("\"{}\"", kind.replace('_', "-"))))
            {
                let own = REGISTRIES.iter().any(|registry| file.starts_with(&format!("src/{registry}/{kind}/")));
                if !own {
                    broken.push(format!("{file}:{at} names \"{kind}\""));
                }
            }
        }
    }
    none(&broken, "only an ATS's own folder names it");
}
