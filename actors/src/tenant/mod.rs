//! The tenant actor: one customer account at one ATS. Takes its facts, decides by the domain's rules, commits; performs the
//! write-backs to its ATS. It alone calls that ATS.
//!
//! It asks no other actor for anything, and keeps nothing between messages that the store does not have.

mod fact;
mod writeback;

use crate::{
    desk::Desk,
    domain::Policy,
    ports::{Connector, TenantRecord},
    supervision::{Birth, Deliver, Lanes, Link, Workload},
};
use actix::{Actor, Context, Handler, Recipient};
use async_trait::async_trait;
use atshub_schemas::{Envelope, Message};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Everything one tenant's actor works with.
#[derive(Clone)]
pub struct TenantOffice {
    /// The tenant, as stored when the actor was made.
    pub record: Arc<TenantRecord>,
    /// Its account at its ATS.
    pub connector: Arc<dyn Connector>,
    /// Store and clock.
    pub desk: Desk,
}

pub(crate) struct TenantWork {
    office: TenantOffice,
    link: Link,
    /// Write-backs have their own share of what is in hand, so that an ATS that hangs does not stop the facts.
    writebacks: Semaphore,
}

impl TenantWork {
    fn policy(&self) -> &Policy {
        &self.office.record.policy
    }
}

/// The actor.
pub struct TenantActor {
    lanes: Lanes<TenantWork>,
    prefetch: usize,
}

impl TenantActor {
    /// Which of its messages are worked on one after the other.
    #[must_use]
    pub fn lane(envelope: &Envelope) -> String {
        TenantWork::lane(envelope)
    }

    /// Makes a generation on the arbiter it is born to.
    #[must_use]
    pub fn start(office: TenantOffice, birth: Birth) -> Recipient<Deliver> {
        let Birth { arbiter, lifeline } = birth;
        Self::start_in_arbiter(&arbiter, move |_| {
            let prefetch = usize::from(office.record.policy.prefetch.max(1));
            let work = TenantWork { office, link: lifeline.link(), writebacks: Semaphore::new(prefetch.div_ceil(2)) };
            Self { lanes: Lanes::new(lifeline, Arc::new(work)), prefetch }
        })
        .recipient()
    }
}

impl Actor for TenantActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(self.prefetch + 1);
        self.lanes.link().up();
    }
}

impl Handler<Deliver> for TenantActor {
    type Result = ();

    fn handle(&mut self, delivery: Deliver, ctx: &mut Context<Self>) {
        self.lanes.take(delivery, |actor: &mut Self| &mut actor.lanes, ctx);
    }
}

#[async_trait(?Send)]
impl Workload for TenantWork {
    /// One application at a time, so that its statuses reach the ATS in order. A write-back and a fact of one application do
    /// not wait for each other: the write-back's order is guarded by its number, the fact's by the dossier's version.
    fn lane(envelope: &Envelope) -> String {
        match &envelope.message {
            Message::WritebackRequested(w) => format!("w/{}", w.application),
            _ => envelope.subject.as_ref().map_or_else(|| format!("m/{}", envelope.id), |s| format!("f/{s}")),
        }
    }

    async fn perform(&self, envelope: Arc<Envelope>, queue: &str, _redelivered: bool) {
        match &envelope.message {
            Message::WritebackRequested(request) => writeback::perform(self, &envelope, request, queue).await,
            Message::CommandDone(done) => writeback::answered(self, &envelope, done.command_id.as_str(), None).await,
            Message::CommandFailed(failed) => writeback::answered(self, &envelope, failed.command_id.as_str(), Some(failed)).await,
            _ => fact::perform(self, &envelope, queue).await,
        }
    }
}
