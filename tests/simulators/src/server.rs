//! One small HTTP server for every simulator, with the two doors all of them have: `GET /ledger` and `POST /faults`.

use crate::{
    faults::{FaultOrder, Faults},
    ledger::Ledger,
};
use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::json;
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

/// Largest body a simulator reads.
const MAX_BODY: usize = 1 << 20;

/// A server that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Running {
    handle: ServerHandle,
}

/// Binds first, so that whoever is told the address can connect.
pub(crate) fn bind(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves on threads of its own, so that neither a busy nor an ending runtime of the caller holds it up or leaves it behind.
pub(crate) fn serve<F>(listener: TcpListener, ledger: Ledger, faults: Faults, routes: F) -> io::Result<Running>
where
    F: Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
{
    let app = move || {
        App::new()
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .app_data(web::JsonConfig::default().limit(MAX_BODY))
            .app_data(web::Data::new(ledger.clone()))
            .app_data(web::Data::new(faults.clone()))
            .route("/ledger", web::get().to(show_ledger))
            .route("/faults", web::post().to(order_fault))
            .configure(routes.clone())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = mpsc::channel();
    thread::Builder::new().name("simulator".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let started = HttpServer::new(app).workers(1).disable_signals().listen(listener).map(HttpServer::run);
            let server = match started {
                Ok(server) => server,
                Err(why) => return drop(tell.send(Err(why))),
            };
            if tell.send(Ok(server.handle())).is_ok()
                && let Err(why) = server.await
            {
                tracing::error!(error = %why, "simulator stopped by itself");
            }
        });
    })?;
    let handle = told.recv().map_err(io::Error::other)??;
    Ok(Running { handle })
}

impl Running {
    pub(crate) async fn stop(self) {
        self.handle.stop(false).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.handle.stop(false)); // the order is sent by the call itself, not by awaiting it
    }
}

async fn show_ledger(ledger: web::Data<Ledger>) -> HttpResponse {
    HttpResponse::Ok().json(ledger.effects())
}

async fn order_fault(order: web::Json<FaultOrder>, faults: web::Data<Faults>) -> HttpResponse {
    match order.into_inner().place(&faults) {
        Ok(()) => HttpResponse::Ok().json(json!({ "pending": faults.pending() })),
        Err(why) => HttpResponse::BadRequest().json(json!({ "error": why })),
    }
}

/// A client for calls on this machine. It trusts no certificate at all, as everything here is loopback HTTP, and follows no
/// redirect, as a webhook's sender must not.
///
/// # Errors
/// If the client cannot be built.
pub fn loopback_client(limit: Duration) -> io::Result<reqwest::Client> {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(limit)
        .build()
        .map_err(io::Error::other)
}
