//! Laws of `actors/`: its modules can be read one after the other, each with what it stands on before it.

use super::{none, paths::named, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Which of these modules name which others, below `prefix` (`[]` is the crate's root).
fn edges(prefix: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let inside: Vec<(String, String)> = sources()
        .into_iter()
        .filter_map(|(file, text)| Some((file.strip_prefix("actors/src/")?.to_owned(), text)))
        .filter(|(file, _)| !file.split(['/', '.']).any(|part| ["tests", "races", "waits"].contains(&part)))
        .collect();
    let module = |file: &str| {
        let parts: Vec<&str> = file.trim_end_matches(".rs").split('/').filter(|part| !["mod", "lib"].contains(part)).collect();
        parts.strip_prefix(prefix).and_then(|rest| rest.first()).map(|first| (*first).to_owned())
    };
    let modules: BTreeSet<String> = inside.iter().filter_map(|(file, _)| module(file)).collect();
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, text) in &inside {
        let Some(from) = module(file) else { continue };
        for (_, path) in named(&format!("src/{file}"), text) {
            let below: Vec<&str> = path.iter().map(String::as_str).collect();
            let to = below.strip_prefix(prefix).and_then(|rest| rest.first()).map(|first| (*first).to_owned());
            if let Some(to) = to.filter(|to| *to != from && modules.contains(to)) {
                edges.entry(from.clone()).or_default().insert(to);
            }
        }
    }
    edges
}

/// What is left when what names nothing that is left is taken away, again and again: the circles, and what leads into them.
fn circles(mut edges: BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    loop {
        let left: BTreeSet<String> = edges.keys().cloned().collect();
        let before = edges.len();
        edges.values_mut().for_each(|to| to.retain(|module| left.contains(module)));
        edges.retain(|_, to| !to.is_empty());
        if edges.len() == before {
            return edges.into_iter().map(|(from, to)| format!("{from} -> {}", to.into_iter().collect::<Vec<_>>().join(", "))).collect();
        }
    }
}

/// Two modules that need each other are one thing in two places.
#[test]
fn no_modules_of_the_actors_go_in_a_circle() {
    let all = edges(&[]);
    assert!(all.len() > 8, "the modules were not found: {all:?}");
    none(&circles(all), "these modules of `actors/` name each other in a circle");
}

/// The supervisor is the one part that is hard to follow: its files have an order.
#[test]
fn no_files_of_the_supervision_go_in_a_circle() {
    let all = edges(&["supervision"]);
    assert!(all.len() > 8, "the files were not found: {all:?}");
    none(&circles(all), "these files of `actors/src/supervision` name each other in a circle");
}

#[test]
fn a_circle_is_found_and_what_only_leads_out_of_it_is_not() {
    let edges = |pairs: &[(&str, &str)]| {
        let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            edges.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        edges
    };
    assert!(circles(edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    assert_eq!(circles(edges(&[("a", "b"), ("b", "c"), ("c", "b"), ("b", "d")])), ["a -> b", "b -> c", "c -> b"]);
}
