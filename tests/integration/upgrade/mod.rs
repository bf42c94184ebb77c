//! A database of an older version, with what it held, is brought up to date and works on: what waited is sent, what is known is found,
//! and news of it are decided. On both pairs. The fixtures are dumps; how they were made, they say.

#![cfg(test)]

use crate::support::{
    build::{external, tenant},
    hub::{Pair, Walk, happens, on_upgraded_hub, until},
};
use atshub_actors::{domain::Lookup, ports::Publication};
use atshub_schemas::{
    CONTENT_TYPE, Email, Envelope, Line, Link, Message,
    fact::{Application, ApplicationChange, Candidate, CandidateUpdate, Stage},
    topology,
};
use atshub_simulators::Effect;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The candidacy of `a-invited` in the fixtures.
const INVITED: &str = "01936b2e-5f00-7000-8000-000000000100";

#[test]
fn a_postgresql_of_an_older_version_works_on() {
    works_on(Pair::Real);
}

#[test]
fn an_embedded_store_of_an_older_version_works_on() {
    works_on(Pair::Embedded);
}

fn works_on(pair: Pair) {
    on_upgraded_hub(pair, (include_str!("postgres.sql"), include_str!("embedded.sql")), &["acme"], async |walk| {
        what_waited_is_sent(walk).await;
        what_is_known_is_found(walk).await;
        what_was_kept_is_told(walk).await;
        news_of_it_are_decided(walk).await;
    });
}

async fn what_waited_is_sent(walk: &Walk<'_>) {
    walk.message("m-invite", "handled").await;
    invited(walk, "waiting@example.org").await;
    walk.message("m-status", "handled").await;
    let written = |effects: &[Effect]| effects.iter().any(|e| e.kind == "status" && e.subject == "a-done" && e.value == "Completed");
    happens(&walk.world.bridges[0].ledger(), "the status that waited", written).await;
    assert_eq!(walk.message("m-later", "scheduled").await.next_at, "2099-01-01T00:00:00Z".parse().ok(), "its time has not come");
    // On a broker whose queues are new: what was sent and is not handled goes out again.
    walk.message("m-sent", "handled").await;
}

async fn what_is_known_is_found(walk: &Walk<'_>) {
    let (store, acme) = (walk.store(), tenant("acme"));
    let email = |address: &str| Email::new(address).unwrap();
    for (by, found) in [
        (Lookup::Application(external("a-invited")), vec!["a-invited"]),
        (Lookup::Candidacy(INVITED.parse().unwrap()), vec!["a-invited"]),
        (Lookup::Live("invited@example.org|1201".into()), vec!["a-invited"]),
        (Lookup::Candidate(external("p-invited")), vec!["a-invited"]),
        (Lookup::PlatformCandidacy(external("pc-done")), vec!["a-done"]),
        (Lookup::Refused, vec!["a-refused"]),
        (Lookup::Email(email("INVITED@example.org")), vec!["a-invited"]),
        (Lookup::ProfileUrl(Link::new("https://ats.example/people/invited").unwrap()), vec!["a-invited"]),
        (Lookup::ProfileUrl(Link::new("https://ats.example/applications/done").unwrap()), vec!["a-done"]),
        (Lookup::Job(external("j-1")), vec!["a-done", "a-invited", "a-refused", "a-waiting"]),
        (Lookup::Role(external("1201")), vec!["a-done", "a-invited", "a-waiting"]),
        (Lookup::Recruiter(email("rae@acme.example")), vec!["a-done", "a-invited", "a-refused", "a-waiting"]),
    ] {
        let seen = store.dossiers(&acme, by.clone()).await.unwrap();
        let seen: Vec<&str> = seen.iter().map(|d| d.application.id.as_str()).collect();
        assert_eq!(seen, found, "{by:?}");
    }
    let page = store.page(&acme, "completed", None, 10).await.unwrap();
    assert_eq!((page.dossiers.len(), page.unreadable, page.next), (1, vec![], None));
}

async fn what_was_kept_is_told(walk: &Walk<'_>) {
    let seen = walk.message("m-fact", "handled").await;
    assert_eq!(seen.disposition.unwrap().code.as_ref().map(Line::as_str), Some("invite"));
    assert_eq!(walk.message("m-parked", "parked").await.parked.unwrap().code, "undecodable_body");
    let journal = walk.store().journal(&tenant("acme"), &external("a-invited")).await.unwrap();
    assert_eq!(journal[0].code, "invite");
}

async fn news_of_it_are_decided(walk: &Walk<'_>) {
    let person = |phone: &str| Candidate {
        id: Some(external("p-refused")),
        name: Some(Line::new("Ada Refused").unwrap()),
        email: Some(Email::new("refused@example.org").unwrap()),
        phone: Some(phone.to_owned().try_into().unwrap()),
        profile_url: None,
    };
    let application = |id: &str| Application { id: external(id), url: None, status: None };
    let corrected = CandidateUpdate {
        candidate: person("+4915112345678"),
        application: None,
        job: None,
        recruiter: None,
        grader: None,
        to_stage: None,
    };
    let corrected = send(walk, "a-refused", Timestamp::now(), Message::CandidateUpdated(corrected)).await;
    assert_eq!(decided(walk, &corrected).await, "invite");
    invited(walk, "refused@example.org").await;

    // What happened before the newest of what was known by then is old news, as it was then.
    let moved = ApplicationChange {
        application: application("a-invited"),
        candidate: None,
        job: None,
        recruiter: None,
        grader: None,
        from_stage: None,
        to_stage: Some(Stage { id: None, name: Some(Line::new("Onsite").unwrap()) }),
        reason: None,
    };
    let old = send(walk, "a-invited", "2026-11-19T00:00:00Z".parse().unwrap(), Message::ApplicationMoved(moved)).await;
    assert_eq!(decided(walk, &old).await, "older");
}

async fn invited(walk: &Walk<'_>, address: &str) {
    let invited = |effects: &[Effect]| effects.iter().any(|e| e.kind == "invitation" && e.subject == address);
    happens(&walk.world.platform.ledger(), "an invitation", invited).await;
    let stored = until(async || {
        let found = walk.store().dossiers(&tenant("acme"), Lookup::Email(Email::new(address).unwrap())).await.unwrap();
        found.first().and_then(|d| d.current()).is_some_and(|c| c.state.code() == "invited")
    });
    assert!(stored.await, "{address} is not invited in the store");
}

async fn decided(walk: &Walk<'_>, fact: &Envelope) -> String {
    let seen = walk.message(fact.id.as_str(), "handled").await;
    seen.disposition.unwrap().code.map(|code| code.to_string()).unwrap_or_default()
}

async fn send(walk: &Walk<'_>, application: &str, time: Timestamp, message: Message) -> Envelope {
    let mut envelope = Envelope::new(Line::new("/bridges/test").unwrap(), tenant("acme"), time, message);
    envelope.subject = Some(external(&format!("application/{application}")));
    let message = Publication {
        exchange: topology::EVENTS.into(),
        routing_key: envelope.routing_key(),
        message_id: envelope.id.to_string(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: envelope.encode().unwrap().into(),
    };
    for answer in walk.running.broker.publish(vec![message]).await {
        answer.unwrap();
    }
    envelope
}
