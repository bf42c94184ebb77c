//! What comes in: every fixture gives what it says, the same webhook the same ids, and a wrong signature nothing.

use super::fixtures::{Case, Kind, Suite, fits, load};
use atshub::{
    ats::{Account, Call, Claim, Entry, Head, Heard, Known, PartnerAnswer, PartnerContext, REGISTRY, Refused},
    credentials::{Secrets, predecessor_name},
};
use atshub_schemas::Envelope;
use serde_json::{Value, json};

pub(super) type Headers = Vec<(String, String)>;

/// Finds out who sent it, as the doors do, and asks what it means.
fn hook_of(row: &Entry, suite: &Suite, account: &Account, headers: &Headers, body: &[u8]) -> Result<Heard, Refused> {
    let inbound = row.inbound.unwrap();
    let known = Known::authenticate(inbound, account, Call::Hook, headers.clone(), body.to_vec(), suite.now)?;
    inbound.hook(account, &known, suite.now)
}

fn partner_of(
    row: &Entry,
    suite: &Suite,
    account: &Account,
    case: &Case,
    headers: &Headers,
    body: &[u8],
) -> Result<PartnerAnswer, Refused> {
    let inbound = row.inbound.unwrap();
    let known = Known::authenticate(inbound, account, Call::Partner(&case.path), headers.clone(), body.to_vec(), suite.now)?;
    inbound.partner_application(&case.path, &known);
    let application = case.ordered();
    let context = PartnerContext { roles: &case.roles, application: &application };
    inbound.partner(account, &case.path, &known, context, suite.now)
}

pub(super) fn hook(row: &Entry, suite: &Suite, case: &Case, headers: &Headers, body: &[u8]) -> Result<Heard, Refused> {
    hook_of(row, suite, &suite.account(&case.policy), headers, body)
}

pub(super) fn partner(row: &Entry, suite: &Suite, case: &Case, headers: &Headers, body: &[u8]) -> Result<PartnerAnswer, Refused> {
    partner_of(row, suite, &suite.account(&case.policy), case, headers, body)
}

/// The call that a case makes.
fn call(case: &Case) -> Call<'_> {
    if case.kind == Kind::Hook { Call::Hook } else { Call::Partner(&case.path) }
}

/// The code with which a request is refused, or nothing if it is taken.
fn refusal(row: &Entry, suite: &Suite, account: &Account, case: &Case, headers: &Headers, body: &[u8]) -> Option<(u16, &'static str)> {
    let refused = match case.kind {
        Kind::Hook => hook_of(row, suite, account, headers, body).err(),
        _ => partner_of(row, suite, account, case, headers, body).err(),
    };
    refused.map(|refused| (refused.status, refused.code))
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
            assert_eq!(refusal(row, &suite, &bare, case, &headers, &body), Some((503, "secret_not_set")), "{}", case.file);
            let refused = row.inbound.unwrap().claim(&bare, call(case), Head(&headers), suite.now).unwrap_err();
            assert_eq!((refused.status, refused.code), (503, "secret_not_set"), "{}: said before the body is read", case.file);
        }
    }
}

/// What a sender is like to whom no body is read.
#[tokio::test]
async fn a_request_without_a_signature_or_key_is_refused_by_its_head_alone() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        for case in cases.iter().filter(|case| matches!(case.kind, Kind::Hook | Kind::Partner)) {
            let (inbound, account) = (row.inbound.unwrap(), suite.account(&case.policy));
            let claim = |headers: &Headers| inbound.claim(&account, call(case), Head(headers), suite.now);
            let good = suite.headers(case.kind, b"{}");
            assert!(claim(&good).is_ok(), "{}", case.file);
            let (name, value) = &good[0];
            let half = value[..value.len() / 2].to_owned();
            for headers in
                [vec![], vec![("x-other".into(), value.clone())], vec![(name.clone(), String::new())], vec![(name.clone(), half)]]
            {
                assert_eq!(claim(&headers).unwrap_err().status, 401, "{} with {headers:?}", case.file);
            }
            // A key is known by the head; what only the body can prove is not believed before.
            let other = suite.headers(case.kind, b"another body");
            match claim(&other).unwrap() {
                Claim::Proven => assert_eq!(good, other, "{}: what depends on the body proves nothing without it", case.file),
                Claim::Signed => assert!(inbound.signed(&account, call(case), Head(&other), b"{}", suite.now).is_err(), "{}", case.file),
            }
        }
    }
}

#[tokio::test]
async fn a_replaced_secret_is_good_beside_the_new_one_until_its_end() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        for case in cases.iter().filter(|case| matches!(case.kind, Kind::Hook | Kind::Partner)) {
            let body = serde_json::to_vec(&case.body).unwrap();
            // The fixtures' own secret has been replaced; they are still signed with it.
            let headers = suite.headers(case.kind, &body);
            let with = |until: jiff::Timestamp| {
                let inbound = |name: &str| row.secrets.iter().any(|spec| spec.name == name && spec.inbound);
                let secrets = suite.secrets.iter().flat_map(|(name, value)| {
                    let before = inbound(name).then(|| (predecessor_name(name, until), value.clone().into()));
                    let now = if inbound(name) { "another one".to_owned() } else { value.clone() };
                    [Some((name.clone(), now.into())), before].into_iter().flatten()
                });
                Account { secrets: Secrets::new(secrets.collect()), ..suite.account(&case.policy) }
            };
            let second = jiff::SignedDuration::from_secs(1);
            let as_before = refusal(row, &suite, &suite.account(&case.policy), case, &headers, &body);
            assert_eq!(refusal(row, &suite, &with(suite.now + second), case, &headers, &body), as_before, "{}: still good", case.file);
            let late = refusal(row, &suite, &with(suite.now), case, &headers, &body);
            assert_eq!(late.map(|(status, _)| status), Some(401), "{}: good no longer", case.file);
        }
    }
}
