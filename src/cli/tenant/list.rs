//! `atshub tenant list`.

use crate::cli::{
    exit::{Ended, Exit},
    out::Listing,
    session::Session,
};

/// Lists.
pub(super) async fn run(session: &Session) -> Ended {
    let store = session.store().await?;
    let mut listing = Listing::new(
        &["name", "ats", "platform", "standing", "cause", "trigger_stages", "updated"],
        "no tenants yet; `atshub tenant add <name> --ats <kind> --platform <account> --trigger-stage <stage> --key-file <file>`",
    );
    for tenant in store.tenants().await? {
        listing.row(vec![
            tenant.name.as_str().into(),
            tenant.ats.into(),
            tenant.platform.into(),
            tenant.standing.into(),
            tenant.cause.into(),
            tenant.policy.trigger_stages.into(),
            tenant.updated_at.to_string().into(),
        ]);
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}
