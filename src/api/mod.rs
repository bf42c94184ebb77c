//! The HTTP doors: webhooks and partner calls of ATSs, health, metrics and the status page. [`routes`] is the table of
//! contents. A door knows no ATS: it takes the raw request to the tenant's registry row, and makes durable what that answers.

mod answer;
mod bodies;
mod callers;
mod counters;
mod gate;
mod health;
mod hooks;
mod intake;
mod metrics;
mod page;
mod partner;
mod problem;
mod status;
mod waiting;

pub use answer::TenantRow;
pub use gate::Limits;
pub use waiting::{Waited, waiting};

use crate::ats;
use actix_web::{App, HttpServer, dev::Server, middleware::DefaultHeaders, web};
use atshub_actors::{
    ports::{Broker, Clock, Platform, Store, TenantRecord},
    supervision::ThreadSnapshot,
};
use bodies::Bodies;
use counters::Counters;
use gate::Gate;
use problem::Problem;
use std::{collections::BTreeMap, io, net::TcpListener, sync::Arc, time::Duration};

/// Longest wait of a closing server for requests in hand.
const LAST_REQUESTS: u64 = 10;
/// Connections held at most, over all workers; the next ones wait in the backlog. What the HTTP server reads ahead for one that sends is up
/// to half a MiB (tests/integration/doors/memory.rs), whoever sends it: half a GiB with as many as these, by reckoning.
const CONNECTIONS: usize = 1024;
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// The tenants that a running hub has in memory.
pub trait Directory: Send + Sync + 'static {
    /// The tenant of this name.
    fn tenant(&self, name: &str) -> Option<TenantDoor>;

    /// All tenants, as they are now, by name.
    fn snapshot(&self) -> Vec<TenantRow>;

    /// Deaths and restarts of actors since this process started, by code.
    fn restarts(&self) -> BTreeMap<String, u64>;

    /// The threads that actors live on.
    fn threads(&self) -> Vec<ThreadSnapshot>;
}

/// What a door needs of a tenant.
#[derive(Clone)]
pub struct TenantDoor {
    /// The tenant, as stored.
    pub record: Arc<TenantRecord>,
    /// Its account, with credentials.
    pub account: ats::Account,
    /// Its row in the registry.
    pub entry: &'static ats::Entry,
    /// Its platform, if the account is set up.
    pub platform: Option<Arc<dyn Platform>>,
}

/// What the doors work with.
#[derive(Clone)]
pub struct Doors {
    /// Where what comes in is made durable.
    pub store: Arc<dyn Store>,
    /// What carries it on; asked for its health and its queues alone.
    pub broker: Arc<dyn Broker>,
    /// The tenants in memory.
    pub directory: Arc<dyn Directory>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How much is taken at once, and how long it may take.
    pub limits: Limits,
    /// A hub process that was heard of within this time is taken to be alive.
    pub alive: Duration,
}

/// What every worker shares.
struct Shared {
    doors: Doors,
    counters: Counters,
    callers: callers::Tally,
    gate: Gate,
    /// Bodies whose sender is not known before they are here.
    strangers: Bodies,
    /// Bodies of senders who showed their key: strangers cannot take their room.
    known: Bodies,
    status: status::Cache,
    parts: status::Parts,
    since: jiff::Timestamp,
}

/// The doors on this listener. The server runs when it is polled: spawn it on a tokio runtime, and end it by its handle.
///
/// # Errors
/// If the listener cannot be used.
pub fn server(doors: Doors, listener: TcpListener, workers: usize) -> io::Result<Server> {
    let head_time = doors.limits.request_time;
    let shared = web::Data::new(Shared {
        counters: Counters::default(),
        callers: callers::Tally::default(),
        gate: Gate::new(doors.limits),
        strangers: Bodies::new(doors.limits.max_unverified),
        known: Bodies::new(doors.limits.max_unverified),
        status: status::Cache::default(),
        parts: status::Parts::default(),
        since: doors.clock.now(),
        doors,
    });
    tokio::spawn(callers::tell(Arc::downgrade(&shared.clone().into_inner())));
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add(("X-Content-Type-Options", "nosniff"))
            .add(("X-Frame-Options", "DENY"))
            .add(("Referrer-Policy", "no-referrer"))
            .add(("Cross-Origin-Resource-Policy", "same-origin"))
            .add(("Cache-Control", "no-store"))
            .add(("Content-Security-Policy", page::POLICY_OF_NO_PAGE));
        App::new().app_data(shared.clone()).wrap(headers).configure(routes)
    });
    // A connection that sends nothing, or sends its head by the letter, is closed; bodies have their own limit in `intake`.
    let workers = workers.max(1);
    Ok(server
        .workers(workers)
        .max_connections(CONNECTIONS.div_ceil(workers))
        .keep_alive(IDLE)
        .client_request_timeout(head_time)
        .client_disconnect_timeout(Duration::from_secs(1))
        .shutdown_timeout(LAST_REQUESTS)
        .disable_signals()
        .listen(listener)?
        .run())
}

/// Every path there is.
fn routes(config: &mut web::ServiceConfig) {
    let only = |path: &str, route: actix_web::Route| web::resource(path.to_owned()).route(route).default_service(web::to(wrong_method));
    config
        .service(only("/hooks/{tenant}", web::post().to(hooks::take)))
        .service(only("/partner/{tenant}/{path:.*}", web::post().to(partner::answer)))
        .service(only("/livez", web::get().to(health::live)))
        .service(only("/readyz", web::get().to(health::ready)))
        .service(only("/metrics", web::get().to(metrics::show)))
        .service(only("/", web::get().to(page::show)))
        .default_service(web::to(unknown_path));
}

async fn unknown_path() -> Problem {
    Problem::new(404, "unknown_path", "there is nothing at this path")
        .next("the paths are /hooks/<tenant>, /partner/<tenant>/…, /livez, /readyz, /metrics and /")
}

async fn wrong_method(request: actix_web::HttpRequest) -> Problem {
    let detail = format!("{} is not taken here", request.method());
    Problem::new(405, "wrong_method", detail).next("webhooks and partner calls are POST, everything else is GET")
}
