//! The store on SQLite: one file in a folder, for one hub process (the command line may open the same folder beside it).
//! Durable after kill -9. No partitions; what is old is deleted by age.

mod callers;
mod clock;
mod commit;
mod connection;
mod forget;
mod outbox;
mod place;
mod processes;
mod reading;
mod registry;
mod searched;
mod threads;
mod words;

use crate::records::{Rows, Turns, storable};
use async_trait::async_trait;
use atshub_actors::{
    domain::{Lookup, Page, Subject},
    ports::{
        Beat, Callers, Change, Claim, ClaimedRow, Clock, CommitOutcome, Door, Dossiers, Found, Journal, JournalEntry, MessageKey,
        MessageView, Person, PlatformAccount, ProcessRecord, Progress, Rail, SealedSecret, ShownChild, Standing, Store, StoreError,
        SystemClock, TenantRecord,
    },
    supervision::ChildSnapshot,
};
use atshub_schemas::{ExternalId, TenantName};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use threads::Threads;
use tokio::sync::Notify;
use uuid::Uuid;

/// The store on SQLite.
pub struct SqliteStore {
    threads: Threads,
    bell: Arc<Notify>,
    turns: Turns,
    clock: Arc<dyn Clock>,
    file: Option<PathBuf>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens `<folder>/hub.db`, makes it if it is not there, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if the folder or the file cannot be used.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let file = connection::file(folder)?;
        Self::start(Some(file))
    }

    /// A store that is gone when it is dropped.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if it cannot be made.
    pub fn open_in_memory() -> Result<Self, StoreError> {
        Self::start(None)
    }

    fn start(file: Option<PathBuf>) -> Result<Self, StoreError> {
        let threads = Threads::start(file.as_deref())?;
        Ok(Self { threads, bell: Arc::new(Notify::new()), turns: Turns::default(), clock: Arc::new(SystemClock), file })
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError> {
        let rows = Rows::new(change, &self.turns, self.clock.now())?;
        if rows.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let rings = !rows.outbox.is_empty();
        let outcome = self.threads.write(move |connection| commit::commit(connection, &rows)).await?;
        if rings && outcome == CommitOutcome::Committed {
            self.bell.notify_one();
        }
        Ok(outcome)
    }

    async fn begin(&self, key: &MessageKey, claim: Claim) -> Result<Progress, StoreError> {
        let (key, clock) = (key.clone(), Arc::clone(&self.clock));
        // The time at which it is written, so that of several each sees the leases of those before it.
        self.threads.write(move |connection| commit::begin(connection, &key, claim, clock.now())).await
    }

    async fn renew(&self, key: &MessageKey, claim: Claim) -> Result<bool, StoreError> {
        let (key, clock) = (key.clone(), Arc::clone(&self.clock));
        self.threads.write(move |connection| commit::renew(connection, &key, claim, clock.now())).await
    }

    async fn only_process_begins(&self, landing: Duration) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.threads.write(move |connection| commit::free_attempts(connection, landing, now)).await
    }

    async fn crashed(&self, key: &MessageKey, owner: Option<Uuid>, cause: &str) -> Result<u32, StoreError> {
        let (key, cause, now) = (key.clone(), cause.to_owned(), self.clock.now());
        self.threads.write(move |connection| commit::crashed(connection, &key, owner, &cause, now)).await
    }
}

#[async_trait]
impl Rail for SqliteStore {
    async fn claim(&self, now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError> {
        let until = now.checked_add(lease).map_err(|e| StoreError::Broken(format!("a lease has no end: {e}")))?;
        self.threads.write(move |connection| outbox::claim(connection, now, limit, invites, until)).await
    }

    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.threads.write(move |connection| outbox::sent(connection, &rows, now)).await
    }

    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        let (cause, now) = (cause.to_owned(), self.clock.now());
        self.threads.write(move |connection| outbox::unsent(connection, row.row, not_before, &cause, now)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.threads.read(move |connection| outbox::next_due(connection, now)).await
    }

    fn outbox_bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    async fn send_again(&self, queue: &str) -> Result<u64, StoreError> {
        let (queue, now) = (queue.to_owned(), self.clock.now());
        let again = self.threads.write(move |connection| outbox::send_again(connection, Some(&queue), now)).await?;
        if again > 0 {
            self.bell.notify_one();
        }
        Ok(again)
    }
}

#[async_trait]
impl Dossiers for SqliteStore {
    async fn look_up(&self, tenant: &TenantName, by: Vec<Lookup>, of: Vec<Subject>) -> Result<Found, StoreError> {
        let tenant = tenant.to_string();
        self.threads
            .read(move |connection| {
                let dossiers = by.iter().map(|by| reading::dossiers(connection, &tenant, by)).collect::<Result<_, _>>()?;
                Ok(Found { dossiers, heard: reading::heard(connection, &tenant, &of)? })
            })
            .await
    }

    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError> {
        let (tenant, state, after) = (tenant.to_string(), state.to_owned(), after.map(ToString::to_string));
        self.threads.read(move |connection| searched::page(connection, &tenant, &state, after.as_deref(), limit)).await
    }

    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        let tenant = tenant.map(ToString::to_string);
        self.threads.read(move |connection| reading::counts(connection, reading::CANDIDACY_COUNTS, tenant.as_deref())).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError> {
        let (id, now) = (storable(id), self.clock.now());
        self.threads.read(move |connection| reading::message(connection, &id, now)).await
    }

    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError> {
        let (tenant, application) = (tenant.to_string(), application.to_string());
        self.threads.read(move |connection| reading::journal(connection, &tenant, &application)).await
    }

    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        let tenant = tenant.map(ToString::to_string);
        self.threads.read(move |connection| reading::counts(connection, reading::PARKED_COUNTS, tenant.as_deref())).await
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        self.threads.read(registry::tenants).await
    }

    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError> {
        self.threads.write(move |connection| registry::put_tenant(connection, &tenant, expected)).await
    }

    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError> {
        let name = name.to_string();
        self.threads.wipe(move |connection| registry::remove_tenant(connection, &name)).await
    }

    async fn set_standing(
        &self,
        name: &TenantName,
        standing: Standing,
        cause: Option<&str>,
        until: Option<Timestamp>,
        over: Option<u64>,
    ) -> Result<Option<u64>, StoreError> {
        let (name, cause, now) = (name.to_string(), cause.map(str::to_owned), self.clock.now());
        self.threads
            .write(move |connection| registry::set_standing(connection, &name, (&standing, cause.as_deref(), until), over, now))
            .await
    }

    async fn end_standing(&self, name: &TenantName, until: Timestamp) -> Result<bool, StoreError> {
        let (name, now) = (name.to_string(), self.clock.now());
        self.threads.write(move |connection| registry::end_standing(connection, &name, until, now)).await
    }

    async fn beat(&self, beat: Beat, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        let now = self.clock.now();
        self.threads.write(move |connection| processes::beat(connection, &beat, alive, now)).await
    }

    async fn processes(&self, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        let now = self.clock.now();
        self.threads.read(move |connection| processes::all(connection, alive, now)).await
    }

    async fn leave(&self, process: Uuid) -> Result<(), StoreError> {
        self.threads.write(move |connection| processes::leave(connection, process)).await
    }

    async fn show_children(&self, process: Uuid, children: Vec<ChildSnapshot>) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.threads.write(move |connection| processes::show(connection, process, &children, now)).await
    }

    async fn hide_children(&self, process: Uuid, names: Vec<String>) -> Result<(), StoreError> {
        self.threads.write(move |connection| processes::hide(connection, process, &names)).await
    }

    async fn children(&self, name: Option<&str>) -> Result<Vec<ShownChild>, StoreError> {
        let name = name.map(str::to_owned);
        self.threads.read(move |connection| processes::children(connection, name.as_deref())).await
    }

    async fn tell_callers(&self, told: Vec<Callers>) -> Result<(), StoreError> {
        self.threads.write(move |connection| callers::tell(connection, &told)).await
    }

    async fn callers(&self, tenant: Option<&TenantName>) -> Result<Vec<Callers>, StoreError> {
        let tenant = tenant.map(ToString::to_string);
        self.threads.read(move |connection| callers::all(connection, tenant.as_deref())).await
    }

    async fn forget_refusals(&self, tenant: &TenantName, door: Door) -> Result<(), StoreError> {
        let tenant = tenant.to_string();
        self.threads.write(move |connection| callers::forget(connection, &tenant, door)).await
    }

    async fn tenants_version(&self) -> Result<u64, StoreError> {
        self.threads.read(registry::version).await
    }

    async fn platforms(&self) -> Result<Vec<PlatformAccount>, StoreError> {
        self.threads.read(registry::platforms).await
    }

    async fn put_platform(&self, account: PlatformAccount) -> Result<(), StoreError> {
        self.threads.write(move |connection| registry::put_platform(connection, &account)).await
    }

    async fn remove_platform(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.threads.wipe(move |connection| registry::remove_platform(connection, &name)).await
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), StoreError> {
        self.threads.wipe(move |connection| registry::put_secret(connection, &secret)).await
    }

    async fn keep_secret(&self, secret: SealedSecret) -> Result<SealedSecret, StoreError> {
        self.threads.write(move |connection| registry::keep_secret(connection, &secret)).await
    }

    async fn reseal(&self, before: &SealedSecret, after: SealedSecret) -> Result<bool, StoreError> {
        let before = before.clone();
        self.threads.wipe(move |connection| registry::reseal(connection, &before, &after)).await
    }

    async fn secrets(&self, owner: &str) -> Result<Vec<SealedSecret>, StoreError> {
        let owner = owner.to_owned();
        self.threads.read(move |connection| registry::secrets(connection, &owner)).await
    }

    async fn all_secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        self.threads.read(registry::all_secrets).await
    }

    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        let (owner, name) = (owner.to_owned(), name.to_owned());
        self.threads.wipe(move |connection| registry::delete_secret(connection, &owner, &name)).await
    }

    async fn forget_removed(&self, disabled: Timestamp) -> Result<u64, StoreError> {
        self.threads.wipe(move |connection| forget::removed(connection, disabled)).await
    }

    async fn erase(&self, tenant: &TenantName, person: &Person, really: bool) -> Result<BTreeMap<&'static str, u64>, StoreError> {
        let (tenant, person) = (tenant.to_string(), person.clone());
        self.threads.wipe(move |connection| forget::person(connection, &tenant, &person, really)).await
    }

    async fn sweep(&self, _now: Timestamp, history: Timestamp, candidates: Timestamp) -> Result<(), StoreError> {
        self.threads.write(move |connection| forget::sweep(connection, history, candidates)).await
    }

    async fn pull_back(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.threads.write(move |connection| clock::pull_back(connection, now)).await
    }

    async fn gone_back(&self) -> Result<Option<u64>, StoreError> {
        let Some(file) = self.file.clone() else { return Ok(None) };
        let now = self.clock.now();
        let again = self.threads.write(move |connection| place::gone_back(connection, &file, now)).await?;
        if again.is_some_and(|again| again > 0) {
            self.bell.notify_one();
        }
        Ok(again)
    }

    async fn went_back(&self) -> Result<Option<Timestamp>, StoreError> {
        self.threads.read(place::went_back).await
    }

    async fn identity(&self) -> Result<String, StoreError> {
        self.threads.write(place::identity).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.threads.look(place::writes).await
    }
}
