//! `atshub platform`: accounts at the interview platform.

use super::{
    exit::{Ended, Exit, Stop},
    key_input,
    out::Listing,
    session::{ANSWER, Session, platform, unknown},
};
use crate::{app, http::Options, platform as registry};
use atshub_actors::{failure::Failure, ports::PlatformAccount};
use clap::Subcommand;
use jiff::Timestamp;
use std::path::PathBuf;
use tokio::{runtime::Handle, time::timeout};

/// Name of a platform account's credential.
const TOKEN: &str = "token";

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add an account, or change one
    Add {
        /// How it is called here, for example main
        name: String,
        /// Kind of platform
        #[arg(long)]
        kind: String,
        /// Address of the platform's API
        #[arg(long)]
        url: String,
        /// File with its token, - for standard input
        #[arg(long, value_name = "FILE", required_unless_present = "typed")]
        token_file: Option<PathBuf>,
        #[command(flatten)]
        refused: key_input::Refused,
    },
    /// List the accounts
    List,
    /// Ask the platform whether it accepts the token
    Test {
        /// Which account
        name: String,
    },
    /// Remove an account and its token
    Remove {
        /// Which account
        name: String,
        /// Really
        #[arg(long)]
        yes: bool,
    },
}

/// Does it.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    match verb {
        Verb::Add { name, kind, url, token_file, refused } => {
            refused.check()?;
            // Without it there is a typed one, which has just been refused.
            add(session, name, kind, url, token_file.unwrap_or_else(|| "-".into())).await
        }
        Verb::List => list(session).await,
        Verb::Test { name } => test(session, &name).await,
        Verb::Remove { name, yes } => remove(session, &name, yes).await,
    }
}

async fn add(session: &Session, name: String, kind: String, url: String, token_file: PathBuf) -> Ended {
    // The same form as a tenant's name: it stands in owners of credentials and in messages.
    atshub_schemas::TenantName::new(name.clone())
        .map_err(|_| Stop::usage("the account's name is not taken; use 1 to 63 of a-z, 0-9 and '-', not beginning with '-'"))?;
    let known: Vec<String> = registry::REGISTRY.iter().map(|entry| entry.kind.to_owned()).collect();
    registry::entry(&kind)
        .ok_or_else(|| Stop { exit: Exit::Usage, ..unknown("platform kind", &kind, &known, "atshub platform add --help") })?;
    let url = crate::http::base_url(&url).map_err(|why| Stop::usage(format!("--url {why}")))?;
    if let Some(host) = crate::http::clear_text(url.as_str()) {
        session.out.warn(clear_text("--url", &host));
    }
    let token = key_input::read("--token-file", &token_file)?;
    let store = session.store().await?;
    let owner = format!("platform/{name}");
    let sealed = session.sealer(store.as_ref()).await?.seal(&owner, TOKEN, key_input::clear(&token)).map_err(Stop::failed)?;
    let fingerprint = sealed.fingerprint.clone();
    store.put_secret(sealed).await?;
    store.put_platform(PlatformAccount { name: name.clone(), kind, url: url.to_string(), updated_at: Timestamp::now() }).await?;
    session.out.say(format!("platform account `{name}` is set (token {fingerprint}…); `atshub platform test {name}` asks the platform"));
    Ok(Exit::Done)
}

/// What is to be said of an address without TLS.
pub(super) fn clear_text(setting: &str, host: &str) -> String {
    format!("`{setting}`: what is sent to {host} can be read on the way, the credential too; use https://")
}

async fn list(session: &Session) -> Ended {
    let store = session.store().await?;
    let tenants = store.tenants().await?;
    let mut listing = Listing::new(
        &["name", "kind", "url", "token", "token_set", "tenants"],
        "no platform account yet; `atshub platform add main --kind <kind> --url <address> --token-file <file>`",
    );
    for account in store.platforms().await? {
        let secrets = store.secrets(&format!("platform/{}", account.name)).await?;
        let token = secrets.iter().find(|secret| secret.name == TOKEN);
        let used = tenants.iter().filter(|tenant| tenant.platform == account.name).count();
        listing.row(vec![
            account.name.into(),
            account.kind.into(),
            account.url.into(),
            token.map(|t| t.fingerprint.clone()).into(),
            token.map(|t| t.set_at.to_string()).into(),
            used.into(),
        ]);
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}

async fn test(session: &Session, name: &str) -> Ended {
    let store = session.store().await?;
    let account = platform(store.as_ref(), name).await?;
    let secrets = session.sealer(store.as_ref()).await?.open_all(store.as_ref(), &format!("platform/{name}")).await?;
    let entry =
        registry::entry(&account.kind).ok_or_else(|| Stop::failed(format!("this build knows no platform called `{}`", account.kind)))?;
    let http = app::outgoing(&session.loaded.config, Handle::current(), Options::default())?;
    let url = account.url.clone();
    let adapter = (entry.connect)(account, secrets, http).map_err(Stop::failed)?;
    let _progress = session.out.progress(&format!("asking {url}"), None);
    let asked = timeout(ANSWER, async { Ok((adapter.whoami().await?, adapter.roles().await?.len())) }).await;
    let (who, roles) = asked
        .unwrap_or_else(|_| Err(Failure::transient(format!("no answer within {} s", ANSWER.as_secs()))))
        .map_err(|e| failure(&e, name))?;
    let mut listing = Listing::new(&["account", "accepted_as", "roles"], "");
    listing.row(vec![name.into(), who.into(), roles.into()]);
    session.out.list(&listing)?;
    Ok(Exit::Done)
}

fn failure(failure: &Failure, name: &str) -> Stop {
    match failure {
        Failure::Unauthorized { .. } => Stop::not_allowed(format!("the platform does not accept the token of `{name}`: {failure}"))
            .next(format!("`atshub platform add {name} … --token-file <file>` sets another one")),
        other => Stop::failed(format!("the platform did not answer as it should: {other}")),
    }
}

async fn remove(session: &Session, name: &str, yes: bool) -> Ended {
    let store = session.store().await?;
    platform(store.as_ref(), name).await?;
    let used: Vec<String> = store.tenants().await?.into_iter().filter(|t| t.platform == name).map(|t| t.name.to_string()).collect();
    if !used.is_empty() {
        return Err(Stop::failed(format!("platform account `{name}` is used by {}", used.join(", "))).next("remove those tenants first"));
    }
    if !yes {
        return Err(Stop {
            exit: Exit::Cancelled,
            text: format!("platform account `{name}` and its token would be removed for good"),
            next: None,
        }
        .next("the same with `--yes`"));
    }
    store.remove_platform(name).await?;
    session.out.say(format!("platform account `{name}` and its token are removed"));
    Ok(Exit::Done)
}
