//! What a benchmark is told on the command line: `cargo bench --bench <name> -- --<key> <value> …`.

use std::collections::BTreeMap;

/// Keys and their values.
pub(crate) struct Arguments(BTreeMap<String, String>);

impl Arguments {
    /// Reads them. `None` if this is no benchmark run: `cargo test --all-targets` starts benchmarks too, and they are no tests.
    pub(crate) fn read() -> Option<Self> {
        let words: Vec<String> = std::env::args().skip(1).collect();
        if !words.iter().any(|word| word == "--bench") {
            eprintln!("a benchmark: run it with `cargo bench`");
            return None;
        }
        let words: Vec<String> = words.into_iter().filter(|word| word != "--bench").collect();
        let pair = |pair: &[String]| match pair {
            [key, value] if key.starts_with("--") => (key.trim_start_matches("--").to_owned(), value.clone()),
            other => panic!("`{}` is no `--<key> <value>`", other.join(" ")),
        };
        Some(Self(words.chunks(2).map(pair).collect()))
    }

    /// A whole number.
    pub(crate) fn number(&self, key: &str) -> Option<usize> {
        self.0.get(key).map(|value| value.parse().unwrap_or_else(|_| panic!("--{key} takes a whole number, not `{value}`")))
    }

    /// Any number.
    pub(crate) fn fraction(&self, key: &str) -> Option<f64> {
        self.0.get(key).map(|value| value.parse().unwrap_or_else(|_| panic!("--{key} takes a number, not `{value}`")))
    }

    /// A word.
    pub(crate) fn word(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}
