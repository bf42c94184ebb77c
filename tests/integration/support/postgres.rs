//! A PostgreSQL database for one test, made empty and dropped with the value.

#![cfg(test)]

use atshub::postgres::{PostgresOptions, PostgresStore};
use std::str::FromStr;
use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// Where the server is, for whoever makes databases.
const DEFAULT_URL: &str = "postgres://postgres@127.0.0.1:5432/postgres";

/// Connections of a store under test: the server is shared.
pub(crate) const MAX_CONNECTIONS: usize = 4;

fn admin_url() -> String {
    std::env::var("ATSHUB_TEST_DATABASE_URL").unwrap_or_else(|_| DEFAULT_URL.into())
}

/// A connection for looking behind the store.
pub(crate) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers; see ATSHUB_TEST_DATABASE_URL");
    tokio::spawn(connection);
    client
}

/// The database; dropped when this is.
pub(crate) struct TestDatabase {
    name: String,
    pub(crate) url: String,
}

impl TestDatabase {
    pub(crate) async fn empty() -> Self {
        let name = format!("atshub_test_{}", Uuid::now_v7().simple());
        client(&admin_url()).await.batch_execute(&format!("create database {name}")).await.unwrap();
        let url = with_database(&admin_url(), &name);
        Self { name, url }
    }

    /// The address for another port, such as a proxy's.
    pub(crate) fn url_at(&self, place: std::net::SocketAddr) -> String {
        self.url.replacen(&address(), &place.to_string(), 1)
    }

    /// A store on it, with the schema up to date.
    pub(crate) async fn store(&self) -> PostgresStore {
        let store = self.unmigrated().await;
        store.migrate().await.unwrap();
        store
    }

    /// A store on it as it is.
    pub(crate) async fn unmigrated(&self) -> PostgresStore {
        let options = PostgresOptions { max_connections: MAX_CONNECTIONS, ..PostgresOptions::default() };
        PostgresStore::connect(&self.url, tokio::runtime::Handle::current(), options).await.unwrap()
    }
}

/// Where the server listens.
pub(crate) fn address() -> String {
    let url = admin_url();
    let (_, rest) = url.split_once("://").unwrap();
    let place = rest.split(['/', '?']).next().unwrap();
    place.rsplit_once('@').map_or(place, |(_, host)| host).to_owned()
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("drop database if exists {} with (force)", self.name);
        // The test's own runtime may be the one that is being dropped.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { client(&admin_url()).await.batch_execute(&drop).await })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database {} is left behind: {error}", self.name);
        }
    }
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> String {
    // Checked, so that a typing error is not taken for a server that is away.
    tokio_postgres::Config::from_str(url).expect("ATSHUB_TEST_DATABASE_URL is a PostgreSQL URL");
    let (address, query) = url.split_once('?').map_or((url, String::new()), |(a, q)| (a, format!("?{q}")));
    let (scheme, rest) = address.split_once("://").unwrap();
    let host = rest.split('/').next().unwrap();
    format!("{scheme}://{host}/{name}{query}")
}
