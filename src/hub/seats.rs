//! A seat: one tenant, ready to be run: its record, its opened credentials, its connector, its platform.

use crate::{
    ats,
    credentials::{Secrets, predecessor},
    http::base_url,
    hub::Parts,
};
use atshub_actors::{
    desk::Desk,
    gate::{Gate, Host, HostRefusals, Hosts},
    ports::{Connector, Platform, QueueSpec, SealedSecret, Standing, TenantRecord},
    supervision::{ChildName, ChildSpec, Phase},
    tenant::{self, TenantOffice},
};
use atshub_schemas::{TenantName, topology};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// A platform account, ready to be used.
#[derive(Clone)]
pub struct Connected {
    /// Its adapter.
    pub adapter: Arc<dyn Platform>,
    /// What stands before it, for all tenants that share it.
    pub gate: Gate,
}

/// One tenant, ready to be run.
#[derive(Clone)]
pub struct Seat {
    /// The tenant, as stored.
    pub record: Arc<TenantRecord>,
    /// Its row in the connector registry; `None` if this build does not know its kind.
    pub entry: Option<&'static ats::Entry>,
    /// Its account, with credentials.
    pub account: ats::Account,
    /// Its connector, or why there is none.
    pub connector: Result<Arc<dyn Connector>, String>,
    /// What stands before its ATS: as old as this configuration, not as the actor.
    pub gate: Gate,
    /// What else the host of its ATS refuses.
    pub refusals: HostRefusals,
    /// Its platform, if the account is set up.
    pub platform: Option<Connected>,
    /// Another number means that the platform account or its token was changed.
    pub(super) platform_set: Option<i128>,
    /// Another number means another configuration.
    pub revision: u64,
    /// Another number means other credentials, those included that only say who calls the hub.
    pub credentials: u64,
}

impl Seat {
    /// Makes the seat of a tenant.
    pub(super) fn new(
        (parts, desk, hosts): (&Parts, &Desk, &Hosts),
        record: TenantRecord,
        secrets: Secrets,
        (platform_set, platform): (Option<i128>, Option<Connected>),
        (revision, credentials): (u64, u64),
    ) -> Self {
        let entry = ats::entry(&record.ats);
        let account = ats::Account {
            tenant: record.name.clone(),
            policy: Arc::new(record.policy.clone()),
            secrets,
            http: parts.http.under(desk.lease.clone()),
        };
        if !record.policy.unknown.is_empty() {
            let settings: Vec<&str> = record.policy.unknown.keys().map(String::as_str).collect();
            tracing::warn!(tenant = %record.name, settings = settings.join(", "), "settings that this release does not know; they are kept and have no effect");
        }
        let connector = match (entry, &record.unreadable) {
            (_, Some(why)) => Err(why.clone()),
            (Some(entry), None) => (entry.connect)(account.clone()),
            (None, None) => Err(format!("this build knows no ATS called `{}`", record.ats)),
        };
        let drilled = parts.drills.as_ref().filter(|_| record.policy.sandbox);
        let connector = match (connector, drilled) {
            (Ok(connector), Some(drills)) => Ok(drills.over_connector(record.name.clone(), connector)),
            (connector, _) => connector,
        };
        let gate = Gate::new(Host::ats(), parts.options.gate, Arc::clone(&desk.clock), desk.lease.clone());
        let refusals = hosts.host(host(entry, &account));
        Self { record: Arc::new(record), entry, account, connector, gate, refusals, platform, platform_set, revision, credentials }
    }

    /// The tenant's queue.
    pub(super) fn queue(&self) -> QueueSpec {
        inbox(&self.record.name)
    }

    /// What the supervisor needs to run it.
    pub(super) fn spec(&self, desk: &Desk) -> ChildSpec {
        let tenant = self.record.name.clone();
        let (standing, cause) = match (&self.connector, &self.record.standing) {
            (Err(cause), Standing::Active) => (Phase::Paused, Some(cause.clone())),
            (_, Standing::Unknown(word)) => {
                (Phase::Paused, Some(format!("it is `{word}`, which a newer version of the hub wrote and this one does not know")))
            }
            (_, stored) => (stored.phase(), self.record.cause.clone()),
        };
        let office = self.connector.as_ref().ok().map(|connector| TenantOffice {
            record: Arc::clone(&self.record),
            connector: Arc::clone(connector),
            gate: self.gate.clone(),
            refusals: self.refusals.clone(),
            desk: desk.clone(),
        });
        ChildSpec {
            name: child_name(&tenant),
            queue: self.queue(),
            tenant: Some(tenant),
            revision: self.revision,
            prefetch: self.record.policy.prefetch,
            lane: tenant::lane,
            last_words: None,
            standing,
            stood: self.record.stood,
            cause,
            factory: Arc::new(move |birth| match &office {
                Some(office) => tenant::start(office.clone(), birth),
                None => crate::hub::directory::nobody(birth),
            }),
        }
    }
}

/// The host that a tenant's ATS is called at; the kind of ATS, where it is not called.
fn host(entry: Option<&'static ats::Entry>, account: &ats::Account) -> String {
    let address = entry.and_then(|entry| entry.address).and_then(|row| base_url(account.setting(row)).ok());
    let host = address.and_then(|address| address.host_str().map(str::to_owned));
    host.unwrap_or_else(|| entry.map_or_else(String::new, |entry| entry.kind.to_owned()))
}

/// A tenant's one queue.
#[must_use]
pub fn inbox(tenant: &TenantName) -> QueueSpec {
    QueueSpec {
        name: topology::tenant_queue(tenant),
        single_consumer: true,
        bindings: vec![(topology::EVENTS.into(), format!("{tenant}.#")), (topology::WORK.into(), topology::tenant_work_key(tenant))],
        expires: None,
    }
}

/// The supervisor's name for a tenant's actor.
pub(super) fn child_name(tenant: &TenantName) -> ChildName {
    ChildName(format!("tenant/{tenant}").into())
}

/// A number that changes with anything that a running actor was made from, and with nothing else: neither a change of standing nor
/// another secret of those who call the hub is a reason to make it anew, nor is another token of the platform, which it does not call.
pub(super) fn revision(record: &TenantRecord, sealed: &[SealedSecret]) -> u64 {
    let inbound = |name: &str| {
        let name = predecessor(name).map_or(name, |(of, _)| of);
        ats::entry(&record.ats).is_some_and(|entry| entry.secrets.iter().any(|spec| spec.name == name && spec.inbound))
    };
    let mut hasher = DefaultHasher::new();
    (&record.ats, &record.platform, format!("{:?}", record.policy), &record.unreadable).hash(&mut hasher);
    credentials(sealed.iter().filter(|secret| !inbound(&secret.name))).hash(&mut hasher);
    hasher.finish()
}

/// A number that changes with any of these credentials. Not with how they are sealed: sealed anew with another key it is the same one.
pub(super) fn credentials<'a>(sealed: impl IntoIterator<Item = &'a SealedSecret>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for secret in sealed {
        (&secret.name, secret.set_at.as_nanosecond()).hash(&mut hasher);
    }
    hasher.finish()
}
