//! The invite actor: asks the platform to invite, once per intent. Any number of them share one queue.
//!
//! It writes to no ATS: what the recruiter is to see goes back to the tenant's own queue.

mod asking;
mod conclude;
mod last_words;
mod meaning;
mod work;

pub use last_words::last_words;

use crate::{
    desk::Desk,
    domain::Policy,
    gate::Gate,
    ports::{Connector, Platform},
    supervision::{Birth, Deliver, Link, WorkActor, Workload},
    turns::Turns,
};
use actix::Recipient;
use async_trait::async_trait;
use atshub_schemas::{Envelope, Message, TenantName};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;

/// What a tenant invites by.
#[derive(Clone)]
pub struct Account {
    /// The tenant's settings.
    pub policy: Arc<Policy>,
    /// Its account at its platform.
    pub platform: Arc<dyn Platform>,
    /// What stands before that account, for all tenants that share it.
    pub gate: Gate,
    /// Its account at its ATS, of which the invite actor asks one thing only: whether a write is a bridge's. It calls no ATS.
    pub connector: Option<Arc<dyn Connector>>,
    /// The tenant is quarantined, or its settings are unknown: nothing is done in its name until somebody sees to it.
    pub set_aside: bool,
}

/// Which platform account a tenant invites by.
pub trait Accounts: Send + Sync + 'static {
    /// The tenant's account; `None` if the tenant is gone, or its account is.
    fn account(&self, tenant: &TenantName) -> Option<Account>;
}

/// Everything an invite actor works with.
#[derive(Clone)]
pub struct InviteOffice {
    /// Which platform account a tenant invites by.
    pub accounts: Arc<dyn Accounts>,
    /// Store and clock.
    pub desk: Desk,
    /// Most deliveries in hand.
    pub prefetch: u16,
}

/// The work of an invite actor.
pub(crate) struct InviteWork {
    office: InviteOffice,
    link: Link,
    /// By account: each has half of what is in hand for its calls, so that one that hangs does not stop the others.
    calls: Mutex<HashMap<String, Arc<Turns<Uuid>>>>,
}

impl InviteWork {
    fn calls_of(&self, gate: &Gate) -> Arc<Turns<Uuid>> {
        let share = usize::from(self.office.prefetch).div_ceil(2);
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(calls.entry(gate.label().to_owned()).or_insert_with(|| Arc::new(Turns::new(share))))
    }
}

/// Which of its messages are worked on one after the other.
#[must_use]
pub fn lane(envelope: &Envelope) -> String {
    InviteWork::lane(envelope)
}

/// Makes a generation of the invite actor on the arbiter it is born to.
#[must_use]
pub fn start(office: InviteOffice, birth: Birth) -> Recipient<Deliver> {
    WorkActor::start(birth, office.prefetch, move |link| InviteWork { office, link, calls: Mutex::default() })
}

#[async_trait(?Send)]
impl Workload for InviteWork {
    /// One asking of a candidacy at a time.
    fn lane(envelope: &Envelope) -> String {
        match &envelope.message {
            Message::InviteRequested(request) => request.candidacy.to_string(),
            _ => envelope.id.to_string(),
        }
    }

    async fn perform(&self, envelope: Arc<Envelope>, queue: &str, known: bool) {
        while work::perform(self, &envelope, queue, known).await.is_err() {
            self.office.desk.lease_again().await;
        }
    }
}
