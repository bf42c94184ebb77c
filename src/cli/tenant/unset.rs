//! `atshub tenant unset`.

use super::{add::entry, policy};
use crate::cli::{
    exit::{Ended, Exit, Stop},
    session::{Session, tenant},
};
use atshub_schemas::TenantName;
use jiff::Timestamp;

/// Arguments of `tenant unset`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Which tenant
    name: TenantName,
    /// A setting, as `atshub tenant set` names it, or a whole table (`roles`); may be given more than once
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

/// Takes them back.
pub(super) async fn run(Args { name, keys }: Args, session: &Session) -> Ended {
    let store = session.store().await?;
    let mut record = tenant(store.as_ref(), &name).await?;
    if let Some(why) = &record.unreadable {
        return Err(Stop::failed(format!("the settings of tenant `{name}` cannot be changed: {why}"))
            .next("use the version of atshub that wrote them"));
    }
    let entry = entry(&record.ats)?;
    let mut changed = false;
    for key in &keys {
        if policy::unset(&mut record.policy, entry, key)? {
            changed = true;
        } else {
            session.out.say(format!("`{key}` is as by default already"));
        }
    }
    if !changed {
        return Ok(Exit::Done);
    }
    let read = record.version;
    record.updated_at = Timestamp::now();
    if !store.put_tenant(record, Some(read)).await? {
        return Err(Stop::failed(format!("tenant `{name}` was changed by somebody else at this moment")).next("do it again"));
    }
    session.out.say(format!("tenant `{name}` is changed; a running hub takes it over within a second"));
    Ok(Exit::Done)
}
