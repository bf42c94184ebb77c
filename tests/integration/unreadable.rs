//! Rows that this version of the hub cannot read, or that the store does not take: what they are about is parked alone, with a code and
//! a way out, and everything else of the tenant goes on. On both pairs.

#![cfg(test)]

use crate::support::{
    build::{entered, external, now, tenant},
    hub::{Pair, Walk, happens, on_hub, until},
};
use atshub_actors::{domain::Lookup, ports::StoreError, supervision::Phase};
use atshub_schemas::{Envelope, Message, fact::CandidateUpdate};
use atshub_simulators::Effect;

macro_rules! on_both_pairs {
    ($($case:ident)*) => {
        mod on_rabbitmq_and_postgres { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Real); })* }
        mod embedded { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Embedded); })* }
    };
}

on_both_pairs! {
    work_on_a_dossier_that_cannot_be_read_is_parked_alone
    a_state_of_a_newer_version_is_kept_and_what_would_change_it_is_parked
    a_change_that_the_store_does_not_take_is_parked_alone
    a_message_whose_parking_the_store_does_not_take_is_recorded_without_its_body
    a_child_that_another_version_speaks_of_hides_no_other
}

fn move_of(application: &str) -> Envelope {
    entered(&tenant("acme"), application, "Ada Lovelace", &format!("{application}@example.org"), None)
}

/// A fact of this application is handled, and its candidate is invited.
async fn invites(walk: &Walk<'_>, application: &str) {
    let fact = move_of(application);
    walk.send(std::slice::from_ref(&fact)).await;
    walk.message(fact.id.as_str(), "handled").await;
    let address = format!("{application}@example.org");
    let invited = |effects: &[Effect]| effects.iter().any(|e| e.kind == "invitation" && e.subject == address);
    happens(&walk.world.platform.ledger(), "an invitation", invited).await;
    walk.nothing_is_left().await;
}

/// Sets the body of a dossier behind the hub's back.
async fn set_body(walk: &Walk<'_>, application: &str, postgres: &str, sqlite: &str) {
    let of = format!("where application_id = '{application}'");
    walk.ground
        .alter(&format!("update dossiers set body = ({postgres})::json {of}"), &format!("update dossiers set body = {sqlite} {of}"))
        .await;
}

/// A message is parked under this code; what its row says.
async fn parked(walk: &Walk<'_>, id: &str, code: &str) -> String {
    let view = walk.message(id, "parked").await;
    let parked = view.parked.unwrap();
    assert_eq!(parked.code, code, "{}", parked.detail);
    parked.detail
}

fn runs_on(walk: &Walk<'_>, generation: u64) {
    let row = walk.running.hub.board().child("tenant/acme").unwrap();
    assert_eq!((row.phase, row.generation, row.in_hand), (Phase::Running, generation, 0), "{row:?}");
}

fn generation(walk: &Walk<'_>) -> u64 {
    walk.running.hub.board().child("tenant/acme").unwrap().generation
}

fn work_on_a_dossier_that_cannot_be_read_is_parked_alone(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        for application in ["a-1", "a-2"] {
            invites(walk, application).await;
        }
        let (acme, before) = (tenant("acme"), generation(walk));
        walk.ground
            .alter(
                "create table kept as select * from dossiers where application_id = 'a-1'",
                "create table kept as select * from dossiers where application_id = 'a-1'",
            )
            .await;
        set_body(walk, "a-1", "'{\"of\": \"tomorrow\"}'", "'{\"of\": \"tomorrow\"}'").await;
        let lookup = Lookup::Application(external("a-1"));
        let unreadable = walk.store().dossiers(&acme, lookup.clone()).await;
        assert!(matches!(&unreadable, Err(StoreError::Unreadable(why)) if why.contains("application `a-1`")), "{unreadable:?}");
        let page = walk.store().page(&acme, "invited", None, 10).await.unwrap();
        assert_eq!((page.dossiers.len(), page.unreadable), (1, vec![external("a-1")]), "a page shows the others");

        let (of_it, beside) = (move_of("a-1"), move_of("a-2"));
        walk.send(std::slice::from_ref(&of_it)).await;
        walk.send(std::slice::from_ref(&beside)).await;
        let detail = parked(walk, of_it.id.as_str(), "row_unreadable").await;
        assert!(
            detail.contains("the dossier of application `a-1` cannot be read") && detail.contains("published again under a new id"),
            "{detail}"
        );
        walk.message(beside.id.as_str(), "handled").await;
        invites(walk, "a-3").await;
        runs_on(walk, before);

        // Put right, it is worked on again.
        let right = "update dossiers set body = (select body from kept) where application_id = 'a-1'";
        walk.ground.alter(right, right).await;
        let again = move_of("a-1");
        walk.send(std::slice::from_ref(&again)).await;
        walk.message(again.id.as_str(), "handled").await;
        assert_eq!(walk.store().dossiers(&acme, lookup).await.unwrap().len(), 1);
    });
}

fn a_state_of_a_newer_version_is_kept_and_what_would_change_it_is_parked(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        invites(walk, "a-1").await;
        let before = generation(walk);
        set_body(
            walk,
            "a-1",
            "jsonb_set(jsonb_set(body::jsonb, '{candidacies,0,state}', '{\"state\": \"waitlisted\", \"until\": \"2030\"}'), '{pool}', '7')",
            "json_set(body, '$.candidacies[0].state', json('{\"state\": \"waitlisted\", \"until\": \"2030\"}'), '$.pool', 7)",
        )
        .await;
        // News of the person: the dossier is saved anew, with what this version does not know.
        let mut fact = move_of("a-1");
        let Message::ApplicationMoved(change) = fact.message.clone() else { unreachable!() };
        let mut candidate = change.candidate.unwrap();
        candidate.phone = Some("+4915112345678".to_owned().try_into().unwrap());
        let (application, job) = (Some(change.application), None);
        fact.message =
            Message::CandidateUpdated(CandidateUpdate { candidate, application, job, recruiter: None, grader: None, to_stage: None });
        walk.send(std::slice::from_ref(&fact)).await;
        walk.message(fact.id.as_str(), "handled").await;
        let kept = async || {
            let found = walk.store().dossiers(&tenant("acme"), Lookup::Application(external("a-1"))).await.unwrap();
            let dossier = serde_json::to_value(&found[0]).unwrap();
            let state = serde_json::json!({ "state": "waitlisted", "until": "2030" });
            assert_eq!((&dossier["candidacies"][0]["state"], &dossier["pool"]), (&state, &serde_json::json!(7)));
            dossier
        };
        assert_eq!(kept().await["candidate"]["phone"], "+4915112345678", "it was saved");
        // Asked again: whether the platform is to be asked, the newer version knows.
        let again = move_of("a-1");
        walk.send(std::slice::from_ref(&again)).await;
        walk.message(again.id.as_str(), "handled").await;
        let parked = until(async || {
            let counts = walk.store().parked_counts(Some(&tenant("acme"))).await.unwrap();
            counts.get("row_unreadable") == Some(&1)
        });
        assert!(parked.await, "the request to invite is not parked");
        kept().await;
        invites(walk, "a-2").await;
        runs_on(walk, before);
    });
}

fn a_change_that_the_store_does_not_take_is_parked_alone(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        invites(walk, "a-1").await;
        let before = generation(walk);
        walk.ground
            .alter(
                "alter table dossiers add check (application_id <> 'a-2')",
                "create trigger refuse before insert on dossiers when new.application_id = 'a-2' begin select raise(abort, 'not this one'); end",
            )
            .await;
        let (of_it, beside) = (move_of("a-2"), move_of("a-3"));
        walk.send(std::slice::from_ref(&of_it)).await;
        walk.send(std::slice::from_ref(&beside)).await;
        let detail = parked(walk, of_it.id.as_str(), "bug").await;
        assert!(detail.contains("the store does not take this change"), "{detail}");
        walk.message(beside.id.as_str(), "handled").await;
        invites(walk, "a-4").await;
        runs_on(walk, before);
    });
}

fn a_message_whose_parking_the_store_does_not_take_is_recorded_without_its_body(pair: Pair) {
    on_hub(pair, &[], &["acme"], async |walk| {
        walk.ground
            .alter(
                "alter table parked add check (octet_length(body) = 0)",
                "create trigger refuse before insert on parked when length(new.body) > 0 begin select raise(abort, 'no bodies'); end",
            )
            .await;
        walk.send_bytes("acme.application.moved.v1".into(), "m-1", b"no message".to_vec()).await;
        let detail = parked(walk, "m-1", "undecodable_body").await;
        assert!(detail.contains("its body of 10 bytes, SHA-256 ") && detail.contains("is left out"), "{detail}");
        invites(walk, "a-1").await;
    });
}

fn a_child_that_another_version_speaks_of_hides_no_other(pair: Pair) {
    on_hub(pair, &[], &["acme", "birch"], async |walk| {
        let shown = async || walk.store().children(None).await.unwrap().into_iter().map(|shown| shown.child.name).collect::<Vec<_>>();
        let both = until(async || {
            let shown = shown().await;
            ["tenant/acme", "tenant/birch"].iter().all(|name| shown.iter().any(|shown| shown == name))
        });
        assert!(both.await, "the tenants are not shown");
        let process = uuid::Uuid::now_v7();
        let insert = |at: String, json: &str| {
            format!("insert into children (name, process, at, snapshot) values ('tenant/elsewhere', '{process}', {at}, '{{}}'{json})")
        };
        walk.ground.alter(&insert("now()".into(), "::json"), &insert(now().as_microsecond().to_string(), "")).await;
        let shown = shown().await;
        assert!(shown.iter().any(|name| name == "tenant/acme") && !shown.iter().any(|name| name == "tenant/elsewhere"), "{shown:?}");
    });
}
