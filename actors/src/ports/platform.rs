//! The interview platform, as much of it as the hub uses.

pub use crate::domain::{Invitation, InvitationRequest, PlatformRole};

use crate::failure::Failure;
use async_trait::async_trait;
use serde::Serialize;

/// What a platform adapter can do beyond inviting. Wording and behaviour read this; nothing asks which platform it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlatformCapabilities {
    /// Takes an idempotency key.
    pub idempotency_key: bool,
    /// Can cancel an interview.
    pub cancel: bool,
    /// Can schedule for a given time.
    pub schedule: bool,
    /// Sends webhooks (else it is polled).
    pub webhooks: bool,
    /// Takes a recruiter with the invitation.
    pub recruiter: bool,
}

/// One account at an interview platform.
#[async_trait]
pub trait Platform: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> PlatformCapabilities;

    /// Asks for an invitation. Not idempotent: after [`Failure::Transient`] with `acted`, call [`Platform::find`] first.
    ///
    /// # Errors
    /// [`Failure::Rejected`] with the codes of `InviteError` where the sentence is known, else `rejected`.
    /// For `already_active` the detail ends with the link to the live interview where the platform gives one.
    async fn invite(&self, request: &InvitationRequest) -> Result<Invitation, Failure>;

    /// Looks for an interview of this person and role that has not ended: of this ATS address, or of none. Without an address in the
    /// request, whatever address it has.
    ///
    /// # Errors
    /// As any call; never `acted`.
    async fn find(&self, request: &InvitationRequest) -> Result<Option<Invitation>, Failure>;

    /// All roles that may be chosen. Cached by the adapter for at most a minute.
    ///
    /// # Errors
    /// As any call; never `acted`.
    async fn roles(&self) -> Result<Vec<PlatformRole>, Failure>;

    /// The same, asked for now: a list that is remembered may say that a role is there, and never that it is not.
    ///
    /// # Errors
    /// As any call; never `acted`.
    async fn roles_now(&self) -> Result<Vec<PlatformRole>, Failure>;

    /// Asks who the credential belongs to; used to test it.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] if it is not accepted.
    async fn whoami(&self) -> Result<String, Failure>;
}
