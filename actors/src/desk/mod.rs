//! The desk: what every working actor has at hand. Turns decisions into changes and commits them, waits for a store that is
//! away, and settles failed tries. No rule of the domain is here.

mod ends;
mod recent;
mod rows;

pub use recent::Recent;

use crate::{
    domain::{Dossier, Verdict},
    failure::Failure,
    flight,
    gate::Wait,
    lag::Lag,
    lease::Lease,
    lifecycle,
    meters::meters,
    ports::{
        Change, Claim, Clock, CommitOutcome, Disposition, DossierWrite, Handled, JournalEntry, MessageKey, Parked, Progress, Store,
        StoreError,
    },
    spans,
};
use atshub_schemas::{Envelope, ExternalId, Line, Message, TenantName, topology};
use jiff::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How often the lease of an attempt is renewed while its work goes on.
const RENEWED: Duration = Duration::from_secs(10);
/// First and longest wait for a store that is away.
const STORE_WAIT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What every working actor has at hand.
#[derive(Clone)]
pub struct Desk {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether this process may act in its tenants' names.
    pub lease: Lease,
    /// The longest that a call to the outside takes.
    pub longest_call: Duration,
    /// How slow the store is.
    pub lag: Lag,
    /// Whether the store went back to an older state lately: it may not know of what was asked of the platform since.
    pub went_back: Arc<AtomicBool>,
    /// Dossiers as they were just saved.
    pub recent: Arc<Recent>,
}

/// What is known of a dossier when lines of history are written about it.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub dossier: Option<&'a Dossier>,
    pub candidacy: Option<Uuid>,
}

impl Desk {
    /// A message of the hub's own about an application.
    pub(crate) fn message(&self, tenant: &TenantName, application: Option<&ExternalId>, cause: &Envelope, message: Message) -> Envelope {
        let source = Line::new(lifecycle::SOURCE).unwrap_or_else(|_| cause.source.clone());
        let mut envelope = Envelope::new(source, tenant.clone(), self.clock.now(), message);
        envelope.subject = application.and_then(|id| ExternalId::new(format!("application/{id}")).ok());
        envelope.traceparent = spans::traceparent().or_else(|| cause.traceparent.clone());
        envelope
    }

    /// A message, set aside with a reason.
    pub(crate) fn parked(&self, envelope: &Envelope, code: &str, detail: &str) -> Parked {
        let exchange = envelope.message.family().exchange();
        Parked {
            at: self.clock.now(),
            tenant: Some(envelope.tenant.to_string()),
            queue: topology::commands_queue(&envelope.tenant),
            exchange: exchange.to_owned(),
            routing_key: envelope.routing_key(),
            message_id: Some(envelope.id.to_string()),
            kind: Some(envelope.message.kind().to_owned()),
            code: code.to_owned(),
            field: None,
            detail: detail.to_owned(),
            body: envelope.encode().unwrap_or_default().into(),
            cut: None,
        }
    }

    /// The parts of a change that say "this message is handled, and this became of it".
    pub(crate) fn handled(&self, envelope: &Arc<Envelope>, verdict: &Verdict, about: About<'_>) -> (Option<Handled>, JournalEntry) {
        let disposition = Disposition {
            verdict: tame(verdict.word),
            code: Some(tame(&verdict.code)),
            text: verdict.text.clone(),
            remedy: verdict.remedy.clone(),
        };
        (Some(Handled { envelope: Arc::clone(envelope), disposition }), self.entry(envelope, about, &verdict.code, &verdict.text))
    }

    /// A line of history.
    pub(crate) fn entry(&self, cause: &Envelope, about: About<'_>, code: &str, text: &str) -> JournalEntry {
        JournalEntry {
            at: self.clock.now(),
            tenant: cause.tenant.clone(),
            application: about.dossier.map(|d| d.application.id.clone()),
            candidacy: about.candidacy.or_else(|| about.dossier.and_then(|d| d.current()).map(|c| c.id)),
            message: Some(cause.id.clone()),
            code: code.to_owned(),
            text: text.to_owned(),
        }
    }

    /// Whether the store may not know what was asked of the platform.
    pub(crate) fn forgot(&self) -> bool {
        self.went_back.load(Ordering::Relaxed)
    }

    /// A save of a dossier over the version it was read at.
    pub(crate) fn save(next: Dossier) -> DossierWrite {
        let expected = next.version.checked_sub(1).filter(|v| *v > 0);
        DossierWrite { dossier: next, expected }
    }

    /// Commits, waiting for a store that is away.
    ///
    /// # Errors
    /// The store takes others, and not this one.
    pub(crate) async fn commit(&self, change: Change) -> Result<CommitOutcome, Failure> {
        let began = Instant::now();
        let outcome = self.patiently("commit", || self.store.commit(change.clone())).await;
        let ended = Instant::now();
        self.lag.took(ended.duration_since(began), ended);
        meters().commit(ended.duration_since(began));
        if outcome == Ok(CommitOutcome::Committed) {
            self.tell(&change);
        }
        outcome
    }

    /// What became of a message, once that is durable: its age, its span, and one line by ids alone, at `info` for a bad end and at `debug` for
    /// the rest.
    fn tell(&self, change: &Change) {
        if let Some(Handled { envelope, disposition }) = &change.handled {
            let (tenant, id, kind) = (&envelope.tenant, &envelope.id, envelope.message.kind());
            meters().age(kind, Duration::try_from(self.clock.now().duration_since(envelope.time)).unwrap_or_default());
            let code = disposition.code.as_ref().map(Line::as_str).unwrap_or_default();
            spans::note(code);
            let application = change.journal.iter().find_map(|line| line.application.as_ref()).map(ExternalId::as_str);
            let traceparent = envelope.traceparent.as_ref().map(Line::as_str);
            match disposition.verdict.as_str() {
                "refused" => tracing::info!(%tenant, messaging.message.id = %id, kind, application, code, traceparent, "refused"),
                verdict => tracing::debug!(%tenant, messaging.message.id = %id, kind, application, code, traceparent, verdict, "handled"),
            }
        }
        if let Some(Parked { tenant, message_id, kind, queue, code, .. }) = &change.parked {
            tracing::info!(tenant, messaging.message.id = message_id, kind, queue, code, "parked");
        }
    }

    /// Commits a change that saves no dossier: only two groups that meet in the database can stand in its way, and they part again.
    pub(crate) async fn record(&self, change: Change) {
        let mut wait = STORE_WAIT.0;
        loop {
            match self.commit(change.clone()).await {
                Ok(CommitOutcome::Committed | CommitOutcome::Duplicate) => return,
                Ok(CommitOutcome::Conflict(conflict)) => {
                    tracing::debug!(?conflict, "a change without dossiers met another one; trying again");
                }
                // It is of the hub's own making: there is nothing else that could be recorded in its place.
                Err(error) => tracing::error!(%error, "the store does not take what became of a message; trying again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(STORE_WAIT.1);
        }
    }

    /// Takes a message for one attempt at its work. `known`: an earlier attempt was this process's own, and its calls have ended.
    pub(crate) async fn begin(&self, envelope: &Envelope, known: bool) -> Progress {
        self.begin_as(envelope, self.claim(known)).await
    }

    /// An attempt to be made.
    pub(crate) fn claim(&self, known: bool) -> Claim {
        let (owner, before) = flight::attempt();
        Claim { owner, lease: self.attempt_lease(), takes_over: before.filter(|_| known) }
    }

    /// The same as [`Desk::begin`] for an attempt that has its name already.
    pub(crate) async fn begin_as(&self, envelope: &Envelope, claim: Claim) -> Progress {
        let key = MessageKey::from(envelope);
        let mut wait = STORE_WAIT.0;
        let progress = loop {
            match self.patiently("begin", || self.store.begin(&key, claim)).await {
                Ok(progress) => break progress,
                Err(error) => tracing::error!(%error, "the store does not take that work on a message begins; trying again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(STORE_WAIT.1);
        };
        flight::attempted(progress.owner.is_some());
        // What comes next has an effect. A process that was stopped meanwhile lets go of this work while it waits here.
        self.lease.held().await;
        progress
    }

    /// An attempt's lease outlives the longest call that was made just before it was last renewed.
    fn attempt_lease(&self) -> Duration {
        self.longest_call + RENEWED
    }

    /// Keeps the attempt's lease while its work goes on.
    pub(crate) async fn holding<T>(&self, envelope: &Envelope, progress: Progress, work: impl Future<Output = T>) -> T {
        let Some(owner) = progress.owner else { return work.await };
        let (key, claim) = (MessageKey::from(envelope), Claim { owner, lease: self.attempt_lease(), takes_over: None });
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(RENEWED, &mut work).await {
                Ok(done) => return done,
                Err(_) => {
                    if let Err(error) = self.store.renew(&key, claim).await {
                        tracing::debug!(%error, "the lease of an attempt was not renewed; it is tried again");
                    }
                }
            }
        }
    }

    /// Puts off a message that another attempt holds.
    pub(crate) async fn held(&self, envelope: &Arc<Envelope>, queue: &str, until: Timestamp, about: About<'_>) {
        self.postpone(envelope, queue, &Wait::held(until), None, about).await;
    }

    /// Asks the store until it answers. A store that is away is nobody's crash, and nobody's attempt.
    ///
    /// # Errors
    /// The store is there, and will not answer this however often it is asked: the message that asks is to be parked, alone.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &str,
        mut ask: impl FnMut() -> F,
    ) -> Result<T, Failure> {
        let mut wait = STORE_WAIT.0;
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(StoreError::Unreadable(why)) => return Err(unreadable(&why)),
                Err(error @ StoreError::Refused(_)) => return Err(Failure::Bug { detail: error.to_string() }),
                Err(error) => {
                    tracing::warn!(what, %error, wait_ms = wait.as_millis() as u64, "the store did not answer; waiting for it");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(STORE_WAIT.1);
                }
            }
        }
    }

    /// Waits until this process may act again. Mostly in vain: whoever waits here has its queue taken away, and the message goes
    /// to whoever holds the tenant by then.
    pub(crate) async fn lease_again(&self) {
        tracing::warn!("the lease has run out with work in hand; it is neither done nor settled here until the lease holds again");
        self.lease.held().await;
    }
}

fn tame(word: &str) -> Line {
    Line::new(word).or_else(|_| Line::new("unknown")).unwrap_or_else(|_| tame("unknown"))
}

fn unreadable(why: &str) -> Failure {
    Failure::Unreadable {
        detail: format!(
            "{why}. Upgrade this process, or put the row right; then have the fact published again under a new id, or the stage entered again"
        ),
    }
}
