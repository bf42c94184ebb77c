//! `/metrics`: few numbers, honest ones, in Prometheus' text form (version 0.0.4): what is read from store, broker and board at this moment,
//! and what the process has measured ([`atshub_actors::meters`]). Labels are codes and tenants' phases; nothing about a person, and no
//! label that grows with what strangers send. A tenant's name is a label only while the tenant needs attention.

use super::{
    Shared,
    status::{self, Status},
};
use actix_web::{HttpResponse, web};
use atshub_actors::{meters::meters, supervision::BreakerState};
use jiff::Timestamp;
use prometheus_client::{
    encoding::prometheus_text::{CONTENT_TYPE, encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use std::{collections::BTreeMap, sync::atomic::AtomicU64, time::Duration};

/// Series at most of a metric that has one for each tenant that needs attention, or for each thread or process.
const SERIES: usize = 100;

/// Labels: name and value.
type Labels = Vec<(&'static str, String)>;

/// Prints them all.
pub(super) async fn show(shared: web::Data<Shared>) -> HttpResponse {
    let status = status::look(&shared).await;
    let now = shared.doors.clock.now();
    let mut registry = Registry::default();
    let of = &mut registry;
    count(of, "atshub_store_up", "1 if the store takes a write", [(none(), u64::from(status.store.is_ok()))]);
    count(of, "atshub_broker_up", "1 if the broker takes a publication", [(none(), u64::from(status.broker.is_ok()))]);
    let doors = shared.counters.all().into_iter();
    let doors = doors.map(|((door, outcome), n)| (labels([("door", door), ("outcome", outcome)]), n));
    total(of, "atshub_door_requests", "Webhooks and partner calls, by how they ended", doors);
    let (bytes, bodies) = shared.strangers.held();
    let one = |n: usize| [(none(), n as u64)];
    count(of, "atshub_door_unverified_bytes", "Bytes held of bodies whose sender is not known yet", one(bytes));
    count(of, "atshub_door_unverified_bodies", "Bodies on their way whose sender is not known yet", one(bodies));
    let mut phases = BTreeMap::new();
    status.tenants.iter().for_each(|row| *phases.entry(row.phase.as_str()).or_insert(0) += 1);
    count(of, "atshub_tenants", "Tenants, by what their actors are doing", phases.into_iter().map(by("phase")));
    let in_hand: u64 = status.tenants.iter().map(|row| row.in_flight).sum();
    count(of, "atshub_deliveries_in_hand", "Deliveries that tenants' actors have in hand", [(none(), in_hand)]);
    supervision(of, &status, now);
    if status.store.is_ok() {
        processes(of, &status, now);
        let counts = |counts: &BTreeMap<String, u64>, name| counts.iter().map(|(code, n)| by(name)((code, *n))).collect::<Vec<_>>();
        count(of, "atshub_parked_messages", "Messages set aside, by code", counts(&status.parked, "code"));
        count(of, "atshub_candidacies", "Newest candidacies of applications, by state", counts(&status.candidacies, "state"));
        let lag = status.next_due.map_or(0.0, |due| seconds(due, now));
        gauge(of, "atshub_relay_lag_seconds", "How long the oldest message that is due to be published has been due", [(none(), lag)]);
    }
    let ready = status.queues.iter().map(|queue| (labels([("queue", &queue.name)]), queue.ready));
    count(of, "atshub_queue_ready_messages", "Messages that wait in a queue", ready);
    total(
        of,
        "atshub_log_lines_dropped",
        "Log lines that were dropped, since they were not read or could not be written",
        [(none(), crate::telemetry::dropped_lines())],
    );
    meters().register(of);
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be printed");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// How actors fare.
fn supervision(of: &mut Registry, status: &Status, now: Timestamp) {
    let restarts = status.restarts.iter().map(|(code, n)| (labels([("cause", code)]), *n));
    total(of, "atshub_restarts", "Deaths and restarts of actors since this process started, by cause", restarts);
    let ill = status.tenants.iter().filter(|row| !["running", "elsewhere"].contains(&row.phase.as_str())).take(SERIES);
    let ill = ill.map(|row| (labels([("tenant", &row.name), ("phase", &row.phase)]), 1));
    count(of, "atshub_tenant_not_running", "1 for each tenant of this process that is not running, by phase", ill);
    let doors = status.doors.iter().flat_map(|(tenant, troubles)| troubles.iter().map(move |trouble| (tenant, trouble.code)));
    let doors = doors.take(SERIES).map(|(tenant, code)| (labels([("tenant", tenant.as_str()), ("code", code)]), 1));
    count(of, "atshub_tenant_callers_refused", "1 for each tenant whose ATS seems to call with another secret than is set here", doors);
    let starts = status.tenants.iter().filter_map(|row| Some((labels([("tenant", &row.name)]), seconds(now, row.next_start?))));
    gauge(of, "atshub_tenant_next_start_seconds", "Time until a tenant that backs off is started again", starts.take(SERIES));
    let held = status.tenants.iter().filter_map(|row| Some((labels([("tenant", &row.name)]), seconds(row.held_since?, now))));
    gauge(
        of,
        "atshub_tenant_held_to_share_seconds",
        "For how long a tenant that floods has been held to its share while others are at work",
        held.take(SERIES),
    );
    let mut breakers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut tripped = Vec::new();
    for row in &status.tenants {
        for breaker in &row.breakers {
            *breakers.entry((breaker.host.as_str(), breaker.state.as_str())).or_default() += 1;
            if breaker.state != BreakerState::Closed && tripped.len() < SERIES {
                tripped.push((labels([("tenant", row.name.as_str()), ("host", &breaker.host), ("state", breaker.state.as_str())]), 1));
            }
        }
    }
    let breakers = breakers.into_iter().map(|((host, state), n)| (labels([("host", host), ("state", state)]), n));
    count(of, "atshub_breakers", "Breakers before tenants' hosts, by how calls are going", breakers);
    count(of, "atshub_tenant_breaker_not_closed", "1 for each breaker that lets no or few calls through", tripped);
    let oldest = status.tenants.iter().filter_map(|row| row.oldest).map(|at| seconds(at, now)).fold(0.0, f64::max);
    gauge(of, "atshub_oldest_in_hand_seconds", "How long the oldest delivery of all has been in hand", [(none(), oldest)]);
    // One thread that stands still and the one in its place have the same name.
    let threads = status.threads.iter().take(SERIES).map(|thread| {
        let labels = labels([("thread", thread.name.clone()), ("number", thread.number.to_string())]);
        (labels, Duration::from_millis(thread.beat_age_ms).as_secs_f64())
    });
    gauge(of, "atshub_thread_beat_age_seconds", "How long ago a thread of actors last said that it lives", threads);
}

/// The processes on this store, as they say of themselves.
fn processes(of: &mut Registry, status: &Status, now: Timestamp) {
    let number = |live: bool| status.processes.iter().filter(|process| process.live == live).count() as u64;
    let counts = [("live", number(true)), ("gone", number(false))].map(by("state"));
    count(of, "atshub_processes", "Hub processes heard of within a day", counts);
    let able = status.processes.iter().filter(|process| process.live && process.able).count() as u64;
    count(of, "atshub_processes_able", "Live hub processes that can run tenants", [(none(), able)]);
    let ages = status.processes.iter().filter(|process| process.live).take(SERIES);
    let ages = ages.map(|process| (labels([("process", &process.name)]), seconds(process.beat_at, now)));
    gauge(of, "atshub_process_beat_age_seconds", "How long ago a live hub process was heard of", ages);
}

/// Seconds from one time to a later one.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn none() -> Labels {
    Vec::new()
}

fn labels<const N: usize, V: Into<String>>(pairs: [(&'static str, V); N]) -> Labels {
    pairs.into_iter().map(|(name, value)| (name, value.into())).collect()
}

fn by(name: &'static str) -> impl Fn((&str, u64)) -> (Labels, u64) {
    move |(code, n)| (labels([(name, code)]), n)
}

/// A metric that goes up and down, in whole numbers. Without a series it is left out.
fn count(registry: &mut Registry, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, u64)>) {
    let (family, mut any) = (Family::<Labels, Gauge<u64, AtomicU64>>::default(), false);
    for (labels, n) in series {
        family.get_or_create(&labels).set(n);
        any = true;
    }
    if any {
        registry.register(name, help, family);
    }
}

/// The same in seconds.
fn gauge(registry: &mut Registry, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, f64)>) {
    let (family, mut any) = (Family::<Labels, Gauge<f64, AtomicU64>>::default(), false);
    for (labels, value) in series {
        family.get_or_create(&labels).set(value);
        any = true;
    }
    if any {
        registry.register(name, help, family);
    }
}

/// A metric that only goes up; its name gets `_total`.
fn total(registry: &mut Registry, name: &str, help: &str, series: impl IntoIterator<Item = (Labels, u64)>) {
    let (family, mut any) = (Family::<Labels, Counter>::default(), false);
    for (labels, n) in series {
        family.get_or_create(&labels).inc_by(n);
        any = true;
    }
    if any {
        registry.register(name, help, family);
    }
}
