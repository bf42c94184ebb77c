//! `atshub tenant list`: what is stored of each, and what a live process says it is doing.

use crate::cli::{
    exit::{Ended, Exit},
    live::Live,
    out::Listing,
    session::Session,
};

/// Lists.
pub(super) async fn run(session: &Session) -> Ended {
    let store = session.store().await?;
    let live = Live::all(store.as_ref()).await?;
    let mut listing = Listing::new(
        &["name", "ats", "platform", "standing", "phase", "process", "cause", "trigger_stages", "updated"],
        "no tenants yet; `atshub tenant add <name> --ats <kind> --platform <account> --trigger-stage <stage> --key-file <file>`",
    );
    for tenant in store.tenants().await? {
        // A process that is gone runs nothing, whatever it said last.
        let seen = live.tenant(&tenant.name).filter(|seen| seen.live);
        let trouble = live.troubles(&tenant).into_iter().next().map(|trouble| trouble.text);
        listing.row(vec![
            tenant.name.as_str().into(),
            tenant.ats.into(),
            tenant.platform.into(),
            tenant.standing.as_str().into(),
            seen.as_ref().map(|seen| seen.child.phase.as_str()).into(),
            seen.as_ref().map(|seen| seen.place).into(),
            seen.as_ref().and_then(|seen| seen.child.cause.clone()).or(tenant.cause).or(trouble).into(),
            tenant.policy.trigger_stages.into(),
            tenant.updated_at.to_string().into(),
        ]);
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}
