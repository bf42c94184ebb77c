//! `atshub serve`: runs the hub until it is told to stop.

use super::{
    exit::{Ended, Exit, Stop},
    session::Session,
};
use crate::{serving, telemetry};

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
    let config = session.loaded.config;
    let problems: Vec<_> = crate::config::check(&config);
    for problem in &problems {
        if problem.fatal {
            return Err(
                Stop::usage(format!("`{}`: {}", problem.key, problem.text)).next("`atshub config check` prints the settings in force")
            );
        }
        session.out.warn(format!("`{}`: {}", problem.key, problem.text));
    }
    telemetry::init(&config.log).map_err(Stop::usage)?;
    super::handles_signals();
    // A thread of its own: the hub runs in an actix system, which brings its runtime.
    match tokio::task::spawn_blocking(move || serving::serve(&config)).await {
        Ok(Ok(())) => Ok(Exit::Done),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Stop::failed("the hub's own thread panicked; its last words are in the log")),
    }
}
