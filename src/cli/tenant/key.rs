//! `atshub tenant set-key` and `test-key` (B19): credentials are replaced, tested and deleted, and never shown.

use super::add::entry;
use crate::{
    app, ats,
    cli::{
        exit::{Ended, Exit, Stop},
        key_input,
        out::Listing,
        session::{ANSWER, Session, tenant, unknown},
    },
    http::Options,
};
use atshub_actors::{
    failure::Failure,
    ports::{Store, TenantRecord},
};
use atshub_schemas::TenantName;
use std::{path::PathBuf, sync::Arc};
use tokio::{runtime::Handle, time::timeout};

/// Arguments of `tenant set-key`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SetArgs {
    /// Which tenant
    name: TenantName,
    /// Which credential
    #[arg(long = "name", value_name = "CREDENTIAL", default_value = "api_key")]
    credential: String,
    /// File with the new one, - for standard input
    #[arg(long, value_name = "FILE", required_unless_present_any = ["delete", "typed"])]
    key_file: Option<PathBuf>,
    /// Delete the hub's copy for good; without a credential that its ATS needs, the tenant is disabled
    #[arg(long, conflicts_with = "key_file")]
    delete: bool,
    #[command(flatten)]
    refused: key_input::Refused,
}

/// Sets, replaces or deletes.
pub(super) async fn set(args: SetArgs, session: &Session) -> Ended {
    args.refused.check()?;
    let store = session.store().await?;
    let record = tenant(store.as_ref(), &args.name).await?;
    let entry = entry(&record.ats)?;
    let known: Vec<String> = entry.secrets.iter().map(|spec| spec.name.to_owned()).collect();
    let Some(spec) = entry.secrets.iter().find(|spec| spec.name == args.credential) else {
        if known.is_empty() {
            return Err(Stop::usage(format!("{} takes no credentials", entry.name)));
        }
        return Err(Stop { exit: Exit::Usage, ..unknown("credential", &args.credential, &known, "atshub tenant show") });
    };
    match args.key_file {
        Some(file) => replace(store.as_ref(), &args.name, spec, &file, &record, session).await,
        None => delete(store.as_ref(), &args.name, spec, session).await,
    }
}

async fn replace(
    store: &dyn Store,
    name: &TenantName,
    spec: &ats::SecretSpec,
    file: &std::path::Path,
    record: &TenantRecord,
    session: &Session,
) -> Ended {
    let secret = key_input::read("--key-file", file)?;
    let owner = format!("tenant/{name}");
    let sealer = session.sealer()?;
    let before = store.secrets(&owner).await?;
    for other in before.iter().filter(|other| other.name != spec.name) {
        if let Err(error) = sealer.open(other) {
            session.out.warn(error.to_string());
        }
    }
    let sealed = sealer.seal(&owner, spec.name, key_input::clear(&secret)).map_err(Stop::failed)?;
    let now = sealed.fingerprint.clone();
    store.put_secret(sealed).await?;
    let change = match before.iter().find(|other| other.name == spec.name) {
        Some(old) if old.fingerprint == now => format!("is the same as before ({now}…)"),
        Some(old) => format!("is replaced ({}… by {now}…)", old.fingerprint),
        None => format!("is set ({now}…)"),
    };
    session.out.say(format!("`{}` of tenant `{name}` {change}; nothing that waits is lost", spec.name));
    // Only what the hub shows the ATS: a new secret for webhooks says nothing of why the tenant stands still.
    let standing = record.standing.as_str();
    if spec.required {
        if record.is_paused_by_operator() {
            session.out.say(format!(
                "tenant `{name}` stays {standing} ({}); `atshub tenant resume {name}` lets it go on",
                record.cause.as_deref().unwrap_or_default()
            ));
        } else if standing != "active" {
            store.set_standing(name, "active", None, None).await?;
            session.out.say(format!("tenant `{name}` was {standing} and is active again"));
        }
        session.out.say(format!("`atshub tenant test-key {name}` asks the ATS whether it accepts it"));
    } else if standing != "active" {
        session.out.say(format!("tenant `{name}` stays {standing}"));
    }
    Ok(Exit::Done)
}

async fn delete(store: &dyn Store, name: &TenantName, spec: &ats::SecretSpec, session: &Session) -> Ended {
    if spec.required {
        // First, so that nothing is tried without the credential.
        store.set_standing(name, "disabled", Some(&format!("its credential `{}` was deleted", spec.name)), None).await?;
    }
    if !store.delete_secret(&format!("tenant/{name}"), spec.name).await? {
        return Err(Stop::not_found(format!("tenant `{name}` has no `{}`; there was nothing to delete", spec.name)));
    }
    session.out.say(format!("`{}` of tenant `{name}` is deleted for good", spec.name));
    if spec.required {
        let days = session.loaded.config.retention.days;
        session.out.say(format!(
            "tenant `{name}` is disabled: its messages wait in its queue, and its history is kept for {days} days. `atshub tenant set-key {name} --name {} --key-file <file>` makes it active again",
            spec.name
        ));
    }
    Ok(Exit::Done)
}

/// Asks the ATS.
pub(super) async fn test(name: &TenantName, session: &Session) -> Ended {
    let store = session.store().await?;
    let record = tenant(store.as_ref(), name).await?;
    let entry = entry(&record.ats)?;
    let secrets = session.sealer()?.open_all(store.as_ref(), &format!("tenant/{name}")).await.map_err(Stop::failed)?;
    let http = app::outgoing(&session.loaded.config, Handle::current(), Options::default())?;
    let account = ats::Account { tenant: name.clone(), policy: Arc::new(record.policy), secrets, http };
    let set_key = format!("`atshub tenant set-key {name} --key-file <file>` sets another one");
    let connector = (entry.connect)(account).map_err(|why| Stop::failed(why).next(set_key.clone()))?;
    let progress = session.out.progress(&format!("asking {}", entry.name), None);
    let answer = timeout(ANSWER, connector.test())
        .await
        .unwrap_or_else(|_| Err(Failure::transient(format!("no answer within {} s", ANSWER.as_secs()))));
    drop(progress);
    let missing = answer.map_err(|failure| match failure {
        Failure::Unauthorized { .. } => {
            Stop::not_allowed(format!("{} does not accept the credential: {failure}", entry.name)).next(set_key)
        }
        other => Stop::failed(format!("{} did not answer as it should: {other}", entry.name)),
    })?;
    let mut listing = Listing::new(&["tenant", "ats", "accepted", "missing"], "");
    listing.row(vec![name.as_str().into(), entry.kind.into(), true.into(), missing.clone().into()]);
    session.out.list(&listing)?;
    if missing.is_empty() {
        return Ok(Exit::Done);
    }
    session.out.warn(format!("permissions are missing: {}; give them to the key in {}", missing.join(", "), entry.name));
    Ok(Exit::Partly)
}
