//! The store on PostgreSQL, for one hub process or many. All work on the database runs on the io runtime that
//! [`PostgresStore::connect`] is given, never on the caller's: a caller's thread that stands still holds up nobody.
//!
//! Knows no actors and no broker; what the rows look like is in `crate::records`.

mod clock;
mod commit;
mod connection;
mod gather;
mod handled;
mod heralds;
mod lookups;
mod migrations;
mod outbox;
mod partitions;
mod place;
mod processes;
mod progress;
mod reading;
mod registry;
mod searched;
mod sending;
mod statement;
mod write;

use crate::records::{Rows, Turns};
use async_trait::async_trait;
use atshub_actors::{
    domain::{Dossier, Heard, Lookup, Page, Subject},
    ports::{
        Beat, Change, Claim, ClaimedRow, Clock, CommitOutcome, Dossiers, Fresh, Journal, JournalEntry, MessageKey, MessageView,
        PlatformAccount, ProcessRecord, Progress, Rail, SealedSecret, ShownChild, Store, StoreError, SystemClock, TenantRecord, handover,
    },
    supervision::ChildSnapshot,
};
use atshub_schemas::{ExternalId, TenantName};
use clock::Clocks;
use connection::Database;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// Limits towards the database.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Most connections of this process.
    pub max_connections: usize,
    /// What the database may take for one statement, or for the wait for one lock.
    pub statement_timeout: Duration,
    /// After this, whatever was asked is answered with [`StoreError::Away`].
    pub answer_within: Duration,
    /// Groups of changes that may be committed at the same time.
    pub flights: usize,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self { max_connections: 8, statement_timeout: Duration::from_secs(7), answer_within: Duration::from_secs(9), flights: 4 }
    }
}

/// The store on PostgreSQL.
pub struct PostgresStore {
    database: Database,
    commits: mpsc::Sender<commit::Job>,
    beginnings: mpsc::Sender<progress::Beginning>,
    questions: mpsc::Sender<lookups::Question>,
    heralds: heralds::Heralds,
    turns: Turns,
    clocks: Clocks,
    patience: Duration,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects. The schema is not looked at: see [`PostgresStore::migrate`] and [`PostgresStore::schema_is_current`].
    ///
    /// # Errors
    /// [`StoreError::Broken`] for an unusable URL, [`StoreError::Away`] if nobody answers there.
    pub async fn connect(url: &str, io: tokio::runtime::Handle, options: PostgresOptions) -> Result<Self, StoreError> {
        let store = Self::lazy(url, io, &options)?;
        clock::ask(&store.database, &store.clocks).await?;
        Ok(store)
    }

    /// The same without asking whether anybody is there, for a hub that starts before its database does.
    ///
    /// # Errors
    /// [`StoreError::Broken`] for an unusable URL.
    pub fn lazy(url: &str, io: tokio::runtime::Handle, options: &PostgresOptions) -> Result<Self, StoreError> {
        let database = Database::new(url, io, options)?;
        let heralds = heralds::Heralds::default();
        let commits = {
            let (database, heralds) = (database.clone(), heralds.clone());
            gather::gather(&database.io().clone(), options.flights, move |group| commit::commit(database.clone(), heralds.clone(), group))
        };
        let beginnings = {
            let database = database.clone();
            gather::gather(&database.io().clone(), 1, move |group| progress::begin(database.clone(), group))
        };
        let questions = {
            let database = database.clone();
            gather::gather(&database.io().clone(), options.flights, move |group| lookups::answer(database.clone(), group))
        };
        // A group may wait for the one before it, and is answered within the limit itself.
        let patience = options.answer_within + Duration::from_secs(1);
        let (turns, clocks) = (Turns::default(), Clocks::new(Arc::new(SystemClock)));
        Ok(Self { database, commits, beginnings, questions, heralds, turns, clocks, patience })
    }

    /// The same by another clock in place of this machine's.
    ///
    /// # Errors
    /// As any call.
    pub async fn with_clock(mut self, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        self.clocks = Clocks::new(clock);
        clock::ask(&self.database, &self.clocks).await?;
        Ok(self)
    }

    /// Brings the schema up to date and makes the first partitions. Safe to run from many processes at once. Answers
    /// with the names of what was applied.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if a migration fails; then nothing of that migration was applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let applied = migrations::migrate(&self.database).await?;
        partitions::make(&self.database, self.now()).await?;
        searched::fill(&self.database).await?;
        Ok(applied)
    }

    /// Whether the schema is the one this program was made for.
    ///
    /// # Errors
    /// As any call.
    pub async fn schema_is_current(&self) -> Result<bool, StoreError> {
        Ok(migrations::is_current(&self.database).await?)
    }

    /// Now, by the database's clock.
    fn now(&self) -> Timestamp {
        self.clocks.to_store(self.clocks.now())
    }

    /// Puts a piece of work in line and waits for its answer, neither for ever.
    async fn ask<J, T>(&self, line: &mpsc::Sender<J>, job: J, answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
        let patience = self.patience;
        let away = || StoreError::Away(format!("no answer within {patience:?}"));
        // Not a timer of the caller's runtime: it may be an arbiter that stands still, or have no timer.
        let clock = {
            let _io = self.database.io().enter();
            tokio::time::sleep(patience)
        };
        let asked = async {
            line.send(job).await.map_err(|_| StoreError::Away("it is being closed".into()))?;
            answer.await.unwrap_or_else(|_| Err(away()))
        };
        tokio::select! {
            biased;
            answer = asked => answer,
            () = clock => Err(away()),
        }
    }

    async fn look(&self, tenant: &TenantName, of: lookups::Of) -> Result<lookups::Found, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.ask(&self.questions, lookups::Question { tenant: tenant.clone(), of, reply }, answer).await
    }
}

#[async_trait]
impl Journal for PostgresStore {
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError> {
        let rows = self.clocks.rows(Rows::new(change, &self.turns, self.clocks.now())?);
        if rows.is_empty() {
            return Ok(CommitOutcome::Committed);
        }
        let (reply, answer) = oneshot::channel();
        self.ask(&self.commits, commit::Job { rows, reply }, answer).await
    }

    async fn begin(&self, key: &MessageKey, claim: Claim) -> Result<Progress, StoreError> {
        let (reply, answer) = oneshot::channel();
        let progress = self.ask(&self.beginnings, progress::Beginning { key: key.clone(), claim, reply }, answer).await?;
        let own = |time| self.clocks.to_own(time);
        Ok(Progress { held_until: progress.held_until.map(own), earlier: progress.earlier.map(own), ..progress })
    }

    async fn renew(&self, key: &MessageKey, claim: Claim) -> Result<bool, StoreError> {
        Ok(progress::renew(&self.database, key.clone(), claim).await?)
    }

    async fn crashed(&self, key: &MessageKey, owner: Option<Uuid>, cause: &str) -> Result<u32, StoreError> {
        Ok(progress::crashed(&self.database, key.clone(), owner, cause, self.now()).await?)
    }
}

#[async_trait]
impl Rail for PostgresStore {
    async fn claim(&self, now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError> {
        let now = self.clocks.to_store(now);
        let until = now.checked_add(lease).map_err(|e| StoreError::Broken(format!("a lease has no end: {e}")))?;
        let [limit, invites] = [limit, invites].map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        Ok(outbox::claim(&self.database, now, limit, invites, until).await?)
    }

    fn fresh(&self, lease: Duration) -> Option<Fresh> {
        let (store, relay) = handover(lease);
        *self.heralds.relay.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
        Some(relay)
    }

    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError> {
        Ok(outbox::sent(&self.database, rows).await?)
    }

    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        self.unsent_all(vec![row], not_before, cause).await
    }

    async fn unsent_all(&self, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        Ok(outbox::unsent(&self.database, rows, self.clocks.to_store(not_before), cause).await?)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(outbox::next_due(&self.database, self.now()).await?.map(|due| self.clocks.to_own(due)))
    }

    fn outbox_bell(&self) -> Arc<Notify> {
        Arc::clone(&self.heralds.bell)
    }

    async fn send_again(&self, queue: &str) -> Result<u64, StoreError> {
        let again = outbox::send_again(&self.database, queue, self.now()).await?;
        if again > 0 {
            self.heralds.bell.notify_one();
        }
        Ok(again)
    }
}

#[async_trait]
impl Dossiers for PostgresStore {
    async fn dossiers(&self, tenant: &TenantName, by: Lookup) -> Result<Vec<Dossier>, StoreError> {
        Ok(self.look(tenant, lookups::Of::Dossiers(by)).await?.dossiers)
    }

    async fn page(&self, tenant: &TenantName, state: &str, after: Option<&ExternalId>, limit: u32) -> Result<Page, StoreError> {
        Ok(searched::page(&self.database, tenant.clone(), state.to_owned(), after.cloned(), limit).await?)
    }

    async fn heard(&self, tenant: &TenantName, of: Vec<Subject>) -> Result<Vec<Heard>, StoreError> {
        Ok(self.look(tenant, lookups::Of::Heard(of)).await?.heard)
    }

    async fn candidacy_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(reading::candidacy_counts(&self.database, tenant.cloned()).await?)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn message(&self, id: &str) -> Result<Vec<MessageView>, StoreError> {
        Ok(reading::message(&self.database, crate::records::storable(id), self.now()).await?)
    }

    async fn journal(&self, tenant: &TenantName, application: &ExternalId) -> Result<Vec<JournalEntry>, StoreError> {
        Ok(reading::journal(&self.database, tenant.clone(), application.clone()).await?)
    }

    async fn parked_counts(&self, tenant: Option<&TenantName>) -> Result<BTreeMap<String, u64>, StoreError> {
        Ok(reading::parked_counts(&self.database, tenant.cloned()).await?)
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        Ok(registry::tenants(&self.database).await?)
    }

    async fn put_tenant(&self, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, StoreError> {
        Ok(registry::put_tenant(&self.database, tenant, expected).await?)
    }

    async fn remove_tenant(&self, name: &TenantName) -> Result<bool, StoreError> {
        Ok(registry::remove_tenant(&self.database, name.to_string()).await?)
    }

    async fn set_standing(
        &self,
        name: &TenantName,
        standing: &str,
        cause: Option<&str>,
        until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        Ok(registry::set_standing(
            &self.database,
            name.to_string(),
            standing.to_owned(),
            cause.map(str::to_owned),
            until,
            self.clocks.now(),
        )
        .await?)
    }

    async fn end_standing(&self, name: &TenantName, until: Timestamp) -> Result<bool, StoreError> {
        Ok(registry::end_standing(&self.database, name.to_string(), until, self.clocks.now()).await?)
    }

    async fn beat(&self, beat: Beat, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        Ok(processes::beat(&self.database, &self.clocks, beat, alive).await?)
    }

    async fn processes(&self, alive: Duration) -> Result<Vec<ProcessRecord>, StoreError> {
        Ok(processes::all(&self.database, &self.clocks, alive).await?)
    }

    async fn leave(&self, process: Uuid) -> Result<(), StoreError> {
        Ok(processes::leave(&self.database, process).await?)
    }

    async fn show_children(&self, process: Uuid, children: Vec<ChildSnapshot>) -> Result<(), StoreError> {
        Ok(processes::show(&self.database, process, &children).await?)
    }

    async fn hide_children(&self, process: Uuid, names: Vec<String>) -> Result<(), StoreError> {
        Ok(processes::hide(&self.database, process, names).await?)
    }

    async fn children(&self, name: Option<&str>) -> Result<Vec<ShownChild>, StoreError> {
        Ok(processes::children(&self.database, name.map(str::to_owned)).await?)
    }

    async fn tenants_version(&self) -> Result<u64, StoreError> {
        Ok(registry::version(&self.database).await?)
    }

    async fn platforms(&self) -> Result<Vec<PlatformAccount>, StoreError> {
        Ok(registry::platforms(&self.database).await?)
    }

    async fn put_platform(&self, account: PlatformAccount) -> Result<(), StoreError> {
        Ok(registry::put_platform(&self.database, account).await?)
    }

    async fn remove_platform(&self, name: &str) -> Result<bool, StoreError> {
        Ok(registry::remove_platform(&self.database, name.to_owned()).await?)
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), StoreError> {
        Ok(registry::put_secret(&self.database, secret).await?)
    }

    async fn secrets(&self, owner: &str) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(registry::secrets(&self.database, owner.to_owned()).await?)
    }

    async fn all_secrets(&self) -> Result<Vec<SealedSecret>, StoreError> {
        Ok(registry::all_secrets(&self.database).await?)
    }

    async fn delete_secret(&self, owner: &str, name: &str) -> Result<bool, StoreError> {
        Ok(registry::delete_secret(&self.database, owner.to_owned(), name.to_owned()).await?)
    }

    async fn sweep(&self, now: Timestamp, before: Timestamp) -> Result<(), StoreError> {
        // A process whose clock is ahead must not drop what is not old.
        partitions::make(&self.database, self.clocks.to_store(now)).await?;
        Ok(partitions::drop_old(&self.database, self.clocks.to_store(before)).await?)
    }

    async fn pull_back(&self) -> Result<u64, StoreError> {
        Ok(clock::pull_back(&self.database, &self.clocks).await?)
    }

    async fn gone_back(&self) -> Result<Option<u64>, StoreError> {
        let again = place::gone_back(&self.database, self.now()).await?;
        if again.is_some_and(|again| again > 0) {
            self.heralds.bell.notify_one();
        }
        Ok(again)
    }

    async fn went_back(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(place::went_back(&self.database).await?.map(|at| self.clocks.to_own(at)))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(self.database.run(|connection| async move { Ok(connection.batch_execute("select 1").await?) }.boxed()).await?)
    }
}
