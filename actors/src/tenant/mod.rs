//! The tenant actor: one customer account at one ATS. Takes its facts, decides by the domain's rules, commits; performs the
//! write-backs to its ATS. It alone calls that ATS.
//!
//! It asks no other actor for anything, and keeps nothing between messages that the store does not have.

mod answered;
mod fact;
mod refused;
mod writeback;

use crate::{
    desk::{About, Desk},
    domain::Policy,
    gate::{Gate, Halt, HostRefusals, Lapsed},
    ports::{Connector, Progress, TenantRecord},
    supervision::{Birth, Deliver, Link, WorkActor, Workload},
    turns::Turns,
};
use actix::Recipient;
use async_trait::async_trait;
use atshub_schemas::{Envelope, ExternalId, Message};
use std::sync::{Arc, atomic::AtomicBool};

/// Everything one tenant's actor works with.
#[derive(Clone)]
pub struct TenantOffice {
    /// The tenant, as stored when the actor was made.
    pub record: Arc<TenantRecord>,
    /// Its account at its ATS.
    pub connector: Arc<dyn Connector>,
    /// What stands before it. Outlives the actor.
    pub gate: Gate,
    /// What else its host refuses.
    pub refusals: HostRefusals,
    /// Store and clock.
    pub desk: Desk,
}

pub(crate) struct TenantWork {
    office: TenantOffice,
    link: Link,
    /// Write-backs have their own share of what is in hand, and so have facts that the ATS is asked about, so that an ATS that
    /// hangs does not stop the others.
    writes: Turns<ExternalId>,
    reads: Turns<ExternalId>,
    /// The ATS is being asked about the credential, or has been and does not accept it.
    asking: AtomicBool,
}

impl TenantWork {
    fn policy(&self) -> &Policy {
        &self.office.record.policy
    }

    async fn try_once(&self, envelope: &Arc<Envelope>, queue: &str, known: bool) -> Result<(), Lapsed> {
        let answered = match &envelope.message {
            Message::WritebackRequested(request) => return writeback::perform(self, envelope, request, queue, known).await,
            Message::CommandDone(done) => answered::done(self, envelope, &done.command_id).await,
            Message::CommandFailed(failed) => answered::failed(self, envelope, failed).await,
            Message::TimerDue(due) => answered::unanswered(self, envelope, due).await,
            _ => return fact::perform(self, envelope, queue).await,
        };
        match answered {
            Ok(()) => Ok(()),
            Err(failure) => self.end(envelope, queue, Halt::Failed(failure), None, About { dossier: None, candidacy: None }).await,
        }
    }

    /// Ends a try that came to nothing, after a look at the credential if that is why.
    async fn end(
        &self,
        envelope: &Arc<Envelope>,
        queue: &str,
        halt: Halt,
        progress: Option<Progress>,
        about: About<'_>,
    ) -> Result<(), Lapsed> {
        let halt = match halt {
            Halt::Refused(failure, wait) => match self.heed(&failure).await {
                Some(failure) => Halt::Failed(failure),
                None => Halt::Wait(wait),
            },
            halt => halt,
        };
        self.office.desk.end(envelope, queue, halt, progress, about).await
    }
}

/// Which of its messages are worked on one after the other.
#[must_use]
pub fn lane(envelope: &Envelope) -> String {
    TenantWork::lane(envelope)
}

/// Makes a generation of a tenant's actor on the arbiter it is born to.
#[must_use]
pub fn start(office: TenantOffice, birth: Birth) -> Recipient<Deliver> {
    let prefetch = office.record.policy.prefetch.max(1);
    WorkActor::start(birth, prefetch, move |link| {
        office.gate.show_on(&link);
        // A paused tenant that was resumed: somebody has seen to the credential.
        office.gate.relent();
        let (writes, reads) = shares(usize::from(prefetch));
        TenantWork { office, link, writes: Turns::new(writes), reads: Turns::new(reads), asking: AtomicBool::new(false) }
    })
}

/// Calls that may be on their way at once, of those that write and those that read: half, and what is left but for an eighth,
/// which is for work that needs no ATS.
fn shares(prefetch: usize) -> (usize, usize) {
    let writes = prefetch.div_ceil(2);
    (writes, prefetch.saturating_sub(writes + prefetch.div_ceil(8)).max(1))
}

#[async_trait(?Send)]
impl Workload for TenantWork {
    /// Facts of one application one after the other. Write-backs of one application too, so that its statuses reach the ATS in
    /// order, but that is for [`Turns`]: who waits in a lane cannot be turned away. A write-back and a fact of one application
    /// do not wait for each other: the write-back's order is guarded by its number, the fact's by the dossier's version.
    fn lane(envelope: &Envelope) -> String {
        match &envelope.message {
            Message::WritebackRequested(_) => format!("w/{}", envelope.id),
            _ => envelope.subject.as_ref().map_or_else(|| format!("m/{}", envelope.id), |s| format!("f/{s}")),
        }
    }

    async fn perform(&self, envelope: Arc<Envelope>, queue: &str, known: bool) {
        while self.try_once(&envelope, queue, known).await.is_err() {
            self.office.desk.lease_again().await;
        }
    }
}
