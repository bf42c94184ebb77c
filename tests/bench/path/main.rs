//! `cargo bench --bench path`: what a candidacy costs on its whole way through the hub, beside the same way by hand. A fact is published
//! with a confirm; the hub takes it from the tenant's queue, commits, relays, invites, relays, writes back; the bridge is told `Invited`,
//! and its answers are handled. `-- --help` says what can be set.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark stops where it fails, and prints what it found"
)]

mod amqp;
mod board;
mod bridge;
mod chart;
mod floor;
mod load;
mod meter;
mod platform;
mod program;
mod report;
mod run;

#[path = "../arguments.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod arguments;
#[path = "../ground.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod ground;
#[path = "../../integration/support/postgres.rs"]
#[allow(dead_code, reason = "shared: the benchmark needs a database and nothing else of it")]
mod postgres;
#[path = "../../integration/support/rabbitmq.rs"]
#[allow(dead_code, reason = "shared: the benchmark needs a virtual host and nothing else of it")]
mod rabbitmq;
#[path = "../../integration/support/services.rs"]
#[allow(dead_code, reason = "shared: this benchmark starts no services")]
mod services;
#[path = "../usage.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod usage;

use arguments::Arguments;
use program::Program;
use run::{Run, Size};
use std::{fs, path::PathBuf};

const HELP: &str = "cargo bench --bench path [-- --<key> <value> …]

  --rates 20,50,100,200   candidacies a second, one stage each; none: the empty word
  --seconds 15            for each rate
  --burst 2000            candidacies at once, after the rates; 0: no burst
  --warm-up 200           candidacies before anything is measured
  --tenants 10            tenants with a bridge
  --programs hub,floor    the hub, the program by hand, or both
  --out target/path-bench where path.json and path.svg are written

Services: ATSHUB_TEST_AMQP_URL and ATSHUB_TEST_DATABASE_URL, as deploy/dev-services prints them. Each program has a database and a virtual
host of its own there, which are removed at the end. Others who use these services, or this machine, are measured with it: the broker and
the written-ahead log are counted whole. Progress goes to standard error, the table to standard output.
With the defaults it takes about four minutes for both programs, after the release build.";

/// Candidacies in one stage at most: it is a benchmark, and it ends.
const MOST: f64 = 20_000.0;

fn main() {
    if std::env::args().any(|word| word == "--help") {
        println!("{HELP}");
        return;
    }
    let Some(arguments) = Arguments::read() else { return };
    if arguments.word(program::FLOOR).is_some() {
        let word = |key: &str| arguments.word(key).unwrap();
        return program::floor_of(word("broker"), word("database"), word("platform"), word("names"));
    }
    let rate = |word: &str| {
        word.parse::<f64>().ok().filter(|rate| *rate > 0.0).unwrap_or_else(|| panic!("--rates takes numbers above 0, not `{word}`"))
    };
    let size = Size {
        tenants: arguments.number("tenants").unwrap_or(10).max(1),
        rates: arguments.word("rates").unwrap_or("20,50,100,200").split(',').filter(|word| !word.is_empty()).map(rate).collect(),
        seconds: arguments.fraction("seconds").unwrap_or(15.0),
        burst: arguments.number("burst").unwrap_or(2000),
        warm_up: arguments.number("warm-up").unwrap_or(200),
    };
    let largest = size.rates.iter().map(|rate| rate * size.seconds).fold(size.burst as f64, f64::max);
    assert!(largest <= MOST, "a stage of {largest} candidacies is asked for; take at most {MOST}: fewer --seconds, or a smaller --burst");
    let out = PathBuf::from(arguments.word("out").unwrap_or(concat!(env!("CARGO_MANIFEST_DIR"), "/target/path-bench")));
    fs::create_dir_all(&out).unwrap();
    let programs = Program::named(arguments.word("programs").unwrap_or("hub,floor"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runs = Vec::new();
    for program in programs {
        runs.push(runtime.block_on(async { Run::of(program, &size).await }));
    }
    report::print(&runs, &size);
    let (table, drawing) = (out.join("path.json"), out.join("path.svg"));
    fs::write(&table, serde_json::to_string_pretty(&report::json(&runs, &size)).unwrap()).unwrap();
    fs::write(&drawing, chart::draw(&runs, &size, &ground::commit())).unwrap();
    eprintln!("written: {} and {}", table.display(), drawing.display());
}
