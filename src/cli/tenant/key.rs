//! `atshub tenant set-key` and `test-key` (B19): credentials are replaced, tested and deleted, and never shown.

use super::{
    add::entry,
    grace::{self, Keeping},
};
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
    ports::{Door, Standing, Store, TenantRecord},
};
use atshub_schemas::TenantName;
use std::{path::PathBuf, sync::Arc, time::Duration};
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
    /// How long the one that is replaced stays good beside the new one, so that what the ATS signed with it and sends again is taken: 24h
    /// unless it is said; 0s ends it, and all before it, at once, for one that is known to others. Only for what the ATS shows the hub
    #[arg(long, value_name = "SPAN", conflicts_with = "delete", allow_hyphen_values = true)]
    grace: Option<String>,
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
    let grace = match args.grace {
        Some(text) if !spec.inbound => {
            return Err(Stop::usage(format!(
                "`--grace {text}` has no meaning for `{}`: the hub shows it, and shows the new one from now on",
                spec.name
            ))
            .next("leave --grace out"));
        }
        given => grace::parse(given.as_deref().unwrap_or(grace::DEFAULT))?,
    };
    match args.key_file {
        Some(file) => replace(store.as_ref(), (&args.name, &record), spec, &file, grace, session).await,
        None => delete(store.as_ref(), &args.name, spec, session).await,
    }
}

async fn replace(
    store: &dyn Store,
    (name, record): (&TenantName, &TenantRecord),
    spec: &ats::SecretSpec,
    file: &std::path::Path,
    grace: Duration,
    session: &Session,
) -> Ended {
    let secret = key_input::read("--key-file", file)?;
    let owner = format!("tenant/{name}");
    let sealer = session.sealer(store).await?;
    let before = store.secrets(&owner).await?;
    for other in before.iter().filter(|other| other.name != spec.name) {
        if let Err(error) = sealer.open(other) {
            session.out.warn(error.to_string());
        }
    }
    let sealed = sealer.seal(&owner, spec.name, key_input::clear(&secret)).map_err(Stop::failed)?;
    let now = sealed.fingerprint.clone();
    let old = before.iter().find(|other| other.name == spec.name);
    let keeping = Keeping { store, sealer: &sealer, out: &session.out, owner: &owner, name: spec.name };
    // First, so that there is no moment in which neither is good.
    let kept = match old {
        Some(old) if spec.inbound && !grace.is_zero() && old.fingerprint != now => keeping.keep(old, grace).await?,
        _ => None,
    };
    store.put_secret(sealed).await?;
    if let Some(door) = Door::ALL.into_iter().find(|door| door.secret() == spec.name)
        && old.is_none_or(|old| old.fingerprint != now)
    {
        store.forget_refusals(name, door).await?;
    }
    let ended = if spec.inbound { keeping.end(Some(&now), grace).await? } else { 0 };
    let change = match old {
        Some(old) if old.fingerprint == now => format!("is the same as before ({now}…)"),
        Some(old) => format!("is replaced ({}… by {now}…)", old.fingerprint),
        None => format!("is set ({now}…)"),
    };
    let then = match (spec.inbound, old, kept) {
        (false, ..) => "; nothing that waits is lost".to_owned(),
        (true, _, Some(until)) => format!(
            "; the one before is good until {until}, so that nothing that waits is lost. `--grace 0s` ends it at once, for one that is known to others"
        ),
        (true, Some(old), None) if old.fingerprint != now => {
            "; the one before is good no longer: what the ATS signed with it and sends again is refused".to_owned()
        }
        (true, ..) => String::new(),
    };
    session.out.say(format!("`{}` of tenant `{name}` {change}{then}", spec.name));
    if ended > 0 && grace.is_zero() {
        session.out.say(format!("{ended} before it, which were still good, are ended too"));
    }
    // Only what the hub shows the ATS: a new secret for webhooks says nothing of why the tenant stands still.
    let standing = &record.standing;
    if spec.required {
        if record.is_stopped_by_operator() {
            session.out.say(format!(
                "tenant `{name}` stays {standing} ({}); `atshub tenant {} {name}` lets it go on",
                record.cause.as_deref().unwrap_or_default(),
                if *standing == Standing::Quarantined { "release" } else { "resume" }
            ));
        } else if *standing != Standing::Active {
            session.out.say(match store.set_standing(name, Standing::Active, None, None, Some(record.stood)).await? {
                Some(_) => format!("tenant `{name}` was {standing} and is active again"),
                None => format!("tenant `{name}` was {standing}; somebody has changed that at this moment, and it is left as it is now"),
            });
        }
        session.out.say(format!("`atshub tenant test-key {name}` asks the ATS whether it accepts it"));
    } else if *standing != Standing::Active {
        session.out.say(format!("tenant `{name}` stays {standing}"));
    }
    Ok(Exit::Done)
}

async fn delete(store: &dyn Store, name: &TenantName, spec: &ats::SecretSpec, session: &Session) -> Ended {
    if spec.required {
        // First, so that nothing is tried without the credential.
        let cause = format!("its credential `{}` was deleted", spec.name);
        let _stands = store.set_standing(name, Standing::Disabled, Some(&cause), None, None).await?;
    }
    let owner = format!("tenant/{name}");
    if !store.delete_secret(&owner, spec.name).await? {
        return Err(Stop::not_found(format!("tenant `{name}` has no `{}`; there was nothing to delete", spec.name)));
    }
    Keeping { store, sealer: &session.sealer(store).await?, out: &session.out, owner: &owner, name: spec.name }
        .end(None, Duration::ZERO)
        .await?;
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
    let secrets = session.sealer(store.as_ref()).await?.open_all(store.as_ref(), &format!("tenant/{name}")).await?;
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
