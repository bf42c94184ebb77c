//! Commands that the hub's own texts and the documentation name exist: each is given to the parser as it stands there. A remedy that names a
//! command that is not there sends people looking for it.

use super::Cli;
use clap::{CommandFactory, Parser, error::ErrorKind};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where people read of commands.
const PLACES: [&str; 6] = ["src", "actors/src", "schemas/src", "README.md", "schemas/README.md", "deploy"];
const MORE: [&str; 2] = ["actors/README.md", "tests/README.md"];
/// Nouns under which the contract has verbs: a text may leave `atshub` out before them.
const NOUNS: [&str; 5] = ["tenant", "platform", "queue", "message", "candidate"];

fn files(at: &Path, found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        for entry in fs::read_dir(at).unwrap() {
            files(&entry.unwrap().path(), found);
        }
    } else if at.exists() {
        found.push(at.to_owned());
    }
}

/// Every command that is named in a text: between backticks, or on a line of a block of a document.
fn commands(text: &str, is_document: bool) -> Vec<String> {
    if !is_document {
        // A sentence that goes on in the next line of a literal.
        return between_backticks(&text.split("\\\n").map(str::trim_start).collect::<Vec<_>>().concat());
    }
    let (mut prose, mut found, mut in_block) = (String::new(), Vec::new(), false);
    for line in text.lines() {
        let typed = line.trim().trim_start_matches("$ ");
        if typed.starts_with("```") {
            in_block = !in_block;
        } else if in_block && typed.starts_with("atshub ") {
            found.push(typed.split(" #").next().unwrap_or(typed).trim().to_owned());
        } else if !in_block {
            prose.push_str(line);
            prose.push(' ');
        }
    }
    found.extend(between_backticks(&prose));
    found
}

fn between_backticks(text: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once('`') {
        let Some((one, next)) = after.split_once('`') else { break };
        let words: Vec<&str> = one.split_whitespace().collect();
        let verb = |word: &str| word.len() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        rest = next;
        match words.as_slice() {
            ["atshub", word, ..] if word.starts_with(|c: char| c.is_ascii_lowercase()) => found.push(one.to_owned()),
            [word, named, ..] if NOUNS.contains(word) && verb(named) => found.push(format!("atshub {one}")),
            // The backtick may have been an end: what follows is looked at as well.
            _ => rest = after,
        }
    }
    found
}

/// Stands for what a text leaves to the reader.
const PLACEHOLDER: &str = "acme";

/// The words that are given to the parser: a placeholder, or what is quoted, is one word. `None` if the text names no command but says what
/// all of a kind are.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut plain, mut end) = (String::new(), None);
    for c in command.chars() {
        match (end, c) {
            (Some(ends), c) if c == ends => end = None,
            (Some(_), _) => {}
            (None, '<' | '{' | '"' | '\'') => {
                end = Some(match c {
                    '<' => '>',
                    '{' => '}',
                    quote => quote,
                });
                plain.push_str(PLACEHOLDER);
            }
            (None, '|' | ';' | '>') => break,
            (None, c) => plain.push(c),
        }
    }
    let plain = plain.replace(['[', ']', '\\'], "");
    let words: Vec<String> = plain.split_whitespace().take_while(|word| !word.contains('…') && *word != "...").map(str::to_owned).collect();
    (words.len() > 1 && words.iter().skip(1).take(2).all(|word| word != PLACEHOLDER)).then_some(words)
}

/// What is wrong with a command, apart from what a text may leave out or stand for something with.
fn wrong(words: &[String]) -> Option<String> {
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelp
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::DisplayVersion
            | ErrorKind::ValueValidation => None,
            // A flag that stands for its value, or a value left to the reader.
            ErrorKind::InvalidValue if error.to_string().contains(PLACEHOLDER) || error.to_string().contains("a value is required") => None,
            _ => Some(error.to_string().lines().next().unwrap_or_default().to_owned()),
        },
    }
}

#[test]
fn every_command_that_a_text_of_the_hub_or_the_documentation_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    PLACES.iter().chain(&MORE).for_each(|place| files(&root.join(place), &mut all));
    let (mut named, mut broken) = (0, Vec::new());
    for file in all {
        let name = file.strip_prefix(root).unwrap().display().to_string();
        if name == "src/cli/named.rs" {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for command in commands(&text, !name.ends_with(".rs")) {
            let Some(words) = words(&command) else { continue };
            named += 1;
            if let Some(why) = wrong(&words) {
                broken.push(format!("{name}: {command}: {why}"));
            }
        }
    }
    broken.sort();
    broken.dedup();
    assert!(broken.is_empty(), "no such command:\n  {}", broken.join("\n  "));
    assert!(named > 80, "commands are found: {named}");
}

#[test]
fn a_command_that_does_not_exist_is_found_wherever_it_is_named() {
    let text =
        "next: `atshub parked retry {id}`, or `tenant forget <name>`; see `queue`.\n```\natshub serve --nonsense\natshub tenant list\n```";
    let found: Vec<_> = commands(text, true).iter().filter_map(|c| words(c)).filter_map(|words| wrong(&words)).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    let of_all: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    for noun in NOUNS {
        assert!(of_all.iter().any(|known| known == noun), "{noun}");
    }
}
