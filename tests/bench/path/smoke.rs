//! The path benchmark with a handful of candidacies, as a test: it runs from end to end with either program, and nothing is missing and
//! nothing doubled. Counts only; what it takes is nobody's assertion.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    dead_code,
    reason = "the benchmark's own files, which are used here in part; they stop where they fail"
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

#[path = "../ground.rs"]
mod ground;
#[path = "../../integration/support/postgres.rs"]
mod postgres;
#[path = "../../integration/support/rabbitmq.rs"]
mod rabbitmq;
#[path = "../../integration/support/services.rs"]
mod services;
#[path = "../usage.rs"]
mod usage;

use program::Program;
use run::{Run, Size};

/// Runs it small, and looks at all that it says.
async fn every_candidacy_is_invited_once(program: Program) {
    let size = Size { tenants: 2, rates: vec![20.0], seconds: 0.5, burst: 12, warm_up: 2 };
    let run = Run::of(program, &size).await;
    let counts: Vec<(usize, usize)> = run.stages.iter().map(|stage| (stage.tally.candidacies, stage.tally.times.len())).collect();
    assert_eq!(counts, [(10, 10), (12, 12)]);
    assert_eq!((run.missing(), run.doubled()), (0, 0));
    let shown = report::json(std::slice::from_ref(&run), &size);
    assert_eq!((&shown["runs"][0]["stages"][1]["missing"], &shown["runs"][0]["doubled"]), (&0.into(), &0.into()));
    assert!(shown["runs"][0]["stages"][0]["cost_per_candidacy"]["statements"].as_f64().is_some_and(|n| n > 0.0), "{shown}");
    let drawing = chart::draw(&[run], &size, "a commit");
    // The ground, the legend, and two bars for the one rate.
    assert_eq!(drawing.matches("<rect").count(), 4, "{drawing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hub_invites_every_candidate_of_the_path_benchmark_once() {
    every_candidacy_is_invited_once(Program::Hub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_by_hand_invites_every_candidate_of_the_path_benchmark_once() {
    every_candidacy_is_invited_once(Program::FloorHere).await;
}
