//! Why a message was not taken. Every refusal has a stable code, names the field, and says what to do next.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The stable codes under which a message is parked before any actor sees it. Scripts and alerts match on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// The body is larger than [`crate::MAX_BYTES`].
    TooLarge,
    /// The body is not a JSON object in UTF-8.
    UndecodableBody,
    /// A required field is absent.
    MissingField,
    /// A field is there, with a value it cannot have.
    InvalidField,
    /// The `type` is not in the catalog.
    UnknownType,
    /// The routing key and the envelope name different tenants.
    TenantMismatch,
    /// A message of an internal type that did not come from the hub's own exchange.
    NotInternal,
    /// No such tenant is known.
    UnknownTenant,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: &[Self] = &[
        Self::TooLarge,
        Self::UndecodableBody,
        Self::MissingField,
        Self::InvalidField,
        Self::UnknownType,
        Self::TenantMismatch,
        Self::NotInternal,
        Self::UnknownTenant,
    ];

    /// The code as it stands in the store, on the command line and in alerts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::UndecodableBody => "undecodable_body",
            Self::MissingField => "missing_field",
            Self::InvalidField => "invalid_field",
            Self::UnknownType => "unknown_type",
            Self::TenantMismatch => "tenant_mismatch",
            Self::NotInternal => "not_internal",
            Self::UnknownTenant => "unknown_tenant",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A message that cannot be taken as it is, with what could still be read of it, so that it can be found again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {}{detail}", .field.as_deref().map(|f| format!("`{f}` ")).unwrap_or_default())]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// Path of the field, for example `data.candidate.email`; absent where the whole body is meant.
    pub field: Option<String>,
    /// What was wrong and what would be right.
    pub detail: String,
    /// The envelope's `id`, if it could be read.
    pub id: Option<String>,
    /// The envelope's `type`, if it could be read.
    pub kind: Option<String>,
    /// The envelope's `tenant`, if it could be read.
    pub tenant: Option<String>,
}

impl Refusal {
    /// A refusal about the whole message, with nothing read of it yet.
    #[must_use]
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, field: None, detail: detail.into(), id: None, kind: None, tenant: None }
    }

    /// The same, about one field.
    #[must_use]
    pub fn at(code: RefusalCode, field: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(code, detail) }
    }
}
