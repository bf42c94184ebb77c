//! `GET /livez` and `GET /readyz`. Live: the process answers. Ready: store and broker do. Never about one tenant.

use super::Doors;
use actix_web::{HttpResponse, web};
use atshub_actors::ports::BrokerHealth;
use serde_json::json;
use std::time::Duration;

/// Longest wait for the store.
const STORE_WAIT: Duration = Duration::from_secs(3);

/// The process answers.
pub(super) async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("live\n")
}

/// Store and broker answer.
pub(super) async fn readyz(doors: web::Data<Doors>) -> HttpResponse {
    let store = match tokio::time::timeout(STORE_WAIT, doors.store.ping()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    };
    let broker = match &*doors.broker.health().borrow() {
        BrokerHealth::Up { .. } => Ok(()),
        BrokerHealth::Down { cause } => Err(cause.clone()),
    };
    let part = |result: &Result<(), String>| match result {
        Ok(()) => json!({ "up": true }),
        Err(cause) => json!({ "up": false, "cause": cause }),
    };
    let ready = store.is_ok() && broker.is_ok();
    let body = json!({ "ready": ready, "store": part(&store), "broker": part(&broker) });
    if ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}
