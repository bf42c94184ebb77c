//! `atshub demo`: the hub with a simulated world around it.

use super::{
    exit::{Ended, Stop},
    session::Session,
};

/// Arguments of `demo`. Broker and store are embedded in a folder of their own unless `--broker` or `--store` says otherwise.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Play the script once, print what happened, and exit 0 only if every expected effect happened exactly once
    #[arg(long)]
    pub(super) once: bool,
}

/// Runs the demonstration.
pub(super) async fn run(args: Args, session: Session) -> Ended {
    super::handles_signals();
    let _ = (args.once, session);
    Err(Stop::failed("`demo` is joined to the hub in the composition root"))
}
