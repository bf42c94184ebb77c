//! `atshub backup`: a copy of the embedded store and broker, while a hub works on them or not.

use super::{
    exit::{Ended, Exit, Stop},
    out::Listing,
    session::Session,
};
use crate::{
    config::{BrokerAddress, StoreAddress},
    embedded::backup::{BackupError, backup},
};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the copy; made by this, and not there before
    folder: PathBuf,
}

/// Copies, and lists the copies.
pub(super) async fn run(args: Args, session: &Session) -> Ended {
    let config = &session.loaded.config;
    let store = match config.store.url.store().map_err(Stop::usage)? {
        StoreAddress::Embedded(folder) => folder,
        StoreAddress::Postgres(_) => {
            let text = format!("the store `{}` is PostgreSQL's to back up", config.store.url.masked());
            return Err(Stop::usage(text).next("`pg_dump --format=custom`, or base backups; deploy/README.md says what to mind"));
        }
        StoreAddress::Memory => return Err(Stop::usage("the store is kept in memory alone: there is nothing to copy")),
    };
    let broker = match config.broker.url.broker().map_err(Stop::usage)? {
        BrokerAddress::Embedded(folder) => Some(folder),
        BrokerAddress::Amqp(_) | BrokerAddress::Memory => None,
    };
    let to = args.folder.clone();
    let copies = {
        let _progress = session.out.progress(&format!("copying to {}", to.display()), None);
        let work = tokio::task::spawn_blocking(move || backup(&store, broker.as_deref(), &to));
        work.await.map_err(Stop::failed)?.map_err(stop)?
    };
    let mut listing = Listing::new(&["file", "bytes"], "nothing to copy");
    for (file, bytes) in copies {
        listing.row(vec![file.display().to_string().into(), bytes.into()]);
    }
    session.out.list(&listing)?;
    session.out.say("the sealing key is not among them: keep a copy of it elsewhere; without it no credential can be opened");
    Ok(Exit::Done)
}

fn stop(error: BackupError) -> Stop {
    match &error {
        BackupError::Exists(_) => Stop::usage(error).next("name a folder that does not exist"),
        BackupError::NotThere(_) => Stop::not_found(error).next("`atshub config check` prints which store and broker are set"),
        BackupError::Copy { .. } | BackupError::Make { .. } => Stop::failed(error),
    }
}
