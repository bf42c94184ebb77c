//! The composition root: the one place that knows which adapter an address means, and joins adapters, actors and doors. What a
//! hub does once it is joined is in [`crate::hub`].

mod tenants;

use crate::{
    api::{self, Doors, Limits},
    config::{self, AddressError, BrokerAddress, Config, StoreAddress},
    credentials::{KeyFileError, KeyProofError, Sealer},
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
    http::{self, Http},
    hub::{self, Drills, Hub, HubError, HubOptions, Parts},
    postgres::{self, PostgresOptions, PostgresStore, Schema},
    rabbitmq::{self, QueueType, RabbitBroker, RabbitOptions},
    sealing,
    tls::{Tls, TlsError},
};
use actix_web::dev::ServerHandle;
use atshub_actors::{
    gate::GatePolicy,
    ports::{Broker, BrokerError, Clock, Store, StoreError, SystemClock},
    supervision::{RestartPolicy, Share},
};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tenants::Tenants;
use tokio::{runtime::Handle, sync::watch};

/// Why the hub, or a part of it, did not start. The sentence says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// A setting whose value will not do.
    #[error("`{key}`: {cause}")]
    Setting {
        /// Which.
        key: &'static str,
        /// Why, and what would be right.
        cause: String,
    },
    /// The store could not be opened.
    #[error("failed to open the store `{address}`: {source}")]
    Store {
        /// Its address, without a password.
        address: String,
        /// Why.
        source: StoreError,
    },
    /// The broker could not be opened.
    #[error("failed to open the broker `{address}`: {source}")]
    Broker {
        /// Its address, without a password.
        address: String,
        /// Why.
        source: BrokerError,
    },
    /// The database is behind this program.
    #[error("the schema of `{address}` is older than this release; run `atshub migrate` with the same configuration, then start again")]
    Schema {
        /// The store's address, without a password.
        address: String,
    },
    /// There is no sealing key.
    #[error(transparent)]
    SealKey(#[from] KeyFileError),
    /// The sealing key is not the one that the store's credentials were sealed with.
    #[error(transparent)]
    OtherKey(KeyProofError),
    /// Nothing can listen there.
    #[error("failed to listen on `{address}`: {source}. Set `http.listen` to a free address, or stop what holds it")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The HTTP client could not be made.
    #[error("failed to set up outgoing HTTP: {0}")]
    Http(String),
    /// Store or broker went away during the start.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// It ran, and could not go on.
    #[error("{0}")]
    Fatal(String),
    /// A thread or runtime could not be made.
    #[error("failed to start: {0}")]
    Runtime(#[from] io::Error),
}

/// Opens the store that the configuration names. An embedded one is brought up to date; PostgreSQL has to be.
///
/// # Errors
/// [`AppError::Store`] if it does not answer, [`AppError::Schema`] if it is to be migrated first.
pub async fn open_store(config: &Config, io: Handle) -> Result<Arc<dyn Store>, AppError> {
    open_store_by(&TheClock::default(), config, io).await
}

async fn open_store_by(clock: &TheClock, config: &Config, io: Handle) -> Result<Arc<dyn Store>, AppError> {
    let failed = |source| AppError::Store { address: config.store.url.masked(), source };
    Ok(match config.store.url.store()? {
        StoreAddress::Postgres(url) => {
            let store = PostgresStore::connect(&url, io, postgres_options(config, &url)?).await.map_err(failed)?;
            match store.schema().await.map_err(failed)? {
                Schema::Current => {}
                Schema::Newer => tracing::info!("a newer release has laid out the store; this one works on it as it is"),
                Schema::Older => return Err(AppError::Schema { address: config.store.url.masked() }),
                Schema::TooNew => return Err(failed(StoreError::Broken(Schema::TOO_NEW.into()))),
            }
            Arc::new(store.with_clock(clock.get()).await.map_err(failed)?)
        }
        StoreAddress::Embedded(folder) => Arc::new(SqliteStore::open(&folder).map_err(failed)?.with_clock(clock.get())),
        StoreAddress::Memory => Arc::new(SqliteStore::open_in_memory().map_err(failed)?.with_clock(clock.get())),
    })
}

fn postgres_options(config: &Config, url: &str) -> Result<PostgresOptions, AppError> {
    postgres::clear_text(url).map_err(|cause| AppError::Setting { key: "store.url", cause })?;
    let max_connections = usize::from(config.store.connections.max(1));
    Ok(PostgresOptions { max_connections, tls: Tls::read(&config.tls)?, ..PostgresOptions::default() })
}

/// Brings the store's schema up to date; answers with what was applied.
///
/// # Errors
/// [`AppError::Store`].
pub async fn migrate(config: &Config, io: Handle) -> Result<Vec<String>, AppError> {
    let failed = |source| AppError::Store { address: config.store.url.masked(), source };
    match config.store.url.store()? {
        StoreAddress::Postgres(url) => {
            let store = PostgresStore::connect(&url, io, postgres_options(config, &url)?).await.map_err(failed)?;
            store.migrate().await.map_err(failed)
        }
        // Opening it does.
        StoreAddress::Embedded(_) | StoreAddress::Memory => open_store(config, io).await.map(|_| Vec::new()),
    }
}

/// Opens the broker that the configuration names.
///
/// # Errors
/// [`AppError::Broker`] if it does not answer.
pub async fn open_broker(config: &Config, io: Handle) -> Result<Arc<dyn Broker>, AppError> {
    connect_broker(config, io, RabbitOptions::default()).await
}

/// Connects to the broker that the configuration names, and makes nothing there.
///
/// # Errors
/// As [`open_broker`].
pub async fn look_at_broker(config: &Config, io: Handle) -> Result<Arc<dyn Broker>, AppError> {
    connect_broker(config, io, RabbitOptions { puts_topology: false, ..RabbitOptions::default() }).await
}

/// The broker that the configuration names, which is away and sought until it is there.
///
/// # Errors
/// [`AppError::Broker`] for an address that will not do.
pub async fn seek_broker(config: &Config, io: Handle) -> Result<Arc<dyn Broker>, AppError> {
    connect_broker(config, io, RabbitOptions { wait_for_broker: false, ..RabbitOptions::default() }).await
}

async fn connect_broker(config: &Config, io: Handle, options: RabbitOptions) -> Result<Arc<dyn Broker>, AppError> {
    let failed = |source| AppError::Broker { address: config.broker.url.masked(), source };
    Ok(match config.broker.url.broker()? {
        BrokerAddress::Amqp(url) => {
            let queue_type = match config.broker.queue_type {
                config::QueueType::Quorum => QueueType::Quorum,
                config::QueueType::Classic => QueueType::Classic,
            };
            rabbitmq::clear_text(&url).map_err(|cause| AppError::Setting { key: "broker.url", cause })?;
            let options = RabbitOptions { queue_type, tls: Tls::read(&config.tls)?, ..options };
            Arc::new(RabbitBroker::connect(&url, io, options).await.map_err(failed)?)
        }
        BrokerAddress::Embedded(folder) => {
            std::fs::create_dir_all(&folder).map_err(|e| failed(BrokerError::Refused(format!("the folder cannot be made: {e}"))))?;
            Arc::new(EmbeddedBroker::open(&folder).map_err(failed)?)
        }
        BrokerAddress::Memory => Arc::new(EmbeddedBroker::open_in_memory().map_err(failed)?),
    })
}

/// What calls platforms and ATSs.
///
/// # Errors
/// [`AppError::Setting`] for a file of `[tls]` that will not do, [`AppError::Http`].
pub fn outgoing(config: &Config, io: Handle, options: http::Options) -> Result<Http, AppError> {
    Http::trusting(io, options, &Tls::read(&config.tls)?).map_err(AppError::Http)
}

/// The time by which a hub and its store go: this machine's, unless somebody sets another.
#[derive(Clone, Default)]
pub struct TheClock(pub Option<Arc<dyn Clock>>);

impl TheClock {
    fn get(&self) -> Arc<dyn Clock> {
        self.0.clone().unwrap_or_else(|| Arc::new(SystemClock))
    }
}

impl std::fmt::Debug for TheClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "a clock that was set" } else { "the machine's clock" })
    }
}

/// What tests and the demonstration may want otherwise.
#[derive(Debug, Clone, Default)]
pub struct Tuning {
    /// What seals credentials, in place of the configured key.
    pub sealer: Option<Arc<Sealer>>,
    /// Limits of calls to platforms and ATSs.
    pub calls: http::Options,
    /// How patient the supervisor is.
    pub restarts: RestartPolicy,
    /// How patient the gates before ATSs and platforms are.
    pub gate: GatePolicy,
    /// By which clock it goes.
    pub clock: TheClock,
}

/// A hub with its doors.
pub struct Running {
    /// The hub.
    pub hub: Hub,
    /// Where its doors are.
    pub address: SocketAddr,
    /// Its broker, for whoever shares the process.
    pub broker: Arc<dyn Broker>,
    /// What seals its credentials.
    pub sealer: Arc<Sealer>,
    server: ServerHandle,
    doors: watch::Receiver<Option<String>>,
}

/// What a hub stands on, opened.
pub struct Ground {
    /// Its store.
    pub store: Arc<dyn Store>,
    /// Its broker.
    pub broker: Arc<dyn Broker>,
    /// Where its doors are to be.
    pub listener: TcpListener,
}

/// Takes the place where the doors are to be.
///
/// # Errors
/// [`AppError::Listen`].
pub fn listen(config: &Config) -> Result<TcpListener, AppError> {
    TcpListener::bind(config.http.listen).map_err(|source| AppError::Listen { address: config.http.listen, source })
}

/// Opens everything, starts the hub, and opens its doors. To be called within an actix system; `io` is another runtime, which
/// the actors cannot hold up.
///
/// # Errors
/// [`AppError`]; one that is away is not waited for.
pub async fn start(config: &Config, io: Handle, tuning: Tuning) -> Result<Running, AppError> {
    let (store, broker) = (open_store_by(&tuning.clock, config, io.clone()).await?, open_broker(config, io.clone()).await?);
    let listener = listen(config)?;
    start_on(Ground { store, broker, listener }, config, io, tuning).await
}

/// The same on what is open already.
///
/// # Errors
/// [`AppError`].
pub async fn start_on(ground: Ground, config: &Config, io: Handle, tuning: Tuning) -> Result<Running, AppError> {
    let Ground { store: opened, broker, listener } = ground;
    let sealer = match tuning.sealer {
        Some(sealer) => sealer,
        None => Arc::new(sealing::unproven(config, &*opened).await?),
    };
    sealing::proven(&sealer, config, &*opened).await?;
    let drills = Drills::allowed(config.hub.drills);
    let store = drills.as_ref().map_or_else(|| Arc::clone(&opened), |drills| drills.over_store(Arc::clone(&opened)));
    let clock = tuning.clock.get();
    let address = listener.local_addr()?;
    let options = HubOptions {
        arbiters: config.hub.arbiters,
        invite_actors: config.hub.invite_actors,
        invite_prefetch: config.hub.invite_prefetch,
        restarts: tuning.restarts,
        gate: tuning.gate,
        share: Share::of(config.hub.tenant_share),
        retention: config.retention.time(),
        candidates: config.retention.candidates(),
        sole: !(matches!(config.broker.url.broker()?, BrokerAddress::Amqp(_))
            && matches!(config.store.url.store()?, StoreAddress::Postgres(_))),
    };
    let http = outgoing(config, io.clone(), tuning.calls)?;
    let parts = Parts {
        store: Arc::clone(&store),
        broker: Arc::clone(&broker),
        clock: Arc::clone(&clock),
        sealer: Arc::clone(&sealer),
        http,
        io,
        options,
        drills,
    };
    let hub = Hub::start(parts).await?;
    let limits = Limits {
        max_body: config.http.max_body_bytes,
        request_time: config.http.request_time(),
        max_in_hand: config.http.max_in_hand,
        max_unverified: config.http.max_unverified_bytes,
        ..Limits::default()
    };
    let directory = Arc::new(Tenants(hub.directory(), hub.board()));
    let doors = Doors { store, broker: Arc::clone(&broker), directory, clock, limits, alive: hub::ALIVE };
    let server = api::server(doors, listener, config.http.workers)?;
    let handle = server.handle();
    let (fell, doors) = watch::channel(None);
    actix_rt::spawn(async move {
        let why = server.await.err().map_or_else(|| "their server ended".to_owned(), |error| error.to_string());
        fell.send_replace(Some(why));
    });
    tracing::info!(%address, store = config.store.url.masked(), broker = config.broker.url.masked(), "the hub is up");
    Ok(Running { hub, address, broker, sealer, server: handle, doors })
}

impl From<TlsError> for AppError {
    fn from(TlsError { key, text }: TlsError) -> Self {
        Self::Setting { key, cause: text }
    }
}

impl Running {
    /// Waits until the doors are gone though nobody closed them; says why. The process is to end then.
    pub async fn doors_fell(&self) -> String {
        let mut fell = self.doors.clone();
        let why = fell.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()).unwrap_or_default();
        format!(
            "the doors did not open, or fell shut: {why}; the lines above say more. Has the process too few file handles (`ulimit -n`) or threads?"
        )
    }

    /// Closes the doors, then drains the hub.
    pub async fn stop(self, deadline: Duration) {
        self.server.stop(true).await;
        self.hub.shutdown(deadline).await;
    }
}

/// The threads that all input and output runs on.
///
/// # Errors
/// If they cannot be made.
pub fn io_runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).thread_name("atshub-io").enable_all().build()
}
