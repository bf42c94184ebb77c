//! What webhooks and partner calls have in common: finding the tenant, reading the body as it came, within limits, and making
//! facts durable. Nothing here reads a body's meaning, and none of it is logged.

use super::{Shared, TenantDoor, gate::InHand, problem::Problem};
use crate::ats::Inbound;
use actix_web::{HttpRequest, web};
use atshub_actors::ports::{Change, CommitOutcome, OutboxRow};
use atshub_schemas::{Envelope, TenantName, topology};
use bytes::BytesMut;
use futures_util::StreamExt;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// Wait before a request for an unknown tenant is sent again: long enough to add the tenant, and no answer that makes an ATS
/// give up (several never retry after 404).
const UNKNOWN: Duration = Duration::from_secs(300);

/// A request for a tenant that has a door, its body read.
pub(super) struct Taken {
    pub(super) door: TenantDoor,
    pub(super) inbound: &'static dyn Inbound,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: BytesMut,
    _in_hand: InHand,
}

/// Finds the tenant and reads the body.
pub(super) async fn take(shared: &Shared, name: &str, request: &HttpRequest, payload: web::Payload) -> Result<Taken, Problem> {
    let tenant = TenantName::new(name).map_err(|_| {
        Problem::new(404, "not_a_tenant_name", "the path names no tenant")
            .next("use /hooks/<tenant> with the name that `atshub tenant list` prints")
    })?;
    let Some(door) = shared.doors.directory.tenant(tenant.as_str()) else {
        return Err(Problem::new(503, "unknown_tenant", "there is no such tenant")
            .again(UNKNOWN)
            .next("check the address set at the ATS, or add the tenant with `atshub tenant add`"));
    };
    let Some(inbound) = door.entry.inbound else {
        return Err(Problem::new(404, "no_inbound", format!("{} does not call the hub", door.entry.name))
            .next("its facts come by the broker: publish them on `atshub.events`"));
    };
    let in_hand = shared.gate.enter(&tenant)?;
    let body = read(shared, request, payload).await?;
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    Ok(Taken { door, inbound, headers, body, _in_hand: in_hand })
}

/// The body as it came: no decompression, no re-encoding; signatures are over exactly these bytes.
async fn read(shared: &Shared, request: &HttpRequest, mut payload: web::Payload) -> Result<BytesMut, Problem> {
    let limits = shared.doors.limits;
    let too_large = || {
        Problem::new(413, "too_large", format!("the body is larger than {} bytes", limits.max_body))
            .next("send less at once, or raise `http.max_body_bytes`")
    };
    let announced = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_body as u64) {
        return Err(too_large());
    }
    let reading = async {
        let mut body = BytesMut::new();
        while let Some(part) = payload.next().await {
            let part = part.map_err(|_| Problem::new(400, "body_cut_short", "the body did not come whole").next("send it again"))?;
            if body.len() + part.len() > limits.max_body {
                return Err(too_large());
            }
            body.extend_from_slice(&part);
        }
        Ok(body)
    };
    timeout(limits.request_time, reading).await.unwrap_or_else(|_| {
        Err(Problem::new(408, "too_slow", format!("the body was not here within {} s", limits.request_time.as_secs()))
            .next("send it again"))
    })
}

/// Runs a connector's code: a panic in it is that tenant's trouble alone, and the sender is to try again.
pub(super) fn guarded<T>(shared: &Shared, tenant: &TenantName, work: impl FnOnce() -> T) -> Result<T, Problem> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        tracing::error!(%tenant, at = %shared.doors.clock.now(), "the connector panicked over a request");
        Problem::ours("fault_in_hub", "a fault in the hub")
    })
}

/// Makes facts durable: all of them or none, before anybody hears 2xx. They are in the store then, whatever the broker does: the relay
/// publishes them when it is there.
pub(super) async fn keep(shared: &Shared, tenant: &TenantName, facts: Vec<Envelope>) -> Result<(), Problem> {
    if facts.is_empty() {
        return Ok(());
    }
    if let Some(stray) = facts.iter().find(|fact| fact.tenant != *tenant) {
        tracing::error!(%tenant, kind = stray.message.kind(), "the connector made a fact for another tenant");
        return Err(Problem::ours("fault_in_hub", "a fault in the hub"));
    }
    let row = |fact: Envelope| OutboxRow {
        exchange: topology::EVENTS.to_owned(),
        routing_key: fact.routing_key(),
        envelope: Arc::new(fact),
        not_before: None,
        key: None,
    };
    let change = Change { outbox: facts.into_iter().map(row).collect(), ..Change::default() };
    let away = || Problem::ours("store_away", "the store is away");
    match timeout(shared.doors.limits.commit_time, shared.doors.store.commit(change)).await {
        Ok(Ok(CommitOutcome::Committed)) => Ok(()),
        // A change of outbox rows alone has nothing to be a duplicate of, or to conflict with.
        Ok(Ok(other)) => {
            tracing::error!(%tenant, ?other, "the store did not take facts");
            Err(Problem::ours("fault_in_hub", "a fault in the hub"))
        }
        Ok(Err(error)) => {
            tracing::warn!(%tenant, %error, "failed to make facts durable; the sender is to try again");
            Err(away())
        }
        Err(_) => {
            tracing::warn!(%tenant, "making facts durable took too long; the sender is to try again");
            Err(away())
        }
    }
}
