//! What the store keeps of customers and platforms: tenants, platform accounts, credentials. Values only; how they are kept is the
//! contract in `store.rs`.

use crate::{domain::Policy, phase::Phase};
use atshub_schemas::{Line, TenantName};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A tenant, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its name.
    pub name: TenantName,
    /// Kind of ATS, a key of the connector registry.
    pub ats: String,
    /// Name of the platform account.
    pub platform: String,
    /// Its settings.
    pub policy: Policy,
    /// Why this version cannot read its settings, which another one wrote: those above are not its own. It is not run, and its
    /// record is not to be saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
    /// Whether it is to run.
    pub standing: Standing,
    /// Why, unless active.
    pub cause: Option<String>,
    /// When it becomes active by itself, unless somebody changes it before.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Rises with every change, over all tenants: "what changed since" is a comparison.
    pub version: u64,
    /// The `version` that its standing last changed with: who changes it says which one that is to be in place of.
    #[serde(default)]
    pub stood: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl TenantRecord {
    /// The cause that stands in the store when an operator sets a tenant aside. Who it was comes first, so that no reason can be
    /// taken for a cause of the hub's own.
    #[must_use]
    pub fn operators_cause(by: &Line, reason: &Line) -> String {
        format!("{BY}{by}: {reason}")
    }

    /// Whether an operator stopped it (paused, draining, quarantined), and not the hub: no new credential is a reason to let it go on.
    #[must_use]
    pub fn is_stopped_by_operator(&self) -> bool {
        matches!(self.standing, Standing::Paused | Standing::Draining | Standing::Quarantined)
            && self.cause.as_deref().is_some_and(|cause| cause.starts_with(BY))
    }
}

/// Whether a tenant is to run, and if not, why not: what outlives a restart of the hub.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Standing {
    /// It is to run.
    Active,
    /// Stopped, by an operator or because its credential is not accepted.
    Paused,
    /// Paused, once what is in hand is finished.
    Draining,
    /// Set aside until a person has looked at it.
    Quarantined,
    /// Switched off.
    Disabled,
    /// Something that a newer version of the hub wrote. It is not run by this one, and stays as it is.
    Unknown(String),
}

impl Standing {
    /// The word, as it is stored and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Quarantined => "quarantined",
            Self::Disabled => "disabled",
            Self::Unknown(word) => word,
        }
    }

    /// The phase in which its actor begins.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self {
            Self::Active => Phase::Starting,
            Self::Paused | Self::Unknown(_) => Phase::Paused,
            Self::Draining => Phase::Draining,
            Self::Quarantined => Phase::Quarantined,
            Self::Disabled => Phase::Disabled,
        }
    }
}

impl From<String> for Standing {
    fn from(word: String) -> Self {
        match word.as_str() {
            "active" => Self::Active,
            "paused" => Self::Paused,
            "draining" => Self::Draining,
            "quarantined" => Self::Quarantined,
            "disabled" => Self::Disabled,
            _ => Self::Unknown(word),
        }
    }
}

impl From<Standing> for String {
    fn from(standing: Standing) -> Self {
        standing.as_str().to_owned()
    }
}

impl From<Phase> for Standing {
    /// The standing that a child's phase is kept as.
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Starting | Phase::Running | Phase::BackingOff => Self::Active,
            Phase::Paused => Self::Paused,
            Phase::Draining => Self::Draining,
            Phase::Quarantined => Self::Quarantined,
            Phase::Disabled => Self::Disabled,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How an operator's cause begins, and no other.
const BY: &str = "by ";

/// A sealed credential: cipher text that only the hub's sealing key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// `tenant/<name>` or `platform/<name>`; `hub` for what proves the sealing key.
    pub owner: String,
    /// Which of the owner's: `api_key`, `webhook_secret`, `partner_key`, `token`.
    pub name: String,
    /// Cipher text with its nonce.
    pub sealed: Bytes,
    /// First characters of a code that the sealing key gives to the secret (HMAC-SHA256, RFC 2104), so that people can tell two
    /// secrets apart without seeing either, and a copy of the store does not help anybody to guess one.
    pub fingerprint: String,
    /// When it was set.
    pub set_at: Timestamp,
}

/// An account at an interview platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformAccount {
    /// Its name, for example `main`.
    pub name: String,
    /// Kind of platform, a key of the platform registry.
    pub kind: String,
    /// Base address.
    pub url: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
