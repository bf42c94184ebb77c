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
//! - What [`Store::begin`] counted survives a kill; a message that was handled is not counted as begun again. Of any number of owners
//!   one has a message at a time, until its lease is over; a settlement by an owner that has it no more changes nothing, nor does one
//!   of a message that was handled.
//! - An outbox row with a key takes the place of the tenant's row with that key that waits; one that is taken back is not handed out any
//!   more. What is on its way to the broker then may still go out: what it asks for is looked at again by the work that gets it.
//! - Times are kept to the microsecond.

use super::{
    handover::Fresh,
    processes::{Beat, ProcessRecord, ShownChild},
    records::{Change, Claim, ClaimedRow, CommitOutcome, JournalEntry, MessageKey, MessageView, Progress},
    registry::{PlatformAccount, SealedSecret, TenantRecord},
};
use crate::{
    domain::{Dossier, Heard, Lookup, Page, Subject},
    supervision::ChildSnapshot,
};
use async_trait::async_trait;
use atshub_schemas::{ExternalId, TenantName};
use jiff::Timestamp;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;
use uuid::Uuid;

/// Why the store could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not reachable, or too slow. May pass; nobody's crash.
    #[error("the store is away: {0}")]
    Away(String),
    /// The store as a whole is not as it should be: its schema, the rights in it, its file. Waiting helps once an operator has seen to it.
    #[error("the store is not as it should be: {0}")]
    Broken(String),
    /// This row cannot be read by this version of the hub: it is damaged, or a newer version wrote it. Others can be.
    #[error("{0}")]
    Unreadable(String),
    /// This change is not taken, now or later. Others are.
    #[error("the store does not take this change: {0}")]
    Refused(String),
}

/// Keeps everything.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies a change, atomically and durably.
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError>;

    /// Takes a message for one attempt at its work, durably, and says how far it had come. While an attempt of another owner holds it
    /// under its lease, it is not taken, and not counted. The same claim twice is taken once: its answer may have been lost.
    async fn begin(&self, key: &MessageKey, claim: Claim) -> Result<Progress, StoreError>;

    /// The attempt goes on: its lease begins anew. False: it has the message no more.
    async fn renew(&self, key: &MessageKey, claim: Claim) -> Result<bool, StoreError>;

    /// A hub process begins to work. Of a store that only one process works on, every attempt that is still held is one of a process that
    /// is gone: it is free after `landing`, in which a call that was on its way has ended. Elsewhere each lease ends by itself.
    async fn only_process_begins(&self, landing: Duration) -> Result<(), StoreError> {
        let _ = landing;
        Ok(())
    }

    /// Notes that an actor crashed with this message in hand, which ends the attempt of this owner; answers how often that has happened.
    /// An attempt of another owner, at another copy of the message, goes on.
    async fn crashed(&self, key: &MessageKey, owner: Option<Uuid>, cause: &str) -> Result<u32, StoreError>;

    /// Dossiers of a tenant.
    async fn dossiers(&self, tenant: &TenantName, by: Lookup) -> Result<Vec<Dossier>, StoreError>;

    /// The dossiers of a tenant whose newest candidacy is in this state (its code), from after this application on, at most `limit`. The
    /// order is that of the applications' ids, so that a page begins where the one before ended, whatever changes meanwhile.
    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError>;

    /// What was heard of these subjects; those of which nothing was heard are left out.
    async fn heard(&self, tenant: &TenantName, of: Vec<Subject>) -> Result<Vec<Heard>, StoreError>;

    /// Puts what was sent to this queue and is not handled back among what is to be sent, because the queue had to be made anew and
    /// what was in it is gone. Answers how many rows. Harmless where a message is still on its way: the inbox knows it.
    async fn send_again(&self, queue: &str) -> Result<u64, StoreError>;

    /// Hands out up to `limit` outbox rows that are due, for `lease`; up to `invites` of them for the shared queue of invitations.
    /// Those take turns: a tenant that asks for many at once does not stand before one that asks for one. A crash of the store may
    /// forget this and [`Store::sent`]: the rows are handed out once more.
    async fn claim(&self, now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError>;

    /// From here on, rows that are due at once and that this process commits come to the caller without being asked for, while it
    /// [takes them](Fresh::open): claimed for `lease`, in the order of their commits. For one relay of a process; the one before gets
    /// no more. `None`: this store hands out rows only when it is asked.
    fn fresh(&self, lease: Duration) -> Option<Fresh> {
        let _ = lease;
        None
    }

    /// Rows that the broker has confirmed.
    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError>;

    /// A row that could not be published; it is handed out again from `not_before` on.
    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError>;

    /// The same for many rows, in as few steps as the store can.
    async fn unsent_all(&self, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        for row in rows {
            self.unsent(row, not_before, cause).await?;
        }
        Ok(())
    }

    /// Due time of the earliest row that nobody has claimed.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Rung whenever this process commits an outbox row that is due within a second, and that it does not hand over as
    /// [fresh](Store::fresh).
    fn outbox_bell(&self) -> Arc<Notify>;

    /// All the hub knows of the messages with this id (ids are unique per tenant and source).
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError>;

    /// History of an application, oldest first: the newest 1,000 lines.
    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError>;

    /// Number of parked messages, by code.
    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;

    /// Number of dossiers' newest candidacies, by state code.
    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;

    /// All tenants, by name. One whose settings cannot be read says so and hides no other.
    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError>;

    /// Saves a tenant; `expected` is the version that was read, `None` if it is new. False: somebody else was faster,
    /// or the name is taken. The record's own `version` is ignored: the store gives the next one. One that could not be
    /// [read](TenantRecord::unreadable) is refused as broken.
    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError>;

    /// Removes a tenant and its credentials; its history stays for the retention. False: there was none.
    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError>;

    /// Changes a tenant's standing, its cause, and when it ends by itself. False: there is no such tenant.
    async fn set_standing(
        &self,
        name: &TenantName,
        standing: &str,
        cause: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<bool, StoreError>;

    /// The standing of a tenant ends by itself: it becomes active, if it is still to do so at exactly this time. False: somebody
    /// has changed it since, or there is no such tenant.
    async fn end_standing(&self, name: &TenantName, until: Timestamp) -> Result<bool, StoreError>;

    /// A hub process says that it lives. Answers with every process that was heard of lately, this one included; `live` are
    /// those heard of within `alive`, by the store's own clock. Processes not heard of for a day are forgotten, with what their children
    /// were doing.
    async fn beat(&self, beat: Beat, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError>;

    /// All processes heard of within a day, as [`Store::beat`] has them.
    async fn processes(&self, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError>;

    /// A hub process leaves in order: it, and what its children were doing, is forgotten at once.
    async fn leave(&self, process: Uuid) -> Result<(), StoreError>;

    /// What some children of a process are doing, in place of what was said of them before, by whichever process.
    async fn show_children(&self, process: Uuid, children: Vec<ChildSnapshot>) -> Result<(), StoreError>;

    /// These children are not this process's any more: forgotten, unless another process has spoken of them since.
    async fn hide_children(&self, process: Uuid, names: Vec<String>) -> Result<(), StoreError>;

    /// What children were doing when last heard of, by name; of one child, or of all.
    async fn children(&self, name: Option<&str>) -> Result<Vec<ShownChild>, StoreError>;

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

    /// All credentials of all owners, each owner's together and by name.
    async fn all_secrets(&self) -> Result<Vec<SealedSecret>, StoreError>;

    /// Deletes a credential for good. False: there was none.
    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError>;

    /// Drops history older than `before`: inbox, journal, sent outbox rows, and partitions made of them. Never drops a
    /// row that has not been sent. Also makes the partitions of the days to come.
    async fn sweep(&self, now: Timestamp, before: Timestamp) -> Result<(), StoreError>;

    /// Pulls back what a wrong clock, this process's or the store's own, has put far ahead: a wait that was set later than now keeps its
    /// length from now on, a lease that ends later than any does ends soon. Answers how many waits and leases that were.
    async fn pull_back(&self) -> Result<u64, StoreError>;

    /// Whether this store is not the one that was last worked on: restored from a back-up, copied, or a copy that took over. It may be
    /// older than the broker then, so what was sent and is not handled is put back among what is to be sent, once; answers how many
    /// rows. `None`: it is the same.
    async fn gone_back(&self) -> Result<Option<u64>, StoreError>;

    /// When it was last found to have gone back.
    async fn went_back(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Answers if the store does.
    async fn ping(&self) -> Result<(), StoreError>;
}
