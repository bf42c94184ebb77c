//! `/`, as a program reads it; `tests/browser` looks at it with a browser.

use super::{client::get, health::row, world::Making};
use atshub::api::TenantRow;
use atshub_actors::{
    ports::Beat,
    supervision::{BreakerSnapshot, BreakerState},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_hub_says_what_to_do_next() {
    let world = Making::well().open();
    let page = get(world.address, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.contains("atshub tenant add acme --ats"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tenant_waits_for_and_the_other_processes_are_shown() {
    let at = Timestamp::now() + SignedDuration::from_mins(30);
    let since = Timestamp::now();
    let (host, last_error) = ("ats".to_owned(), None);
    let breaker =
        BreakerSnapshot { host, state: BreakerState::HalfOpen, since, next_call: Some(at), calls: 9, failed: 8, last_error, reason: None };
    let ill = TenantRow { next_start: Some(at), breakers: vec![breaker], ..row("acme", "backing_off", Some("told to")) };
    let world = Making { rows: vec![ill], ..Making::well() }.open();
    for name in ["here:1", "<b>there</b>:2"] {
        let beat = Beat { process: Uuid::now_v7(), name: name.into(), started_at: since, able: true };
        world.store.beat(beat, Duration::from_secs(10)).await.unwrap();
    }
    let page = get(world.address, "/").await.body;
    for text in
        ["told to · next start in 29 min", "half open</span>, next call in 29 min", "here:1", "&lt;b&gt;there&lt;/b&gt;:2", "runs tenants"]
    {
        assert!(page.contains(text), "{text} is not in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_cause_says_it_stays_text() {
    let evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>";
    let world = Making { rows: vec![row("acme", "backing_off", Some(evil))], ..Making::well() }.open();
    let page = get(world.address, "/").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
}
