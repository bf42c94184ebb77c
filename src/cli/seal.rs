//! `atshub seal`: the key that seals credentials, compared with the store, changed for another one, or given up.

use super::{
    exit::{Ended, Exit, Stop},
    out::Listing,
    session::Session,
};
use crate::{
    app,
    credentials::{Sealer, forget_all, look, rotate},
    sealing,
};
use atshub_actors::ports::Store;
use clap::Subcommand;
use tokio::time::timeout;

/// Longest time for sealing everything anew: thousands of credentials, each a change of its own.
const ROTATING: std::time::Duration = std::time::Duration::from_secs(600);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Compare the configured sealing key with the store: which key sealed it, and which credentials open
    Show,
    /// Seal every credential anew with `seal.key_file`; those that `seal.previous_key_file` sealed are opened with that
    ///
    /// 1. Make another key, set `seal.key_file` to it and `seal.previous_key_file` to the one before, and start every hub process anew.
    /// 2. `atshub seal rotate`: nothing is started anew by it, and nothing waits. It may be done again at any time.
    /// 3. Take `seal.previous_key_file` out again.
    #[command(verbatim_doc_comment)]
    Rotate,
    /// Let go of every credential, for a sealing key that is lost for good: all of them have to be set again then
    Reset {
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let store = session.store().await?;
    match verb {
        Verb::Show => show(store.as_ref(), session).await,
        Verb::Rotate => anew(store.as_ref(), session).await,
        Verb::Reset { yes } => reset(store.as_ref(), yes, session).await,
    }
}

async fn sealer(store: &dyn Store, session: &Session) -> Result<Sealer, Stop> {
    Ok(sealing::unproven(&session.loaded.config, store).await?)
}

async fn show(store: &dyn Store, session: &Session) -> Ended {
    let sealer = sealer(store, session).await?;
    let state = look(&sealer, store).await?;
    let mut listing = Listing::new(&["key", "store_sealed_with", "credentials_opened", "not_opened"], "");
    listing.row(vec![sealer.mark().into(), state.store.clone().into(), state.opened.into(), state.sealed.clone().into()]);
    session.out.list(&listing)?;
    if state.sealed.is_empty() {
        return Ok(Exit::Done);
    }
    session.out.warn(format!(
        "not opened: {}; they were sealed with another key. Point `seal.key_file` to that one, or set them again",
        state.sealed.join(", ")
    ));
    Ok(Exit::Partly)
}

async fn anew(store: &dyn Store, session: &Session) -> Ended {
    if session.loaded.config.seal.previous().is_none() {
        return Err(Stop::usage("`seal.previous_key_file` is not set, so nothing that another key has sealed can be opened").next(
            "set `seal.key_file` to the new key and `seal.previous_key_file` to the one before, and start the hub anew: `atshub seal rotate --help`",
        ));
    }
    let sealer = sealer(store, session).await?;
    let progress = session.out.progress("sealing credentials anew", None);
    let anew = timeout(ROTATING, rotate(&sealer, store)).await;
    drop(progress);
    let anew = anew
        .map_err(|_| {
            Stop::failed(format!("not all were sealed anew within {} s", ROTATING.as_secs())).next("do it again; what is done stays done")
        })?
        .map_err(|error| Stop::from(app::AppError::OtherKey(error)))?;
    let state = look(&sealer, store).await?;
    session.out.say(format!("{anew} credential(s) sealed anew with key {}…", sealer.mark()));
    if state.sealed.is_empty() {
        session.out.say("`seal.previous_key_file` is not needed any more: take it out, and start the hub anew when it suits");
        return Ok(Exit::Done);
    }
    session.out.warn(format!("neither key opens {}; set them again", state.sealed.join(", ")));
    Ok(Exit::Partly)
}

async fn reset(store: &dyn Store, yes: bool, session: &Session) -> Ended {
    if !yes {
        let count = store.all_secrets().await?.iter().filter(|secret| secret.owner.contains('/')).count();
        let text = format!("{count} credential(s) of tenants and platform accounts would be deleted for good");
        return Err(Stop { exit: Exit::Cancelled, text, next: None }
            .next("`atshub seal show` says which of them the key opens; `atshub seal reset --yes`"));
    }
    let gone = forget_all(store).await?;
    let mut listing = Listing::new(&["deleted"], "there was no credential");
    gone.into_iter().for_each(|name| listing.row(vec![name.into()]));
    session.out.list(&listing)?;
    session.out.say("the next key that the hub or a command is given is the store's; set each again with `atshub tenant set-key` and `atshub platform add`");
    Ok(Exit::Done)
}
