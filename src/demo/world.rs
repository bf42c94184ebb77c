//! The demonstration's outside: one simulated platform, some simulated Ashby accounts, some bridges, and the tenants that
//! stand for them in the hub.

use super::bridge::Bridge;
use crate::credentials::Sealer;
use atshub_actors::{
    domain::Policy,
    ports::{Broker, PlatformAccount, Standing, Store, StoreError, TenantRecord},
};
use atshub_schemas::TenantName;
use atshub_simulators::{
    ashby::{AshbyOptions, AshbySimulator},
    platform::{PlatformOptions, PlatformSimulator},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

/// The stage that invites, in every tenant of the demonstration.
pub const TRIGGER: &str = "Karat Assessment";
/// Name of the platform account.
pub const ACCOUNT: &str = "main";
/// What the simulated Ashby shows at the partner door.
const PARTNER_KEY: &str = "demo-partner-key";
/// Roles of the simulated platform.
pub const ROLES: [(&str, &str); 3] = [("1201", "Backend engineer"), ("1202", "Frontend engineer"), ("1203", "Data engineer")];

/// Why there is no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A simulator could not listen.
    #[error("failed to start a simulator: {0}")]
    Simulator(#[from] io::Error),
    /// A tenant could not be stored.
    #[error("failed to store the demonstration's tenants: {0}")]
    Store(#[from] StoreError),
    /// A credential could not be sealed, or a name is not one.
    #[error("failed to set up the demonstration's tenants: {0}")]
    SetUp(String),
}

/// The outside.
pub struct World {
    /// The platform.
    pub platform: PlatformSimulator,
    /// Tenants with an Ashby account.
    pub ashby: Vec<(TenantName, AshbySimulator)>,
    /// Tenants with a bridge.
    pub bridges: Vec<Bridge>,
}

/// Who there is.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Names of tenants with an Ashby account.
    pub ashby: Vec<String>,
    /// Names of tenants with a bridge.
    pub bridges: Vec<String>,
}

impl Cast {
    /// So many of each, with names that end alike, so that two casts on one broker and store do not meet.
    #[must_use]
    pub fn new(ashby: usize, bridges: usize, ending: &str) -> Self {
        let names = |words: &[&str], count: usize| {
            (0..count)
                .map(|n| {
                    format!("{PREFIX}{}{}-{ending}", words[n % words.len()], if n < words.len() { String::new() } else { n.to_string() })
                })
                .collect()
        };
        Self { ashby: names(&["acme", "birch", "cedar"], ashby), bridges: names(&["dune", "ember", "fjord"], bridges) }
    }
}

/// What the names of all tenants of a demonstration begin with.
pub const PREFIX: &str = "demo-";

fn tenant(name: &str) -> Result<TenantName, WorldError> {
    TenantName::new(name).map_err(|e| WorldError::SetUp(format!("tenant name `{name}` {e}")))
}

impl World {
    /// Starts the simulators. `retry_unit` is what Ashby counts its webhook retries in (10 s at the real one).
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn start(cast: &Cast, retry_unit: Duration) -> Result<Self, WorldError> {
        let roles = ROLES.map(|(id, name)| (id.to_owned(), name.to_owned())).to_vec();
        let platform = PlatformSimulator::start(PlatformOptions { roles, ..PlatformOptions::default() }).await?;
        let mut ashby = Vec::new();
        for name in &cast.ashby {
            let options = AshbyOptions {
                api_key: format!("{name}-key"),
                webhook_secret: format!("{name}-secret"),
                retry_unit,
                ..AshbyOptions::default()
            };
            ashby.push((tenant(name)?, AshbySimulator::start(options).await?));
        }
        Ok(Self { platform, ashby, bridges: Vec::new() })
    }

    /// Starts the bridges, on the hub's broker or on a connection of their own.
    ///
    /// # Errors
    /// [`WorldError::SetUp`] for a name that is none.
    pub fn connect_bridges(&mut self, cast: &Cast, broker: &Arc<dyn Broker>) -> Result<(), WorldError> {
        for name in &cast.bridges {
            self.bridges.push(Bridge::start(tenant(name)?, Arc::clone(broker)));
        }
        Ok(())
    }

    /// Adds platform account and tenants to a hub's store, with their credentials.
    ///
    /// # Errors
    /// [`WorldError`].
    pub async fn register(&self, cast: &Cast, store: &dyn Store, sealer: &Sealer) -> Result<(), WorldError> {
        // Credentials first: a hub that runs already takes each account over as soon as it is there.
        let url = self.platform.base_url();
        set(store, sealer, &format!("platform/{ACCOUNT}"), "token", self.platform.token()).await?;
        store.put_platform(PlatformAccount { name: ACCOUNT.into(), kind: "karat".into(), url, updated_at: Timestamp::now() }).await?;
        for (name, simulator) in &self.ashby {
            let owner = format!("tenant/{name}");
            set(store, sealer, &owner, "api_key", simulator.api_key()).await?;
            set(store, sealer, &owner, "webhook_secret", simulator.webhook_secret()).await?;
            set(store, sealer, &owner, "partner_key", PARTNER_KEY).await?;
            add(store, name, "ashby", &[("api_base", &simulator.url())]).await?;
        }
        for name in &cast.bridges {
            add(store, &tenant(name)?, "bridge", &[]).await?;
        }
        Ok(())
    }

    /// Points the simulated Ashby accounts at a hub's HTTP doors.
    pub fn point_at(&self, hub: &str) {
        for (name, simulator) in &self.ashby {
            simulator.set_hook_url(&format!("{hub}/hooks/{name}"));
            simulator.set_partner(&format!("{hub}/partner/{name}"), PARTNER_KEY);
        }
    }
}

async fn add(store: &dyn Store, name: &TenantName, ats: &str, connector: &[(&str, &String)]) -> Result<(), WorldError> {
    let connector: BTreeMap<String, String> = connector.iter().map(|(k, v)| ((*k).to_owned(), (*v).clone())).collect();
    let now = Timestamp::now();
    let record = TenantRecord {
        name: name.clone(),
        ats: ats.into(),
        platform: ACCOUNT.into(),
        policy: Policy { trigger_stages: vec![TRIGGER.into()], connector, sandbox: true, ..Policy::default() },
        unreadable: None,
        standing: Standing::Active,
        stood: 0,
        cause: None,
        until: None,
        version: 0,
        created_at: now,
        updated_at: now,
    };
    let before = store.tenants().await?.into_iter().find(|t| t.name == *name).map(|t| t.version);
    if store.put_tenant(record, before).await? { Ok(()) } else { Err(WorldError::SetUp(format!("tenant `{name}` was changed meanwhile"))) }
}

async fn set(store: &dyn Store, sealer: &Sealer, owner: &str, name: &str, secret: &str) -> Result<(), WorldError> {
    let sealed = sealer.seal(owner, name, secret).map_err(|e| WorldError::SetUp(e.to_string()))?;
    store.put_secret(sealed).await?;
    Ok(())
}
