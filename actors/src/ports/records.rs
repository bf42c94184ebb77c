//! What the store keeps of the rail: messages and what became of them, dossiers, outbox rows, history. Values only; how they
//! are kept is the contract in `store.rs`.

use super::broker::Cut;
use crate::domain::{Dossier, EffectKey, Heard, Subject};
use atshub_schemas::{Envelope, ExternalId, Line, MessageId, TenantName};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// What makes a message that message. `time` picks the inbox's partition; a redelivery has the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageKey {
    /// Whose.
    pub tenant: TenantName,
    /// Who published it.
    pub source: Line,
    /// Its id within the source.
    pub id: MessageId,
    /// The envelope's time.
    pub time: Timestamp,
}

impl From<&Envelope> for MessageKey {
    fn from(envelope: &Envelope) -> Self {
        Self { tenant: envelope.tenant.clone(), source: envelope.source.clone(), id: envelope.id.clone(), time: envelope.time }
    }
}

/// What became of a message that was handled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// `accepted`, `ignored`, `refused`, or `performed` for work done.
    pub verdict: Line,
    /// Stable code, for example `older`, `not_trigger_stage`, `phone_too_short`; absent for plain acceptance.
    pub code: Option<Line>,
    /// One sentence for a person; for a refused invite, the sentence the recruiter sees.
    pub text: String,
    /// What to do next, and who, where there is something to do.
    pub remedy: Option<String>,
}

/// Marks a message as handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// The message; kept whole, so that it can be shown and replayed.
    pub envelope: Arc<Envelope>,
    /// What became of it.
    pub disposition: Disposition,
}

/// Saves a dossier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DossierWrite {
    /// The dossier as it is to be, `version` already raised.
    pub dossier: Dossier,
    /// The version it was read at; `None` if it is new.
    pub expected: Option<u64>,
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// Exchange.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Not before this time; `None` for at once. This is the hub's only timer.
    pub not_before: Option<Timestamp>,
    /// By what it is found while it waits. A row whose key waits already for this tenant takes that one's place.
    pub key: Option<EffectKey>,
}

/// Saves what was heard of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardWrite {
    /// As it is to be, `version` already raised.
    pub heard: Heard,
    /// The version it was read at; `None` if it is new.
    pub expected: Option<u64>,
}

/// A line of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantName,
    /// The application it is about.
    pub application: Option<ExternalId>,
    /// The candidacy it is about.
    pub candidacy: Option<Uuid>,
    /// The message that caused it.
    pub message: Option<MessageId>,
    /// Stable code of what happened, for example `invited`, `ignored_older`, `status_written`.
    pub code: String,
    /// The same as a sentence.
    pub text: String,
}

/// A message set aside with a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// When.
    pub at: Timestamp,
    /// Whose, where that could be read.
    pub tenant: Option<String>,
    /// Queue it came from.
    pub queue: String,
    /// Exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its id, where it could be read (the envelope's, else AMQP's).
    pub message_id: Option<String>,
    /// Its type, where that could be read.
    pub kind: Option<String>,
    /// Stable code of the reason.
    pub code: String,
    /// The field it is about.
    pub field: Option<String>,
    /// What was wrong and what would be right.
    pub detail: String,
    /// The body as it came, or its beginning.
    pub body: Bytes,
    /// What the body was, where only its beginning is kept.
    pub cut: Option<Cut>,
}

impl Parked {
    /// The same for the same message, so that parking it again (the acknowledgement was lost) adds nothing.
    #[must_use]
    pub fn fingerprint(&self) -> Uuid {
        let space = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.queue.as_bytes());
        let named = Uuid::new_v5(&space, self.message_id.as_deref().unwrap_or_default().as_bytes());
        let fingerprint = Uuid::new_v5(&named, &self.body);
        // Two bodies with one beginning are two messages.
        self.cut.as_ref().map_or(fingerprint, |cut| Uuid::new_v5(&fingerprint, format!("{} {}", cut.size, cut.sha256).as_bytes()))
    }
}

/// Who takes a message to work on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// A name of this one attempt, made for it.
    pub owner: Uuid,
    /// For how long no other attempt is made, should this one's owner die: longer than the longest call. By the store's clock.
    pub lease: Duration,
    /// The owner of an earlier attempt at the same delivery, whose calls have ended: its lease holds nothing up. That of any other does.
    pub takes_over: Option<Uuid>,
}

/// A try at a message that did not end its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The message.
    pub key: MessageKey,
    /// The owner of the attempt that ends with this. If it owns the message no more, the change is a duplicate, and nothing of it is
    /// applied: so a settlement that is repeated counts once. `None` for work that was put off before an attempt at it began; whichever
    /// attempt has the message keeps it.
    pub owner: Option<Uuid>,
    /// Counts towards the retry schedule (a rate-limit wait does not).
    pub counts: bool,
    /// Stable code of the failure.
    pub code: String,
    /// The failure, without personal data.
    pub detail: String,
    /// When it is tried again; its outbox row stands in the same change.
    pub next_at: Option<Timestamp>,
}

/// Everything that one piece of work changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The message that is thereby handled.
    pub handled: Option<Handled>,
    /// A failed try that is thereby recorded. Never together with `handled`.
    pub attempt: Option<Attempt>,
    /// Dossiers to save.
    pub dossiers: Vec<DossierWrite>,
    /// What was heard of people, jobs and interviews, to save.
    pub heard: Vec<HeardWrite>,
    /// What waits in the outbox and is not to be sent any more. Nothing happens where it was sent, or never asked for.
    pub taken_back: Vec<(TenantName, EffectKey)>,
    /// What waits in the outbox and ends with this: it is taken back. If it does not wait any more, nothing of the change is applied:
    /// [`Conflict::Ended`].
    pub ends: Option<(TenantName, EffectKey)>,
    /// A message that is thereby taken for the first attempt at its work, as [`super::Journal::begin`] does. If it was begun before, or
    /// handled, nothing of the change is applied: [`Conflict::Begun`].
    pub begins: Option<(MessageKey, Claim)>,
    /// If something was heard of one of these, nothing of the change is applied: [`Conflict::Heard`].
    pub unheard: Vec<(TenantName, Subject)>,
    /// Messages to publish.
    pub outbox: Vec<OutboxRow>,
    /// History to write.
    pub journal: Vec<JournalEntry>,
    /// A message to set aside.
    pub parked: Option<Parked>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a change that was not applied is lost work"]
pub enum CommitOutcome {
    /// All of it is durable.
    Committed,
    /// The message was handled before; nothing was applied.
    Duplicate,
    /// Something stood in the way; nothing was applied.
    Conflict(Conflict),
}

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A dossier, or what was heard, has another version than the one that was read: read again and decide again, a bounded number
    /// of times.
    Raced,
    /// Another application of the tenant holds a live key that the change wants. That is an answer to decide on: the same change
    /// has the same answer for as long as the other one is live.
    Taken {
        /// The key.
        key: String,
        /// The application that holds it; the change's own where it wants one key for two of its dossiers.
        holder: ExternalId,
    },
    /// What was to end does not wait any more.
    Ended,
    /// The message was begun, or handled, before.
    Begun,
    /// Something was heard meanwhile of what nothing had been heard of: read it and decide again.
    Heard,
}

/// An outbox row, handed out for publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRow {
    /// Its row.
    pub row: i64,
    /// Exchange.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// The envelope's id.
    pub message_id: String,
    /// The envelope, encoded.
    pub body: Bytes,
    /// The store keeps its message already; else it does so when the row is sent.
    pub kept: bool,
}

/// All the hub knows of a message, by its id.
#[derive(Debug, Clone, Serialize)]
pub struct MessageView {
    /// Its id.
    pub id: String,
    /// Whose.
    pub tenant: Option<String>,
    /// Who published it.
    pub source: Option<String>,
    /// Its type.
    pub kind: Option<String>,
    /// `handled`, `parked`, `scheduled` (waits for its time), `outbox` (waits for the relay), `sent` (at the broker) or
    /// `in_work`; `noted` where nothing is kept of it but history, as of what an operator did.
    pub state: String,
    /// When that became so.
    pub at: Option<Timestamp>,
    /// What became of it.
    pub disposition: Option<Disposition>,
    /// Times it was begun.
    pub begun: u32,
    /// Tries that failed.
    pub failures: u32,
    /// The last failure.
    pub last_error: Option<String>,
    /// When it is tried again.
    pub next_at: Option<Timestamp>,
    /// Why it is parked.
    pub parked: Option<ParkedView>,
    /// The envelope as text (a parked body that is not text is shown with escapes).
    pub body: Option<String>,
    /// What happened because of it.
    pub journal: Vec<JournalEntry>,
}

/// Why a message is parked.
#[derive(Debug, Clone, Serialize)]
pub struct ParkedView {
    /// Number of the parked work.
    pub number: i64,
    /// When.
    pub at: Timestamp,
    /// Stable code.
    pub code: String,
    /// The field it is about.
    pub field: Option<String>,
    /// What was wrong and what would be right.
    pub detail: String,
    /// Queue it came from.
    pub queue: String,
    /// Its routing key.
    pub routing_key: String,
}

/// How far a message has come, counted durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Handled before: settle it, do nothing.
    pub handled: bool,
    /// Another attempt is under way, or may be, until then: this one has not begun.
    pub held_until: Option<Timestamp>,
    /// The attempt that has begun.
    pub owner: Option<Uuid>,
    /// Times it was begun, this one included.
    pub begun: u32,
    /// When it was begun the time before.
    pub earlier: Option<Timestamp>,
    /// Tries that failed and counted.
    pub failures: u32,
    /// Crashes of an actor while it was in hand.
    pub crashes: u32,
}
