//! One program's run: a warm-up, steady rates, a burst; after each, what came of it and what it cost.

use crate::{
    amqp::Outcome,
    board::{Board, Tally},
    bridge::Bridges,
    load::Load,
    meter::{Cost, Meter},
    platform::Platform,
    program::{Program, Running},
};
use atshub_schemas::TenantName;
use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

/// How big it is.
#[derive(Debug, Clone)]
pub(crate) struct Size {
    pub(crate) tenants: usize,
    pub(crate) rates: Vec<f64>,
    /// For each rate.
    pub(crate) seconds: f64,
    pub(crate) burst: usize,
    /// Before anything is measured.
    pub(crate) warm_up: usize,
}

/// What came of one rate or of the burst.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// `None` is the burst.
    pub(crate) rate: Option<f64>,
    pub(crate) tally: Tally,
    pub(crate) cost: Cost,
}

/// What came of one program.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) name: &'static str,
    pub(crate) stages: Vec<Stage>,
    /// Bytes.
    pub(crate) peak: u64,
    /// Invitations beyond the first of each candidate, as the platform counts.
    pub(crate) invited_twice: usize,
    pub(crate) counts_statements: bool,
}

/// Without one more candidacy done for so long, what is missing stays missing.
const PATIENCE: Duration = Duration::from_secs(20);
/// A stage may take so much longer than its load; past that the benchmark stops.
const OVERTIME: Duration = Duration::from_secs(180);
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(20);
/// The program rests when it used less than [`REST`] of a processor in this time; longer than [`MOST_REST`] is not waited.
const REST_WINDOW: Duration = Duration::from_millis(1000);
const REST: f64 = 0.06;
const MOST_REST: Duration = Duration::from_secs(10);

impl Run {
    pub(crate) async fn of(program: Program, size: &Size) -> Self {
        let tenants: Vec<TenantName> = (0..size.tenants).map(|n| format!("path-{n:02}").parse().unwrap()).collect();
        let name = program.name();
        eprintln!("{name}: starting with {} tenants", size.tenants);
        let platform = Platform::start();
        let running = Running::start(program, &platform, &tenants).await;
        let board = Arc::<Board>::default();
        let mut bridges = Bridges::start(&running.host.url(), &tenants, &board).await;
        let mut load = Load::new(&running.host.url(), &tenants, &board).await;
        let meter = Meter::new(running.pid, &running.host.url(), &running.database.url).await;
        let mut stages = Vec::new();
        let warm_up = load.burst(size.warm_up).await.unwrap();
        until_done(&board, warm_up, &mut bridges, &meter).await;
        for rate in size.rates.iter().copied().map(Some).chain([None]) {
            let count = rate.map_or(size.burst, |rate| ((rate * size.seconds).ceil() as usize).max(1));
            if count == 0 {
                continue;
            }
            match rate {
                Some(rate) => eprintln!("{name}: {count} candidacies at {rate} a second"),
                None => eprintln!("{name}: {count} candidacies at once"),
            }
            let limit = OVERTIME + Duration::from_secs_f64(if rate.is_some() { size.seconds } else { 0.0 });
            let stage = tokio::time::timeout(limit, stage(rate, count, &mut load, &board, &mut bridges, &meter)).await;
            match stage {
                Ok(stage) => stages.push(stage.unwrap()),
                Err(_) => panic!("{name}: not done within {limit:?}; its last words:\n{}", running.last_words()),
            }
        }
        if stages.iter().any(|stage| stage.tally.missing > 0) {
            eprintln!("{name}: not complete; its last words:\n{}", running.last_words());
        }
        Self { name, stages, peak: meter.peak(), invited_twice: platform.doubled(), counts_statements: meter.counts_statements }
    }

    pub(crate) fn missing(&self) -> usize {
        self.stages.iter().map(|stage| stage.tally.missing).sum()
    }

    /// Statuses, notes and invitations that were made twice.
    pub(crate) fn doubled(&self) -> usize {
        self.stages.iter().map(|stage| stage.tally.doubled).sum::<usize>() + self.invited_twice
    }
}

async fn stage(rate: Option<f64>, count: usize, load: &mut Load, board: &Board, bridges: &mut Bridges, meter: &Meter) -> Outcome<Stage> {
    let before = meter.read().await;
    let numbers = match rate {
        Some(rate) => load.steady(rate, count).await?,
        None => load.burst(count).await?,
    };
    until_done(board, numbers.clone(), bridges, meter).await;
    let after = meter.read().await;
    Ok(Stage { rate, tally: board.tally(numbers), cost: before.until(&after, count) })
}

/// Waits until the bridges have been told all of it, and the program has handled their answers and rests.
async fn until_done(board: &Board, numbers: Range<usize>, bridges: &mut Bridges, meter: &Meter) {
    let (mut done, mut since) = (0, Instant::now());
    while done < numbers.len() && since.elapsed() < PATIENCE {
        assert!(!bridges.is_broken(), "a bridge has stopped; what it said stands above");
        tokio::time::sleep(LOOK).await;
        let now = board.done(numbers.clone());
        if now > done {
            (done, since) = (now, Instant::now());
        }
    }
    let began = Instant::now();
    let (mut cpu, mut answered) = (meter.program_cpu(), bridges.answered());
    while began.elapsed() < MOST_REST {
        tokio::time::sleep(REST_WINDOW).await;
        let (used, now) = (meter.program_cpu().saturating_sub(cpu), bridges.answered());
        if used.as_secs_f64() < REST * REST_WINDOW.as_secs_f64() && now == answered {
            return;
        }
        (cpu, answered) = (cpu + used, now);
    }
}
