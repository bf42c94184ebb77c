//! What comes in: every fixture gives what it says, the same webhook the same ids, and a wrong signature nothing.

use super::fixtures::{Case, Kind, Suite, fits, load, raw};
use atshub::ats::{Entry, Heard, PartnerAnswer, PartnerContext, REGISTRY, Refused};
use atshub_schemas::Envelope;
use serde_json::{Value, json};

pub(super) type Headers = Vec<(String, String)>;

pub(super) fn hook(row: &Entry, suite: &Suite, case: &Case, headers: &Headers, body: &[u8]) -> Result<Heard, Refused> {
    row.inbound.unwrap().hook(&suite.account(&case.policy), raw(headers, body), suite.now)
}

pub(super) fn partner(row: &Entry, suite: &Suite, case: &Case, headers: &Headers, body: &[u8]) -> Result<PartnerAnswer, Refused> {
    let (inbound, account) = (row.inbound.unwrap(), suite.account(&case.policy));
    inbound.partner_application(&case.path, raw(headers, body));
    let application = case.ordered();
    let context = PartnerContext { roles: &case.roles, application: &application };
    inbound.partner(&account, &case.path, raw(headers, body), context, suite.now)
}

/// A fact as a fixture writes it, after a journey through bytes.
pub(super) fn travelled(fact: &Envelope, file: &str) -> Value {
    let bytes = fact.encode().unwrap_or_else(|e| panic!("{file}: {e}"));
    let decoded = Envelope::decode(&bytes).unwrap_or_else(|e| panic!("{file}: a fact is not taken back: {e}"));
    assert_eq!(&decoded, fact, "{file}");
    let whole = fact.to_value().unwrap();
    json!({"type": whole["type"], "subject": whole["subject"], "time": whole["time"], "data": whole["data"]})
}

fn one_fact(facts: &[Envelope], expected: &Value, case: &Case) {
    match expected.get("fact") {
        None => assert!(facts.is_empty(), "{}: no fact was expected", case.file),
        Some(expected) => {
            assert_eq!(facts.len(), 1, "{}", case.file);
            let actual = travelled(&facts[0], &case.file);
            assert!(fits(expected, &actual), "{} ({})\nexpected {expected:#}\nactual   {actual:#}", case.file, case.what);
        }
    }
}

#[tokio::test]
async fn every_webhook_means_what_its_fixture_says_and_means_it_again() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        let mut ids = std::collections::BTreeMap::new();
        for case in cases.iter().filter(|case| case.kind == Kind::Hook) {
            let body = serde_json::to_vec(&case.body).unwrap();
            let headers = suite.headers(Kind::Hook, &body);
            let heard = hook(row, &suite, case, &headers, &body);
            assert_eq!(heard, hook(row, &suite, case, &headers, &body), "{}: the same webhook twice gives the same", case.file);
            match (&heard, &case.expect) {
                (Ok(Heard::Facts(facts)), expected) if expected.get("fact").is_some() => {
                    one_fact(facts, expected, case);
                    let same = ids.insert(facts[0].id.clone(), (case.body.clone(), case.file.clone()));
                    assert!(
                        same.as_ref().is_none_or(|(body, _)| *body == case.body || body["action"] == case.body["action"]),
                        "{same:?} has the id of {}",
                        case.file
                    );
                }
                (Ok(Heard::Nothing(why)), expected) => {
                    let words = expected["nothing"].as_str().unwrap_or_else(|| panic!("{}: heard nothing: {why}", case.file));
                    assert!(why.contains(words), "{}: {why}", case.file);
                }
                (Err(refused), expected) => {
                    let actual = json!({"refused": {"status": refused.status, "code": refused.code}});
                    assert!(fits(expected, &actual), "{}: {refused:?}", case.file);
                }
                (heard, expected) => panic!("{}: expected {expected}, heard {heard:?}", case.file),
            }
        }
    }
}

#[tokio::test]
async fn every_partner_call_is_answered_as_its_fixture_says() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        for case in cases.iter().filter(|case| case.kind == Kind::Partner) {
            let body = serde_json::to_vec(&case.body).unwrap();
            let answer =
                partner(row, &suite, case, &suite.headers(Kind::Partner, &body), &body).unwrap_or_else(|e| panic!("{}: {e:?}", case.file));
            assert_eq!(json!(answer.status), case.expect["status"], "{}: {:#}", case.file, answer.body);
            assert!(fits(&case.expect["body"], &answer.body), "{} ({})\n{:#}", case.file, case.what, answer.body);
            one_fact(&answer.facts, &case.expect, case);
        }
    }
}

#[tokio::test]
async fn a_sender_who_does_not_know_the_secret_gets_401_and_no_facts() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        for case in cases.iter().filter(|case| case.kind == Kind::Hook) {
            let body = serde_json::to_vec(&case.body).unwrap();
            let signature = suite.signature.as_ref().unwrap();
            let good = signature.sign(&suite.secrets[&signature.secret], &body).1;
            let upper = format!("{}{}", signature.prefix, good.trim_start_matches(&signature.prefix).replace(['0', '1'], "2"));
            let wrong = [
                signature.sign("another secret", &body).1,
                signature.sign(&suite.secrets[&signature.secret], b"another body").1,
                good[..good.len() - 2].to_owned(),
                format!("{good}00"),
                upper,
                signature.prefix.clone(),
                "garbage \u{fffd}".into(),
                String::new(),
            ];
            for value in wrong {
                let refused = hook(row, &suite, case, &vec![(signature.header.clone(), value.clone())], &body).unwrap_err();
                assert_eq!(refused.status, 401, "{} with {value:?}", case.file);
            }
            assert_eq!(hook(row, &suite, case, &Vec::new(), &body).unwrap_err().status, 401, "{} without a signature", case.file);
        }
        for case in cases.iter().filter(|case| case.kind == Kind::Partner) {
            let body = serde_json::to_vec(&case.body).unwrap();
            let key = &suite.secrets[suite.partner_secret.as_ref().unwrap()];
            let basic = |text: String| format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text));
            let with = |value: String| partner(row, &suite, case, &vec![("authorization".into(), value)], &body);
            for good in [format!("Bearer {key}"), format!("bearer  {key}"), basic(format!("{key}:")), basic(key.clone())] {
                assert!(with(good.clone()).is_ok(), "{} with {good:?}", case.file);
            }
            let wrong = [
                "Bearer".into(),
                "Bearer ".into(),
                format!("Bearer {key}x"),
                format!("Basic {key}"),
                basic(format!("x:{key}")),
                basic(":".into()),
                "Digest x".into(),
                String::new(),
                key.clone(),
            ];
            for value in wrong {
                assert_eq!(with(value.clone()).unwrap_err().status, 401, "{} with {value:?}", case.file);
            }
            assert_eq!(partner(row, &suite, case, &Vec::new(), &body).unwrap_err().status, 401, "{} without a key", case.file);
        }
    }
}

#[tokio::test]
async fn a_secret_that_is_not_set_here_is_our_fault_and_not_the_senders() {
    for row in REGISTRY.iter().filter(|row| row.inbound.is_some()) {
        let (suite, cases) = load(row);
        for case in cases.iter().filter(|case| matches!(case.kind, Kind::Hook | Kind::Partner)) {
            let body = serde_json::to_vec(&case.body).unwrap();
            let headers = suite.headers(case.kind, &body);
            let bare = suite.account_with(&case.policy, Default::default());
            let application = case.ordered();
            let context = PartnerContext { roles: &case.roles, application: &application };
            let inbound = row.inbound.unwrap();
            let refused = match case.kind {
                Kind::Hook => inbound.hook(&bare, raw(&headers, &body), suite.now).unwrap_err(),
                _ => inbound.partner(&bare, &case.path, raw(&headers, &body), context, suite.now).unwrap_err(),
            };
            assert_eq!((refused.status, refused.code), (503, "secret_not_set"), "{}", case.file);
        }
    }
}
