//! `cargo bench --bench neighbours`: what two hundred tenants notice of five bad ones. The same load twice, on fresh services:
//! once with everybody well, once with a tenant that panics at every message, one that floods, one whose ATS hangs, one whose
//! key is revoked, and one that blocks its thread. Counted and timed at the outside: from publishing to the written status.
//!
//! `-- --tenants 200 --rate 20 --seconds 60 --flood 20000 --seed 7 --rounds 3`: on a machine whose disk is others' too one round
//! says little. Without a rate it takes half of what it finds the machine can do. `--bad hangs,blocks` lets only these be bad.
//! `--runs well,elsewhere,bad` adds a run with everybody well in which the same flood goes to a queue that no hub knows: what that
//! costs no hub can spare anybody. Progress goes to standard error, the table to standard output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark stops where it fails, and prints what it found"
)]

mod alone;
mod bad;
mod cast;
mod load;
mod measure;

#[path = "../arguments.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod arguments;
#[path = "../ground.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod ground;
#[path = "../../integration/support/services.rs"]
#[allow(dead_code, reason = "benchmarks crash no services")]
mod services;
#[path = "../usage.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod usage;

use alone::Alone;
use arguments::Arguments;
use bad::Bad;
use cast::Outside;
use ground::Ground;
use load::Plan;
use measure::Measured;
use std::time::{Duration, Instant};

/// How big it is.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    tenants: usize,
    ashby: usize,
    seconds: u64,
    flood: usize,
    seed: u64,
    /// Candidates a second for each that goes bad, but for the one that floods, on top of its part of the load.
    bad_rate: f64,
    /// Which of the five are bad.
    bad: Vec<String>,
}

/// What disturbs the well tenants in a run.
#[derive(Debug, Clone, Copy)]
enum Cause {
    Nobody,
    /// The flood, in the same broker, past the hub.
    Elsewhere,
    Bad,
}

impl Cause {
    /// Those named, with commas between them.
    fn named(names: &str) -> Vec<Self> {
        let cause = |name: &str| match name {
            "well" => Self::Nobody,
            "elsewhere" => Self::Elsewhere,
            "bad" => Self::Bad,
            other => panic!("--runs takes some of well, elsewhere and bad, not {other}"),
        };
        names.split(',').map(cause).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "all well",
            Self::Elsewhere => "elsewhere",
            Self::Bad => "bad ones",
        }
    }
}

/// Candidates in the burst that finds out what the machine can do.
const BURST: usize = 1500;
/// What part of that the steady load is.
const SHARE: f64 = 0.5;
/// Load before anything is measured, or any fault begins.
const WARM_UP: Duration = Duration::from_secs(10);
/// Longest wait for the well tenants' last effects.
const LIMIT: Duration = Duration::from_secs(180);
/// What would be doubled comes from leases and redeliveries that are still to run out; the longest is the relay's, 20 s.
const ECHO: Duration = Duration::from_secs(22);

fn main() {
    let Some(arguments) = Arguments::read() else { return };
    let tenants = arguments.number("tenants").unwrap_or(200);
    let size = Size {
        tenants,
        ashby: arguments.number("ashby").unwrap_or(tenants / 10),
        seconds: arguments.number("seconds").unwrap_or(60) as u64,
        flood: arguments.number("flood").unwrap_or(20_000),
        seed: arguments.number("seed").unwrap_or(7) as u64,
        bad_rate: arguments.fraction("bad-rate").unwrap_or(0.5),
        bad: bad::ways(arguments.word("bad")),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let rate = match arguments.fraction("rate") {
            Some(rate) => rate,
            None => SHARE * capacity(&size).await,
        };
        let plan = Plan::new(&size, rate, WARM_UP);
        let (causes, rounds) = (Cause::named(arguments.word("runs").unwrap_or("well,bad")), arguments.number("rounds").unwrap_or(1));
        let mut runs: Vec<Vec<Measured>> = causes.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            eprintln!("round {round} of {rounds}");
            for (cause, measured) in causes.iter().zip(&mut runs) {
                measured.push(run(&size, &plan, *cause).await);
            }
        }
        let head = format!(
            "neighbours at {}: {} tenants ({} Ashby, the others bridges), {rate:.1} candidates a second for {} s, seed {}; bad: {}, {} a second more for each",
            ground::commit(),
            size.tenants,
            size.ashby,
            size.seconds,
            size.seed,
            size.bad.join(", "),
            size.bad_rate
        );
        // What was sent a second before its end may still stand behind it.
        let flood = WARM_UP..WARM_UP + runs.iter().flatten().map(|run| run.flood + Duration::from_secs(1)).max().unwrap_or_default();
        let runs: Vec<(&str, Vec<Measured>)> = causes.iter().map(|cause| cause.name()).zip(runs).collect();
        measure::print(&head, &runs, &flood);
    });
}

/// Candidates a second that hub, services and simulators get through together when there is more than enough.
async fn capacity(size: &Size) -> f64 {
    eprintln!("finding out what this machine can do");
    let ground = Ground::new().await;
    let outside = Outside::start(size, &ground).await;
    let mut hub = ground.hub().await;
    let mut outside = outside.connected(&ground, &hub).await;
    outside.burst(BURST / 5, &mut hub).await; // warms caches; not counted
    let began = Instant::now();
    outside.burst(BURST, &mut hub).await;
    let capacity = BURST as f64 / began.elapsed().as_secs_f64();
    eprintln!("{BURST} candidates at once are done at {capacity:.1} a second");
    drop(outside);
    drop(hub);
    capacity
}

async fn run(size: &Size, plan: &Plan, cause: Cause) -> Measured {
    let name = cause.name();
    eprintln!("{name}: starting services, simulators and the hub");
    let ground = Ground::new().await;
    let outside = Outside::start(size, &ground).await;
    let hub = ground.hub().await;
    let mut outside = outside.connected(&ground, &hub).await;
    eprintln!("{name}: {} candidates over {:.0} s", plan.len(), plan.time().as_secs_f64());
    let before = ground.spent(&hub);
    let (memory, files) = (hub.usage().memory, hub.files());
    let bad = match cause {
        Cause::Nobody => None,
        Cause::Elsewhere => Some(Bad::elsewhere(&outside, &ground, size.flood).await),
        Cause::Bad => Some(Bad::new(&outside, &ground, size.flood, &size.bad).await),
    };
    let alone = Alone::begin(&ground).await;
    let (published, flood) = tokio::join!(load::play(&outside, plan, bad.as_ref()), async {
        match &bad {
            Some(bad) => Some(bad.begin(WARM_UP).await),
            None => None,
        }
    });
    let shares = before.until(&ground.spent(&hub));
    let alone = alone.end().await;
    outside.expect(&published);
    let late = |left: usize, of: &[&str]| {
        eprintln!(
            "{name}: {left} effects of well tenants are still to come, of {}; the hub's last words:\n{}",
            of.join(", "),
            hub.last_words()
        );
    };
    let complete = outside.until_complete(LIMIT, late).await;
    if !complete {
        eprintln!("{name}: not complete within {LIMIT:?}; the hub's last words:\n{}", hub.last_words());
    }
    tokio::time::sleep(ECHO).await;
    let mut measured = Measured::new(&outside, &published, WARM_UP, shares);
    measured.memory = (memory, hub.usage().memory);
    measured.files = (files, hub.files());
    measured.alone = alone;
    measured.panics = hub.said("panicked at");
    if let (Some(bad), Some(flood)) = (&bad, flood) {
        measured.flood = flood;
        measured.bad = bad.report(&outside, &ground, flood).await;
    }
    measured.bad.extend(hub.first_said("parked").map(|line| format!("the first that was parked: {line}")));
    measured.bad.extend(hub.first_said("code=\"malformed\"").map(|line| format!("the first answer that was not understood: {line}")));
    measured.bad.extend(hub.warnings().into_iter().map(|(what, times)| format!("{name}: {times} times in the log: {what}")));
    measured.drain = hub.stop().await;
    drop(outside);
    measured
}
