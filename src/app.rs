//! The composition root: which adapters the configuration chooses, and how they are joined. Nothing else knows them all.

use crate::{
    config::{AddressError, BrokerAddress, Config, QueueType, SealKey, StoreAddress},
    credentials::{KeyFileError, Sealer},
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
    postgres::{PostgresOptions, PostgresStore},
    rabbitmq::{self, RabbitBroker, RabbitOptions},
};
use atshub_actors::ports::{Broker, BrokerError, Store, StoreError};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Why an adapter was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address chooses none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The store did not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store is not laid out as this build needs it.
    #[error("the database is not laid out for this version; run `atshub migrate`")]
    NotMigrated,
    /// The broker did not open.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// There is no sealing key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

fn postgres(config: &Config) -> PostgresOptions {
    PostgresOptions { max_connections: config.store.connections.into(), ..PostgresOptions::default() }
}

/// Opens the store that the configuration chooses; its work is done on this runtime. An embedded one is laid out as needed.
///
/// # Errors
/// [`OpenError`].
pub async fn open_store(config: &Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(match config.store.url.store()? {
        StoreAddress::Postgres(url) => {
            let store = PostgresStore::connect(&url, Handle::current(), postgres(config)).await?;
            if !store.schema_is_current().await? {
                return Err(OpenError::NotMigrated);
            }
            Arc::new(store)
        }
        StoreAddress::Embedded(folder) => Arc::new(SqliteStore::open(&folder)?),
        StoreAddress::Memory => Arc::new(SqliteStore::open_in_memory()?),
    })
}

/// Opens the broker that the configuration chooses; its work is done on this runtime.
///
/// # Errors
/// [`OpenError`].
pub async fn open_broker(config: &Config) -> Result<Arc<dyn Broker>, OpenError> {
    Ok(match config.broker.url.broker()? {
        BrokerAddress::Amqp(url) => {
            let queue_type = match config.broker.queue_type {
                QueueType::Quorum => rabbitmq::QueueType::Quorum,
                QueueType::Classic => rabbitmq::QueueType::Classic,
            };
            let options = RabbitOptions { queue_type, ..RabbitOptions::default() };
            Arc::new(RabbitBroker::connect(&url, Handle::current(), options).await?)
        }
        BrokerAddress::Embedded(folder) => Arc::new(EmbeddedBroker::open(&folder)?),
        BrokerAddress::Memory => Arc::new(EmbeddedBroker::open_in_memory()?),
    })
}

/// Opens what seals credentials.
///
/// # Errors
/// [`OpenError`].
pub fn open_sealer(config: &Config) -> Result<Sealer, OpenError> {
    Ok(match config.seal_key()? {
        SealKey::File(path) => Sealer::from_key_file(&path)?,
        SealKey::FileOrNew(path) => Sealer::from_key_file_or_new(&path)?,
        SealKey::Forgetful => Sealer::forgetful(),
        SealKey::NotSet => return Err(KeyFileError::NotSet.into()),
    })
}

/// Lays the store out as this build needs it; answers what was done, in order.
///
/// # Errors
/// [`OpenError`].
pub async fn migrate(config: &Config) -> Result<Vec<String>, OpenError> {
    match config.store.url.store()? {
        StoreAddress::Postgres(url) => Ok(PostgresStore::connect(&url, Handle::current(), postgres(config)).await?.migrate().await?),
        // Opening lays it out.
        StoreAddress::Embedded(_) | StoreAddress::Memory => open_store(config).await.map(|_| Vec::new()),
    }
}
