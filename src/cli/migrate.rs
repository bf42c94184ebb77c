//! `atshub migrate`: lays out the store for this version.

use super::{
    exit::{Ended, Exit, Stop},
    out::Listing,
    session::Session,
};
use crate::app;

/// Applies what is missing, and lists it.
pub(super) async fn run(session: &Session) -> Ended {
    let config = &session.loaded.config;
    let place = config.store.url.masked();
    let applied = {
        let _progress = session.out.progress(&format!("laying out {place}"), None);
        app::migrate(config, tokio::runtime::Handle::current()).await.map_err(Stop::from)?
    };
    let mut listing = Listing::new(&["applied"], "nothing to do");
    applied.iter().for_each(|name| listing.row(vec![name.as_str().into()]));
    session.out.list(&listing)?;
    session.out.say(format!("{place} is laid out for atshub {}", env!("CARGO_PKG_VERSION")));
    Ok(Exit::Done)
}
