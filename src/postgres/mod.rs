//! The store on PostgreSQL, for one hub process or many. All work on the database runs on the io runtime that
//! [`PostgresStore::connect`] is given, never on the caller's: a caller's thread that stands still holds up nobody.
//!
//! Knows no actors and no broker; what the rows look like is in `crate::records`.

mod callers;
mod clock;
mod commit;
mod connection;
mod forget;
mod gather;
mod handled;
mod heralds;
mod let_go;
mod lookups;
mod migrations;
mod outbox;
mod partitions;
mod place;
mod ports;
mod processes;
mod progress;
mod reading;
mod registry;
mod searched;
mod sending;
mod statement;
mod url;
mod write;

pub use crate::records::Schema;
pub use url::clear_text;

use crate::{records::Turns, tls::Tls};
use atshub_actors::ports::{Clock, StoreError, SystemClock};
use clock::Clocks;
use connection::Database;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::{mpsc, oneshot};

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
    /// What TLS connections stand on.
    pub tls: Tls,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            max_connections: 8,
            statement_timeout: Duration::from_secs(7),
            answer_within: Duration::from_secs(9),
            flights: 4,
            tls: Tls::default(),
        }
    }
}

/// The store on PostgreSQL.
pub struct PostgresStore {
    database: Database,
    commits: mpsc::Sender<commit::Job>,
    beginnings: mpsc::Sender<progress::Beginning>,
    questions: mpsc::Sender<lookups::Question>,
    heralds: heralds::Heralds,
    letting_go: let_go::LettingGo,
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
    /// Connects. The schema is not looked at: see [`PostgresStore::migrate`] and [`PostgresStore::schema`].
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
        let io = database.io().clone();
        let heralds = heralds::Heralds::default();
        let letting_go = let_go::LettingGo::start(database.clone(), Arc::clone(&heralds.bell));
        let commits = {
            let (database, heralds, letting_go) = (database.clone(), heralds.clone(), letting_go.clone());
            let commit = move |group| commit::commit(database.clone(), heralds.clone(), letting_go.clone(), group);
            gather::gather(&io, options.flights, commit)
        };
        let beginnings = {
            let database = database.clone();
            gather::gather(&io, 1, move |group| progress::begin(database.clone(), group))
        };
        let questions = {
            let database = database.clone();
            gather::gather(&io, options.flights, move |group| lookups::answer(database.clone(), group))
        };
        // A group may wait for the one before it, and is answered within the limit itself.
        let patience = options.answer_within + Duration::from_secs(1);
        let (turns, clocks) = (Turns::default(), Clocks::new(Arc::new(SystemClock)));
        Ok(Self { database, commits, beginnings, questions, heralds, letting_go, turns, clocks, patience })
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
    /// with the names of what was applied; none if a newer release has laid it out.
    ///
    /// # Errors
    /// [`StoreError::Broken`] if a migration fails; then nothing of that migration was applied.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let applied = migrations::migrate(&self.database).await?;
        partitions::make(&self.database, self.now()).await?;
        searched::fill(&self.database).await?;
        Ok(applied)
    }

    /// How the schema stands to the one that this program was made for.
    ///
    /// # Errors
    /// As any call.
    pub async fn schema(&self) -> Result<Schema, StoreError> {
        Ok(migrations::state(&self.database).await?)
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
}
