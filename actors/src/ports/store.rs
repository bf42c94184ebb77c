//! The store, by who uses it: the [`Journal`] of working actors, the [`Rail`] of the relay, the [`Dossiers`] of whoever decides or
//! searches, and the rest here. Contract, held by `tests/integration/store_conformance`: what those say, and that times are kept to the
//! microsecond.

use super::{
    callers::{Callers, Door},
    dossiers::Dossiers,
    journal::Journal,
    processes::{Beat, ProcessRecord, ShownChild},
    rail::Rail,
    records::{JournalEntry, MessageView},
    registry::{PlatformAccount, SealedSecret, Standing, TenantRecord},
};
use crate::shown::ChildSnapshot;
use async_trait::async_trait;
use atshub_schemas::{Email, ExternalId, TenantName};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};
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

/// By what a person is named who is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Person {
    /// Their address, now or before.
    Email(Email),
    /// One of their applications, by its id in the ATS.
    Application(ExternalId),
}

/// Keeps everything: [`Journal`], [`Rail`] and [`Dossiers`], each for who uses it, and what few ask for.
#[async_trait]
pub trait Store: Journal + Rail + Dossiers {
    /// All the hub knows of the messages with this id (ids are unique per tenant and source).
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError>;

    /// History of an application, oldest first: the newest 1,000 lines.
    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError>;

    /// Number of parked messages, by code.
    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError>;

    /// All tenants, by name. One whose settings cannot be read says so and hides no other.
    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError>;

    /// Saves a tenant; `expected` is the version that was read, `None` if it is new. False: somebody else was faster,
    /// or the name is taken. The record's own `version` is ignored: the store gives the next one. One that could not be
    /// [read](TenantRecord::unreadable) is refused as broken. A new one begins with nothing: what is left of an earlier one of its name is
    /// deleted, and messages that were parked because there was no tenant of that name are nobody's.
    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError>;

    /// Removes a tenant, its credentials, and all that is kept of it. False: there was nothing.
    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError>;

    /// Deletes what was written for tenants after they were removed: what they had in hand then. And what waits to be sent for tenants
    /// that have been disabled since then. Answers how many rows.
    async fn forget_removed(&self, disabled: Timestamp) -> Result<u64, StoreError>;

    /// Erases a person: whatever is kept of them, their applications and candidacies. That their messages were handled stays known, so
    /// that none is taken for new. Answers how many rows of which table; unless `really`, that is all it does.
    async fn erase(&self, tenant: &TenantName, person: &Person, really: bool) -> Result<BTreeMap<&'static str, u64>, StoreError>;

    /// Changes a tenant's standing, its cause, and when it ends by itself: in place of the one that [stood](TenantRecord::stood) with
    /// version `over`, or, with `None`, of whichever stands. Answers the version that it stands with now; `None`: there is no such tenant,
    /// or somebody has changed its standing since, and knows better.
    async fn set_standing(
        &self,
        name: &TenantName,
        standing: Standing,
        cause: Option<&str>,
        until: Option<Timestamp>,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError>;

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

    /// What came to tenants' doors since it was last told, added to what was told before, by whichever process. A caller that was known
    /// takes back the refusals that were told until then.
    async fn tell_callers(&self, callers: Vec<Callers>) -> Result<(), StoreError>;

    /// What came to the doors of one tenant, or of all, by tenant and door.
    async fn callers(&self, tenant: Option<&TenantName>) -> Result<Vec<Callers>, StoreError>;

    /// What was refused at a door was refused by a secret that is replaced now: it is forgotten.
    async fn forget_refusals(&self, tenant: &TenantName, door: Door) -> Result<(), StoreError>;

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

    /// Saves a credential if its owner has none of this name. Answers the one that stands then: this, or the one that was there.
    async fn keep_secret(&self, secret: SealedSecret) -> Result<SealedSecret, StoreError>;

    /// Puts a credential in the place of exactly this one: sealed anew, and otherwise the same. Nobody is told of it: it is no change
    /// of what the hub does. False: it is not there any more, or was set since.
    async fn reseal(&self, before: &SealedSecret, after: SealedSecret) -> Result<bool, StoreError>;

    /// All credentials of an owner.
    async fn secrets(&self, owner: &str) -> Result<Vec<SealedSecret>, StoreError>;

    /// All credentials of all owners, each owner's together and by name.
    async fn all_secrets(&self) -> Result<Vec<SealedSecret>, StoreError>;

    /// Deletes a credential for good. False: there was none.
    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError>;

    /// Which store this is: a name that it gave itself when it was first asked, and that a back-up of it keeps.
    async fn identity(&self) -> Result<String, StoreError>;

    /// Drops what is kept for a time, once it is older than `history`: handled and sent messages, history, what was heard, what is
    /// parked; and dossiers that nothing has changed since `candidates`. Never drops a row that has not been sent. Also makes the
    /// partitions of the days to come.
    async fn sweep(&self, now: Timestamp, history: Timestamp, candidates: Timestamp) -> Result<(), StoreError>;

    /// Pulls back what a wrong clock, this process's or the store's own, has put far ahead: a wait that was set later than now keeps its
    /// length from now on, a lease that ends later than any does ends soon. Answers how many waits and leases that were.
    async fn pull_back(&self) -> Result<u64, StoreError>;

    /// Whether this store is not the one that was last worked on: restored from a back-up, copied, or a copy that took over. It may be
    /// older than the broker then, so what was sent and is not handled is put back among what is to be sent, once; answers how many
    /// rows. `None`: it is the same.
    async fn gone_back(&self) -> Result<Option<u64>, StoreError>;

    /// When it was last found to have gone back.
    async fn went_back(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Answers if the store takes a write. One that can only be read, or whose last change failed for its own fault, is not well.
    async fn ping(&self) -> Result<(), StoreError>;
}
