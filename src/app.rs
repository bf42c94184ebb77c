//! The composition root: the one place that knows which adapter an address means, and joins adapters, actors and doors. What a
//! hub does once it is joined is in [`crate::hub`].

use crate::{
    api::{self, Doors, Limits, TenantDoor, TenantRow},
    config::{self, AddressError, BrokerAddress, Config, StoreAddress},
    credentials::{KeyFileError, KeyProofError, Sealer},
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
    http::{self, Http},
    hub::{self, Drills, Hub, HubError, HubOptions, Parts},
    postgres::{PostgresOptions, PostgresStore, Schema},
    rabbitmq::{QueueType, RabbitBroker, RabbitOptions},
    sealing,
};
use actix_web::dev::ServerHandle;
use atshub_actors::{
    gate::GatePolicy,
    ports::{Broker, BrokerError, Clock, Store, StoreError, SystemClock},
    supervision::{Board, BreakerSnapshot, BreakerState, ChildSnapshot, RestartPolicy, Share, ThreadSnapshot},
};
use atshub_schemas::TenantName;
use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;

/// Why the hub, or a part of it, did not start. The sentence says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address that is none.
    #[error(transparent)]
    Address(#[from] AddressError),
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
            let store = PostgresStore::connect(&url, io, postgres_options(config)).await.map_err(failed)?;
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

fn postgres_options(config: &Config) -> PostgresOptions {
    PostgresOptions { max_connections: usize::from(config.store.connections.max(1)), ..PostgresOptions::default() }
}

/// Brings the store's schema up to date; answers with what was applied.
///
/// # Errors
/// [`AppError::Store`].
pub async fn migrate(config: &Config, io: Handle) -> Result<Vec<String>, AppError> {
    let failed = |source| AppError::Store { address: config.store.url.masked(), source };
    match config.store.url.store()? {
        StoreAddress::Postgres(url) => {
            let store = PostgresStore::connect(&url, io, postgres_options(config)).await.map_err(failed)?;
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
            Arc::new(RabbitBroker::connect(&url, io, RabbitOptions { queue_type, ..options }).await.map_err(failed)?)
        }
        BrokerAddress::Embedded(folder) => {
            std::fs::create_dir_all(&folder).map_err(|e| failed(BrokerError::Refused(format!("the folder cannot be made: {e}"))))?;
            Arc::new(EmbeddedBroker::open(&folder).map_err(failed)?)
        }
        BrokerAddress::Memory => Arc::new(EmbeddedBroker::open_in_memory().map_err(failed)?),
    })
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
}

/// The hub's tenants and their actors, as the doors see them.
struct Tenants(Arc<hub::Directory>, Board);

impl api::Directory for Tenants {
    fn tenant(&self, name: &str) -> Option<TenantDoor> {
        let seat = self.0.seat(&TenantName::new(name).ok()?)?;
        Some(TenantDoor {
            record: Arc::clone(&seat.record),
            account: seat.account.clone(),
            entry: seat.entry?,
            platform: seat.platform.as_ref().map(|platform| Arc::clone(&platform.adapter)),
        })
    }

    fn snapshot(&self) -> Vec<TenantRow> {
        let row = |seat: Arc<hub::Seat>| {
            let child = self.0.child(&seat.record.name);
            TenantRow {
                name: seat.record.name.to_string(),
                ats: seat.entry.map_or_else(|| seat.record.ats.clone(), |entry| entry.name.to_owned()),
                phase: match &child {
                    Some(child) => child.phase.as_str(),
                    None if self.0.owns(&seat.record.name) => "starting",
                    None => "elsewhere",
                }
                .to_owned(),
                generation: child.as_ref().map_or(0, |child| child.generation),
                restarts: child.as_ref().map_or(0, |child| child.restarts),
                next_start: child.as_ref().and_then(|child| child.next_start),
                breakers: breakers(child.as_ref(), &seat),
                in_flight: child.as_ref().map_or(0, |child| child.in_hand as u64),
                held_since: child.as_ref().and_then(|child| child.held_since),
                oldest: child.as_ref().and_then(|child| child.oldest),
                cause: child.and_then(|child| child.cause).or_else(|| seat.record.cause.clone()),
            }
        };
        self.0.all().into_iter().map(row).collect()
    }

    fn restarts(&self) -> BTreeMap<String, u64> {
        self.1.restarts()
    }

    fn threads(&self) -> Vec<ThreadSnapshot> {
        self.1.threads()
    }
}

/// The breakers before a tenant's ATS and, where it lets no or few calls through, before its platform.
fn breakers(child: Option<&ChildSnapshot>, seat: &hub::Seat) -> Vec<BreakerSnapshot> {
    let own = child.map(|child| child.breakers.clone()).unwrap_or_default();
    let platform = seat.platform.as_ref().map(|platform| platform.gate.shown());
    own.into_iter().chain(platform.filter(|breaker| breaker.state != BreakerState::Closed)).collect()
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
        sole: !(matches!(config.broker.url.broker()?, BrokerAddress::Amqp(_))
            && matches!(config.store.url.store()?, StoreAddress::Postgres(_))),
    };
    let http = Http::new(io.clone(), tuning.calls).map_err(AppError::Http)?;
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
    actix_rt::spawn(server);
    tracing::info!(%address, store = config.store.url.masked(), broker = config.broker.url.masked(), "the hub is up");
    Ok(Running { hub, address, broker, sealer, server: handle })
}

impl Running {
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

/// SIGTERM or SIGINT.
///
/// # Errors
/// If signals cannot be heard.
pub async fn told_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
