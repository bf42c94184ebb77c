//! What goes out: every fixture makes the calls it says, in their order, and ends as it says.

use super::{
    fixtures::{Case, Kind, Suite, fits, load},
    script::{Script, nonsense},
};
use atshub::ats::{Entry, REGISTRY};
use atshub_actors::{
    failure::Failure,
    ports::{Connector, Written},
};
use atshub_schemas::{Envelope, internal::WritebackRequested};
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn connector(row: &Entry, suite: &Suite, case: &Case, url: &str) -> Arc<dyn Connector> {
    let mut policy = case.policy.clone();
    policy.connector.extend(suite.address_setting.iter().map(|setting| (setting.clone(), url.to_owned())));
    (row.connect)(suite.account(&policy)).unwrap_or_else(|e| panic!("{}: {e}", case.file))
}

/// Does what the case asks for, and tells it in the words of the fixtures.
pub(super) async fn outcome(connector: &dyn Connector, case: &Case) -> (Value, Option<Failure>) {
    let request = || serde_json::from_value::<WritebackRequested>(case.request.clone()).unwrap_or_else(|e| panic!("{}: {e}", case.file));
    let outcome = match case.kind {
        Kind::Write => connector.write(&request()).await.map(|written| match written {
            Written::Done { external_id } => json!({"done": external_id}),
            Written::NotSupported(why) => json!({"not_supported": why}),
            Written::Delegated(command) => {
                let envelope = Envelope::new("/hub".parse().unwrap(), "acme".parse().unwrap(), jiff::Timestamp::UNIX_EPOCH, *command);
                assert_eq!(Envelope::decode(&envelope.encode().unwrap()).unwrap(), envelope, "{}: the command travels", case.file);
                let whole = envelope.to_value().unwrap();
                json!({"delegated": {"type": whole["type"], "data": whole["data"]}})
            }
        }),
        Kind::Look => connector.look(&request()).await.map(|found| json!({"found": found})),
        Kind::Read => {
            let application = case.request.as_str().unwrap().parse().unwrap();
            connector.read(&application).await.map(|snapshot| json!({"snapshot": snapshot}))
        }
        Kind::Test => connector.test().await.map(|missing| json!({"missing": missing})),
        Kind::Hook | Kind::Partner => unreachable!("not outbound"),
    };
    match outcome {
        Ok(value) => (value, None),
        Err(failure) => (json!({"failure": failure.code()}), Some(failure)),
    }
}

pub(super) fn outbound_cases() -> impl Iterator<Item = (&'static Entry, Suite, Case)> {
    REGISTRY.iter().flat_map(|row| {
        let (suite, cases) = load(row);
        cases.into_iter().filter(|case| !matches!(case.kind, Kind::Hook | Kind::Partner)).map(move |case| (*row, suite.clone(), case))
    })
}

pub(super) fn tells_no_secret(failure: &Failure, suite: &Suite, file: &str) {
    let text = format!("{failure:?}");
    assert!(suite.secrets.values().all(|secret| !text.contains(secret.as_str())), "{file}: a credential in {text}");
}

#[tokio::test]
async fn every_call_is_made_as_its_fixture_says() {
    for (row, suite, case) in outbound_cases() {
        let script = Script::of(&case.calls);
        let connector = connector(row, &suite, &case, &script.url);
        let (actual, failure) = outcome(connector.as_ref(), &case).await;
        script.finished(&case.file);
        assert!(fits(&case.expect, &actual), "{} ({})\nexpected {:#}\nactual   {actual:#}\n{failure:?}", case.file, case.what, case.expect);
        if let Some(failure) = failure {
            tells_no_secret(&failure, &suite, &case.file);
        }
    }
}

#[tokio::test]
async fn an_answer_that_no_documentation_knows_breaks_nothing() {
    for (row, suite, case) in outbound_cases().filter(|(_, _, case)| !case.calls.is_empty()) {
        for (status, body) in nonsense() {
            let script = Script::always(status, body.clone());
            let connector = connector(row, &suite, &case, &script.url);
            let (actual, failure) = outcome(connector.as_ref(), &case).await;
            let file = format!("{} hearing {status} {:?}: {actual}", case.file, String::from_utf8_lossy(&body[..body.len().min(60)]));
            assert!(script.heard() > 0 && script.heard() < 200, "{file}: {} calls", script.heard());
            if let Some(failure) = failure {
                assert!(!matches!(failure, Failure::Bug { .. } | Failure::Unauthorized { .. }), "{file}: {failure:?}");
                tells_no_secret(&failure, &suite, &file);
            }
        }
    }
}

#[tokio::test]
async fn an_ats_that_is_away_is_a_failure_that_passes_and_cannot_have_acted() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for (row, suite, case) in outbound_cases().filter(|(_, _, case)| !case.calls.is_empty()) {
        let (actual, failure) = outcome(connector(row, &suite, &case, &url).as_ref(), &case).await;
        assert_eq!(actual, json!({"failure": "transient"}), "{}: {failure:?}", case.file);
    }
}
