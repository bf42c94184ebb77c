//! Ashby's API and partner calls: who may call, errors in a 200, lists with sync tokens, notes, fields, assessments.

use crate::receiver::{Receiver, Say};
use atshub_simulators::{
    Fault,
    ashby::{AshbyOptions, AshbySimulator, NewCandidate},
    loopback_client,
};
use serde_json::{Value, json};
use std::time::Duration;

struct Caller {
    ashby: AshbySimulator,
    client: reqwest::Client,
    job: String,
}

impl Caller {
    async fn new(options: AshbyOptions) -> Self {
        let ashby = AshbySimulator::start(options).await.unwrap();
        let job = ashby.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
        Self { ashby, client: loopback_client(Duration::from_secs(20)).unwrap(), job }
    }

    async fn candidate(&self, email: &str) -> String {
        let new =
            NewCandidate { name: "Ada Lovelace".to_owned(), email: email.to_owned(), job: self.job.clone(), ..NewCandidate::default() };
        self.ashby.add_candidate(new).await.unwrap()
    }

    async fn send(&self, method: &str, arguments: Value) -> reqwest::Response {
        let request = self.client.post(format!("{}/{method}", self.ashby.url())).basic_auth(self.ashby.api_key(), Some(""));
        request.json(&arguments).send().await.unwrap()
    }

    async fn reply(&self, method: &str, arguments: Value) -> Value {
        let answer = self.send(method, arguments).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn results(&self, method: &str, arguments: Value) -> Value {
        let reply = self.reply(method, arguments).await;
        assert_eq!(reply["success"], true, "{reply}");
        reply["results"].clone()
    }

    async fn error(&self, method: &str, arguments: Value) -> String {
        let reply = self.reply(method, arguments).await;
        assert_eq!(reply["success"], false);
        reply["errorInfo"]["code"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn no_key_is_401_a_wrong_key_or_a_missing_permission_403_and_every_other_error_200() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let url = format!("{}/apiKey.info", caller.ashby.url());
    assert_eq!(caller.client.post(&url).json(&json!({})).send().await.unwrap().status(), 401);
    assert_eq!(caller.client.post(&url).basic_auth("wrong", Some("")).json(&json!({})).send().await.unwrap().status(), 403);
    assert!(caller.results("apiKey.info", json!({})).await["scopes"].as_array().unwrap().contains(&json!("candidatesWrite")));
    caller.ashby.revoke_permission("candidatesWrite");
    let answer = caller.send("candidate.createNote", json!({})).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.json::<Value>().await.unwrap()["errorInfo"]["code"], "missing_endpoint_permission");
    assert_eq!(caller.error("application.info", json!({ "applicationId": "none" })).await, "application_not_found");
    assert_eq!(caller.error("application.info", json!([])).await, "invalid_input");
}

#[tokio::test]
async fn above_the_limit_comes_429() {
    let caller = Caller::new(AshbyOptions { rate_limit_per_minute: Some(2), ..AshbyOptions::default() }).await;
    assert_eq!(caller.send("apiKey.info", json!({})).await.status(), 200);
    assert_eq!(caller.send("apiKey.info", json!({})).await.status(), 200);
    assert_eq!(caller.send("apiKey.info", json!({})).await.status(), 429);
}

#[tokio::test]
async fn a_status_written_over_the_api_is_in_the_ledger_the_application_and_an_update_event() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let application = caller.candidate("ada@example.org").await;
    let mut receiver = Receiver::start([]);
    caller.ashby.set_hook_url(&receiver.url);
    let fields = caller.results("customField.list", json!({})).await;
    let field = fields.as_array().unwrap().iter().find(|it| it["title"] == "Karat Status").unwrap()["id"].clone();
    let set = json!({ "objectType": "Application", "objectId": application, "fieldId": field, "fieldValue": "Received" });
    caller.results("customField.setValue", set).await;
    let values = json!([{ "fieldId": field, "fieldValue": "Invited" }]);
    caller.results("customField.setValues", json!({ "objectType": "Application", "objectId": application, "values": values })).await;
    assert_eq!(caller.ashby.field_value(&application, "Karat Status").unwrap(), "Invited");
    let effects: Vec<_> = caller.ashby.ledger().effects().into_iter().map(|it| (it.kind, it.subject, it.value)).collect();
    let status = |value: &str| ("status".to_owned(), application.clone(), json!(value));
    assert_eq!(effects, [status("Received"), status("Invited")]);
    let shape = caller.results("application.info", json!({ "applicationId": application })).await;
    assert_eq!(shape["customFields"][0]["value"], "Invited");
    assert_eq!(shape["applicationHistory"][0]["title"], "Application Review");
    assert_eq!(receiver.next().await.body["action"], "applicationUpdate");
    let wrong = json!({ "objectType": "Application", "objectId": application, "fieldId": "none", "fieldValue": "x" });
    assert_eq!(caller.error("customField.setValue", wrong).await, "custom_field_not_found");
}

#[tokio::test]
async fn a_note_of_an_unclear_call_is_found_in_the_list() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let application = caller.candidate("ada@example.org").await;
    let candidate = caller.ashby.candidate_of(&application).unwrap();
    caller.ashby.faults().next("candidate.createNote", Fault::ActThenFail(500), 1);
    let note = json!({ "candidateId": candidate, "note": { "type": "text/plain", "value": "Invited" } });
    assert_eq!(caller.send("candidate.createNote", note).await.status(), 500);
    let notes = caller.results("candidate.listNotes", json!({ "candidateId": candidate })).await;
    assert_eq!(notes[0]["content"], "Invited");
    assert_eq!(caller.ashby.notes(&application), ["Invited"]);
    assert_eq!(caller.ashby.ledger().effects()[0].subject, application);
    let tag = caller.results("candidateTag.create", json!({ "title": "Karat: invited" })).await["id"].clone();
    assert_eq!(caller.results("candidateTag.create", json!({ "title": "Karat: invited" })).await["id"], tag);
    for _ in 0..2 {
        caller.results("candidate.addTag", json!({ "candidateId": candidate, "tagId": tag })).await;
    }
    assert_eq!((caller.ashby.ledger().count("tag"), caller.ashby.tags(&candidate)), (1, vec!["Karat: invited".to_owned()]));
}

#[tokio::test]
async fn lists_come_in_pages_and_a_sync_token_brings_only_what_changed() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let mut applications = vec![];
    for number in 0..5 {
        applications.push(caller.candidate(&format!("c{number}@example.org")).await);
    }
    let first = caller.reply("application.list", json!({ "limit": 3 })).await;
    assert_eq!((first["results"].as_array().unwrap().len(), &first["moreDataAvailable"]), (3, &json!(true)));
    assert_eq!(first.get("syncToken"), None);
    let rest = caller.reply("application.list", json!({ "limit": 3, "cursor": first["nextCursor"] })).await;
    assert_eq!((rest["results"].as_array().unwrap().len(), &rest["moreDataAvailable"]), (2, &json!(false)));
    let token = rest["syncToken"].clone();
    assert_eq!(caller.results("application.list", json!({ "syncToken": token })).await, json!([]));
    caller.ashby.move_stage(&applications[1], "Karat Assessment").await.unwrap();
    let changed = caller.results("application.list", json!({ "syncToken": token })).await;
    assert_eq!((changed.as_array().unwrap().len(), &changed[0]["id"]), (1, &json!(applications[1])));
    caller.ashby.expire_sync_tokens();
    assert_eq!(caller.error("application.list", json!({ "syncToken": token })).await, "sync_token_expired");
    assert_eq!(caller.error("application.list", json!({ "limit": 101 })).await, "invalid_input");
}

#[tokio::test]
async fn a_webhook_made_over_the_api_is_pinged_and_disabled_if_nobody_answers_well() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let mut good = Receiver::start([]);
    let make = |url: &str| json!({ "webhookType": "candidateStageChange", "requestUrl": url, "secretToken": "s" });
    assert_eq!(caller.results("webhook.create", make(&good.url)).await["enabled"], true);
    assert_eq!(good.next().await.body, json!({ "action": "ping", "data": { "webhookActionType": "ping" } }));
    let bad = Receiver::start([Say::Status(503)]);
    let made = caller.results("webhook.create", make(&bad.url)).await;
    assert_eq!(made["enabled"], false);
    let renewed = caller.results("webhook.update", json!({ "webhookId": made["id"], "requestUrl": bad.url })).await;
    assert_eq!(renewed["enabled"], true);
    caller.results("webhook.delete", json!({ "webhookId": made["id"] })).await;
    assert_eq!(caller.error("webhook.info", json!({ "webhookId": made["id"] })).await, "webhook_not_found");
    let application = caller.candidate("ada@example.org").await;
    caller.ashby.move_stage(&application, "Onsite").await.unwrap();
    assert_eq!(good.next().await.body["action"], "candidateStageChange");
}

#[tokio::test]
async fn an_assessment_is_started_at_the_partner_and_updated_by_it() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let application = caller.candidate("ada@example.org").await;
    let status = json!({ "identifier": "status", "label": "Status", "type": "string", "value": "Invited" });
    let started = json!({ "success": true, "results": { "assessment_id": "as-1",
        "update_request": { "assessment_id": "as-1", "timestamp": 1_665_680_638_489_i64, "assessment_status": status } } });
    let mut partner = Receiver::start([Say::Json(200, started), Say::Json(422, json!({ "message": "No credits left" }))]);
    caller.ashby.set_partner(&format!("{}/partner/acme", partner.url), "partner-key");
    assert_eq!(caller.ashby.start_assessment(&application, "type-1").await.unwrap().0, 200);
    let got = partner.next().await;
    assert_eq!(got.path, "/partner/acme/assessment.start");
    assert_eq!(got.authorization.as_deref(), Some("Basic cGFydG5lci1rZXk6"));
    assert_eq!((&got.body["application"]["ashby_id"], &got.body["candidate"]["first_name"]), (&json!(application), &json!("Ada")));
    assert_eq!(caller.ashby.start_assessment(&application, "type-1").await.unwrap(), (422, json!({ "message": "No credits left" })));

    let update = |change: Value| {
        let mut body = json!({ "assessment_id": "as-1", "timestamp": 1_665_684_238_489_i64 });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    let score = json!({ "identifier": "score", "label": "Score", "type": "numeric_score", "value": 81 });
    let report = json!({ "identifier": "report", "label": "Report", "type": "url", "value": "https://platform.example/r/1" });
    assert_eq!(caller.error("assessment.update", update(json!({}))).await, "invalid_input");
    let without_report = update(json!({ "assessment_status": status, "assessment_result": score }));
    assert_eq!(caller.error("assessment.update", without_report).await, "invalid_input");
    let in_seconds = json!({ "assessment_id": "as-1", "timestamp": 1_665_684_238, "assessment_status": status });
    assert_eq!(caller.error("assessment.update", in_seconds).await, "invalid_input");
    let unknown = json!({ "assessment_id": "as-9", "timestamp": 1_665_684_238_489_i64, "assessment_status": status });
    assert_eq!(caller.error("assessment.update", unknown).await, "assessment_not_found");
    let whole = update(json!({ "assessment_status": status, "assessment_result": score, "assessment_profile_url": report }));
    caller.results("assessment.update", whole).await;
    let effects = caller.ashby.ledger().effects();
    assert_eq!(
        effects.iter().map(|it| (it.kind.as_str(), it.subject.as_str())).collect::<Vec<_>>(),
        [("assessment", application.as_str()); 2]
    );
    assert_eq!(effects[1].value["result"], 81);
}

#[tokio::test]
async fn as_a_process_of_its_own_it_is_driven_by_simulate() {
    let caller = Caller::new(AshbyOptions::default()).await;
    let act = async |name: &str, body: Value| -> Value {
        let url = format!("{}/simulate/{name}", caller.ashby.url());
        caller.client.post(url).json(&body).send().await.unwrap().json().await.unwrap()
    };
    let mut receiver = Receiver::start([]);
    act("set_hook_url", json!({ "url": receiver.url })).await;
    let job = act("add_job", json!({ "title": "Frontend", "role": "1202", "recruiter": "rae@acme.example" })).await["id"].clone();
    let application = act("add_candidate", json!({ "name": "Bob", "email": "bob@example.org", "job": job })).await["id"].clone();
    assert_eq!(receiver.next().await.body["action"], "applicationSubmit");
    let id = act("move_stage", json!({ "application": application, "stage": "Karat Assessment" })).await["id"].clone();
    assert_eq!(receiver.next().await.body["webhookActionId"], id);
    assert_eq!(act("move_stage", json!({ "application": application, "stage": "Nowhere" })).await["error"], "no stage `Nowhere`");
    assert!(act("dance", json!({})).await["error"].as_str().unwrap().contains("move_stage"));
}
