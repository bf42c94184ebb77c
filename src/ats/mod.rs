//! The registry of ATSs. A new one is a folder here and one line in [`REGISTRY`]; nothing else names an ATS.
//!
//! A folder has `entry.rs` (this table's row, capabilities, settings), `client.rs` (calls to the ATS), `mapping.rs` (its
//! payloads ↔ facts), `inbound.rs` where the ATS calls us, and `fixtures/`. The connector conformance suite runs over
//! every row, so a connector without fixtures fails.

pub mod ashby;
pub mod bridge;
mod inbound;

pub use inbound::{Call, Claim, Head, Heard, Inbound, Known, Ordered, PartnerAnswer, PartnerContext, Refused};

use crate::{credentials::Secrets, http::Http};
use atshub_actors::{
    domain::Policy,
    ports::{Capabilities, Connector},
};
use atshub_schemas::TenantName;
use std::sync::Arc;

/// All ATSs this build knows, by kind.
pub const REGISTRY: &[&Entry] = &[&ashby::ENTRY, &bridge::ENTRY];

/// The row of an ATS kind.
#[must_use]
pub fn entry(kind: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.kind == kind).copied()
}

/// One ATS.
pub struct Entry {
    /// What `tenant add --ats` takes: lower-case, no spaces.
    pub kind: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it can do.
    pub capabilities: &'static Capabilities,
    /// What `tenant add --set key=value` takes for it.
    pub settings: &'static [Setting],
    /// Which of these is the address of its API, if the hub calls one: tenants with the same host there are refused together.
    pub address: Option<&'static Setting>,
    /// The credentials it wants.
    pub secrets: &'static [SecretSpec],
    /// Makes the connector of one tenant.
    pub connect: fn(Account) -> Result<Arc<dyn Connector>, String>,
    /// How it calls us, if it does.
    pub inbound: Option<&'static dyn Inbound>,
    /// Whether write-backs go as commands to a bridge of the tenant's own, which then has a queue for them.
    pub delegates: bool,
    /// Folder of its fixtures, below the repository's root.
    pub fixtures: &'static str,
}

/// A setting of a connector.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// Its value where the tenant sets none.
    pub default: &'static str,
    /// What it is for.
    pub help: &'static str,
}

/// A credential that a connector wants.
#[derive(Debug, Clone, Copy)]
pub struct SecretSpec {
    /// Its name.
    pub name: &'static str,
    /// Whether the connector works without.
    pub required: bool,
    /// Whether it says who calls the hub, and is not what the hub shows the ATS. When it is replaced, the one before stays good for a
    /// while: what the ATS signed with it, and sends again, is still taken. The tenant's actor does not have it.
    pub inbound: bool,
    /// Where the customer finds it.
    pub help: &'static str,
}

/// One tenant's account at its ATS, with what is needed to call it.
#[derive(Debug, Clone)]
pub struct Account {
    /// Whose.
    pub tenant: TenantName,
    /// The tenant's settings.
    pub policy: Arc<Policy>,
    /// The tenant's credentials.
    pub secrets: Secrets,
    /// The client.
    pub http: Http,
}

impl Account {
    /// A connector setting: the tenant's, else the default of its row.
    #[must_use]
    pub fn setting<'a>(&'a self, row: &'a Setting) -> &'a str {
        self.policy.connector.get(row.key).map_or(row.default, String::as_str)
    }
}
