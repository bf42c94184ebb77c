//! `atshub simulate`: one simulator alone, for bridge authors and for checks from outside.

use super::{
    exit::{Ended, Exit, Stop},
    out::Out,
};
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
}

/// Runs it until it is told to stop. Its address and token are the first line on standard output.
pub(super) async fn run(args: Args, out: Out) -> Ended {
    super::handles_signals();
    let mut terminate = signal(SignalKind::terminate()).map_err(Stop::failed)?;
    let started = atshub_simulators::simulate(&args.kind, args.name.as_deref(), args.listen).await;
    let simulation = started.map_err(|error| match error {
        atshub_simulators::SimulateError::Unknown(_) => Stop::usage(error),
        atshub_simulators::SimulateError::Listen { .. } => Stop::failed(error),
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
