//! Stands in for a platform account that cannot be used: it has no token, its token cannot be opened, its kind or its address is none. Every
//! call is refused with that cause, so that whoever looks at a tenant reads it where a refused token is read.

use async_trait::async_trait;
use atshub_actors::{
    failure::Failure,
    ports::{Invitation, InvitationRequest, Platform, PlatformCapabilities, PlatformRole},
};

/// Why the account cannot be used.
pub(super) struct NotSetUp(pub(super) String);

impl NotSetUp {
    fn refusal<T>(&self) -> Result<T, Failure> {
        Err(Failure::Unauthorized { detail: self.0.clone() })
    }
}

#[async_trait]
impl Platform for NotSetUp {
    fn capabilities(&self) -> PlatformCapabilities {
        PlatformCapabilities { idempotency_key: false, cancel: false, schedule: false, webhooks: false, recruiter: false }
    }

    async fn invite(&self, _: &InvitationRequest) -> Result<Invitation, Failure> {
        self.refusal()
    }

    async fn find(&self, _: &InvitationRequest) -> Result<Option<Invitation>, Failure> {
        self.refusal()
    }

    async fn roles(&self) -> Result<Vec<PlatformRole>, Failure> {
        self.refusal()
    }

    async fn roles_now(&self) -> Result<Vec<PlatformRole>, Failure> {
        self.refusal()
    }

    async fn whoami(&self) -> Result<String, Failure> {
        self.refusal()
    }
}
