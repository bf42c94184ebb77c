//! The platform: its refusals word for word, paging, ageing, faults.

use atshub_simulators::{
    Fault, loopback_client,
    platform::{Guard, PlatformOptions, PlatformSimulator},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const INVITE: &str = "mutation($input: CreateInvitationInput!) { createInvitation(input: $input) { assessment { id candidacy { id } link } errors { message } } }";

struct Caller {
    platform: PlatformSimulator,
    client: reqwest::Client,
}

impl Caller {
    async fn new() -> Self {
        let platform = PlatformSimulator::start(PlatformOptions::default()).await.unwrap();
        Self { platform, client: loopback_client(Duration::from_secs(20)).unwrap() }
    }

    async fn send(&self, query: &str, variables: Value) -> reqwest::Result<reqwest::Response> {
        let body = json!({ "query": query, "variables": variables });
        self.client.post(self.platform.url()).bearer_auth(self.platform.token()).json(&body).send().await
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let answer: Value = self.send(query, variables).await.unwrap().json().await.unwrap();
        assert_eq!(answer.get("errors"), None);
        answer["data"].clone()
    }

    async fn invite(&self, email: &str, role: &str, extra: Value) -> Value {
        let mut input = json!({ "name": "Ada Lovelace", "email": email, "roleId": role });
        input.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.ask(INVITE, json!({ "input": input })).await["createInvitation"].clone()
    }

    async fn refusal(&self, email: &str, role: &str, extra: Value) -> String {
        let answer = self.invite(email, role, extra).await;
        assert_eq!(answer["assessment"], Value::Null);
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_four_refusals_are_the_platforms_own_words() {
    let caller = Caller::new().await;
    assert_eq!(caller.refusal("ada@example.org", "9999", json!({})).await, "Missing or invalid Karat role on the job.");
    assert_eq!(
        caller.refusal("ada@example.org", "1201", json!({ "phone": "123456" })).await,
        "Phone is too short (minimum is 7 characters)."
    );
    assert_eq!(caller.refusal("RAE@platform.example", "1201", json!({})).await, "Recruiter and candidate can't be the same.");
    let made = caller.invite("ada@example.org", "1201", json!({ "phone": "" })).await;
    let link = made["assessment"]["link"].as_str().unwrap();
    assert_eq!(
        caller.refusal("Ada@Example.org", "1201", json!({})).await,
        format!(
            "Invite failed: Role already has an active interview for this candidate. Please visit this interview to make changes to it. {link}"
        )
    );
    assert_eq!(caller.platform.ledger().count("invitation"), 1);
}

#[tokio::test]
async fn another_role_may_be_invited_and_the_same_role_again_once_the_interview_is_over() {
    let caller = Caller::new().await;
    let first = caller.invite("ada@example.org", "1201", json!({})).await;
    let candidacy = first["assessment"]["candidacy"]["id"].as_str().unwrap().to_owned();
    assert_eq!(caller.invite("ada@example.org", "1202", json!({})).await["errors"], json!([]));
    caller.platform.set_interview_state(&candidacy, "SCHEDULED").unwrap();
    assert!(caller.refusal("ada@example.org", "1201", json!({})).await.starts_with("Invite failed"));
    caller.platform.set_interview_state(&candidacy, "SHIPPED").unwrap();
    let again = caller.invite("ada@example.org", "1201", json!({})).await;
    assert_eq!(again["assessment"]["candidacy"]["id"], candidacy.as_str());
    caller.platform.archive_role("1202");
    assert_eq!(caller.refusal("bob@example.org", "1202", json!({})).await, "Missing or invalid Karat role on the job.");
}

#[tokio::test]
async fn without_its_guard_it_makes_every_invitation_and_counts_it() {
    let caller = Caller::new().await;
    caller.platform.set_guard(Guard::Absent);
    let page = json!({ "atsUrl": "https://ats.example/a/1" });
    let mut links = BTreeSet::new();
    for _ in 0..3 {
        let made = caller.invite("ada@example.org", "1201", page.clone()).await;
        assert_eq!(made["errors"], json!([]));
        links.insert(made["assessment"]["link"].as_str().unwrap().to_owned());
    }
    assert_eq!((links.len(), caller.platform.ledger().count("invitation")), (3, 3));
    assert!(caller.refusal("ada@example.org", "9999", json!({})).await.starts_with("Missing or invalid"), "its other rules stand");
    caller.platform.set_guard(Guard::RefusesDoubles);
    assert!(caller.refusal("ada@example.org", "1201", page).await.starts_with("Invite failed"));
    assert_eq!(caller.platform.ledger().count("invitation"), 3);
}

#[tokio::test]
async fn a_wrong_or_revoked_token_is_401() {
    let caller = Caller::new().await;
    let body = json!({ "query": "{ me { name } }" });
    let wrong = caller.client.post(caller.platform.url()).bearer_auth("nonsense").json(&body).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    assert_eq!(caller.ask("{ me { name } }", json!({})).await["me"]["name"], "Rae Recruiter");
    caller.platform.revoke_token();
    assert_eq!(caller.send("{ me { name } }", json!({})).await.unwrap().status(), 401);
}

#[tokio::test]
async fn paging_through_candidacies_shows_each_once_in_order() {
    let caller = Caller::new().await;
    for number in 0..25 {
        caller.invite(&format!("c{number}@example.org"), "1201", json!({ "atsUrl": format!("https://ats.example/a/{number}") })).await;
    }
    let query = "query($after: String) { candidacies(orderBy: [LAST_STATUS_UPDATE_ASC], first: 10, after: $after)
                 { totalCount pageInfo { endCursor hasNextPage } nodes { id lastStatusUpdate candidate { email } } } }";
    let (mut seen, mut after, mut sizes) = (BTreeSet::new(), Value::Null, vec![]);
    let mut times = vec![];
    loop {
        let page = caller.ask(query, json!({ "after": after })).await["candidacies"].clone();
        assert_eq!(page["totalCount"], 25);
        let nodes = page["nodes"].as_array().unwrap();
        sizes.push(nodes.len());
        for node in nodes {
            assert!(seen.insert(node["id"].as_str().unwrap().to_owned()));
            times.push(node["lastStatusUpdate"].as_str().unwrap().to_owned());
        }
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
    assert_eq!(sizes, [10, 10, 5]);
    assert!(times.is_sorted());
}

#[tokio::test]
async fn candidacies_are_found_by_ats_url_state_person_and_time() {
    let caller = Caller::new().await;
    let ada = caller.invite("ada@example.org", "1201", json!({ "atsUrl": "https://ats.example/a/1" })).await;
    let ada = ada["assessment"]["candidacy"]["id"].as_str().unwrap().to_owned();
    caller.invite("bob@example.org", "1202", json!({ "atsUrl": "https://ats.example/a/2" })).await;
    let query = "query($filter: CandidacyFilter, $search: String) { candidacies(filter: $filter, search: $search)
                 { nodes { id candidate { id email } interviews { nodes { state link } } lastStatusUpdate } } }";
    let found = async |filter: Value, search: Value| {
        let page = caller.ask(query, json!({ "filter": filter, "search": search })).await;
        let nodes = page["candidacies"]["nodes"].as_array().unwrap().clone();
        nodes.iter().map(|node| node["candidate"]["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(json!({ "atsUrl": "https://ats.example/a/1" }), Value::Null).await, ["ada@example.org"]);
    assert_eq!(found(json!({ "atsUrl": "https://ats.example/a/" }), Value::Null).await.len(), 0);
    assert_eq!(found(json!({ "atsUrlSubstring": "/a/2" }), Value::Null).await, ["bob@example.org"]);
    assert_eq!(found(json!({ "role": ["1202"] }), Value::Null).await, ["bob@example.org"]);
    assert_eq!(found(json!({ "role": "1202" }), json!("ADA")).await, ["bob@example.org"]);
    assert_eq!(found(json!({}), json!("nobody")).await.len(), 0);
    let before = jiff::Timestamp::now();
    caller.platform.set_interview_state(&ada, "SCHEDULED").unwrap();
    assert_eq!(found(json!({ "interviewState": ["SCHEDULED"] }), Value::Null).await, ["ada@example.org"]);
    assert_eq!(found(json!({ "lastStatusUpdateAfter": before.to_string() }), Value::Null).await, ["ada@example.org"]);
    assert_eq!(found(json!({ "createdAfter": "2021-01-01" }), Value::Null).await.len(), 2);
    assert!(caller.platform.set_interview_state(&ada, "LOST").is_err());
}

#[tokio::test]
async fn an_invitation_times_out_after_28_days_and_not_before() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let caller = Caller::new().await;
    let made = caller.invite("ada@example.org", "1201", json!({})).await;
    let candidacy = made["assessment"]["candidacy"]["id"].as_str().unwrap();
    caller.platform.age(27 * DAY);
    assert_eq!(caller.platform.interview_state(candidacy).unwrap(), "SCHEDULING");
    caller.platform.age(DAY);
    assert_eq!(caller.platform.interview_state(candidacy).unwrap(), "CANCELLED");
    assert_eq!(caller.invite("ada@example.org", "1201", json!({})).await["errors"], json!([]));
}

#[tokio::test]
async fn statuses_are_updated_in_bulk_with_partial_success() {
    let caller = Caller::new().await;
    let made = caller.invite("ada@example.org", "1201", json!({})).await;
    let candidacy = made["assessment"]["candidacy"]["id"].as_str().unwrap();
    let query = "mutation($updates: [CandidacyStatusWithCandidacies!]!) { bulkUpdateCandidacyStatus(input: { updates: $updates })
                 { successfulUpdates failedUpdates errors { message } } }";
    let updates = json!([{ "status": "OFFER_ACCEPTED", "ids": [candidacy, "7"] }, { "status": "INTERVIEW_PENDING", "ids": [candidacy] }]);
    let answer = caller.ask(query, json!({ "updates": updates })).await["bulkUpdateCandidacyStatus"].clone();
    assert_eq!(answer["successfulUpdates"], json!([candidacy]));
    assert_eq!(answer["failedUpdates"], json!(["7", candidacy]));
    let effects = caller.platform.ledger().effects();
    assert_eq!((effects[1].kind.as_str(), &effects[1].value), ("candidacy_status", &json!("OFFER_ACCEPTED")));
}

#[tokio::test]
async fn act_then_hang_really_acts_and_hang_really_does_not() {
    let caller = Caller::new().await;
    let impatient = loopback_client(Duration::from_millis(300)).unwrap();
    let call = |email: &str| {
        let body = json!({ "query": INVITE, "variables": { "input": { "name": "A", "email": email, "roleId": "1201" } } });
        impatient.post(caller.platform.url()).bearer_auth(caller.platform.token()).json(&body).send()
    };
    caller.platform.faults().next("createInvitation", Fault::Hang, 1);
    assert!(call("ada@example.org").await.unwrap_err().is_timeout());
    assert_eq!(caller.platform.ledger().count("invitation"), 0);
    caller.platform.faults().next("createInvitation", Fault::ActThenHang, 1);
    assert!(call("ada@example.org").await.unwrap_err().is_timeout());
    assert_eq!(caller.platform.ledger().count("invitation"), 1);
    assert!(caller.refusal("ada@example.org", "1201", json!({})).await.starts_with("Invite failed"));
}

#[tokio::test]
async fn a_slow_platform_acts_even_when_the_caller_has_gone() {
    let caller = Caller::new().await;
    caller.platform.faults().next("createInvitation", Fault::Slow(Duration::from_millis(400)), 1);
    let impatient = loopback_client(Duration::from_millis(50)).unwrap();
    let body = json!({ "query": INVITE, "variables": { "input": { "name": "A", "email": "a@example.org", "roleId": "1201" } } });
    assert!(impatient.post(caller.platform.url()).bearer_auth(caller.platform.token()).json(&body).send().await.is_err());
    caller.platform.ledger().wait_for(|effects| effects.len() == 1, Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn the_other_faults_answer_as_ordered_and_the_ledger_tells_who_acted() {
    let caller = Caller::new().await;
    let input = |email: &str| json!({ "input": { "name": "A", "email": email, "roleId": "1201" } });
    let order = json!({ "operation": "createInvitation", "fault": "act_then_fail", "status": 502 });
    caller.client.post(format!("{}/faults", caller.platform.base_url())).json(&order).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(caller.send(INVITE, input("a@example.org")).await.unwrap().status(), 502);
    caller.platform.faults().next("*", Fault::RateLimit { retry_after: Some(7) }, 1);
    let limited = caller.send(INVITE, input("b@example.org")).await.unwrap();
    assert_eq!((limited.status().as_u16(), limited.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    caller.platform.faults().next("createInvitation", Fault::Fail(503), 1);
    assert_eq!(caller.send("{ me { name } }", json!({})).await.unwrap().status(), 200);
    assert_eq!(caller.send(INVITE, input("c@example.org")).await.unwrap().status(), 503);
    caller.platform.faults().next("createInvitation", Fault::Garbage, 1);
    assert!(caller.send(INVITE, input("d@example.org")).await.unwrap().json::<Value>().await.is_err());
    let ledger: Value = caller.client.get(format!("{}/ledger", caller.platform.base_url())).send().await.unwrap().json().await.unwrap();
    assert_eq!(ledger.as_array().unwrap().len(), 1);
    assert_eq!((&ledger[0]["subject"], &ledger[0]["role"]), (&json!("a@example.org"), &json!("1201")));
}
