//! How tries end that came to nothing: postponed, on the retry schedule, or parked.

use super::{About, Desk};
use crate::{
    domain::{Effect, EffectKey},
    failure::Failure,
    gate::{Halt, Lapsed, Wait},
    lifecycle,
    ports::{Attempt, Change, CommitOutcome, MessageKey, OutboxRow, Parked, Progress},
    settlement::{Settlement, settle},
    spans,
};
use atshub_schemas::{Envelope, Message, topology};
use jiff::Timestamp;
use std::sync::Arc;
use uuid::Uuid;

impl Desk {
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
            Halt::Wait(wait) | Halt::Refused(_, wait) => self.postpone(envelope, queue, &wait, progress, about).await,
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

    /// Puts work on the schedule that waits through no fault of its own. Uses up no attempt. Returns once that is durable. With progress, it
    /// ends the attempt that had begun; without, it leaves alone whichever attempt has the message.
    pub(crate) async fn postpone(&self, envelope: &Arc<Envelope>, queue: &str, wait: &Wait, progress: Option<Progress>, about: About<'_>) {
        let Wait { until, code, why, told } = wait;
        tracing::debug!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, code, %until, why, "a message was postponed");
        let text = format!("{why}. Waits until {until}; no attempt is used up");
        let row = OutboxRow {
            exchange: topology::WORK.to_owned(),
            routing_key: topology::work_key(&envelope.tenant, queue),
            envelope: Arc::clone(envelope),
            not_before: Some(*until),
            // The same twice, because its answer was lost, is one row.
            key: Some(waits(envelope)),
        };
        let key = MessageKey::from(&**envelope);
        let change = Change {
            attempt: Some(Attempt {
                key,
                owner: progress.and_then(|progress| progress.owner),
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
        let route = (topology::WORK, topology::work_key(&envelope.tenant, queue));
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
    ) -> Result<CommitOutcome, Failure> {
        let route = (topology::WORK, topology::work_key(&envelope.tenant, queue));
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
        spans::failed(failure.code());
        match settlement {
            Settlement::Retry { at, counts } => {
                let at = at.max(self.landed(envelope, failure, now));
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
                    cut: None,
                };
                change.outbox.extend(lifecycle::parked(&parked));
                change.parked = Some(parked);
            }
        }
        change
    }

    /// When an invitation that was given up has come about at the platform, if it does. Nobody looks for it before: a look that sees
    /// nothing of it yet would be followed by a second one.
    fn landed(&self, envelope: &Envelope, failure: &Failure, now: Timestamp) -> Timestamp {
        match (&envelope.message, failure) {
            (Message::InviteRequested(_), Failure::Transient { acted: true, .. }) => now.checked_add(self.longest_call).unwrap_or(now),
            _ => now,
        }
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
