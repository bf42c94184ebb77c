//! `/metrics`: few numbers, honest ones, in Prometheus' text form (version 0.0.4). Labels are codes and tenants' phases; nothing
//! about a person, and no label that grows with what strangers send.

use super::{Shared, status};
use actix_web::{HttpResponse, web};
use std::{collections::BTreeMap, fmt::Write};

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
    let in_hand = status.tenants.iter().map(|row| row.in_flight).sum();
    metric(&mut text, "atshub_deliveries_in_hand", "gauge", "Deliveries that tenants' actors have in hand.", &[(String::new(), in_hand)]);
    if status.store.is_ok() {
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
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

fn metric(text: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
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
