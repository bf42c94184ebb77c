//! The paths that a source of `src/` names inside its crate, written out in full. Reads tokens, not types: what a macro makes
//! is not seen.

use super::code;

/// A path from the crate's root, and the line it stands in.
pub(super) type Named = (usize, Vec<String>);

/// All paths that begin with `crate` or `super` in a file of `src/`, imports in braces taken apart.
pub(super) fn named(file: &str, text: &str) -> Vec<Named> {
    let tokens: Vec<(usize, &str)> = code(text).flat_map(|(at, line)| tokens(line).into_iter().map(move |token| (at, token))).collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = at == 0 || tokens[at - 1].1 != "::";
        if starts && ["crate", "super"].contains(&tokens[at].1) && tokens.get(at + 1).is_some_and(|(_, token)| *token == "::") {
            at = tree(&tokens, at, &module(file), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Where a file stands in the crate: `src/ats/ashby/client.rs` is `ats::ashby::client`.
pub(super) fn module(file: &str) -> Vec<String> {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned).collect()
}

/// Reads one path or tree of paths from `at`; the place behind it.
fn tree(tokens: &[(usize, &str)], mut at: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens[at].0;
    loop {
        match tokens.get(at).map_or("", |(_, token)| token) {
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            "{" => {
                at += 1;
                while tokens.get(at).is_some_and(|(_, token)| *token != "}") {
                    at = if tokens[at].1 == "," { at + 1 } else { tree(tokens, at, &path, found) };
                }
                return at + 1;
            }
            name => path.push(name.to_owned()),
        }
        at += 1;
        if tokens.get(at).is_none_or(|(_, token)| *token != "::") {
            found.push((line, path));
            // `as name` renames; the name is no path.
            return if tokens.get(at).is_some_and(|(_, token)| *token == "as") { at + 2 } else { at };
        }
        at += 1;
    }
}

/// Words, `::`, and every other character by itself; blanks are left out, and so are strings.
fn tokens(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if rest.starts_with("//") {
            return found;
        } else {
            first.len_utf8()
        };
        found.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    found
}

#[test]
fn trees_of_imports_are_taken_apart() {
    let text = "use crate::{http::Http, ats::{self, Raw, lever::{a as b, c}},\n    postgres};\nuse super::{super::x::Y, z};\n\
        fn f() { crate::rail::go(\"crate::no\") } // crate::no\n/// [`crate::no`]\n";
    let paths: Vec<String> = named("src/ats/ashby/client.rs", text).into_iter().map(|(_, path)| path.join("::")).collect();
    let wanted = ["http::Http", "ats", "ats::Raw", "ats::lever::a", "ats::lever::c", "postgres", "ats::x::Y", "ats::ashby::z", "rail::go"];
    assert_eq!(paths, wanted);
}
