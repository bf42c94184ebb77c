//! Laws of `src/`: adapters do not know each other, and nobody but its own folder knows an ATS or a platform.

use super::{
    code, none,
    paths::{module, named},
    root, sources,
};
use std::{collections::BTreeSet, fs};

/// Folders of `src/` that each touch one part of the world.
const ADAPTERS: &[&str] = &["rabbitmq", "postgres", "embedded", "ats", "platform", "notice", "api", "console"];

/// The two adapters that are many: a registry, and a folder for each kind.
const REGISTRIES: &[&str] = &["ats", "platform"];

/// Doors take a request to whatever kind the tenant is of, by the registry's front; they name no kind.
const DOORS: &[&str] = &["api", "console"];

/// What stands above the adapters and puts them together.
const ABOVE: &[&str] = &["app", "cli", "demo"];

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

/// Adapters meet in `src/app.rs` alone: each can be read, tested and replaced without the others. An ATS's or platform's own
/// folder is named by its registry and nobody else, not even by the adapter beside it.
#[test]
fn adapters_do_not_import_each_other() {
    let mut broken = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| file.starts_with("src/")) {
        let here = module(&file);
        let part = |path: &[String], at: usize| path.get(at).cloned().unwrap_or_default();
        let (from, from_inner) = (part(&here, 0), part(&here, 1));
        let adapter = ADAPTERS.contains(&from.as_str());
        for (at, path) in named(&file, &text) {
            let (to, to_inner) = (part(&path, 0), part(&path, 1));
            let registry = REGISTRIES.contains(&to.as_str());
            let into_a_kind = registry && kinds(&to).contains(&to_inner);
            let other_adapter = adapter && from != to && ADAPTERS.contains(&to.as_str()) && !(DOORS.contains(&from.as_str()) && registry);
            let others_kind = into_a_kind && here != [to.clone()] && (from != to || from_inner != to_inner);
            let upwards = adapter && ABOVE.contains(&to.as_str());
            if other_adapter || others_kind || upwards {
                broken.push(format!("{file}:{at} names crate::{}", path.join("::")));
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
