//! `/livez` and `/readyz`: for load balancers and health checks. Neither depends on a tenant: one sick tenant must not take the
//! hub out of service for all others.

use super::{Shared, status};
use actix_web::{HttpResponse, web};
use serde_json::json;

/// It answers, so it lives.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true, "version": env!("CARGO_PKG_VERSION") }))
}

/// 200 if the store takes a write and the broker a publication, else 503 with what does not, and why.
pub(super) async fn ready(shared: web::Data<Shared>) -> HttpResponse {
    let (store, broker) = status::parts(&shared).await;
    readiness(&store, &broker)
}

/// The answer for a store and a broker that are there, or are not, for a reason.
pub(super) fn readiness(store: &Result<(), String>, broker: &Result<(), String>) -> HttpResponse {
    let ready = store.is_ok() && broker.is_ok();
    let part = |part: &Result<(), String>| match part {
        Ok(()) => json!({ "up": true }),
        Err(cause) => json!({ "up": false, "cause": cause }),
    };
    let body = json!({ "ready": ready, "store": part(store), "broker": part(broker) });
    if ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}
