//! The desk: what every working actor has at hand. Turns decisions into changes and commits them, waits for a store that is
//! away, and settles failed tries. No rule of the domain is here.

mod rows;

use crate::{
    domain::{Dossier, Effect, EffectKey, Verdict},
    failure::Failure,
    gate::{Halt, Lapsed, Wait},
    lease::Lease,
    lifecycle,
    ports::{
        Attempt, Change, Claim, Clock, CommitOutcome, Disposition, DossierWrite, Handled, JournalEntry, MessageKey, OutboxRow, Parked,
        Progress, Store, StoreError,
    },
    settlement::{Settlement, settle},
};
use atshub_schemas::{Envelope, ExternalId, Line, Message, TenantName, topology};
use jiff::Timestamp;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
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
    /// Whether the store went back to an older state lately: it may not know of what was asked of the platform since.
    pub went_back: Arc<AtomicBool>,
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
        envelope.traceparent.clone_from(&cause.traceparent);
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
    pub(crate) async fn commit(&self, change: Change) -> CommitOutcome {
        self.patiently("commit", || self.store.commit(change.clone())).await
    }

    /// Commits a change that saves no dossier: only two groups that meet in the database can stand in its way, and they part again.
    pub(crate) async fn record(&self, change: Change) {
        let mut wait = STORE_WAIT.0;
        while let CommitOutcome::Conflict(conflict) = self.commit(change.clone()).await {
            tracing::debug!(?conflict, "a change without dossiers met another one; trying again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(STORE_WAIT.1);
        }
    }

    /// Takes a message for one attempt at its work. `known`: an earlier attempt was this process's own, and its calls have ended.
    pub(crate) async fn begin(&self, envelope: &Envelope, known: bool) -> Progress {
        let key = MessageKey::from(envelope);
        let claim = Claim { owner: Uuid::now_v7(), lease: self.attempt_lease(), takes_over: known };
        let progress = self.patiently("begin", || self.store.begin(&key, claim)).await;
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
        let (key, claim) = (MessageKey::from(envelope), Claim { owner, lease: self.attempt_lease(), takes_over: false });
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
        self.postpone(envelope, queue, &Wait::held(until), about).await;
    }

    /// Asks the store until it answers. A store that is away is nobody's crash, and nobody's attempt.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T, StoreError>>>(&self, what: &str, mut ask: impl FnMut() -> F) -> T {
        let mut wait = STORE_WAIT.0;
        loop {
            match ask().await {
                Ok(answer) => return answer,
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

    /// Ends a try that came to nothing: postponed, on the retry schedule, or parked. Returns once that is durable. Without
    /// progress, it was not noted yet that work began.
    pub(crate) async fn end(
        &self,
        envelope: &Arc<Envelope>,
        queue: &str,
        halt: Halt,
        progress: Option<Progress>,
        about: About<'_>,
    ) -> Result<(), Lapsed> {
        match halt {
            Halt::Lapsed => return Err(Lapsed),
            Halt::Wait(wait) | Halt::Refused(_, wait) => self.postpone(envelope, queue, &wait, about).await,
            Halt::Failed(failure) => {
                let progress = match progress {
                    Some(progress) => progress,
                    None => self.begin(envelope, false).await,
                };
                if let Some(until) = progress.held_until {
                    self.held(envelope, queue, until, about).await;
                    return Ok(());
                }
                self.settle(envelope, queue, &failure, progress, about).await;
            }
        }
        Ok(())
    }

    /// Puts work on the schedule that waits through no fault of its own. Uses up no attempt. Returns once that is durable.
    pub(crate) async fn postpone(&self, envelope: &Arc<Envelope>, queue: &str, wait: &Wait, about: About<'_>) {
        let Wait { until, code, why, told } = wait;
        tracing::debug!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, code, %until, why, "a message was postponed");
        let text = format!("{why}. Waits until {until}; no attempt is used up");
        let row = OutboxRow {
            exchange: topology::WORK.to_owned(),
            routing_key: route_of(envelope, queue),
            envelope: Arc::clone(envelope),
            not_before: Some(*until),
            // The same twice, because its answer was lost, is one row.
            key: Some(waits(envelope)),
        };
        let key = MessageKey::from(&**envelope);
        let change = Change {
            attempt: Some(Attempt {
                key,
                owner: None,
                counts: false,
                code: (*code).to_owned(),
                detail: text.clone(),
                next_at: Some(*until),
            }),
            outbox: vec![row],
            journal: told.then(|| self.entry(envelope, about, "postponed", &text)).into_iter().collect(),
            ..Change::default()
        };
        self.record(change).await;
    }

    /// Whether work that failed like this, now, is not tried again.
    pub(crate) fn gives_up(&self, failure: &Failure, progress: Progress) -> bool {
        matches!(settle(failure, progress.failures, self.clock.now(), 0.0), Settlement::Park { .. })
    }

    /// Ends a failed try: on the schedule, or parked. Returns once that is durable.
    pub(crate) async fn settle(&self, envelope: &Arc<Envelope>, queue: &str, failure: &Failure, progress: Progress, about: About<'_>) {
        let route = (topology::WORK, route_of(envelope, queue));
        let change = self.settled(Change::default(), envelope, queue, route, failure, progress, about);
        self.record(change).await;
    }

    /// The same together with a change that follows from it.
    pub(crate) async fn settle_with(
        &self,
        change: Change,
        envelope: &Arc<Envelope>,
        queue: &str,
        failure: &Failure,
        progress: Progress,
        about: About<'_>,
    ) -> CommitOutcome {
        let route = (topology::WORK, route_of(envelope, queue));
        self.commit(self.settled(change, envelope, queue, route, failure, progress, about)).await
    }

    /// [`Desk::settle`] for a command that a bridge could not perform: it goes back to the bridge's queue.
    /// Answers when it goes out again, if it does.
    pub(crate) async fn settle_command(&self, envelope: &Arc<Envelope>, failure: &Failure, progress: Progress) -> Option<Timestamp> {
        let (queue, route) = (topology::commands_queue(&envelope.tenant), (topology::COMMANDS, envelope.routing_key()));
        let about = About { dossier: None, candidacy: None };
        let change = self.settled(Change::default(), envelope, &queue, route, failure, progress, about);
        let next_at = change.attempt.as_ref().and_then(|attempt| attempt.next_at);
        self.record(change).await;
        next_at
    }

    #[allow(clippy::too_many_arguments, reason = "private: what the functions above have in common")]
    fn settled(
        &self,
        mut change: Change,
        envelope: &Arc<Envelope>,
        queue: &str,
        (exchange, routing_key): (&str, String),
        failure: &Failure,
        progress: Progress,
        about: About<'_>,
    ) -> Change {
        let now = self.clock.now();
        let settlement = settle(failure, progress.failures, now, rand::random_range(0.0..=1.0));
        tracing::warn!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, code = failure.code(), error = %failure, "a try failed");
        match settlement {
            Settlement::Retry { at, counts } => {
                change.attempt = Some(self.attempt(envelope, progress, failure, counts, Some(at)));
                let row = OutboxRow {
                    exchange: exchange.to_owned(),
                    routing_key,
                    envelope: Arc::clone(envelope),
                    not_before: Some(at),
                    key: None,
                };
                change.outbox.push(row);
                change.journal.push(self.entry(envelope, about, "retry", &format!("{failure}; tried again at {at}")));
            }
            Settlement::Park { code } => {
                change.attempt = Some(self.attempt(envelope, progress, failure, true, None));
                change.journal.push(self.entry(envelope, about, "parked", &format!("parked as `{code}`: {failure}")));
                let parked = Parked {
                    at: now,
                    tenant: Some(envelope.tenant.to_string()),
                    queue: queue.to_owned(),
                    exchange: exchange.to_owned(),
                    routing_key,
                    message_id: Some(envelope.id.to_string()),
                    kind: Some(envelope.message.kind().to_owned()),
                    code,
                    field: None,
                    detail: failure.to_string(),
                    body: envelope.encode().unwrap_or_default().into(),
                };
                change.outbox.extend(lifecycle::parked(&parked));
                change.parked = Some(parked);
            }
        }
        change
    }

    fn attempt(
        &self,
        envelope: &Envelope,
        progress: Progress,
        failure: &Failure,
        counts: bool,
        next_at: Option<jiff::Timestamp>,
    ) -> Attempt {
        Attempt {
            key: MessageKey::from(envelope),
            owner: progress.owner,
            counts,
            code: failure.code().to_owned(),
            detail: failure.to_string(),
            next_at,
        }
    }
}

/// The key of a message that waits for its next attempt. An invitation that waits has the key by which it is taken back.
fn waits(envelope: &Envelope) -> EffectKey {
    match &envelope.message {
        Message::InviteRequested(wanted) => Effect::Invite { candidacy: wanted.candidacy, intent: wanted.intent }.key(),
        _ => EffectKey { candidacy: Uuid::nil(), intent: 0, what: format!("waits/{}/{}", envelope.source, envelope.id) },
    }
}

/// Routing key on the work exchange that leads to the queue a message came from.
pub(crate) fn route_of(envelope: &Envelope, queue: &str) -> String {
    if queue == topology::tenant_queue(&envelope.tenant) { topology::tenant_work_key(&envelope.tenant) } else { queue.to_owned() }
}

fn tame(word: &str) -> Line {
    Line::new(word).or_else(|_| Line::new("unknown")).unwrap_or_else(|_| tame("unknown"))
}
