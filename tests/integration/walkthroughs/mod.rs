//! The README's walkthroughs, end to end: what the simulators saw, what `atshub message show` prints, the order of the
//! statuses, and that nothing is left anywhere.

use crate::{
    supervision::{Start, on_stage, quick},
    support::hub::{Pair, Walk, happens, on_hub, soon, values},
};
use atshub::demo::world::TRIGGER;
use atshub_actors::ports::{Standing, TenantRecord};
use atshub_schemas::TenantName;
use atshub_simulators::{
    Fault,
    ashby::{AshbySimulator, CandidateChange, NewCandidate},
    platform::Guard,
};
use uuid::Uuid;

/// Namespace of the ids that the hub gives to Ashby's webhooks. They are in operators' tickets and in the inbox: it stays.
const ASHBY_IDS: Uuid = Uuid::from_u128(0x6f9c_1d0e_5b7a_4c55_9d2e_31a8_c4f0_7be1);
const ROLE_MISSING: &str = "Missing or invalid Karat role on the job.";
const PHONE_TOO_SHORT: &str = "Phone is too short (minimum is 7 characters).";

/// The message id of a webhook about an application.
fn id_of(tenant: &TenantName, delivery: &str, action: &str, application: &str) -> String {
    Uuid::new_v5(&ASHBY_IDS, format!("{tenant}\n{delivery}\n{action}\n{application}").as_bytes()).to_string()
}

/// A candidate for a job with a role, in the first stage.
async fn candidate(ats: &AshbySimulator, name: &str, phone: Option<&str>) -> (String, String) {
    let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
    let email = format!("{name}@acme.example");
    let new = NewCandidate {
        name: format!("Candidate {name}"),
        email: email.clone(),
        phone: phone.map(str::to_owned),
        job,
        ..NewCandidate::default()
    };
    (ats.add_candidate(new).await.unwrap(), email)
}

/// Waits until an application's last status begins like this.
async fn shows(ats: &AshbySimulator, application: &str, status: &str) {
    let so = |effects: &[atshub_simulators::Effect]| {
        let last = effects.iter().rev().find(|e| e.kind == "status" && e.subject == application);
        last.and_then(|e| e.value.as_str()).is_some_and(|text| text.starts_with(status))
    };
    happens(&ats.ledger(), status, so).await;
}

/// Everything has come that will come: webhooks are delivered, and nothing is left in the hub.
async fn at_rest(walk: &Walk<'_>) {
    for (_, ats) in &walk.world.ashby {
        ats.wait_until_idle().await;
        assert_eq!(ats.deliveries().lost(), 0, "{:?}", ats.deliveries());
    }
    walk.nothing_is_left().await;
}

fn invitations(walk: &Walk<'_>, email: &str) -> Vec<(Option<String>, String)> {
    let effects = walk.world.platform.ledger().effects();
    effects.iter().filter(|e| e.kind == "invitation" && e.subject == email).map(|e| (e.role.clone(), e.value.to_string())).collect()
}

#[test]
fn a_stage_move_becomes_an_invitation_and_a_status() {
    for pair in [Pair::Real, Pair::Embedded] {
        on_hub(pair, &["acme"], &[], async |walk| {
            let (tenant, ats) = &walk.world.ashby[0];
            let (application, email) = candidate(ats, "ada", Some("+44 20 7123 4567")).await;
            let action = ats.move_stage(&application, TRIGGER).await.unwrap();
            shows(ats, &application, "Invited").await;
            at_rest(walk).await;

            let made = invitations(walk, &email);
            assert_eq!(made.len(), 1, "{made:?}");
            assert_eq!(made[0].0.as_deref(), Some("1201"));
            let link = walk.world.platform.candidacies_of(&email);
            assert_eq!(link.len(), 1, "one candidacy: {link:?}");
            let statuses = values(&ats.ledger(), "status", &application);
            assert_eq!(statuses.len(), 2, "{statuses:?}");
            assert_eq!(statuses[0], "Received");
            assert!(statuses[1].starts_with("Invited"), "{statuses:?}");
            assert_eq!(ats.field_value(&application, "Karat Status").as_deref(), Some(statuses[1].as_str()));
            let notes = values(&ats.ledger(), "note", &application);
            assert!(notes.len() == 1 && notes[0].contains(&walk.world.platform.base_url()), "the note has the link: {notes:?}");

            let id = id_of(tenant, &action, "candidateStageChange", &application);
            let shown = walk.ground.shown(&id).await;
            for part in ["application.moved.v1", "handled", "accepted (invite)", "the candidate is to be invited", tenant.as_str()] {
                assert!(shown.contains(part), "{part}: {shown}");
            }
        });
    }
}

#[test]
fn an_answer_that_never_came() {
    for (pair, guard) in [(Pair::Real, Guard::Absent), (Pair::Embedded, Guard::RefusesDoubles)] {
        on_hub(pair, &["acme"], &[], async |walk| no_answer_came(walk, guard).await);
    }
}

async fn no_answer_came(walk: &Walk<'_>, guard: Guard) {
    walk.world.platform.set_guard(guard);
    let (_, ats) = &walk.world.ashby[0];
    walk.world.platform.faults().next("createInvitation", Fault::ActThenHang, 1);
    let (application, email) = candidate(ats, "ada", None).await;
    ats.move_stage(&application, TRIGGER).await.unwrap();
    shows(ats, &application, "Invited").await;
    at_rest(walk).await;

    assert_eq!(walk.world.platform.faults().pending(), 0, "the platform did act without answering");
    assert_eq!(invitations(walk, &email).len(), 1, "the candidate has one e-mail");
    assert_eq!(walk.world.platform.candidacies_of(&email).len(), 1);
    assert_eq!(values(&ats.ledger(), "note", &application).len(), 1);
    let statuses = values(&ats.ledger(), "status", &application);
    assert!(statuses.len() == 2 && statuses[0] == "Received" && statuses[1].starts_with("Invited"), "{statuses:?}");
}

#[test]
fn an_error_that_cures_itself() {
    on_hub(Pair::Real, &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let (application, email) = candidate(ats, "ada", Some("12345")).await;
        let action = ats.move_stage(&application, TRIGGER).await.unwrap();
        shows(ats, &application, PHONE_TOO_SHORT).await;
        at_rest(walk).await;
        assert_eq!(ats.field_value(&application, "Karat Status").as_deref(), Some(PHONE_TOO_SHORT), "word for word");
        let shown = walk.ground.shown(&id_of(tenant, &action, "candidateStageChange", &application)).await;
        assert!(shown.lines().any(|line| line.trim() == PHONE_TOO_SHORT), "word for word: {shown}");
        let remedy = "recruiter: Correct or remove the candidate's phone number; the invite is then tried again by itself.";
        assert!(shown.contains("refused (phone_too_short)") && shown.contains(remedy), "{shown}");
        assert_eq!(invitations(walk, &email).len(), 0);

        // Nobody moves a stage.
        let phone = Some("+44 20 7123 4567".to_owned());
        ats.update_candidate(&application, CandidateChange { phone, ..CandidateChange::default() }).await.unwrap();
        shows(ats, &application, "Invited").await;
        at_rest(walk).await;
        assert_eq!(invitations(walk, &email).len(), 1);
        let statuses = values(&ats.ledger(), "status", &application);
        assert_eq!((statuses.len(), &statuses[..2]), (3, &[PHONE_TOO_SHORT.to_owned(), "Received".to_owned()][..]), "{statuses:?}");
    });
}

/// The fact asks for an invitation; that the role is none is known only when the platform's roles are looked at.
#[test]
fn a_refusal_that_comes_later_is_shown_with_the_fact_that_asked() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let job = ats.add_job("Gardener", Some("no such role"), "rae@acme.example").await;
        let new = NewCandidate { name: "Ada".into(), email: "ada@acme.example".into(), job, ..NewCandidate::default() };
        let application = ats.add_candidate(new).await.unwrap();
        let action = ats.move_stage(&application, TRIGGER).await.unwrap();
        shows(ats, &application, ROLE_MISSING).await;
        at_rest(walk).await;
        let shown = walk.ground.shown(&id_of(tenant, &action, "candidateStageChange", &application)).await;
        let since = shown.split_once("since then, of the same application").map(|(_, since)| since).unwrap_or_default();
        assert!(since.contains(&format!("role_missing       {ROLE_MISSING}")), "word for word: {shown}");
    });
}

/// A tenant that was disabled with its key stays so until it has one again: a secret for webhooks is none.
#[test]
fn only_the_credential_that_its_ats_needs_makes_a_tenant_active_again() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "another-one").unwrap();
        let file = file.to_str().unwrap();
        let standing = async || walk.store().tenants().await.unwrap()[0].standing.clone();
        walk.ground.says(&["tenant", "set-key", "acme", "--delete"]).await;
        assert_eq!(standing().await, Standing::Disabled);
        walk.ground.says(&["tenant", "set-key", "acme", "--name", "webhook_secret", "--key-file", file]).await;
        assert_eq!(standing().await, Standing::Disabled);
        walk.ground.says(&["tenant", "set-key", "acme", "--key-file", file]).await;
        assert_eq!(standing().await, Standing::Active);

        // What an operator paused or set aside goes on when an operator says so, whatever the words of the reason.
        let refused = "the ATS does not accept the credential";
        let operators = TenantRecord::operators_cause(&"rae@desk".parse().unwrap(), &refused.parse().unwrap());
        for (before, cause, after) in [
            (Standing::Paused, operators.as_str(), Standing::Paused),
            (Standing::Quarantined, &operators, Standing::Quarantined),
            (Standing::Paused, refused, Standing::Active),
        ] {
            let _stands = walk.store().set_standing(&walk.world.ashby[0].0, before.clone(), Some(cause), None, None).await.unwrap();
            walk.ground.says(&["tenant", "set-key", "acme", "--key-file", file]).await;
            assert_eq!(standing().await, after, "{before}: {cause}");
        }
    });
}

/// No rule of the hub panics, so probes that do as they are told stand in for its actors; supervisor, rail, broker and store
/// are the real ones.
#[test]
fn a_message_that_kills_its_actor() {
    on_stage(Pair::Real, quick(), async |stage, ground| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        let ids = stage.publish("acme", &["ok-1", "panic-1", "ok-2"]).await;
        stage.publish("other", &["ok-3"]).await;
        assert_eq!(stage.collect(3).await, ["ok-1", "ok-2", "ok-3"], "what stood behind it goes on");
        soon("the parking", stage.board.until("tenant/acme", |row| row.poisoned == 1)).await;
        soon("the third generation", stage.board.until("tenant/acme", |row| row.generation == 3)).await;
        stage.nothing_left("acme").await;
        stage.nothing_left("other").await;
        assert_eq!(stage.board.child("tenant/other").unwrap().generation, 1, "the neighbour notices nothing");

        assert_eq!(stage.store.parked_counts(None).await.unwrap().into_iter().collect::<Vec<_>>(), [("poison".to_owned(), 1)]);
        let shown = ground.shown(&ids[1]).await;
        for part in ["state      parked", "parked     poison", "atshub.tenant.acme", "told to panic", "application.moved.v1"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    });
}

#[test]
fn rubbish_is_parked_with_a_code() {
    on_hub(Pair::Real, &[], &["dune"], async |walk| {
        let bridge = &walk.world.bridges[0];
        let key = "dune.application.moved.v1";
        let sample = atshub_schemas::samples::sample("application.moved.v1").unwrap().to_value().unwrap();
        let with = |id: &str, change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = sample.clone();
            (value["id"], value["tenant"]) = (id.into(), "dune".into());
            change(&mut value);
            value.to_string().into_bytes()
        };
        let cases = [
            ("no-json", key, b"{ this is not a message".to_vec(), "undecodable_body", None),
            ("no-such-type", key, with("no-such-type", &|v| v["type"] = "application.mowed.v1".into()), "unknown_type", Some("type")),
            (
                "wrong-type",
                key,
                with("wrong-type", &|v| v["data"]["candidate"]["email"] = 7.into()),
                "invalid_field",
                Some("data.candidate.email"),
            ),
            ("no-tenant", "nobody.application.moved.v1", with("no-tenant", &|v| v["tenant"] = "nobody".into()), "unknown_tenant", None),
        ];
        for (id, key, body, ..) in &cases {
            bridge.publish_raw(key, id, body.clone()).await;
        }
        for (id, _, _, code, field) in &cases {
            let view = walk.message(id, "parked").await;
            let parked = view.parked.unwrap();
            assert_eq!((parked.code.as_str(), parked.field.as_deref()), (*code, *field), "{id}: {}", parked.detail);
            let shown = walk.ground.shown(id).await;
            let named = field.map(|f| format!(" at `{f}`")).unwrap_or_default();
            assert!(shown.contains(&format!("parked     {code}{named}")) && shown.contains(&parked.detail), "{id}: {shown}");
        }
        at_rest(walk).await;
        // Never tried again by itself, and the tenant was not even woken.
        assert!(walk.store().parked_counts(None).await.unwrap().values().all(|count| *count == 1));
        let child = walk.running.hub.board().child("tenant/dune").unwrap();
        assert_eq!((child.generation, child.done), (1, 0), "{child:?}");
        assert!(walk.world.platform.ledger().effects().is_empty() && bridge.ledger().effects().is_empty());
    });
}
