//! What the simulated Ashby sends, heard by the Ashby row over real HTTP: webhooks with their signature, partner calls.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use atshub::{
    ats::{self, Account, Call, Heard, Known, Ordered, PartnerContext},
    credentials::Secrets,
    http::{Http, Options},
};
use atshub_actors::{domain::Policy, ports::PlatformRole};
use atshub_schemas::{Envelope, Message};
use atshub_simulators::ashby::{AshbyOptions, AshbySimulator, CandidateChange, NewCandidate};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

/// A door that keeps what it hears.
struct Door {
    account: Account,
    roles: Vec<PlatformRole>,
    live: Mutex<bool>,
    facts: Mutex<Vec<Envelope>>,
    refused: Mutex<Vec<u16>>,
}

impl Door {
    fn take(&self) -> Vec<Envelope> {
        std::mem::take(&mut *self.facts.lock().unwrap())
    }

    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self.take().iter().map(|fact| fact.message.kind()).collect();
        kinds.sort_unstable();
        kinds
    }
}

struct Stage {
    ashby: AshbySimulator,
    door: Arc<Door>,
    application: String,
    job: String,
    url: String,
    server: ServerHandle,
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

async fn stage() -> Stage {
    let ashby = AshbySimulator::start(AshbyOptions::default()).await.unwrap();
    let secrets = [("api_key", ashby.api_key()), ("webhook_secret", ashby.webhook_secret()), ("partner_key", "partner-key")];
    let account = Account {
        tenant: "acme".parse().unwrap(),
        policy: Arc::new(Policy { connector: BTreeMap::from([("api_base".into(), ashby.url())]), ..Policy::default() }),
        secrets: Secrets::new(secrets.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect()),
        http: Http::new(tokio::runtime::Handle::current(), Options::default()).unwrap(),
    };
    let roles = [("1201", "Backend engineer"), ("1202", "Frontend engineer")]
        .map(|(id, name)| PlatformRole { id: id.parse().unwrap(), name: name.parse().unwrap() });
    let door =
        Arc::new(Door { account, roles: roles.to_vec(), live: Mutex::default(), facts: Mutex::default(), refused: Mutex::default() });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shared = web::Data::from(door.clone());
    let server = HttpServer::new(move || {
        App::new().app_data(shared.clone()).route("/hook", web::post().to(hook)).route("/partner/{path}", web::post().to(partner))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    ashby.set_hook_url(&format!("{url}/hook"));
    ashby.set_partner(&format!("{url}/partner"), "partner-key");
    let job = ashby.add_job("Backend engineer", Some("1201"), Some("rae@acme.example")).await;
    let new = NewCandidate { name: "Ada Lovelace".into(), email: "ada@example.org".into(), job: job.clone(), ..NewCandidate::default() };
    let application = ashby.add_candidate(new).await.unwrap();
    ashby.wait_until_idle().await;
    Stage { ashby, door, application, job, url, server: handle }
}

fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    request.headers().iter().map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned())).collect()
}

async fn hook(request: HttpRequest, body: web::Bytes, door: web::Data<Door>) -> HttpResponse {
    let headers = headers(&request);
    let inbound = ats::entry("ashby").unwrap().inbound.unwrap();
    let now = Timestamp::now();
    let known = Known::authenticate(inbound, &door.account, Call::Hook, headers, body.to_vec(), now);
    match known.and_then(|known| inbound.hook(&door.account, &known, now)) {
        Ok(Heard::Facts(facts)) => door.facts.lock().unwrap().extend(facts),
        Ok(Heard::Nothing(_)) => {}
        Err(refused) => {
            door.refused.lock().unwrap().push(refused.status);
            return HttpResponse::build(actix_web::http::StatusCode::from_u16(refused.status).unwrap()).finish();
        }
    }
    HttpResponse::Ok().finish()
}

async fn partner(request: HttpRequest, path: web::Path<String>, body: web::Bytes, door: web::Data<Door>) -> HttpResponse {
    let headers = headers(&request);
    let inbound = ats::entry("ashby").unwrap().inbound.unwrap();
    let application = Ordered { live: *door.live.lock().unwrap(), ..Ordered::default() };
    let context = PartnerContext { roles: &door.roles, application: &application };
    let now = Timestamp::now();
    let known = Known::authenticate(inbound, &door.account, Call::Partner(&path), headers, body.to_vec(), now);
    let status = |status: u16| actix_web::http::StatusCode::from_u16(status).unwrap();
    match known.and_then(|known| inbound.partner(&door.account, &path, &known, context, now)) {
        Ok(answer) => {
            door.facts.lock().unwrap().extend(answer.facts);
            HttpResponse::build(status(answer.status)).json(answer.body)
        }
        Err(refused) => HttpResponse::build(status(refused.status)).json(json!({"code": refused.code})),
    }
}

#[tokio::test]
async fn everything_a_recruiter_does_arrives_as_the_right_facts() {
    let s = stage().await;
    assert_eq!(s.door.kinds(), ["application.moved.v1"], "applied");
    s.ashby.move_stage(&s.application, "Karat Assessment").await.unwrap();
    s.ashby.wait_until_idle().await;
    let facts = s.door.take();
    let moved = facts.iter().find_map(|fact| match &fact.message {
        Message::ApplicationMoved(change) => Some(change),
        _ => None,
    });
    let moved = moved.unwrap();
    assert_eq!(moved.to_stage.as_ref().unwrap().name.as_ref().unwrap().as_str(), "Karat Assessment");
    assert_eq!(moved.recruiter.as_ref().unwrap().email.as_ref().unwrap().as_str(), "rae@acme.example");
    assert_eq!(facts.len(), 2, "the stage change, and the update that comes with it");
    let change = CandidateChange { phone: Some("12345".into()), ..CandidateChange::default() };
    s.ashby.update_candidate(&s.application, change).await.unwrap();
    s.ashby.wait_until_idle().await;
    assert_eq!(s.door.kinds(), ["candidate.updated.v1"]);
    s.ashby.set_job_role(&s.job, "1202").await.unwrap();
    s.ashby.wait_until_idle().await;
    match &s.door.take()[..] {
        [Envelope { message: Message::JobUpdated(update), .. }] => assert_eq!(update.job.role.as_ref().unwrap().as_str(), "1202"),
        other => panic!("{other:?}"),
    }
    s.ashby.hire(&s.application).await.unwrap();
    s.ashby.wait_until_idle().await;
    assert_eq!(s.door.kinds(), ["application.hired.v1", "application.hired.v1", "candidate.updated.v1"]);
    s.ashby.archive(&s.application).await.unwrap();
    s.ashby.wait_until_idle().await;
    assert_eq!(s.door.kinds(), ["application.archived.v1", "candidate.updated.v1"]);
    s.ashby.delete(&s.application).await.unwrap();
    s.ashby.wait_until_idle().await;
    assert_eq!(s.door.kinds(), Vec::<&str>::new());
    assert_eq!(*s.door.refused.lock().unwrap(), Vec::<u16>::new());
    assert_eq!(s.ashby.deliveries().lost(), 0);
}

#[tokio::test]
async fn a_webhook_that_comes_twice_has_the_same_ids_and_a_move_back_has_others() {
    let s = stage().await;
    let ids = |facts: Vec<Envelope>| facts.into_iter().map(|fact| fact.id).collect::<BTreeSet<_>>();
    s.door.take();
    s.ashby.move_stage(&s.application, "Karat Assessment").await.unwrap();
    s.ashby.wait_until_idle().await;
    let first = ids(s.door.take());
    assert_eq!(first.len(), 2);
    s.ashby.repeat_last_webhook(&s.application).await.unwrap();
    s.ashby.wait_until_idle().await;
    assert_eq!(ids(s.door.take()), first);
    s.ashby.move_stage(&s.application, "Phone screen").await.unwrap();
    s.ashby.move_stage(&s.application, "Karat Assessment").await.unwrap();
    s.ashby.wait_until_idle().await;
    let again = ids(s.door.take());
    assert_eq!(again.len(), 4);
    assert!(again.is_disjoint(&first), "a re-trigger is a new message");
}

#[tokio::test]
async fn an_assessment_is_listed_ordered_shown_and_cancelled() {
    let s = stage().await;
    s.door.take();
    let (status, list) = s.ashby.list_assessments().await.unwrap();
    assert_eq!((status, list["results"].as_array().map(Vec::len)), (200, Some(2)));
    let kind = list["results"].as_array().unwrap().iter().find(|t| t["name"] == "Frontend engineer").unwrap()["assessment_type_id"].clone();
    let (status, started) = s.ashby.start_assessment(&s.application, kind.as_str().unwrap()).await.unwrap();
    assert_eq!(status, 200, "{started}");
    let order = started["results"]["assessment_id"].as_str().unwrap().to_owned();
    assert_eq!(s.ashby.assessment(&order).unwrap()["update"]["assessment_status"]["value"], "Received");
    match &s.door.take()[..] {
        [Envelope { message: Message::AssessmentOrdered(ordered), .. }] => {
            assert_eq!(ordered.assessment.id.as_str(), order);
            assert_eq!(ordered.assessment.test_id.as_ref().unwrap().as_str(), "1202");
            assert_eq!(ordered.application.id.as_str(), s.application);
        }
        other => panic!("{other:?}"),
    }
    let connector = (ats::entry("ashby").unwrap().connect)(s.door.account.clone()).unwrap();
    for (code, text, started, cancelled) in [
        ("invited", "Invited", false, Value::Null),
        ("in_progress", "In progress", true, Value::Null),
        ("timed_out", "Timed out", true, json!("Timed out")),
    ] {
        let request = json!({
            "candidacy": "0197aaaa-0000-7000-8000-000000000001", "application": s.application, "assessment": order,
            "write": {"kind": "status", "sequence": 1, "code": code, "text": text, "link": "https://acme.karat.io/i/1"}
        });
        connector.write(&serde_json::from_value(request).unwrap()).await.unwrap();
        let shown = s.ashby.assessment(&order).unwrap();
        assert_eq!((shown["started"].is_null(), &shown["update"]["cancelled_reason"]["value"]), (!started, &cancelled), "{code}");
        assert_eq!(s.ashby.field_value(&s.application, "Karat Status").as_deref(), Some(text));
    }
    s.ashby.wait_until_idle().await;
    s.door.take();
    *s.door.live.lock().unwrap() = true;
    assert_eq!(s.ashby.start_assessment(&s.application, kind.as_str().unwrap()).await.unwrap().0, 409);
    assert_eq!(s.ashby.cancel_assessment(&order).await.unwrap().0, 200);
    assert_eq!(s.door.kinds(), ["assessment.cancelled.v1"]);
}

#[tokio::test]
async fn a_partner_call_with_another_key_is_refused() {
    let s = stage().await;
    s.ashby.set_partner(&format!("{}/partner", s.url), "another-key");
    assert_eq!(s.ashby.list_assessments().await.unwrap().0, 401);
}
