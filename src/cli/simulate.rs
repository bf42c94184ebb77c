//! `atshub simulate`: one simulator alone, for bridge authors and for checks from outside.

use super::{
    exit::{Ended, Exit, Stop},
    out::Out,
};
use atshub_simulators::{SimulateError, platform::Guard};
use std::net::SocketAddr;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// `platform`, or `ats`
    kind: String,
    /// Which ATS
    name: Option<String>,
    /// Where it listens; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// Makes the platform take every invitation: the real one refuses a second of one person to one role while the first is live
    #[arg(long)]
    no_guard: bool,
}

/// Runs it until it is told to stop. Its address and token are the first line on standard output.
pub(super) async fn run(args: Args, out: Out) -> Ended {
    super::handles_signals();
    let mut terminate = signal(SignalKind::terminate()).map_err(Stop::failed)?;
    let guard = if args.no_guard { Guard::Absent } else { Guard::RefusesDoubles };
    let started = atshub_simulators::simulate(&args.kind, args.name.as_deref(), guard, args.listen).await;
    let simulation = started.map_err(|error| match error {
        SimulateError::Unknown(_) | SimulateError::NoGuard => Stop::usage(error),
        SimulateError::Listen { .. } => Stop::failed(error),
    })?;
    out.verbatim(&simulation.announcement().to_string())?;
    out.say("the simulator runs until it is interrupted (Ctrl-C); what it did is at the address called `ledger`");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    simulation.stop().await;
    Ok(Exit::Done)
}
