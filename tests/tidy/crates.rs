//! Laws of the crates: who may depend on whom, and what every manifest says.

use super::{files, none, read, root};
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};

fn metadata() -> Metadata {
    // This machine's graph alone: the whole one would have cargo fetch crates for systems that nobody builds here.
    let version = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let options = ["--locked", "--filter-platform", host].map(String::from).to_vec();
    MetadataCommand::new().current_dir(root()).other_options(options).exec().unwrap()
}

/// Names of what a package depends on when it is not being tested: directly, or through others too.
fn dependencies(metadata: &Metadata, package: &str, deep: bool) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().unwrap();
    let id = |name: &str| metadata.workspace_packages().iter().find(|p| p.name.as_str() == name).map(|p| p.id.clone()).unwrap();
    let edges: BTreeMap<&PackageId, Vec<&PackageId>> = resolve
        .nodes
        .iter()
        .map(|node| {
            let real = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
            (&node.id, real.map(|dep| &dep.pkg).collect())
        })
        .collect();
    let start = id(package);
    let mut found = BTreeSet::new();
    let mut open: Vec<&PackageId> = edges[&start].clone();
    while let Some(next) = open.pop() {
        if found.insert(next) && deep {
            open.extend(&edges[next]);
        }
    }
    found.into_iter().map(|id| metadata[id].name.to_string()).collect()
}

/// The contract knows nobody, actors know the contract, the world knows both, and simulators stand for the outside: one that
/// shared code with the hub would share its mistakes.
#[test]
fn crates_depend_in_one_direction() {
    let metadata = metadata();
    for (package, allowed) in [
        ("atshub-schemas", &[][..]),
        ("atshub-simulators", &[]),
        ("atshub-actors", &["atshub-schemas"]),
        ("atshub", &["atshub-schemas", "atshub-actors", "atshub-simulators"]),
    ] {
        let ours: Vec<String> = dependencies(&metadata, package, true).into_iter().filter(|name| name.starts_with("atshub")).collect();
        let wrong: Vec<String> = ours.into_iter().filter(|name| !allowed.contains(&name.as_str())).collect();
        none(&wrong, &format!("{package} must not depend on these crates"));
    }
    let members = metadata.workspace_packages().len();
    assert_eq!(members, 4, "a new crate: give it its place in this law");
}

/// Actors decide; they do not speak AMQP, SQL, HTTP or JSON, so every decision can be tested without a service.
#[test]
fn actors_know_no_broker_database_http_or_json() {
    let metadata = metadata();
    let forbidden = ["lapin", "tokio-postgres", "deadpool-postgres", "rusqlite", "reqwest", "hyper", "actix-web", "clap"];
    let deep = dependencies(&metadata, "atshub-actors", true);
    none(
        &forbidden.iter().filter(|name| deep.contains(**name)).map(ToString::to_string).collect::<Vec<_>>(),
        "actors depend, if only through others, on",
    );
    // The contract's crate brings JSON along; actors themselves neither read nor write it.
    let direct = dependencies(&metadata, "atshub-actors", false);
    none(
        &["serde_json", "toml"].iter().filter(|name| direct.contains(**name)).map(ToString::to_string).collect::<Vec<_>>(),
        "actors depend on",
    );
    let io = dependencies(&metadata, "atshub-schemas", true);
    none(
        &["tokio", "actix", "lapin", "reqwest"].iter().filter(|name| io.contains(**name)).map(ToString::to_string).collect::<Vec<_>>(),
        "the contract does IO with",
    );
}

/// Its name, and the lines of a manifest by section: enough of TOML for the laws below.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in text.lines().map(|line| line.split(" #").next().unwrap_or_default().trim()) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if !line.is_empty() && !line.starts_with('#') {
            lines.push((section.clone(), line.to_owned()));
        }
    }
    lines
}

fn manifests() -> Vec<String> {
    files().into_iter().filter(|file| file == "Cargo.toml" || file.ends_with("/Cargo.toml")).collect()
}

/// One version of a crate in the house, changed in one place; `*` and repositories could change it behind our back.
#[test]
fn versions_stand_in_the_workspace_table_only() {
    let mut broken = Vec::new();
    for file in manifests() {
        for (section, line) in sections(&read(&file)) {
            if section == "workspace.dependencies" {
                let pinned = line.contains("path =") || line.contains(|c: char| c.is_ascii_digit());
                if !pinned || line.contains("git =") || line.contains("\"*\"") {
                    broken.push(format!("{file}: {line}"));
                }
            } else if section.ends_with("dependencies") && !line.contains("workspace = true") {
                broken.push(format!("{file}: [{section}] {line}"));
            }
        }
    }
    none(&broken, "versions belong in [workspace.dependencies]");
}

/// A crate that inherits no lints is one where an `unwrap` on outside data is a tenant's crash.
#[test]
fn every_crate_inherits_lints_licence_and_rust_version() {
    let metadata = metadata();
    let mut broken = Vec::new();
    for package in metadata.workspace_packages() {
        if package.license.as_deref() != Some("MIT OR Apache-2.0") {
            broken.push(format!("{}: licence {:?}", package.name, package.license));
        }
        if package.rust_version.is_none() {
            broken.push(format!("{}: no rust-version", package.name));
        }
        let file = package.manifest_path.as_std_path().strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if !sections(&read(&file)).contains(&("lints".into(), "workspace = true".into())) {
            broken.push(format!("{}: no `[lints] workspace = true`", package.name));
        }
    }
    none(&broken, "every crate takes these from the workspace");
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(read(licence).len() > 500, "{licence} is not the licence");
    }
}

/// The supervisor catches panics, and with "abort" there is nothing to catch: one tenant's bug would end every tenant.
#[test]
fn a_panic_never_aborts() {
    let settings = files().into_iter().filter(|file| file.ends_with("Cargo.toml") || file.contains(".cargo/"));
    let mut broken = Vec::new();
    let mut unwinds = false;
    for file in settings {
        for (section, line) in sections(&read(&file)) {
            let line: String = line.replace([' ', '\''], "").replace('"', "");
            unwinds |= section == "profile.release" && line == "panic=unwind";
            if line.contains("panic=abort") || line.contains("panic=immediate-abort") {
                broken.push(format!("{file}: [{section}] {line}"));
            }
        }
    }
    none(&broken, "panics must unwind");
    assert!(unwinds, "[profile.release] says so where somebody would change it");
}

/// The project is built by the toolchain that is there, from `rust-version` on: a file would fetch another.
#[test]
fn no_file_picks_a_toolchain() {
    let found: Vec<String> =
        files().into_iter().filter(|file| file.rsplit('/').next().is_some_and(|name| name.starts_with("rust-toolchain"))).collect();
    none(&found, "rust-version in Cargo.toml is enough");
}

/// Licences under which what a hub is built from may be shipped with it. A new one is a decision, not an accident.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Zlib",
    "0BSD",
    "Unlicense",
    "CC0-1.0",
];

/// Whether an expression can be met with these licences alone.
fn may_be_shipped(expression: &str) -> bool {
    // Older manifests write "/" for "or".
    let parsed = spdx::Expression::parse_mode(expression, spdx::ParseMode::LAX);
    parsed.is_ok_and(|parsed| parsed.evaluate(|needed| needed.license.id().is_some_and(|id| LICENCES.contains(&id.name))))
}

/// What is shipped is under licences that allow it, and comes from where everybody can get the same.
#[test]
fn what_a_hub_is_built_from_may_be_shipped_with_it() {
    let metadata = metadata();
    let built_from = dependencies(&metadata, "atshub", true);
    assert!(built_from.len() > 100, "the graph was not read");
    let foreign = metadata.packages.iter().filter(|package| built_from.contains(package.name.as_str()) && package.source.is_some());
    let (mut unlicensed, mut elsewhere) = (Vec::new(), Vec::new());
    for package in foreign {
        let licence = package.license.clone().unwrap_or_default();
        if !may_be_shipped(&licence) {
            unlicensed.push(format!("{} {}: {licence:?}", package.name, package.version));
        }
        if !package.source.as_ref().is_some_and(cargo_metadata::Source::is_crates_io) {
            elsewhere.push(format!("{} {}: {:?}", package.name, package.version, package.source));
        }
    }
    none(&unlicensed, "these dependencies are under licences that nobody has looked at");
    none(&elsewhere, "these dependencies come from somewhere else than the registry");
}

#[test]
fn a_licence_that_nobody_has_looked_at_is_noticed() {
    for fine in ["MIT OR Apache-2.0", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0", "MIT OR Apache-2.0 OR LGPL-2.1-or-later"] {
        assert!(may_be_shipped(fine), "{fine}");
    }
    for wrong in ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "SSPL-1.0", "LicenseRef-ours"] {
        assert!(!may_be_shipped(wrong), "{wrong}");
    }
}
