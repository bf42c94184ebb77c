//! The HTTP doors. This file is their table of contents; a file per resource. No rule of the domain is here, and nothing is
//! answered with 2xx before it is durable.

mod health;
mod hooks;
mod partner;
mod problem;

pub use problem::Problem;

use crate::hub::Directory;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::Server, web};
use atshub_actors::{
    ports::{Broker, BrokerHealth, Change, Clock, OutboxRow, Store},
    supervision::Board,
};
use atshub_schemas::{Envelope, topology};
use jiff::Timestamp;
use std::{io, net::TcpListener, sync::Arc, time::Duration};

/// What an ATS is asked to wait for a fault of ours.
const OUR_FAULT_WAIT: Duration = Duration::from_secs(5);
/// Longest commit that a caller waits for.
const COMMIT_WAIT: Duration = Duration::from_secs(8);

/// What the doors lead to.
#[derive(Clone)]
pub struct Doors {
    /// Where facts become durable.
    pub store: Arc<dyn Store>,
    /// What carries them on.
    pub broker: Arc<dyn Broker>,
    /// The tenants.
    pub directory: Arc<Directory>,
    /// What every child is doing.
    pub board: Board,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// When the hub started.
    pub since: Timestamp,
    /// How much is taken.
    pub limits: Limits,
}

/// How much is taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body: usize,
    /// Time in which a request has to be here.
    pub request: Duration,
    /// Requests in hand at once, per worker.
    pub in_hand: usize,
    /// Threads.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 1024 * 1024, request: Duration::from_secs(10), in_hand: 512, workers: 2 }
    }
}

/// The doors, on a listener. The server runs once it is awaited or spawned.
///
/// # Errors
/// If the listener cannot be used.
pub fn server(doors: Doors, listener: TcpListener) -> io::Result<Server> {
    let limits = doors.limits;
    let shared = web::Data::new(doors);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(web::PayloadConfig::new(limits.body))
            .route("/hooks/{tenant}", web::post().to(hooks::receive))
            .route("/partner/{tenant}/{path:.*}", web::post().to(partner::answer))
            .route("/livez", web::get().to(health::livez))
            .route("/readyz", web::get().to(health::readyz))
            .default_service(web::to(nowhere))
    })
    .workers(limits.workers.max(1))
    .max_connections(limits.in_hand)
    .client_request_timeout(limits.request)
    .client_disconnect_timeout(Duration::from_secs(5))
    .shutdown_timeout(10)
    .disable_signals()
    .listen(listener)?
    .run();
    Ok(server)
}

async fn nowhere(request: HttpRequest) -> HttpResponse {
    let detail = format!("there is no {} {}", request.method(), request.path());
    let next_step = "the doors are POST /hooks/{tenant}, POST /partner/{tenant}/…, GET /livez and GET /readyz";
    Problem::new(404, "no_such_path", detail, next_step).answer()
}

/// Header names in lower case, and values; a value that is no text is left out.
fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    request.headers().iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))).collect()
}

impl Doors {
    /// Makes facts durable, so that the caller may hear 2xx.
    async fn take(&self, facts: Vec<Envelope>) -> Result<(), Problem> {
        if let BrokerHealth::Down { .. } = &*self.broker.health().borrow() {
            return Err(Problem::ours("broker_away", "the hub's message broker is away", OUR_FAULT_WAIT));
        }
        if facts.is_empty() {
            return Ok(());
        }
        let outbox = facts
            .into_iter()
            .map(|fact| OutboxRow {
                exchange: topology::EVENTS.into(),
                routing_key: fact.routing_key(),
                envelope: Arc::new(fact),
                not_before: None,
            })
            .collect();
        let commit = self.store.commit(Change { outbox, ..Change::default() });
        match tokio::time::timeout(COMMIT_WAIT, commit).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(%error, "failed to take a webhook");
                Err(Problem::ours("store_away", "the hub's store is away", OUR_FAULT_WAIT))
            }
            Err(_) => Err(Problem::ours("store_slow", "the hub's store is slow", OUR_FAULT_WAIT)),
        }
    }
}

/// A tenant's seat, by the name in the path.
fn seat(doors: &Doors, name: &str) -> Result<Arc<crate::hub::Seat>, Problem> {
    let tenant = atshub_schemas::TenantName::new(name).ok();
    // Not 404: an ATS that hears 404 never sends that event again, and the tenant may be about to be added.
    tenant.and_then(|tenant| doors.directory.seat(&tenant)).ok_or_else(|| {
        let problem = Problem::ours("unknown_tenant", "no tenant of this name is set up", Duration::from_secs(300));
        tracing::warn!(code = problem.code(), "a request for a tenant that is not set up");
        problem
    })
}
