//! What a command works with: the configuration in force, what prints, and the store and broker once opened.

use super::{
    exit::Stop,
    out::{Out, Progress},
};
use crate::{app, config::Loaded, credentials::Sealer, sealing};
use atshub_actors::ports::{Broker, PlatformAccount, Store, TenantRecord};
use atshub_schemas::TenantName;
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// Longest wait for store or broker to open, or to answer one question.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

/// What a command works with.
#[derive(Debug)]
pub(super) struct Session {
    /// The configuration, and where it comes from.
    pub(super) loaded: Loaded,
    /// What prints.
    pub(super) out: Out,
}

impl Session {
    /// Opens the store.
    ///
    /// # Errors
    /// If it does not open, or takes too long.
    pub(super) async fn store(&self) -> Result<Arc<dyn Store>, Stop> {
        let _progress = self.wait_for("opening the store", self.loaded.config.store.url.masked().as_str());
        bounded("the store", app::open_store(&self.loaded.config, Handle::current())).await
    }

    /// Opens the broker.
    ///
    /// # Errors
    /// If it does not open, or takes too long.
    pub(super) async fn broker(&self) -> Result<Arc<dyn Broker>, Stop> {
        let _progress = self.wait_for("connecting to the broker", self.loaded.config.broker.url.masked().as_str());
        bounded("the broker", app::open_broker(&self.loaded.config, Handle::current())).await
    }

    /// Connects to the broker to look at it: nothing is made there.
    ///
    /// # Errors
    /// As [`Session::broker`].
    pub(super) async fn look_at_broker(&self) -> Result<Arc<dyn Broker>, Stop> {
        let _progress = self.wait_for("connecting to the broker", self.loaded.config.broker.url.masked().as_str());
        bounded("the broker", app::look_at_broker(&self.loaded.config, Handle::current())).await
    }

    /// Opens what seals the credentials of this store.
    ///
    /// # Errors
    /// If there is no key, or the store's credentials were sealed with another one.
    pub(super) async fn sealer(&self, store: &dyn Store) -> Result<Sealer, Stop> {
        Ok(sealing::open(&self.loaded.config, store).await?)
    }

    fn wait_for(&self, what: &str, place: &str) -> Progress {
        self.out.progress(&format!("{what} {place}"), None)
    }
}

async fn bounded<T>(what: &str, work: impl Future<Output = Result<T, app::AppError>>) -> Result<T, Stop> {
    match timeout(ANSWER, work).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Stop::failed(format!("{what} did not answer within {} s", ANSWER.as_secs()))),
    }
}

/// How there comes to be one.
const ADD_TENANT: &str = "atshub tenant add <name> --ats <kind> --platform <account> --trigger-stage <stage>";

/// The tenant of this name.
///
/// # Errors
/// If there is none: with those there are.
pub(super) async fn tenant(store: &dyn Store, name: &TenantName) -> Result<TenantRecord, Stop> {
    let all = store.tenants().await?;
    let known: Vec<String> = all.iter().map(|t| t.name.to_string()).collect();
    all.into_iter().find(|t| t.name == *name).ok_or_else(|| unknown("tenant", name.as_str(), &known, ADD_TENANT))
}

/// The platform account of this name.
///
/// # Errors
/// If there is none: with those there are.
pub(super) async fn platform(store: &dyn Store, name: &str) -> Result<PlatformAccount, Stop> {
    let all = store.platforms().await?;
    let known: Vec<String> = all.iter().map(|p| p.name.clone()).collect();
    let add = "atshub platform add <name> --kind <kind> --url <address> --token-file <file>";
    all.into_iter().find(|p| p.name == name).ok_or_else(|| unknown("platform account", name, &known, add))
}

/// Most names listed in a sentence.
const NAMES: usize = 12;

/// "No such …", with the nearest known name, or all of them if they are few.
pub(super) fn unknown(what: &str, name: &str, known: &[String], command: &str) -> Stop {
    let stop = Stop::not_found(format!("no {what} `{name}`"));
    match crate::config::nearest(name, known.iter().cloned()) {
        Some(near) => stop.next(format!("did you mean `{near}`?")),
        None if known.is_empty() => stop.next(format!("there is none yet; `{command}`")),
        None if known.len() <= NAMES => stop.next(format!("there are: {}", known.join(", "))),
        None => stop.next(format!("`{command}` prints them all")),
    }
}
