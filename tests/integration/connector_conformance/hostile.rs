//! Input made to break things: nothing panics, and whatever becomes a fact is one that the rail takes.

use super::{
    fixtures::{Case, Kind, Suite, load},
    inbound::{Headers, hook, partner, travelled},
};
use atshub::ats::{Entry, Heard, REGISTRY};
use serde_json::{Value, json};

/// Larger than any envelope may be.
const HUGE: usize = 300 * 1024;

fn bodies() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000)).into_bytes();
    vec![
        vec![],
        b" ".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"{".to_vec(),
        b"\"text\"".to_vec(),
        b"1e999".to_vec(),
        vec![0; 64],
        vec![0xff, 0xfe, 0x00],
        b"{\"action\":\"\xc3\x28\"}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        deep("[", "]"),
        deep("{\"data\":", "}"),
        format!("\"{}\"", "x".repeat(HUGE)).into_bytes(),
        format!("{{\"action\":\"{}\",\"data\":{{}}}}", "x".repeat(HUGE)).into_bytes(),
    ]
}

fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-7),
        json!(1e300),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("line\nfeed \u{1b}[31m \u{202e}"),
        json!("😀".repeat(600)),
        json!([]),
        json!([[[{}]]]),
        json!({}),
        json!({"value": {"value": null}}),
        json!("0000-01-01T00:00:00+23:59"),
        json!("-000001-12-31T00:00:00Z"),
        json!("9999-12-31T23:59:59-23:59"),
    ]
}

/// Every place in a document.
fn places(value: &Value, at: &str, out: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.replace('~', "~0").replace('/', "~1"), v)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(i, v)| (i.to_string(), v)).collect(),
        _ => vec![],
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        places(child, &at, out);
        out.push(at);
    }
}

/// Every document that differs from this one in one place.
pub(super) fn mutations(body: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    let mut paths = Vec::new();
    places(body, "", &mut paths);
    for path in paths {
        for value in values() {
            let mut changed = body.clone();
            *changed.pointer_mut(&path).unwrap() = value.clone();
            all.push((format!("{path} = {value}"), changed));
        }
        let mut without = body.clone();
        let (parent, key) = path.rsplit_once('/').unwrap();
        if let Some(Value::Object(parent)) = without.pointer_mut(parent) {
            parent.remove(&key.replace("~1", "/").replace("~0", "~"));
        }
        all.push((format!("{path} removed"), without));
    }
    all
}

/// Sends it, correctly signed; whatever comes of it is sound.
pub(super) fn send(row: &Entry, suite: &Suite, case: &Case, headers: &Headers, body: &[u8], what: &str) -> usize {
    let file = format!("{} with {what}", case.file);
    let facts = match case.kind {
        Kind::Hook => match hook(row, suite, case, headers, body) {
            Ok(Heard::Facts(facts)) => facts,
            Ok(Heard::Nothing(why)) => {
                assert!(!why.is_empty() && why.len() < 500 && !why.contains(char::is_control), "{file}: {why:?}");
                vec![]
            }
            Err(refused) => {
                assert!(matches!(refused.status, 400 | 413 | 422), "{file}: {refused:?} (never 401 for a good signature)");
                vec![]
            }
        },
        _ => match partner(row, suite, case, headers, body) {
            Ok(answer) => {
                assert!(answer.facts.is_empty() || (200..300).contains(&answer.status), "{file}: facts beside {}", answer.status);
                answer.facts
            }
            Err(refused) => {
                assert!(matches!(refused.status, 400 | 413 | 422), "{file}: {refused:?}");
                vec![]
            }
        },
    };
    for fact in &facts {
        travelled(fact, &file);
    }
    facts.len()
}

pub(super) fn inbound_cases() -> impl Iterator<Item = (&'static Entry, Suite, Case)> {
    REGISTRY.iter().flat_map(|row| {
        let (suite, cases) = load(row);
        cases.into_iter().filter(|case| matches!(case.kind, Kind::Hook | Kind::Partner)).map(move |case| (*row, suite.clone(), case))
    })
}

#[tokio::test]
async fn a_body_that_is_no_request_gives_no_facts() {
    for (row, suite, case) in inbound_cases() {
        for body in bodies() {
            let what = format!("{} bytes {:?}…", body.len(), String::from_utf8_lossy(&body[..body.len().min(24)]));
            assert_eq!(send(row, &suite, &case, &suite.headers(case.kind, &body), &body, &what), 0, "{} with {what}", case.file);
        }
    }
}

#[tokio::test]
async fn one_wrong_value_anywhere_breaks_nothing() {
    let mut sent = 0;
    for (row, suite, case) in inbound_cases() {
        for (what, body) in mutations(&case.body) {
            let body = serde_json::to_vec(&body).unwrap();
            send(row, &suite, &case, &suite.headers(case.kind, &body), &body, &what);
            sent += 1;
        }
    }
    assert!(sent > 1000, "only {sent} mutations");
}

#[tokio::test]
async fn a_huge_value_in_any_field_gives_no_fact_too_large_to_travel() {
    for (row, suite, case) in inbound_cases() {
        let mut paths = Vec::new();
        places(&case.body, "", &mut paths);
        for path in paths {
            let mut body = case.body.clone();
            *body.pointer_mut(&path).unwrap() = json!("x".repeat(HUGE));
            let body = serde_json::to_vec(&body).unwrap();
            send(row, &suite, &case, &suite.headers(case.kind, &body), &body, &format!("{path} huge"));
        }
    }
}
