//! Which queues a message goes to: the fixed exchanges and AMQP's matching rules, over bindings held in memory. Pure; it
//! knows nothing of tables or consumers.

use atshub_schemas::topology::{COMMANDS, CONTROL, DEAD, EVENTS, LIFECYCLE, UNROUTED, WORK};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

/// How an exchange compares keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topic,
    Direct,
    Fanout,
}

fn kind_of(exchange: &str) -> Option<Kind> {
    match exchange {
        EVENTS | COMMANDS | LIFECYCLE => Some(Kind::Topic),
        WORK => Some(Kind::Direct),
        DEAD | UNROUTED | CONTROL => Some(Kind::Fanout),
        _ => None,
    }
}

/// True if the hub has this exchange.
pub(super) fn is_exchange(exchange: &str) -> bool {
    kind_of(exchange).is_some()
}

/// True if these queues end the line: nothing is dead-lettered out of them.
pub(super) fn is_last_stop(queue: &str) -> bool {
    queue == DEAD || queue == UNROUTED
}

/// The queues and bindings that exist.
#[derive(Debug, Default)]
pub(super) struct Topology {
    /// Queues, and whether each has a single consumer.
    pub(super) queues: BTreeMap<String, bool>,
    /// Those of them that go by themselves, and after how long without use.
    pub(super) passing: BTreeMap<String, Duration>,
    /// By exchange and shelf (see [`shelf`]): binding key and queue.
    bindings: HashMap<(String, String), Vec<(String, String)>>,
}

impl Topology {
    pub(super) fn bind(&mut self, exchange: &str, key: &str, queue: &str) {
        let Some(kind) = kind_of(exchange) else { return };
        let bound = self.bindings.entry((exchange.to_owned(), shelf(kind, key).to_owned())).or_default();
        let binding = (key.to_owned(), queue.to_owned());
        if !bound.contains(&binding) {
            bound.push(binding);
        }
    }

    /// The queues that take a message, each once. Empty: nobody does, not even an alternate exchange.
    pub(super) fn route(&self, exchange: &str, key: &str) -> Vec<&str> {
        let mut queues = self.bound(exchange, key);
        if queues.is_empty() && exchange == EVENTS {
            queues = self.bound(UNROUTED, key);
        }
        queues
    }

    fn bound(&self, exchange: &str, key: &str) -> Vec<&str> {
        let Some(kind) = kind_of(exchange) else { return Vec::new() };
        let mut queues: Vec<&str> = Vec::new();
        let mut shelves = vec![shelf(kind, key)];
        if !shelves.contains(&"") {
            shelves.push("");
        }
        for shelf in shelves {
            for (pattern, queue) in self.bindings.get(&(exchange.to_owned(), shelf.to_owned())).into_iter().flatten() {
                let fits = match kind {
                    Kind::Fanout => true,
                    Kind::Direct => pattern == key,
                    Kind::Topic => topic_fits(pattern, key),
                };
                if fits && !queues.contains(&queue.as_str()) {
                    queues.push(queue);
                }
            }
        }
        queues
    }
}

/// Where a binding is looked up: with thousands of tenants no message can be compared with every binding. A topic that
/// begins with a wildcard stands on the shelf without a name, which is always looked at.
fn shelf(kind: Kind, key: &str) -> &str {
    match kind {
        Kind::Fanout => "",
        Kind::Direct => key,
        Kind::Topic => match key.split('.').next() {
            Some("*" | "#") | None => "",
            Some(word) => word,
        },
    }
}

/// AMQP's topic rule: words between full stops, `*` is one word, `#` any number of them, none included.
fn topic_fits(pattern: &str, key: &str) -> bool {
    let key: Vec<&str> = key.split('.').collect();
    // Which lengths of the key's beginning the pattern's beginning can have eaten.
    let mut eaten = vec![false; key.len() + 1];
    if let Some(nothing) = eaten.first_mut() {
        *nothing = true;
    }
    for word in pattern.split('.') {
        eaten = if word == "#" {
            let first = eaten.iter().position(|fits| *fits).unwrap_or(eaten.len());
            (0..eaten.len()).map(|at| at >= first).collect()
        } else {
            let step = |at: usize| eaten.get(at).copied().unwrap_or(false) && key.get(at).is_some_and(|part| word == "*" || *part == word);
            (0..eaten.len()).map(|at| at.checked_sub(1).is_some_and(step)).collect()
        };
    }
    eaten.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_fit_as_amqp_says() {
        let table = [
            ("acme.#", "acme.application.moved.v1", true),
            ("acme.#", "acme", true),
            ("acme.#", "acme2.application.moved.v1", false),
            ("#", "", true),
            ("#", "a.b.c", true),
            ("*", "a", true),
            ("*", "a.b", false),
            ("*.b", "a.b", true),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("#.c", "a.b.c", true),
            ("a.#.c", "a.c", true),
            ("a.#.c", "a.b.b.c", true),
            ("a.#.c", "a.b.b.d", false),
            ("#.b.#", "a.b.c", true),
            ("#.#", "", true),
            ("a.b", "a.b.c", false),
            ("a.b.c", "a.b", false),
        ];
        for (pattern, key, fits) in table {
            assert_eq!(topic_fits(pattern, key), fits, "{pattern} on {key}");
        }
    }

    /// The rule as one would say it, without care for the time it takes.
    fn fits_plainly(pattern: &[&str], key: &[&str]) -> bool {
        match (pattern, key) {
            ([], []) => true,
            (["#", rest @ ..], key) => fits_plainly(rest, key) || key.split_first().is_some_and(|(_, key)| fits_plainly(pattern, key)),
            (["*", rest @ ..], [_, key @ ..]) => fits_plainly(rest, key),
            ([word, rest @ ..], [part, key @ ..]) => word == part && fits_plainly(rest, key),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn topics_fit_as_the_plain_rule_says(pattern in "[ab*#](\\.[ab*#]){0,5}", key in "[ab](\\.[ab]){0,5}") {
            let (words, parts): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), key.split('.').collect());
            proptest::prop_assert_eq!(topic_fits(&pattern, &key), fits_plainly(&words, &parts));
        }
    }

    #[test]
    fn a_queue_bound_twice_takes_a_message_once() {
        let mut topology = Topology::default();
        topology.bind(EVENTS, "acme.#", "q");
        topology.bind(EVENTS, "#", "q");
        topology.bind(EVENTS, "#", "all");
        assert_eq!(topology.route(EVENTS, "acme.x"), ["q", "all"]);
    }

    #[test]
    fn the_alternate_exchange_takes_only_what_nobody_else_does() {
        let mut topology = Topology::default();
        topology.bind(EVENTS, "acme.#", "acme");
        topology.bind(UNROUTED, "", UNROUTED);
        assert_eq!(topology.route(EVENTS, "acme.x"), ["acme"]);
        assert_eq!(topology.route(EVENTS, "else.x"), [UNROUTED]);
        assert!(topology.route(COMMANDS, "else.x").is_empty());
    }
}
