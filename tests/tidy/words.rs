//! The words under which messages end, as the documentation has them: people search for them, and a word that changed in the code alone
//! leads nowhere.

use super::{files, read};
use std::collections::BTreeSet;

const README: &str = "actors/README.md";

/// What the actors are made of, without their tests.
fn sources() -> Vec<(String, String)> {
    let ours = |file: &String| file.starts_with("actors/src/") && file.ends_with(".rs") && !file.contains("/tests");
    files().into_iter().filter(ours).map(|file| (file.clone(), read(&file))).collect()
}

/// Word and code of every verdict that is given by a literal.
fn given(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for rest in source.split("Verdict::").skip(1) {
        let Some((word, rest)) = rest.split_once('(') else { continue };
        let literal = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
        if let Some((code, _)) = literal.filter(|_| ["accepted", "ignored", "performed", "refused"].contains(&word)) {
            found.push((word.to_owned(), code.to_owned()));
        }
    }
    found
}

/// Word and code of every row of the table.
fn documented() -> BTreeSet<(String, String)> {
    let text = read(README);
    let section = text.split("## What becomes of a message").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for code in cells[1].split(", ") {
            found.extend(cells[2].split(", ").map(|word| (word.to_owned(), code.trim_matches('`').to_owned())));
        }
    }
    found
}

#[test]
fn every_code_under_which_a_message_ends_is_documented_with_its_word_and_no_other_is() {
    let (sources, documented) = (sources(), documented());
    let mut given_anywhere = BTreeSet::new();
    for (file, source) in &sources {
        for pair in given(source) {
            assert!(documented.contains(&pair), "{README} has no row for {pair:?} of {file}");
            given_anywhere.insert(pair);
        }
    }
    assert!(given_anywhere.len() > 25, "verdicts are found: {given_anywhere:?}");
    for (word, code) in documented {
        let literal = format!("\"{code}\"");
        assert!(sources.iter().any(|(_, source)| source.contains(&literal)), "{README}: nothing ends as `{code}` ({word}) any more");
    }
}

/// What the catalog says follows from a message: type's variant, and the sentence.
fn follows() -> Vec<(String, String)> {
    let text = read("schemas/src/catalog.rs");
    let rows = text.split("\ncatalog! {").nth(1).unwrap().split("\n}").next().unwrap().to_owned();
    let row = |row: &str| {
        let variant = row.split(" = ").next()?.trim().to_owned();
        let sentence = row.rsplit_once(",\n")?.1.trim().trim_end_matches(';').trim_matches('"').to_owned();
        (!variant.is_empty()).then_some((variant, sentence))
    };
    rows.split(";\n").filter_map(row).collect()
}

/// Bridge authors read there what the hub does with a message, and what it does not do yet.
#[test]
fn the_catalog_says_of_exactly_those_messages_that_nothing_follows_which_no_code_makes_or_reads() {
    let follows = follows();
    assert!(follows.len() > 25, "{follows:?}");
    let code: String = files()
        .into_iter()
        .filter(|file| (file.starts_with("actors/src/") || file.starts_with("src/")) && file.ends_with(".rs") && !file.contains("/tests"))
        .map(|file| read(&file))
        .collect();
    for (variant, sentence) in follows {
        let used = code.contains(&format!("Message::{variant}("));
        assert_eq!(!used, sentence.starts_with("Nothing yet"), "{variant}: {sentence}");
        assert!(sentence.ends_with('.') && sentence.len() > 15, "{variant}: {sentence}");
    }
}

/// A text that says `retry`, `replay` or `mend` of a message sends people looking for a command that is not there. Read by the tests of the
/// command line for commands; here for promises without one.
#[test]
fn no_text_promises_what_there_is_no_command_for() {
    let promises = ["retry the message", "then retry it", "mend and replay", "can replay", "tried again by itself once", "replay it"];
    let read_by_people = |file: &String| {
        ["src/", "actors/src/", "schemas/src/", "deploy/"].iter().any(|folder| file.starts_with(folder)) || file.ends_with("README.md")
    };
    let mut broken = Vec::new();
    for file in files().into_iter().filter(|file| read_by_people(file) && (file.ends_with(".rs") || file.ends_with(".md"))) {
        let text = read(&file);
        broken.extend(promises.iter().filter(|promise| text.contains(**promise)).map(|promise| format!("{file}: {promise}")));
    }
    assert!(broken.is_empty(), "{broken:?}");
}
