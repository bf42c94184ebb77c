//! The eight ways in which work can fail. Made where the cause is known (connector, platform, store); turned into what
//! happens to the message in `settlement.rs` and nowhere else.

use std::time::Duration;

/// The code under which a message is parked whose row of the store cannot be read.
pub const UNREADABLE: &str = "row_unreadable";

/// The code of work for which the credential lacks a permission.
pub const NOT_PERMITTED: &str = "missing_permission";

/// Why a call or a piece of work did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// May work later: a time-out, a 5xx, a dropped connection. `acted` is true if the other side may have acted
    /// all the same, so that the next attempt has to look first.
    #[error("{detail}")]
    Transient {
        /// What happened, without personal data.
        detail: String,
        /// The other side may have done it nevertheless.
        acted: bool,
    },
    /// The other side asked us to wait. Costs no attempt.
    #[error("rate limited, wait {} s", .retry_after.as_secs())]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The other side said, in its own documented form, that it does not accept the credential. Pauses the tenant, which has the
    /// credential tested again by itself. A 401 or 403 of something else in between is [`Failure::Transient`].
    #[error("not authorised: {detail}")]
    Unauthorized {
        /// What the other side said, without the credential.
        detail: String,
    },
    /// The credential is good, and lacks a permission for this one thing. Tried again, for somebody may give it; concerns nothing else.
    #[error("not permitted: {detail}")]
    NotPermitted {
        /// Which permission is missing, for what.
        detail: String,
    },
    /// The other side understood and refused, for good.
    #[error("refused as `{code}`: {detail}")]
    Rejected {
        /// Stable code, ours where we know the sentence, else `rejected`.
        code: String,
        /// The other side's own words.
        detail: String,
    },
    /// The answer was not what its documentation says. Repeating helps only if it was not the other side's own, but a proxy's.
    #[error("answer not understood: {detail}")]
    Malformed {
        /// What was expected and what came.
        detail: String,
    },
    /// A row of the store that this version of the hub cannot read: nothing is decided on what is not known.
    #[error("{detail}")]
    Unreadable {
        /// Which row, and what to do about it.
        detail: String,
    },
    /// A fault of our own.
    #[error("fault in the hub: {detail}")]
    Bug {
        /// What broke.
        detail: String,
    },
}

impl Failure {
    /// A fault that may pass, in a call that cannot have had an effect.
    pub fn transient(detail: impl Into<String>) -> Self {
        Self::Transient { detail: detail.into(), acted: false }
    }

    /// A fault that may pass, in a call that may have had its effect.
    pub fn unclear(detail: impl Into<String>) -> Self {
        Self::Transient { detail: detail.into(), acted: true }
    }

    /// Stable code for the store, logs and metrics.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Transient { acted: false, .. } => "transient",
            Self::Transient { acted: true, .. } => "unclear",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotPermitted { .. } => NOT_PERMITTED,
            Self::Rejected { code, .. } => code,
            Self::Malformed { .. } => "malformed",
            Self::Unreadable { .. } => UNREADABLE,
            Self::Bug { .. } => "bug",
        }
    }
}
