//! `/metrics`: few numbers, honest ones, in Prometheus' text form (version 0.0.4). Labels are codes and tenants' phases; nothing
//! about a person, and no label that grows with what strangers send. A tenant's name is a label only while the tenant needs attention.

use super::{
    Shared,
    status::{self, Status},
};
use actix_web::{HttpResponse, web};
use atshub_actors::supervision::BreakerState;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
    time::Duration,
};

/// Series at most of a metric that has one for each tenant that needs attention, or for each thread or process.
const SERIES: usize = 100;

/// Prints them all.
pub(super) async fn show(shared: web::Data<Shared>) -> HttpResponse {
    let status = status::look(&shared).await;
    let mut text = String::new();
    metric(&mut text, "atshub_store_up", "gauge", "1 if the store answers.", &[(String::new(), u64::from(status.store.is_ok()))]);
    metric(&mut text, "atshub_broker_up", "gauge", "1 if the broker is connected.", &[(String::new(), u64::from(status.broker.is_ok()))]);
    let doors: Vec<_> =
        shared.counters.all().into_iter().map(|((door, outcome), n)| (labels(&[("door", door), ("outcome", outcome)]), n)).collect();
    metric(&mut text, "atshub_door_requests_total", "counter", "Webhooks and partner calls, by how they ended.", &doors);
    let mut phases = BTreeMap::new();
    status.tenants.iter().for_each(|row| *phases.entry(row.phase.as_str()).or_insert(0) += 1);
    let by = |name: &'static str| move |(code, n): (&str, u64)| (labels(&[(name, code)]), n);
    metric(
        &mut text,
        "atshub_tenants",
        "gauge",
        "Tenants, by what their actors are doing.",
        &phases.into_iter().map(by("phase")).collect::<Vec<_>>(),
    );
    let in_hand: u64 = status.tenants.iter().map(|row| row.in_flight).sum();
    metric(&mut text, "atshub_deliveries_in_hand", "gauge", "Deliveries that tenants' actors have in hand.", &[(String::new(), in_hand)]);
    supervision(&mut text, &status, shared.doors.clock.now());
    if status.store.is_ok() {
        processes(&mut text, &status, shared.doors.clock.now());
        let counts = |counts: &BTreeMap<String, u64>, name| counts.iter().map(|(code, n)| by(name)((code, *n))).collect::<Vec<_>>();
        metric(&mut text, "atshub_parked_messages", "gauge", "Messages set aside, by code.", &counts(&status.parked, "code"));
        metric(
            &mut text,
            "atshub_candidacies",
            "gauge",
            "Newest candidacies of applications, by state.",
            &counts(&status.candidacies, "state"),
        );
    }
    let ready: Vec<_> = status.queues.iter().map(|queue| (labels(&[("queue", &queue.name)]), queue.ready)).collect();
    metric(&mut text, "atshub_queue_ready_messages", "gauge", "Messages that wait in a queue.", &ready);
    let dropped = [(String::new(), crate::telemetry::dropped_lines())];
    metric(&mut text, "atshub_log_lines_dropped_total", "counter", "Log lines that nobody read or that could not be written.", &dropped);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

/// How actors fare.
fn supervision(text: &mut String, status: &Status, now: Timestamp) {
    let restarts: Vec<_> = status.restarts.iter().map(|(code, n)| (labels(&[("cause", code)]), *n)).collect();
    metric(text, "atshub_restarts_total", "counter", "Deaths and restarts of actors since this process started, by cause.", &restarts);
    let ill = status.tenants.iter().filter(|row| !["running", "elsewhere"].contains(&row.phase.as_str())).take(SERIES);
    let ill: Vec<_> = ill.map(|row| (labels(&[("tenant", &row.name), ("phase", &row.phase)]), 1)).collect();
    metric(text, "atshub_tenant_not_running", "gauge", "1 for each tenant of this process that is not running, by phase.", &ill);
    let starts =
        status.tenants.iter().filter_map(|row| Some((labels(&[("tenant", &row.name)]), seconds(now, row.next_start?)))).take(SERIES);
    metric(
        text,
        "atshub_tenant_next_start_seconds",
        "gauge",
        "Time until a tenant that backs off is started again.",
        &starts.collect::<Vec<_>>(),
    );
    let held = status.tenants.iter().filter_map(|row| Some((labels(&[("tenant", &row.name)]), seconds(row.held_since?, now)))).take(SERIES);
    metric(
        text,
        "atshub_tenant_held_to_share_seconds",
        "gauge",
        "For how long a tenant that floods has been held to its share while others are at work.",
        &held.collect::<Vec<_>>(),
    );
    let mut breakers: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut tripped = Vec::new();
    for row in &status.tenants {
        for breaker in &row.breakers {
            *breakers.entry((breaker.host.as_str(), breaker.state.as_str())).or_default() += 1;
            if breaker.state != BreakerState::Closed && tripped.len() < SERIES {
                tripped.push((labels(&[("tenant", &row.name), ("host", &breaker.host), ("state", breaker.state.as_str())]), 1));
            }
        }
    }
    let breakers: Vec<_> = breakers.into_iter().map(|((host, state), n)| (labels(&[("host", host), ("state", state)]), n)).collect();
    metric(text, "atshub_breakers", "gauge", "Breakers before tenants' hosts, by how calls are going.", &breakers);
    metric(text, "atshub_tenant_breaker_not_closed", "gauge", "1 for each breaker that lets no or few calls through.", &tripped);
    let oldest: f64 = status.tenants.iter().filter_map(|row| row.oldest).map(|at| seconds(at, now)).fold(0.0, f64::max);
    metric(
        text,
        "atshub_oldest_in_hand_seconds",
        "gauge",
        "How long the oldest delivery of all has been in hand.",
        &[(String::new(), oldest)],
    );
    let threads = status.threads.iter().take(SERIES);
    // One that stands still and the one in its place have the same name.
    let threads: Vec<_> = threads
        .map(|thread| {
            let labels = labels(&[("thread", &thread.name), ("number", &thread.number.to_string())]);
            (labels, Duration::from_millis(thread.beat_age_ms).as_secs_f64())
        })
        .collect();
    metric(text, "atshub_thread_beat_age_seconds", "gauge", "How long ago a thread of actors last said that it lives.", &threads);
}

/// The processes on this store, as they say of themselves.
fn processes(text: &mut String, status: &Status, now: Timestamp) {
    let count = |live: bool| status.processes.iter().filter(|process| process.live == live).count();
    let counts = [("live", count(true)), ("gone", count(false))].map(|(state, n)| (labels(&[("state", state)]), n));
    metric(text, "atshub_processes", "gauge", "Hub processes heard of within a day.", &counts);
    let able = status.processes.iter().filter(|process| process.live && process.able).count();
    metric(text, "atshub_processes_able", "gauge", "Live hub processes that can run tenants.", &[(String::new(), able)]);
    let ages = status.processes.iter().filter(|process| process.live).take(SERIES);
    let ages: Vec<_> = ages.map(|process| (labels(&[("process", &process.name)]), seconds(process.beat_at, now))).collect();
    metric(text, "atshub_process_beat_age_seconds", "gauge", "How long ago a live hub process was heard of.", &ages);
}

/// Seconds from one time to a later one.
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, impl Display)]) {
    if samples.is_empty() {
        return;
    }
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    format!("{{{}}}", pairs.join(","))
}
