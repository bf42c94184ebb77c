//! `atshub process`: the hub processes on this store, as they say of themselves.

use super::{
    exit::{Ended, Exit},
    live::Live,
    out::Listing,
    session::Session,
};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the processes heard of within a day, with the tenants that each runs
    List,
}

/// Lists.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let Verb::List = verb;
    let store = session.store().await?;
    let live = Live::all(store.as_ref()).await?;
    let mut listing = Listing::new(
        &["name", "live", "able", "started", "last_heard_of", "tenants", "process"],
        "no hub process has been heard of within a day; `atshub serve` starts one",
    );
    for process in &live.processes {
        let tenants =
            live.children.iter().filter(|shown| shown.process == process.process && shown.child.name.starts_with("tenant/")).count();
        listing.row(vec![
            process.name.as_str().into(),
            process.live.into(),
            // What a process that is gone was able to do says nothing.
            (process.live && process.able).into(),
            process.started_at.to_string().into(),
            process.beat_at.to_string().into(),
            if process.live { tenants } else { 0 }.into(),
            process.process.to_string().into(),
        ]);
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}
