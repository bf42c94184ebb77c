//! The registry of ATSs. A new one is a folder here and one line in [`REGISTRY`]; nothing else names an ATS.
//!
//! A folder has `entry.rs` (this table's row, capabilities, settings), `client.rs` (calls to the ATS), `mapping.rs` (its
//! payloads ↔ facts), `inbound.rs` where the ATS calls us, and `fixtures/`. The connector conformance suite runs over
//! every row, so a connector without fixtures fails.

pub mod ashby;
pub mod bridge;

use crate::{credentials::Secrets, http::Http};
use atshub_actors::{
    domain::Policy,
    ports::{Capabilities, Connector, PlatformRole},
};
use atshub_schemas::{Envelope, ExternalId, TenantName};
use jiff::Timestamp;
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

/// A request as it came in: nothing of it is trusted, and signatures are over exactly these bytes.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// Header names in lower case, and values; a name may occur more than once.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl Raw<'_> {
    /// The first header of this name (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// What a webhook means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// These facts; to be durable before the ATS hears 2xx.
    Facts(Vec<Envelope>),
    /// Understood, and nothing follows from it; the words say why (a ping, an event nobody needs).
    Nothing(String),
}

/// Why a request was not taken, as the door answers it (`application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// HTTP status. 401 only where the sender is really unauthorised: several ATSs never retry after it.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// What was wrong.
    pub detail: String,
    /// What to do next.
    pub next_step: String,
}

/// A partner call, answered.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerAnswer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: serde_json::Value,
    /// Facts to make durable before answering.
    pub facts: Vec<Envelope>,
}

/// What a partner call may need to know of the hub.
#[derive(Debug, Clone, Copy)]
pub struct PartnerContext<'a> {
    /// The platform's roles.
    pub roles: &'a [PlatformRole],
    /// What is known of the application named by [`Inbound::partner_application`].
    pub application: &'a Ordered,
}

/// What is known of an application for which an assessment is ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// It has a live candidacy.
    pub live: bool,
    /// The order that was last heard of.
    pub order: Option<ExternalId>,
    /// How many askings of it have ended.
    pub ended: u32,
}

/// How an ATS calls us.
pub trait Inbound: Sync {
    /// Checks the signature on the raw body, then says what the webhook means. Message ids are made from the ATS's own
    /// delivery id, so that a webhook that comes twice gives the same ids.
    ///
    /// # Errors
    /// [`Refused`], with the status the ATS is to hear.
    fn hook(&self, account: &Account, request: Raw<'_>, now: Timestamp) -> Result<Heard, Refused>;

    /// Whether `/partner/{tenant}/{path}` exists here and needs the platform's roles. `None`: no such path.
    fn partner_needs_roles(&self, path: &str) -> Option<bool>;

    /// The application a partner call is about, so that the door can say whether it has a live candidacy.
    fn partner_application(&self, path: &str, request: Raw<'_>) -> Option<atshub_schemas::ExternalId>;

    /// Answers a partner call.
    ///
    /// # Errors
    /// [`Refused`], with the status the ATS is to hear.
    fn partner(
        &self,
        account: &Account,
        path: &str,
        request: Raw<'_>,
        context: PartnerContext<'_>,
        now: Timestamp,
    ) -> Result<PartnerAnswer, Refused>;
}
