//! Ashby's webhooks: envelope, signature, related events, retries, and the codes after which there are none.

use crate::receiver::{Receiver, Say};
use atshub_simulators::ashby::{AshbyOptions, AshbySimulator, CandidateChange, NewCandidate};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

/// Short enough that ten attempts take about a second in all.
const UNIT: Duration = Duration::from_micros(500);

async fn ashby(hook_timeout: Duration) -> (AshbySimulator, String) {
    let ashby = AshbySimulator::start(AshbyOptions { retry_unit: UNIT, hook_timeout, ..AshbyOptions::default() }).await.unwrap();
    let job = ashby.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
    let new = NewCandidate { name: "Ada Lovelace".to_owned(), email: "ada@example.org".to_owned(), job, ..NewCandidate::default() };
    let application = ashby.add_candidate(new).await.unwrap();
    (ashby, application)
}

const PATIENT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_stage_move_sends_two_signed_events_with_one_id() {
    let (ashby, application) = ashby(PATIENT).await;
    let mut receiver = Receiver::start([]);
    ashby.set_hook_url(&receiver.url);
    let id = ashby.move_stage(&application, "Karat Assessment").await.unwrap();
    let mut got = [receiver.next().await, receiver.next().await];
    got.sort_by_key(|it| it.body["action"].to_string());
    assert_eq!([&got[0].body["action"], &got[1].body["action"]], [&json!("applicationUpdate"), &json!("candidateStageChange")]);
    for it in &got {
        assert_eq!(it.body["webhookActionId"], id.as_str());
        let mut mac = Hmac::<Sha256>::new_from_slice(ashby.webhook_secret().as_bytes()).unwrap();
        mac.update(&it.raw);
        assert_eq!(it.signature.as_deref(), Some(format!("sha256={}", hex::encode(mac.finalize().into_bytes())).as_str()));
        let shape = &it.body["data"]["application"];
        assert_eq!(shape["id"], application.as_str());
        assert_eq!(shape["currentInterviewStage"]["title"], "Karat Assessment");
        assert_eq!(shape["candidate"]["primaryEmailAddress"]["value"], "ada@example.org");
        assert_eq!(shape["hiringTeam"][0]["email"], "rae@acme.example");
    }
    ashby.repeat_last_webhook(&application).await.unwrap();
    let again = [receiver.next().await, receiver.next().await];
    assert!(again.iter().all(|it| got.iter().any(|first| first.raw == it.raw)));
}

#[tokio::test]
async fn a_hire_sends_three_events_with_one_id_and_a_delete_names_the_candidate_alone() {
    let (ashby, application) = ashby(PATIENT).await;
    let candidate = ashby.candidate_of(&application).unwrap();
    let mut receiver = Receiver::start([]);
    ashby.set_hook_url(&receiver.url);
    let id = ashby.hire(&application).await.unwrap();
    let mut actions = vec![];
    for _ in 0..3 {
        let got = receiver.next().await;
        assert_eq!((&got.body["webhookActionId"], &got.body["data"]["application"]["status"]), (&json!(id), &json!("Hired")));
        actions.push(got.body["action"].as_str().unwrap().to_owned());
    }
    actions.sort();
    assert_eq!(actions, ["applicationUpdate", "candidateHire", "candidateStageChange"]);
    ashby.delete(&application).await.unwrap();
    assert_eq!(receiver.next().await.body["data"], json!({ "candidate": { "id": candidate } }));
    assert!(ashby.move_stage(&application, "Offer").await.is_err());
}

#[tokio::test]
async fn a_failing_receiver_is_tried_ten_times_and_then_given_up() {
    let (ashby, application) = ashby(PATIENT).await;
    let mut receiver = Receiver::start(vec![Say::Status(503); 10]);
    ashby.set_hook_url(&receiver.url);
    ashby
        .update_candidate(&application, CandidateChange { phone: Some("5551234567".to_owned()), ..CandidateChange::default() })
        .await
        .unwrap();
    let first = receiver.next().await.raw;
    for _ in 1..10 {
        assert_eq!(receiver.next().await.raw, first);
    }
    ashby.wait_until_idle().await;
    assert!(receiver.nothing_left());
    let deliveries = ashby.deliveries();
    assert_eq!((deliveries.attempts, deliveries.delivered, deliveries.gave_up, deliveries.lost()), (10, 0, 1, 1));
}

#[tokio::test]
async fn a_receiver_that_recovers_gets_the_same_bytes() {
    let (ashby, application) = ashby(PATIENT).await;
    let mut receiver = Receiver::start([Say::Status(500), Say::Status(429), Say::Status(302)]);
    ashby.set_hook_url(&receiver.url);
    ashby.set_recruiter(&application, "new@acme.example").await.unwrap();
    let raws = [receiver.next().await.raw, receiver.next().await.raw, receiver.next().await.raw, receiver.next().await.raw];
    assert!(raws.iter().all(|raw| *raw == raws[0]));
    ashby.wait_until_idle().await;
    assert_eq!((ashby.deliveries().delivered, ashby.deliveries().attempts), (1, 4));
}

#[tokio::test]
async fn after_401_403_404_405_and_410_there_is_no_second_attempt() {
    for status in [401, 403, 404, 405, 410] {
        let (ashby, application) = ashby(PATIENT).await;
        let mut receiver = Receiver::start([Say::Status(status)]);
        ashby.set_hook_url(&receiver.url);
        ashby.set_recruiter(&application, "new@acme.example").await.unwrap();
        receiver.next().await;
        ashby.wait_until_idle().await;
        assert!(receiver.nothing_left());
        let deliveries = ashby.deliveries();
        assert_eq!((deliveries.attempts, deliveries.refused), (1, 1), "after {status}");
    }
}

#[tokio::test]
async fn a_silent_receiver_is_a_failure_and_is_tried_again() {
    let (ashby, application) = ashby(Duration::from_millis(300)).await;
    let mut receiver = Receiver::start([Say::Nothing]);
    ashby.set_hook_url(&receiver.url);
    ashby.set_recruiter(&application, "new@acme.example").await.unwrap();
    receiver.next().await;
    receiver.next().await;
    ashby.wait_until_idle().await;
    assert_eq!(ashby.deliveries().delivered, 1);
}

#[tokio::test]
async fn a_restarted_receiver_gets_what_it_missed() {
    let (ashby, application) = ashby(PATIENT).await;
    ashby.set_hook_url("http://127.0.0.1:1/nobody"); // nothing listens there
    ashby.set_recruiter(&application, "new@acme.example").await.unwrap();
    let mut receiver = Receiver::start([]);
    ashby.set_hook_url(&receiver.url);
    assert_eq!(receiver.next().await.body["action"], "applicationUpdate");
}
