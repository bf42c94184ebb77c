//! The store's contract, one sentence per test, run on both stores. What only one of them promises stands in its own
//! file.

#![cfg(test)]

mod attempts;
mod callers;
mod clocks;
mod commits;
mod conditions;
mod dossiers;
mod effects;
mod embedded;
mod kept;
mod messages;
mod outbox;
mod plans;
mod postgres;
mod processes;
mod progress;
mod registry;
mod retention;
mod sealing;
mod search;
mod sent_again;

use crate::support::postgres::TestDatabase;
use atshub::embedded::store::SqliteStore;
use atshub_actors::ports::Store;
use std::{any::Any, sync::Arc};

/// A store of the test's own, and what must outlive it.
struct Subject {
    store: Arc<dyn Store>,
    _kept: Box<dyn Any + Send>,
}

impl Subject {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Arc::new(SqliteStore::open(folder.path()).unwrap()), _kept: Box::new(folder) }
    }

    async fn memory() -> Self {
        Self { store: Arc::new(SqliteStore::open_in_memory().unwrap()), _kept: Box::new(()) }
    }

    async fn postgres() -> Self {
        let database = TestDatabase::empty().await;
        Self { store: Arc::new(database.store().await), _kept: Box::new(database) }
    }
}

/// Runs each of these functions on every store.
macro_rules! on_every_store {
    ($($sentence:ident)*) => {
        mod on_sqlite { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let subject = crate::store_conformance::Subject::sqlite().await;
                super::$sentence(std::sync::Arc::clone(&subject.store)).await;
            }
        )* }
        mod on_sqlite_in_memory { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let subject = crate::store_conformance::Subject::memory().await;
                super::$sentence(std::sync::Arc::clone(&subject.store)).await;
            }
        )* }
        mod on_postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                let subject = crate::store_conformance::Subject::postgres().await;
                super::$sentence(std::sync::Arc::clone(&subject.store)).await;
            }
        )* }
    };
}
use on_every_store;
