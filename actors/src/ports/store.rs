//! The store: state, inbox, outbox and journal, changed together or not at all.
//!
//! Contract, held by `tests/integration/store_conformance`:
//! - [`Store::commit`] is atomic and durable when it answers: after a kill, all of a change is there or none of it.
//! - A change whose `handled` key is in the inbox already is not applied: [`CommitOutcome::Duplicate`].
//! - A dossier is saved only over the version it was read at, and a live key is held by one candidacy of the tenant:
//!   else [`CommitOutcome::Conflict`], and nothing of the change is applied. Neighbours in the same group are not
//!   affected.
//! - An outbox row is handed out by [`Store::claim`] when due, to one claimer at a time, oldest first; if it is not
//!   reported as sent within the lease, it is handed out again.
//! - What [`Store::begin`] counted survives a kill; a message that was handled is not counted as begun again.
//! - Times are kept to the microsecond.

use crate::domain::{Dossier, Lookup, Policy};
use async_trait::async_trait;
use atshub_schemas::{Envelope, ExternalId, Line, MessageId, TenantName};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;
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
    /// The body as it came.
    pub body: Bytes,
}

impl Parked {
    /// The same for the same message, so that parking it again (the acknowledgement was lost) adds nothing.
    #[must_use]
    pub fn fingerprint(&self) -> Uuid {
        let space = Uuid::new_v5(&Uuid::NAMESPACE_OID, self.queue.as_bytes());
        let named = Uuid::new_v5(&space, self.message_id.as_deref().unwrap_or_default().as_bytes());
        Uuid::new_v5(&named, &self.body)
    }
}

/// A try at a message that did not end its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The message.
    pub key: MessageKey,
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
    /// Messages to publish.
    pub outbox: Vec<OutboxRow>,
    /// History to write.
    pub journal: Vec<JournalEntry>,
    /// A message to set aside.
    pub parked: Option<Parked>,
}

/// How a commit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All of it is durable.
    Committed,
    /// The message was handled before; nothing was applied.
    Duplicate,
    /// Somebody else was faster; nothing was applied. Read again, decide again.
    Conflict(Conflict),
}

/// What stood in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// A dossier has another version than the one that was read.
    Version,
    /// Another candidacy of the tenant holds this live key.
    Live(String),
}

/// An outbox row, handed out for publishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRow {
    /// Its row.
    pub row: i64,
    /// The day of its partition, where there are partitions.
    pub day: Option<jiff::civil::Date>,
    /// Exchange.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// The envelope's id.
    pub message_id: String,
    /// The envelope, encoded.
    pub body: Bytes,
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
    /// `in_work`.
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

/// A tenant, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    /// Its name.
    pub name: TenantName,
    /// Kind of ATS, a key of the connector registry.
    pub ats: String,
    /// Name of the platform account.
    pub platform: String,
    /// Its settings.
    pub policy: Policy,
    /// `active`, `paused`, `quarantined` or `disabled`: what outlives a restart of the hub.
    pub standing: String,
    /// Why, unless active.
    pub cause: Option<String>,
    /// Rises with every change, over all tenants: "what changed since" is a comparison.
    pub version: u64,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A sealed credential: cipher text that only the hub's sealing key opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// `tenant/<name>` or `platform/<name>`.
    pub owner: String,
    /// Which of the owner's: `api_key`, `webhook_secret`, `partner_key`, `token`.
    pub name: String,
    /// Cipher text with its nonce.
    pub sealed: Bytes,
    /// First characters of the secret's SHA-256, so that people can tell two keys apart without seeing either.
    pub fingerprint: String,
    /// When it was set.
    pub set_at: Timestamp,
}

/// An account at an interview platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformAccount {
    /// Its name, for example `main`.
    pub name: String,
    /// Kind of platform, a key of the platform registry.
    pub kind: String,
    /// Base address.
    pub url: String,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How far a message has come, counted durably.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Handled before: settle it, do nothing.
    pub handled: bool,
    /// Times it was begun, this one included.
    pub begun: u32,
    /// Tries that failed and counted.
    pub failures: u32,
    /// Crashes of an actor while it was in hand.
    pub crashes: u32,
}

/// Why the store could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or too slow. May pass; nobody's crash.
    #[error("the store is away: {0}")]
    Away(String),
    /// It answered with something that cannot be.
    #[error("the store is not as it should be: {0}")]
    Broken(String),
}

/// Keeps everything.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a change, atomically and durably.
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError>;

    /// Notes durably that work on a message with an outside effect begins, and says how far it had come.
    async fn begin(&self, key: &MessageKey) -> Result<Progress, StoreError>;

    /// Notes that an actor crashed with this message in hand; answers how often that has happened.
    async fn crashed(&self, key: &MessageKey, cause: &str) -> Result<u32, StoreError>;

    /// Dossiers of a tenant.
    async fn dossiers(&self, tenant: &TenantName, by: Lookup) -> Result<Vec<Dossier>, StoreError>;

    /// Hands out up to `limit` outbox rows that are due, for `lease`.
    async fn claim(&self, now: Timestamp, limit: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError>;

    /// Rows that the broker has confirmed.
    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError>;

    /// A row that could not be published; it is handed out again from `not_before` on.
    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError>;

    /// Due time of the earliest row that nobody has claimed.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Rung whenever this process commits an outbox row.
    fn outbox_bell(&self) -> Arc<Notify>;

    /// All the hub knows of the messages with this id (ids are unique per tenant and source).
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError>;

    /// History of an application, oldest first: the newest 1,000 lines.
    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError>;

    /// Number of parked messages, by code.
    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;

    /// Number of dossiers' newest candidacies, by state code.
    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;

    /// All tenants, by name.
    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError>;

    /// Saves a tenant; `expected` is the version that was read, `None` if it is new. False: somebody else was faster,
    /// or the name is taken. The record's own `version` is ignored: the store gives the next one.
    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError>;

    /// Removes a tenant and its credentials; its history stays for the retention. False: there was none.
    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError>;

    /// Changes a tenant's standing and its cause. False: there is no such tenant.
    async fn set_standing(&self, name: &TenantName, standing: &str, cause: Option<&str>) -> Result<bool, StoreError>;

    /// The highest version of any tenant, platform account or secret: unchanged means nothing to reload.
    async fn tenants_version(&self) -> Result<u64, StoreError>;

    /// All platform accounts, by name.
    async fn platforms(&self) -> Result<Vec<PlatformAccount>, StoreError>;

    /// Saves a platform account, new or not.
    async fn put_platform(&self, account: PlatformAccount) -> Result<(), StoreError>;

    /// Removes a platform account and its credentials. False: there was none.
    async fn remove_platform(&self, name: &str) -> Result<bool, StoreError>;

    /// Saves a credential in place of the one before.
    async fn put_secret(&self, secret: SealedSecret) -> Result<(), StoreError>;

    /// All credentials of an owner.
    async fn secrets(&self, owner: &str) -> Result<Vec<SealedSecret>, StoreError>;

    /// Deletes a credential for good. False: there was none.
    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError>;

    /// Drops history older than `before`: inbox, journal, sent outbox rows, and partitions made of them. Never drops a
    /// row that has not been sent. Also makes the partitions of the days to come.
    async fn sweep(&self, now: Timestamp, before: Timestamp) -> Result<(), StoreError>;

    /// Answers if the store does.
    async fn ping(&self) -> Result<(), StoreError>;
}
