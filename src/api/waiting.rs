//! The doors of a hub that waits for its store before it starts: it lives, it is not ready and says why, and whoever brings
//! something is asked to come again.

use super::{health, problem::Problem};
use actix_web::{App, HttpResponse, HttpServer, dev::Server, middleware::DefaultHeaders, web};
use std::{
    io,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
};

/// Why store and broker are not there yet; `None` for one that is. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Waited(Arc<Mutex<(Option<String>, Option<String>)>>);

impl Waited {
    /// What is known now.
    pub fn say(&self, store: Option<String>, broker: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (store, broker);
    }

    fn now(&self) -> (Option<String>, Option<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// These doors on this listener. The server runs when it is polled.
///
/// # Errors
/// If the listener cannot be used.
pub fn waiting(waited: Waited, listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new().add(("X-Content-Type-Options", "nosniff")).add(("Cache-Control", "no-store"));
        App::new()
            .app_data(web::Data::new(waited.clone()))
            .wrap(headers)
            .route("/livez", web::get().to(health::live))
            .route("/readyz", web::get().to(ready))
            .default_service(web::to(not_yet))
    });
    Ok(server.workers(1).disable_signals().listen(listener)?.run())
}

async fn ready(waited: web::Data<Waited>) -> HttpResponse {
    let (store, broker) = waited.now();
    health::readiness(&store.map_or(Ok(()), Err), &broker.map_or(Ok(()), Err))
}

async fn not_yet() -> Problem {
    Problem::ours("starting", "the hub waits for its store, and is not up yet")
}
