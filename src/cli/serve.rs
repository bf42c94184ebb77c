//! `atshub serve`: runs the hub until it is told to stop.

use super::{
    exit::{Ended, Exit, Stop},
    session::Session,
};
use crate::{
    config::{Loaded, check},
    serving, telemetry,
};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the doors are, over `http.listen` of the configuration
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
}

impl Args {
    /// The address that was asked for.
    pub(super) fn listen(&self) -> Option<String> {
        self.listen.clone()
    }
}

/// Runs the hub.
pub(super) async fn run(_: Args, session: Session) -> Ended {
    let Loaded { config, warnings, .. } = session.loaded;
    let problems = check(&config);
    if let Some(problem) = problems.iter().find(|problem| problem.fatal) {
        let stop = Stop::usage(format!("`{}`: {}", problem.key, problem.text));
        return Err(stop.next("`atshub config check` prints the settings in force"));
    }
    telemetry::init(&config.log, &config.traces).map_err(Stop::usage)?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    problems.iter().for_each(|problem| tracing::warn!("`{}`: {}", problem.key, problem.text));
    super::handles_signals();
    // A thread of its own: the hub runs in an actix system, which brings its runtime.
    match tokio::task::spawn_blocking(move || serving::serve(&config)).await {
        Ok(Ok(())) => Ok(Exit::Done),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Stop::failed("the hub's own thread panicked; its last words are in the log")),
    }
}
