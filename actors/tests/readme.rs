//! The tables in the README are printed from the code. `ATSHUB_UPDATE=1 cargo test -p atshub-actors` prints them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test's helpers: a failure is the test's")]

use atshub_actors::{domain::TRANSITIONS, gate::BREAKER_STEPS, supervision::PHASES};
use std::{collections::BTreeMap, fs, path::Path};

fn block(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let start = readme.find(&begin).expect("the README has the block's beginning") + begin.len();
    let stop = readme.find(&end).expect("the README has the block's end");
    if readme[start..stop] == *text {
        return;
    }
    assert!(std::env::var_os("ATSHUB_UPDATE").is_some(), "the `{name}` table in actors/README.md is out of date; run with ATSHUB_UPDATE=1");
    fs::write(&path, format!("{}{text}{}", &readme[..start], &readme[stop..])).unwrap();
}

fn word(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[test]
fn the_readme_shows_the_tables_that_the_code_has() {
    let mut phases: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (from, step, to) in PHASES {
        phases.entry(from.as_str()).or_default().push(format!("{} → {}", word(&format!("{step:?}")), to.as_str()));
    }
    let mut text = String::from("| in | a step, and where it leads |\n|---|---|\n");
    for (from, steps) in phases {
        text.push_str(&format!("| `{from}` | {} |\n", steps.join(" · ")));
    }
    block("phases", &text);

    let mut text = String::from("| in | when | then |\n|---|---|---|\n");
    for (from, step, to) in BREAKER_STEPS {
        text.push_str(&format!("| `{}` | {} | `{}` |\n", from.as_str(), word(&format!("{step:?}")), to.as_str()));
    }
    block("breaker", &text);

    let mut text = String::from("| from | to | when |\n|---|---|---|\n");
    for (from, to, when) in TRANSITIONS {
        text.push_str(&format!("| `{from}` | `{to}` | {when} |\n"));
    }
    block("states", &text);
}
