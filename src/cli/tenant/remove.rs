//! `atshub tenant remove`.

use crate::cli::{
    exit::{Ended, Exit, Stop},
    session::{Session, tenant},
};
use atshub_schemas::TenantName;

/// Arguments of `tenant remove`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Which tenant
    name: TenantName,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// Removes.
pub(super) async fn run(Args { name, yes }: Args, session: &Session) -> Ended {
    let store = session.store().await?;
    tenant(store.as_ref(), &name).await?;
    let days = session.loaded.config.retention.days;
    if !yes {
        let live: u64 = store.candidacy_counts(Some(&name)).await?.values().sum();
        let text = format!(
            "tenant `{name}` and its credentials would be removed for good; it has {live} candidacies, whose history is kept for {days} days"
        );
        return Err(Stop { exit: Exit::Cancelled, text, next: None }.next(format!("`atshub tenant remove {name} --yes`")));
    }
    store.remove_tenant(&name).await?;
    session.out.say(format!("tenant `{name}` and its credentials are removed; its history is kept for {days} days"));
    Ok(Exit::Done)
}
