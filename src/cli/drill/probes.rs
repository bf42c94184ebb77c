//! Messages of a drill's own, and what becomes of them. A probe is a fact about a person whom nobody knows: it is handled, and
//! leaves nothing but the line that says so. A write-back for an application that no ATS has shows how calls to the ATS go; the
//! hub never makes it there.

use super::SOURCE;
use crate::{cli::exit::Stop, hub::PROBE};
use atshub_actors::ports::{Broker, Change, OutboxRow, Publication, Store};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, ExternalId, Line, Message, Prose, TenantName,
    fact::{Candidate, CandidateUpdate},
    internal::{Write, WritebackRequested},
    topology,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// A message under way.
struct Probe {
    number: usize,
    id: String,
    since: Instant,
    is_write: bool,
}

/// A message that has been handled, or parked.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) number: usize,
    pub(super) asked_at: Instant,
    pub(super) after: Duration,
    pub(super) is_write: bool,
    pub(super) is_parked: bool,
}

/// The messages of one tenant.
pub(super) struct Probes {
    tenant: TenantName,
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    under_way: Vec<Probe>,
    sent: usize,
    slowest: Duration,
    /// Tries of write-backs that failed so far.
    failures: u32,
}

impl Probes {
    pub(super) fn new(tenant: &TenantName, store: Arc<dyn Store>, broker: Arc<dyn Broker>) -> Self {
        Self { tenant: tenant.clone(), store, broker, under_way: Vec::new(), sent: 0, slowest: Duration::ZERO, failures: 0 }
    }

    pub(super) fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way.iter().filter(|probe| !probe.is_write).count()
    }

    /// Write-backs that are not done yet.
    pub(super) fn writes_under_way(&self) -> usize {
        self.under_way.iter().filter(|probe| probe.is_write).count()
    }

    /// How long the oldest fact has been under way.
    pub(super) fn oldest(&self) -> Duration {
        self.under_way.iter().filter(|probe| !probe.is_write).map(|probe| probe.since.elapsed()).max().unwrap_or_default()
    }

    /// Longest time that one took; what is still under way counts.
    pub(super) fn slowest(&self) -> Duration {
        self.slowest.max(self.oldest())
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    fn fact(&self) -> Result<Envelope, Stop> {
        let candidate = Candidate { id: Some(id()?), ..Candidate::default() };
        let message = Message::CandidateUpdated(CandidateUpdate {
            candidate,
            application: None,
            job: None,
            recruiter: None,
            grader: None,
            to_stage: None,
        });
        Ok(Envelope::new(Line::new(SOURCE).map_err(Stop::failed)?, self.tenant.clone(), Timestamp::now(), message))
    }

    /// Publishes one. One that the broker does not take is counted by nobody: the next one is.
    pub(super) async fn send(&mut self) {
        let Ok(envelope) = self.fact() else { return };
        let since = Instant::now();
        if self.publish(std::slice::from_ref(&envelope)).await.is_ok() {
            self.sent += 1;
            self.under_way.push(Probe { number: self.sent, id: envelope.id.to_string(), since, is_write: false });
        }
    }

    /// Publishes so many at once, of which nobody keeps count.
    pub(super) async fn flood(&self, count: usize) -> Result<(), Stop> {
        let facts = (0..count).map(|_| self.fact()).collect::<Result<Vec<_>, _>>()?;
        self.publish(&facts).await
    }

    async fn publish(&self, facts: &[Envelope]) -> Result<(), Stop> {
        let publication = |envelope: &Envelope| {
            Ok(Publication {
                exchange: topology::EVENTS.to_owned(),
                routing_key: envelope.routing_key(),
                message_id: envelope.id.to_string(),
                content_type: CONTENT_TYPE.to_owned(),
                headers: BTreeMap::new(),
                body: envelope.encode().map_err(Stop::failed)?.into(),
            })
        };
        let messages = facts.iter().map(publication).collect::<Result<Vec<_>, Stop>>()?;
        self.broker.publish(messages).await.into_iter().try_for_each(|answer| answer.map_err(Stop::failed))
    }

    /// Asks for so many write-backs, by the outbox, as the hub does.
    pub(super) async fn writes(&mut self, count: usize) -> Result<(), Stop> {
        let mut change = Change::default();
        for _ in 0..count {
            let write = Write::Note {
                marker: Line::new(format!("{PROBE}{}", Uuid::now_v7())).map_err(Stop::failed)?,
                body: Prose::new("A drill.").map_err(Stop::failed)?,
            };
            let request = WritebackRequested { candidacy: Uuid::now_v7(), application: id()?, candidate: None, assessment: None, write };
            let source = Line::new(SOURCE).map_err(Stop::failed)?;
            let envelope = Envelope::new(source, self.tenant.clone(), Timestamp::now(), Message::WritebackRequested(request));
            self.sent += 1;
            self.under_way.push(Probe { number: self.sent, id: envelope.id.to_string(), since: Instant::now(), is_write: true });
            change.outbox.push(OutboxRow {
                exchange: topology::WORK.into(),
                routing_key: topology::tenant_work_key(&self.tenant),
                envelope: Arc::new(envelope),
                not_before: None,
                key: None,
            });
        }
        // Outbox rows alone: nothing can stand in their way.
        let _committed = self.store.commit(change).await?;
        Ok(())
    }

    /// Those that have been handled or parked since the last look.
    pub(super) async fn look(&mut self) -> Result<Vec<Done>, Stop> {
        let (mut done, mut left, mut failures) = (Vec::new(), Vec::new(), 0);
        for probe in std::mem::take(&mut self.under_way) {
            let views = self.store.message(&probe.id).await?;
            failures += views.iter().map(|view| view.failures + u32::from(view.last_error.is_some() && view.failures == 0)).sum::<u32>();
            let is = |state: &str| views.iter().any(|view| view.state == state);
            if is("handled") || is("parked") {
                let after = probe.since.elapsed();
                self.slowest = self.slowest.max(if probe.is_write { Duration::ZERO } else { after });
                done.push(Done { number: probe.number, asked_at: probe.since, after, is_write: probe.is_write, is_parked: is("parked") });
            } else {
                left.push(probe);
            }
        }
        self.under_way = left;
        self.failures = self.failures.max(failures);
        Ok(done)
    }
}

fn id() -> Result<ExternalId, Stop> {
    ExternalId::new(format!("{PROBE}{}", Uuid::now_v7())).map_err(Stop::failed)
}
