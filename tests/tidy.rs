//! The laws of the house as ordinary tests, each with its reason. They read sources and cargo's own graph; they run nothing.
//! Generated files are held current by the crate that generates them, formatting and lints by `tests/run`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests: what fails here fails the law")]

#[path = "tidy/adapters.rs"]
mod adapters;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/crates.rs"]
mod crates;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/words.rs"]
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A file past this wants to be two.
const MAX_LINES: usize = 400;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file that is ours, by its path below the root.
fn files() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if entry.file_type().unwrap().is_dir() {
                let others = ["target", ".git", "node_modules", ".venv", "__pycache__", "secrets"];
                if !others.contains(&&*name) {
                    walk(&entry.path(), found);
                }
            } else if name != ".git" {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    let mut found: Vec<String> = found.iter().map(|file| file.strip_prefix(root()).unwrap().to_string_lossy().into_owned()).collect();
    found.sort();
    found
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Rust sources, with their text.
fn sources() -> Vec<(String, String)> {
    files().into_iter().filter(|file| file.ends_with(".rs")).map(|file| (read(&file), file)).map(|(text, file)| (file, text)).collect()
}

/// Lines that are neither comments nor unit tests, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate();
    lines.map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Fails with all that broke the law, not only the first.
fn none(broken: &[String], law: &str) {
    assert!(broken.is_empty(), "{law}:\n  {}", broken.join("\n  "));
}

/// The first line says what a file is for, so that a folder can be read by its first lines.
#[test]
fn every_source_begins_with_its_purpose() {
    let broken: Vec<String> = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    none(&broken, "these files begin without `//! `");
}

/// A file is read whole; what does not fit is two things.
#[test]
fn no_source_is_longer_than_a_sitting() {
    let long = sources().into_iter().map(|(file, text)| (file, text.lines().count())).filter(|(_, lines)| *lines > MAX_LINES);
    none(&long.map(|(file, lines)| format!("{file}: {lines} lines")).collect::<Vec<_>>(), "split these");
}

/// What is not done belongs in an issue, where somebody sees it.
#[test]
fn nothing_is_left_to_be_done_in_the_sources() {
    // In two halves, so that this file keeps its own law.
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["unimplemented", "!("]].map(|halves| halves.concat());
    let text =
        |file: &String| [".rs", ".sh", ".py", ".js", ".mjs", ".sql", ".toml", ".yaml", ".graphql"].iter().any(|end| file.ends_with(end));
    let mut broken = Vec::new();
    for file in files().into_iter().filter(|file| text(file) || file.starts_with("deploy/") || file == "tests/run") {
        for (at, line) in read(&file).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                broken.push(format!("{file}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    none(&broken, "file an issue instead");
}

/// A test that is not run says nothing, and looks as if it did.
#[test]
fn no_test_is_left_out() {
    let mark = ["#[ig", "nore"].concat();
    let left_out = sources().into_iter().filter(|(_, text)| text.lines().any(|line| line.trim_start().starts_with(&mark)));
    none(&left_out.map(|(file, _)| file).collect::<Vec<_>>(), "these files leave tests out");
}

/// A walkthrough that is not run rots. Below its heading stands `<!-- test: integration::module::name -->` or more than one;
/// the function must exist, in a file or module of that name, and be a test.
#[test]
fn every_walkthrough_of_the_readme_has_its_test() {
    let readme = read("README.md");
    let lines: Vec<&str> = readme.lines().collect();
    let mut broken = Vec::new();
    let mut walkthroughs = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("### Walkthrough: ")) {
        walkthroughs += 1;
        let below = lines[at + 1..].iter().find(|line| !line.trim().is_empty()).copied().unwrap_or_default();
        let named = below.strip_prefix("<!-- test: ").and_then(|rest| rest.strip_suffix(" -->"));
        match named {
            None => broken.push(format!("{line}: no `<!-- test: … -->` right below")),
            Some(names) => broken.extend(names.split(", ").filter(|name| !is_a_test(name)).map(|name| format!("{line}: no test {name}"))),
        }
    }
    none(&broken, "README.md");
    assert!(walkthroughs > 0, "the README has no `### Walkthrough: …`");
}

/// Whether `target::module::…::function` is a test of `tests/<target>`.
fn is_a_test(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let (Some(function), [target, modules @ ..]) = (parts.last(), &parts[..parts.len() - 1]) else { return false };
    let file = |path: String| [format!("{path}.rs"), format!("{path}/mod.rs"), format!("{path}/main.rs")];
    let path = [&["tests", target], modules].concat().join("/");
    file(path).iter().filter_map(|file| fs::read_to_string(root().join(file)).ok()).any(|text| {
        let at = text.find(&format!("fn {function}()"));
        // The attribute stands above the function, perhaps with others between.
        at.is_some_and(|at| text[..at].rsplit("\n\n").next().is_some_and(|above| above.contains("test]") || above.contains("test(")))
    })
}
