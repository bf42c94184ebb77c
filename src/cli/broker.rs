//! `atshub broker`: whose the broker is.

use super::{
    exit::{Ended, Exit, Stop},
    session::Session,
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make the broker nobody's, where it was that of a hub whose store is gone: the next hub that starts makes it its own
    ///
    /// What waits in its queues is handled by that hub then. No hub of the other store may run any more.
    Release {
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let Verb::Release { yes } = verb;
    let place = session.loaded.config.broker.url.masked();
    if !yes {
        let text = format!("the broker {place} would be nobody's, and the next hub that starts would take over what waits in its queues");
        return Err(Stop { exit: Exit::Cancelled, text, next: None }
            .next("stop every hub of the other store first; then `atshub broker release --yes`"));
    }
    session.look_at_broker().await?.disown().await?;
    session.out.say(format!("the broker {place} is the one of the next hub that starts"));
    Ok(Exit::Done)
}
