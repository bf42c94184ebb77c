//! `atshub tenant add` and `set`: everything is checked before anything is stored.

use super::{policy, remove};
use crate::{
    ats,
    cli::{
        exit::{Ended, Exit, Stop},
        key_input,
        queue::look,
        session::{Session, platform, tenant, unknown},
    },
    hub,
};
use atshub_actors::{
    domain::Policy,
    ports::{SealedSecret, Standing, TenantRecord},
};
use atshub_schemas::{TenantName, topology};
use jiff::Timestamp;
use secrecy::SecretString;
use std::{path::PathBuf, time::Duration};
use tokio::time::timeout;

/// Longest wait for a broker that is not needed now.
const BROKER: Duration = Duration::from_secs(10);

/// Arguments of `tenant add`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// How it is called here: a-z, 0-9 and '-'
    name: TenantName,
    /// Kind of ATS
    #[arg(long, value_name = "KIND")]
    ats: String,
    /// Account at the interview platform
    #[arg(long, value_name = "ACCOUNT")]
    platform: String,
    /// A stage that means "invite", by name or id; may be given more than once
    #[arg(long = "trigger-stage", value_name = "STAGE")]
    trigger_stages: Vec<String>,
    /// File with the key for the ATS's API, - for standard input
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// File with the secret that signs the ATS's webhooks
    #[arg(long, value_name = "FILE")]
    webhook_secret_file: Option<PathBuf>,
    /// File with the key that the ATS shows in partner calls
    #[arg(long, value_name = "FILE")]
    partner_key_file: Option<PathBuf>,
    /// A setting; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    refused: key_input::Refused,
}

/// Arguments of `tenant set`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SetArgs {
    /// Which tenant
    name: TenantName,
    /// The stages that mean "invite", in place of those set before
    #[arg(long = "trigger-stage", value_name = "STAGE")]
    trigger_stages: Vec<String>,
    /// Another account at the interview platform
    #[arg(long, value_name = "ACCOUNT")]
    platform: Option<String>,
    /// A setting; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", required_unless_present_any = ["trigger_stages", "platform"])]
    settings: Vec<String>,
}

/// The registry's row of a kind.
pub(super) fn entry(kind: &str) -> Result<&'static ats::Entry, Stop> {
    let known: Vec<String> = ats::REGISTRY.iter().map(|entry| entry.kind.to_owned()).collect();
    let stop = || Stop { exit: Exit::Usage, ..unknown("kind of ATS", kind, &known, "atshub tenant add --help") };
    ats::entry(kind).ok_or_else(stop)
}

/// Adds a tenant.
pub(super) async fn run(args: Args, session: &Session) -> Ended {
    args.refused.check()?;
    let entry = entry(&args.ats)?;
    let mut policy = Policy::default();
    policy::stages(&mut policy, &args.trigger_stages)?;
    policy::apply(&mut policy, entry, &args.settings)?;
    warn_of_clear_text(&args.settings, session);
    let given = credentials(&args, entry)?;
    let store = session.store().await?;
    platform(store.as_ref(), &args.platform).await?;
    if store.tenants().await?.iter().any(|there| there.name == args.name) {
        return Err(Stop::failed(format!("tenant `{}` exists already", args.name))
            .next(format!("`atshub tenant set {0}` changes its settings, `atshub tenant set-key {0}` its credentials", args.name)));
    }
    let mut sealed = Vec::new();
    if !given.is_empty() {
        let sealer = session.sealer(store.as_ref()).await?;
        for (name, secret) in &given {
            sealed.push(sealer.seal(&format!("tenant/{}", args.name), name, key_input::clear(secret)).map_err(Stop::failed)?);
        }
    }
    anew(&args.name, session).await;
    // Credentials first: the hub takes a tenant over within a second of its being there.
    for secret in sealed.iter().cloned() {
        store.put_secret(secret).await?;
    }
    let now = Timestamp::now();
    let record = TenantRecord {
        name: args.name.clone(),
        ats: args.ats.clone(),
        platform: args.platform.clone(),
        policy: policy.clone(),
        unreadable: None,
        standing: Standing::Active,
        stood: 0,
        cause: None,
        until: None,
        version: 0,
        created_at: now,
        updated_at: now,
    };
    if !store.put_tenant(record, None).await? {
        return Err(Stop::failed(format!("tenant `{}` was added by somebody else at this moment", args.name)).next("`atshub tenant list`"));
    }
    session.out.say(format!("tenant `{}` is added; a running hub takes it over within a second", args.name));
    advise(&args.name, entry, &policy, &sealed, session);
    Ok(Exit::Done)
}

/// Those that were given, read from their files.
fn credentials(args: &Args, entry: &ats::Entry) -> Result<Vec<(&'static str, SecretString)>, Stop> {
    let given = [
        ("api_key", "--key-file", args.key_file.as_deref()),
        ("webhook_secret", "--webhook-secret-file", args.webhook_secret_file.as_deref()),
        ("partner_key", "--partner-key-file", args.partner_key_file.as_deref()),
    ];
    key_input::one_stdin(&given.map(|(_, _, file)| file))?;
    let mut read = Vec::new();
    for (name, option, file) in given.into_iter().filter_map(|(name, option, file)| Some((name, option, file?))) {
        if !entry.secrets.iter().any(|spec| spec.name == name) {
            return Err(Stop::usage(format!("{} takes no `{name}`", entry.name)).next(format!("leave out {option}")));
        }
        read.push((name, key_input::read(option, file)?));
    }
    Ok(read)
}

/// A tenant's queue should be there from now on: what is published before a hub runs must wait, not go astray. One that is there already
/// is of an earlier tenant of the name, and what waits in it is not this one's.
async fn anew(name: &TenantName, session: &Session) {
    let declared = timeout(BROKER, async {
        let broker = session.broker().await?;
        let waits: u64 = look(broker.as_ref(), &[topology::tenant_queue(name)]).await?.iter().map(|queue| queue.ready).sum();
        remove::delete(broker.as_ref(), name).await?;
        if waits > 0 {
            session.out.warn(format!("an earlier tenant `{name}` had left {waits} message(s) in its queue; they are dropped with it"));
        }
        broker.declare(hub::inbox(name)).await.map_err(Stop::from)?;
        broker.close(BROKER).await;
        Ok::<(), Stop>(())
    });
    let why = match declared.await {
        Ok(Ok(())) => return,
        Ok(Err(stop)) => stop.text,
        Err(_) => "no answer".to_owned(),
    };
    session.out.warn(format!("the tenant's queue could not be declared ({why}); the hub declares it when it takes the tenant over"));
}

/// What is still missing for it to work.
fn advise(name: &TenantName, entry: &ats::Entry, policy: &Policy, sealed: &[SealedSecret], session: &Session) {
    for spec in entry.secrets.iter().filter(|spec| !sealed.iter().any(|s| s.name == spec.name)) {
        let text =
            format!("`{}` is not set ({}); `atshub tenant set-key {name} --name {} --key-file <file>`", spec.name, spec.help, spec.name);
        if spec.required {
            session.out.warn(format!("the tenant waits until it has its credential: {text}"));
        } else {
            session.out.say(text);
        }
    }
    if policy.trigger_stages.is_empty() && policy.trigger_stages_by_job.is_empty() {
        session.out.warn(format!("no stage means \"invite\"; `atshub tenant set {name} --trigger-stage <name or id>`"));
    }
    if entry.inbound.is_some() {
        session.out.say(format!("the ATS's webhooks go to POST /hooks/{name}"));
    }
}

/// Addresses among the settings that have no TLS, on other machines.
fn warn_of_clear_text(settings: &[String], session: &Session) {
    for (key, value) in settings.iter().filter_map(|setting| setting.split_once('=')) {
        if let Some(host) = crate::http::clear_text(value) {
            session.out.warn(crate::cli::platform::clear_text(key.trim(), &host));
        }
    }
}

/// Changes settings.
pub(super) async fn set(args: SetArgs, session: &Session) -> Ended {
    let store = session.store().await?;
    let mut record = tenant(store.as_ref(), &args.name).await?;
    if let Some(why) = &record.unreadable {
        return Err(Stop::failed(format!("the settings of tenant `{}` cannot be changed: {why}", args.name))
            .next("use the version of atshub that wrote them"));
    }
    let entry = entry(&record.ats)?;
    if !args.trigger_stages.is_empty() {
        policy::stages(&mut record.policy, &args.trigger_stages)?;
    }
    policy::apply(&mut record.policy, entry, &args.settings)?;
    warn_of_clear_text(&args.settings, session);
    if let Some(account) = args.platform {
        record.platform = platform(store.as_ref(), &account).await?.name;
    }
    let read = record.version;
    record.updated_at = Timestamp::now();
    if !store.put_tenant(record, Some(read)).await? {
        return Err(Stop::failed(format!("tenant `{}` was changed by somebody else at this moment", args.name)).next("do it again"));
    }
    session.out.say(format!("tenant `{}` is changed; a running hub takes it over within a second", args.name));
    Ok(Exit::Done)
}
