//! What ATSs and platforms send, damaged where it hurts, for every row of both registries: webhooks and partner calls from the fixtures,
//! the answers to every call of a connector, and a platform's answers. More cases, by hand:
//! `ATSHUB_TEST_FUZZ_CASES=100000 cargo test --test integration connector_conformance::fuzz`.

use super::{
    fixtures::Kind,
    hostile,
    outbound::{connector, outbound_cases, outcome, tells_no_secret},
    platforms,
    script::Script,
};
use crate::damage::{config, damaged, damages, scratched, scratches};
use atshub::platform;
use atshub_actors::failure::Failure;
use proptest::{prelude::*, sample::Index, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Longest text of a failure, in characters: it is stored, logged and shown to recruiters.
const MAX_TEXT: usize = 1_000;
/// Calls that one piece of work may make, whatever it hears: beyond them it follows pages that never end.
const MAX_CALLS: usize = 200;
/// What needs longer for one request loops, however busy the machine is.
const LOOPS: Duration = Duration::from_secs(20);

/// Tries so many cases of a strategy, each to its end, on the runtime of this test.
async fn each<S: Strategy>(cases: u32, strategy: S, mut of: impl AsyncFnMut(S::Value)) {
    // Futures cannot be shrunk by proptest's own runner; the draw is printed by what fails.
    let config = config(cases);
    let (count, mut runner) = (config.cases, TestRunner::new(config));
    for _ in 0..count {
        let value = strategy.new_tree(&mut runner).unwrap().current();
        of(value).await;
    }
}

/// What every failure promises.
fn assert_bounded(failure: &Failure, what: &str) {
    assert!(!failure.code().is_empty(), "{what}");
    let text = failure.to_string();
    assert!(!text.trim().is_empty() && text.chars().count() <= MAX_TEXT, "{what}: {text}");
    assert!(!text.chars().any(char::is_control), "{what}: {text:?}");
    assert!(!matches!(failure, Failure::Bug { .. }), "{what}: {failure:?}");
}

#[tokio::test]
async fn a_damaged_request_of_an_ats_becomes_sound_facts_or_a_bounded_refusal() {
    let cases: Vec<_> = hostile::inbound_cases().collect();
    let draw = (any::<Index>(), damages(4), scratches(1), any::<bool>());
    each(1_500, draw, async |(row, damage, scratch, bytes)| {
        let (row, suite, case) = row.get(&cases);
        let value = damaged(&case.body, &damage);
        let body = serde_json::to_vec(&value).unwrap();
        let body = if bytes { scratched(body, &scratch) } else { body };
        let what = format!("{damage:?} {scratch:?}: {}", String::from_utf8_lossy(&body[..body.len().min(4_000)]));
        let began = Instant::now();
        hostile::send(row, suite, case, &suite.headers(case.kind, &body), &body, &what);
        assert!(began.elapsed() < LOOPS, "{}: {:?} for {what}", case.file, began.elapsed());
    })
    .await;
}

#[tokio::test]
async fn a_damaged_answer_of_an_ats_is_read_or_a_bounded_failure_and_never_asked_for_ever() {
    let cases: Vec<_> = outbound_cases().filter(|(_, _, case)| !case.calls.is_empty()).collect();
    let draw = (any::<Index>(), any::<Index>(), damages(3), scratches(1), any::<bool>());
    each(250, draw, async |(row, call, damage, scratch, bytes)| {
        let (row, suite, case) = row.get(&cases);
        let call = call.get(&case.calls);
        let body = serde_json::to_vec(&damaged(&call.answer, &damage)).unwrap();
        let body = if bytes { scratched(body, &scratch) } else { body };
        let script = Script::always(call.status, body.clone());
        let (actual, failure) = outcome(connector(row, suite, case, &script.url).as_ref(), case).await;
        let what = format!("{} hearing {} {:?}: {actual}", case.file, call.status, String::from_utf8_lossy(&body[..body.len().min(2_000)]));
        assert!((1..MAX_CALLS).contains(&script.heard()), "{what}: {} calls", script.heard());
        if let Some(failure) = failure {
            assert_bounded(&failure, &what);
            tells_no_secret(&failure, suite, &what);
        }
    })
    .await;
}

/// Answers of a platform as they are when all is well, and when it refuses.
fn answers() -> Vec<Value> {
    let page = |nodes: Value| json!({"pageInfo": {"endCursor": "abc", "hasNextPage": true}, "nodes": nodes});
    let candidacy = json!({
        "id": "c1", "atsUrl": "https://ats.example/a/1", "candidate": {"email": "ada@example.org"}, "role": {"id": "1201", "name": "Backend engineer"},
        "interviews": {"nodes": [{"id": "i1", "state": "INVITED", "link": "https://platform.example/i/1"}]},
    });
    let made = json!({"id": "i1", "candidacy": {"id": "c1"}, "link": "https://platform.example/i/1"});
    vec![
        json!({"data": {
            "createInvitation": {"assessment": made, "errors": []}, "candidacies": page(json!([candidacy])),
            "roles": page(json!([{"id": "1201", "name": "Backend engineer"}])), "me": {"name": "Rae Recruiter"},
        }}),
        json!({"data": {"createInvitation": {"assessment": null, "errors": [{"message": "Phone is too short (minimum is 7 characters)."}]}}}),
        json!({"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}], "data": null}),
        json!({"errors": [{"message": "Field 'x' doesn't exist on type 'Role'", "path": ["query", "x"], "locations": [{"line": 1, "column": 2}]}]}),
    ]
}

#[tokio::test]
async fn a_damaged_answer_of_a_platform_is_read_or_a_bounded_failure_and_never_asked_for_ever() {
    let answers = answers();
    for row in platform::REGISTRY {
        each(60, (any::<Index>(), damages(4), scratches(1), any::<bool>()), async |(answer, damage, scratch, bytes)| {
            let body = serde_json::to_vec(&damaged(answer.get(&answers), &damage)).unwrap();
            let body = if bytes { scratched(body, &scratch) } else { body };
            let script = Script::always(200, body.clone());
            let platform = platforms::connect(row, &script.url, Some(platforms::TOKEN)).unwrap();
            for (call, failure) in platforms::failures(platform.as_ref()).await {
                let what = format!("{call} hearing {:?}", String::from_utf8_lossy(&body[..body.len().min(2_000)]));
                if let Some(failure) = failure {
                    assert_bounded(&failure, &what);
                    assert!(!format!("{failure:?}").contains(platforms::TOKEN), "{what}");
                }
            }
            // Three calls and two looks, each of which follows pages for a while.
            assert!(script.heard() < 5 * MAX_CALLS, "{} calls for {:?}", script.heard(), String::from_utf8_lossy(&body));
        })
        .await;
    }
}

#[test]
fn every_kind_of_request_has_its_cases() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for kind in [Kind::Hook, Kind::Partner] {
            assert!(hostile::inbound_cases().any(|(_, _, case)| case.kind == kind), "{kind:?}");
        }
        for kind in [Kind::Write, Kind::Look, Kind::Read, Kind::Test] {
            assert!(outbound_cases().any(|(_, _, case)| case.kind == kind && !case.calls.is_empty()), "{kind:?}");
        }
    });
}
