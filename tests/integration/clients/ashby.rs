//! The Ashby connector against the simulated Ashby.

use atshub::{
    ats::{self, Account},
    credentials::Secrets,
    http::{Http, Options},
};
use atshub_actors::{
    domain::Policy,
    failure::Failure,
    ports::{Connector, Written},
};
use atshub_schemas::internal::WritebackRequested;
use atshub_simulators::{
    Fault,
    ashby::{AshbyOptions, AshbySimulator, NewCandidate},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// For calls that hang on purpose; long enough for a busy machine to act first.
const SHORT: Duration = Duration::from_secs(1);

struct Stage {
    ashby: AshbySimulator,
    connector: Arc<dyn Connector>,
    /// The same account, by a client that does not wait long.
    impatient: Arc<dyn Connector>,
    application: String,
}

async fn stage() -> Stage {
    stage_with(AshbyOptions::default(), Policy::default()).await
}

async fn stage_with(options: AshbyOptions, policy: Policy) -> Stage {
    let ashby = AshbySimulator::start(options).await.unwrap();
    let job = ashby.add_job("Backend engineer", Some("1201"), Some("rae@acme.example")).await;
    let new = NewCandidate { name: "Ada Lovelace".into(), email: "ada@example.org".into(), job, ..NewCandidate::default() };
    let application = ashby.add_candidate(new).await.unwrap();
    let connector = connect(&ashby, ashby.api_key(), policy.clone(), Options::default());
    let impatient = connect(&ashby, ashby.api_key(), policy, Options { total_time: SHORT, ..Options::default() });
    Stage { ashby, connector, impatient, application }
}

fn connect(ashby: &AshbySimulator, key: &str, mut policy: Policy, options: Options) -> Arc<dyn Connector> {
    policy.connector.insert("api_base".into(), ashby.url());
    let account = Account {
        tenant: "acme".parse().unwrap(),
        policy: Arc::new(policy),
        secrets: Secrets::new(BTreeMap::from([("api_key".to_owned(), key.to_owned().into())])),
        http: Http::new(tokio::runtime::Handle::current(), options).unwrap(),
    };
    (ats::entry("ashby").unwrap().connect)(account).unwrap()
}

impl Stage {
    fn request(&self, write: &Value) -> WritebackRequested {
        let request = json!({"candidacy": "0197aaaa-0000-7000-8000-000000000001", "application": self.application, "write": write});
        serde_json::from_value(request).unwrap()
    }

    fn status(&self, text: &str) -> WritebackRequested {
        self.request(&json!({"kind": "status", "sequence": 1, "code": "invited", "text": text}))
    }

    fn note(&self) -> WritebackRequested {
        self.request(&json!({"kind": "note", "marker": "ref atshub-1", "body": "Invited. https://acme.karat.io/i/1"}))
    }

    fn shown(&self) -> Option<String> {
        self.ashby.field_value(&self.application, "Karat Status")
    }
}

#[tokio::test]
async fn a_status_is_shown_in_the_field_and_found_there() {
    let s = stage().await;
    let status = s.status("Invited");
    assert!(!s.connector.look(&status).await.unwrap());
    assert_eq!(s.connector.write(&status).await.unwrap(), Written::Done { external_id: None });
    assert_eq!(s.shown().as_deref(), Some("Invited"));
    assert!(s.connector.look(&status).await.unwrap());
    assert!(!s.connector.look(&s.status("Scheduled")).await.unwrap());
}

#[tokio::test]
async fn a_status_that_was_written_without_an_answer_is_unclear_and_then_found() {
    let s = stage().await;
    for (n, fault) in [Fault::ActThenHang, Fault::ActThenFail(502)].into_iter().enumerate() {
        let status = s.status(&format!("Status {n}"));
        s.ashby.faults().next("customField.setValue", fault, 1);
        assert_eq!(s.impatient.write(&status).await.unwrap_err().code(), "unclear");
        assert!(s.connector.look(&status).await.unwrap());
    }
}

#[tokio::test]
async fn a_field_that_is_not_there_is_named_in_the_refusal() {
    let s = stage_with(AshbyOptions::default(), Policy { status_field: "Interview state".into(), ..Policy::default() }).await;
    match s.connector.write(&s.status("Invited")).await.unwrap_err() {
        Failure::Rejected { code, detail } => assert!(code == "status_field_missing" && detail.contains("Interview state"), "{detail}"),
        other => panic!("{other:?}"),
    }
    // Added by an admin, it is found without a restart.
    s.ashby.add_custom_field("Interview state", "Application");
    s.connector.write(&s.status("Invited")).await.unwrap();
    assert_eq!(s.ashby.field_value(&s.application, "Interview state").as_deref(), Some("Invited"));
}

#[tokio::test]
async fn a_note_is_written_once_when_the_unclear_attempt_is_looked_up() {
    let s = stage().await;
    let note = s.note();
    assert!(!s.connector.look(&note).await.unwrap());
    s.ashby.faults().next("candidate.createNote", Fault::ActThenHang, 1);
    assert_eq!(s.impatient.write(&note).await.unwrap_err().code(), "unclear");
    assert!(s.connector.look(&note).await.unwrap());
    assert_eq!(s.ashby.notes(&s.application), ["Invited. https://acme.karat.io/i/1\n\nref atshub-1"]);
    s.ashby.faults().next("candidate.createNote", Fault::Fail(500), 1);
    let other = s.request(&json!({"kind": "note", "marker": "ref atshub-2", "body": "Scheduled."}));
    assert_eq!(s.connector.write(&other).await.unwrap_err().code(), "unclear");
    assert!(!s.connector.look(&other).await.unwrap());
    assert!(matches!(s.connector.write(&other).await.unwrap(), Written::Done { external_id: Some(_) }));
    assert_eq!(s.ashby.ledger().count("note"), 2);
}

#[tokio::test]
async fn an_application_is_read_whole() {
    let s = stage().await;
    let read = s.connector.read(&s.application.parse().unwrap()).await.unwrap().unwrap();
    let candidate = s.ashby.candidate_of(&s.application).unwrap();
    assert_eq!(
        read.application.url.unwrap().as_str(),
        format!("https://app.ashbyhq.com/candidates/{candidate}/applications/{}", s.application)
    );
    assert_eq!(read.candidate.profile_url.unwrap().as_str(), format!("https://app.ashbyhq.com/candidates/{candidate}"));
    assert_eq!(read.candidate.email.unwrap().as_str(), "ada@example.org");
    assert_eq!(read.candidate.phone.unwrap().as_str(), "");
    assert_eq!(read.job.role.unwrap().as_str(), "1201");
    assert_eq!(read.job.title.unwrap().as_str(), "Backend engineer");
    assert_eq!(read.recruiter.unwrap().email.unwrap().as_str(), "rae@acme.example");
    assert_eq!(read.stage.unwrap().name.unwrap().as_str(), "Application Review");
    assert_eq!(s.connector.read(&"no-such-application".parse().unwrap()).await.unwrap(), None);
    s.ashby.faults().next("job.info", Fault::Fail(500), 1);
    assert_eq!(s.connector.read(&s.application.parse().unwrap()).await.unwrap_err().code(), "transient");
}

#[tokio::test]
async fn a_revoked_key_a_missing_permission_and_a_limit_are_told_apart() {
    let s = stage().await;
    let revoked = connect(&s.ashby, "another-key", Policy::default(), Options::default());
    assert_eq!(revoked.write(&s.note()).await.unwrap_err().code(), "unauthorized");
    assert_eq!(revoked.test().await.unwrap_err().code(), "unauthorized");
    s.ashby.revoke_permission("candidatesWrite");
    assert_eq!(s.connector.test().await.unwrap(), ["candidatesWrite"]);
    match s.connector.write(&s.note()).await.unwrap_err() {
        Failure::NotPermitted { detail } => assert!(detail.contains("candidatesWrite"), "{detail}"),
        other => panic!("{other:?}"),
    }
    s.ashby.grant_permission("candidatesWrite");
    assert_eq!(s.connector.test().await.unwrap(), Vec::<String>::new());
    s.ashby.revoke_permission("apiKeysRead");
    assert_eq!(s.connector.test().await.unwrap(), ["apiKeysRead"]);
    s.ashby.faults().next("*", Fault::RateLimit { retry_after: None }, 1);
    assert_eq!(s.connector.write(&s.note()).await.unwrap_err(), Failure::RateLimited { retry_after: Duration::from_secs(30) });
    s.ashby.faults().next("*", Fault::RateLimit { retry_after: Some(4) }, 1);
    assert_eq!(s.connector.look(&s.note()).await.unwrap_err(), Failure::RateLimited { retry_after: Duration::from_secs(4) });
}

#[tokio::test]
async fn the_accounts_own_limit_is_a_wait_and_not_a_failure() {
    let s = stage_with(AshbyOptions { rate_limit_per_minute: Some(3), ..AshbyOptions::default() }, Policy::default()).await;
    let outcomes = futures_util::future::join_all((0..5).map(|_| s.connector.test())).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(|failure| failure.code() == "rate_limited"));
}

#[tokio::test]
async fn an_application_that_is_gone_is_refused_for_good() {
    let s = stage().await;
    s.ashby.delete(&s.application).await.unwrap();
    assert_eq!(s.connector.write(&s.note()).await.unwrap_err().code(), "application_not_found");
    assert_eq!(s.connector.write(&s.status("Invited")).await.unwrap_err().code(), "object_not_found");
    assert_eq!(s.connector.look(&s.note()).await.unwrap_err().code(), "application_not_found");
}
