//! `/livez`, `/readyz`, `/metrics`.

use super::{
    client::{get, post},
    world::{Making, broker_that_is_away, store_that_is_away},
};
use atshub::api::TenantRow;
use atshub_actors::{
    ports::Beat,
    supervision::{BreakerSnapshot, BreakerState},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use uuid::Uuid;

pub(super) fn row(name: &str, phase: &str, cause: Option<&str>) -> TenantRow {
    TenantRow {
        name: name.into(),
        ats: "Scripted".into(),
        phase: phase.into(),
        generation: 3,
        restarts: 2,
        cause: cause.map(Into::into),
        in_flight: 4,
        next_start: None,
        breakers: Vec::new(),
        oldest: None,
        held_since: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_is_ready_whatever_state_one_tenant_is_in() {
    let rows = vec![row("acme", "quarantined", Some("crashed six times"))];
    let world = Making { rows, ..Making::well() }.open();
    let answer = get(world.address, "/readyz").await;
    assert_eq!((answer.status, answer.json()["ready"].as_bool()), (200, Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_store_or_broker_a_hub_lives_and_is_not_ready_and_says_why() {
    let world = Making { broker: broker_that_is_away().await, ..Making::well() }.open();
    let answer = get(world.address, "/readyz").await;
    assert_eq!(answer.status, 503);
    let parts = answer.json();
    assert_eq!((parts["store"]["up"].as_bool(), parts["broker"]["up"].as_bool()), (Some(true), Some(false)));
    assert!(parts["broker"]["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{parts}");
    let world = Making { store: store_that_is_away(None), ..Making::well() }.open();
    let parts = get(world.address, "/readyz").await.json();
    assert_eq!((parts["store"]["up"].as_bool(), parts["broker"]["up"].as_bool()), (Some(false), Some(true)));
    assert_eq!(get(world.address, "/livez").await.status, 200);
    let metrics = get(world.address, "/metrics").await.body;
    assert!(metrics.contains("\natshub_store_up 0\n") && metrics.contains("\natshub_broker_up 1\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_how_actors_threads_and_processes_fare() {
    let breaker = BreakerSnapshot {
        host: "ats".into(),
        state: BreakerState::Open,
        since: Timestamp::now(),
        next_call: None,
        calls: 12,
        failed: 7,
        last_error: None,
        reason: Some("host_away".into()),
    };
    let hour = SignedDuration::from_hours(1);
    let ill = TenantRow {
        next_start: Some(Timestamp::now() + hour),
        breakers: vec![breaker],
        oldest: Some(Timestamp::now() - hour),
        held_since: Some(Timestamp::now() - hour),
        ..row("acme", "backing_off", Some("told to"))
    };
    let world = Making { rows: vec![ill, row("globex", "running", None), row("initech", "elsewhere", None)], ..Making::well() }.open();
    for (able, name) in [(true, "here:1"), (false, "there:2")] {
        let beat = Beat { process: Uuid::now_v7(), name: name.into(), started_at: Timestamp::now(), able };
        world.store.beat(beat, Duration::from_secs(10)).await.unwrap();
    }
    let metrics = get(world.address, "/metrics").await.body;
    for line in [
        "atshub_restarts_total{cause=\"panic\"} 3",
        "atshub_tenant_not_running{tenant=\"acme\",phase=\"backing_off\"} 1",
        "atshub_breakers{host=\"ats\",state=\"open\"} 1",
        "atshub_tenant_breaker_not_closed{tenant=\"acme\",host=\"ats\",state=\"open\"} 1",
        "atshub_thread_beat_age_seconds{thread=\"shared/1\",number=\"1\"} 0.05",
        "atshub_processes{state=\"live\"} 2",
        "atshub_processes_able 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    let value = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    assert!(value("atshub_tenant_next_start_seconds{tenant=\"acme\"}").is_some_and(|s| (3500.0..=3600.0).contains(&s)), "{metrics}");
    assert!(value("atshub_tenant_held_to_share_seconds{tenant=\"acme\"}").is_some_and(|s| s >= 3600.0), "{metrics}");
    assert!(value("atshub_oldest_in_hand_seconds").is_some_and(|s| s >= 3600.0), "{metrics}");
    assert!(value("atshub_process_beat_age_seconds{process=\"here:1\"}").is_some_and(|s| s < 10.0), "{metrics}");
    assert!(!metrics.contains("globex") && !metrics.contains("initech"), "a tenant that is well is no label: {metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_what_came_and_hold_nothing_of_it() {
    let rows = vec![row("acme", "running", None), row("globex", "running", None), row("initech", "paused", Some("x"))];
    let world = Making { rows, ..Making::well() }.open();
    for body in ["d-1", "d-2", "ping"] {
        post(world.address, "/hooks/acme", "X-Signed: yes\r\n", body.as_bytes()).await;
    }
    let metrics = get(world.address, "/metrics").await.body;
    for line in [
        "atshub_door_requests_total{door=\"hook\",outcome=\"accepted\"} 2",
        "atshub_door_requests_total{door=\"hook\",outcome=\"nothing\"} 1",
        "atshub_tenants{phase=\"running\"} 2",
        "atshub_tenants{phase=\"paused\"} 1",
        "atshub_deliveries_in_hand 12",
        "# TYPE atshub_door_requests_total counter",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("ada@") && !metrics.contains("Ada"), "{metrics}");
}
