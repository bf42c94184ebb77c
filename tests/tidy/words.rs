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
