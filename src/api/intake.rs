//! What webhooks and partner calls have in common: finding the tenant, finding out who sent the request, reading the body as it came,
//! within limits, and making facts durable. Nothing here reads a body's meaning, and none of it is logged.

use super::{
    Shared, TenantDoor,
    bodies::{Bodies, GivenUp},
    gate::InHand,
    problem::Problem,
};
use crate::ats::{Call, Claim, Head, Inbound, Known, Refused};
use actix_web::{HttpRequest, web};
use atshub_actors::{
    ports::{Change, CommitOutcome, Door, OutboxRow},
    spans,
};
use atshub_schemas::{Envelope, TenantName, topology};
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

/// A request of a known sender, for a tenant that has a door. In hand until it is dropped.
pub(super) struct Taken {
    pub(super) door: TenantDoor,
    pub(super) inbound: &'static dyn Inbound,
    pub(super) request: Known,
    pub(super) in_hand: InHand,
}

/// A request whose head has been looked at, and whose body has not been read.
struct Knocking {
    door: TenantDoor,
    inbound: &'static dyn Inbound,
    headers: Vec<(String, String)>,
    /// Of a sender whose key is in the head.
    place: Option<InHand>,
}

/// Finds the tenant, finds out who sent the request, and reads its body: in this order, so that a stranger costs a look at the head, or
/// some bytes for some seconds, and no place that a known sender could want.
pub(super) async fn take(
    shared: &Shared,
    name: &str,
    call: Call<'_>,
    request: &HttpRequest,
    payload: &mut web::Payload,
) -> Result<Taken, Problem> {
    // What is refused here has sent a head: how much else it would send, or for how long, is not waited for.
    let Knocking { door, inbound, headers, place } = look(shared, name, call, request).map_err(Problem::hang_up)?;
    let bodies = if place.is_some() { &shared.known } else { &shared.strangers };
    let body = read(shared, bodies, request, payload).await?;
    let (account, now) = (&door.account, shared.doors.clock.now());
    let request = guarded(shared, &account.tenant, || Known::authenticate(inbound, account, call, headers, body, now))?;
    match &request {
        Ok(_) => shared.callers.known(&account.tenant, door_of(call), now),
        Err(refused) => strange(shared, &account.tenant, call, refused),
    }
    let request = request?;
    let in_hand = match place {
        Some(place) => place,
        None => shared.gate.enter(&account.tenant)?,
    };
    Ok(Taken { door, inbound, request, in_hand })
}

/// Looks at path and headers alone.
fn look(shared: &Shared, name: &str, call: Call<'_>, request: &HttpRequest) -> Result<Knocking, Problem> {
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
    if let Call::Partner(path) = call
        && guarded(shared, &tenant, || inbound.partner_needs_roles(path))?.is_none()
    {
        return Err(Problem::new(404, "unknown_path", format!("{} makes no such partner call", door.entry.name))
            .next("check the base address set at the ATS: /partner/<tenant>"));
    }
    let headers = request.headers().iter();
    let headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())).collect();
    let now = shared.doors.clock.now();
    let claim = guarded(shared, &tenant, || inbound.claim(&door.account, call, Head(&headers), now))?;
    if let (Call::Partner(_), Err(refused)) = (call, &claim)
        && Head(&headers).header("authorization").is_some()
    {
        strange(shared, &tenant, call, refused);
    }
    let place = match claim? {
        Claim::Proven => Some(shared.gate.enter(&tenant)?),
        Claim::Signed => None,
    };
    Ok(Knocking { door, inbound, headers, place })
}

fn door_of(call: Call<'_>) -> Door {
    match call {
        Call::Hook => Door::Hook,
        Call::Partner(_) => Door::Partner,
    }
}

/// Counts a caller who gave a secret that is not the tenant's: a stranger, or its ATS with another one than is set here.
fn strange(shared: &Shared, tenant: &TenantName, call: Call<'_>, refused: &Refused) {
    if refused.status == 401 {
        shared.callers.refused(tenant, door_of(call), shared.doors.clock.now());
    }
}

/// The body as it came: no decompression, no re-encoding; signatures are over exactly these bytes.
async fn read(shared: &Shared, bodies: &Bodies, request: &HttpRequest, payload: &mut web::Payload) -> Result<Vec<u8>, Problem> {
    let limits = shared.doors.limits;
    let too_large = || {
        Problem::new(413, "too_large", format!("the body is larger than {} bytes", limits.max_body))
            .next("send less at once, or raise `http.max_body_bytes`")
    };
    let no_room = |_: GivenUp| Problem::ours("busy", "too much is on its way at this moment, and this body took longest").hang_up();
    let announced = request.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.max_body as u64) {
        return Err(too_large());
    }
    let mut coming = bodies.begin(request.peer_addr().map(|address| address.ip()));
    let reading = async {
        loop {
            let part = tokio::select! {
                biased;
                given_up = coming.given_up() => return Err(no_room(given_up)),
                part = payload.next() => part,
            };
            let Some(part) = part else { return coming.whole().map_err(no_room) };
            let part = part.map_err(|_| Problem::new(400, "body_cut_short", "the body did not come whole").next("send it again"))?;
            if coming.len() + part.len() > limits.max_body {
                return Err(too_large());
            }
            coming.add(&part, limits.max_body).map_err(no_room)?;
        }
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
    let trace = spans::traceparent();
    let traced = |mut fact: Envelope| {
        fact.traceparent = fact.traceparent.or_else(|| trace.clone());
        fact
    };
    let row = |fact: Envelope| OutboxRow {
        exchange: topology::EVENTS.to_owned(),
        routing_key: fact.routing_key(),
        envelope: Arc::new(fact),
        not_before: None,
        key: None,
    };
    let change = Change { outbox: facts.into_iter().map(traced).map(row).collect(), ..Change::default() };
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
