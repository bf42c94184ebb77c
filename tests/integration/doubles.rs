//! What could send a candidate a second e-mail, on a platform that does not keep anybody from it: copies of one request at several invite
//! actors, actors that die with a call under way, and a platform that acts on a call after whoever made it has given it up. And what
//! could show a recruiter a status twice.

use crate::support::{
    build::{applied, entered, later, now, publishes},
    hub::{LIMIT, Pair, Walk, happens, on_hub, on_tuned_hub, until, values},
    postgres::client,
};
use atshub::{app::Tuning, demo::world::TRIGGER, http};
use atshub_actors::{
    domain::{Lookup, State},
    ports::{Change, Publication},
    supervision::{Action, Rehearsal},
};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, Message,
    internal::{Write, WritebackRequested},
    topology,
};
use atshub_simulators::{Effect, Fault, ashby::NewCandidate, platform::Guard};
use std::{collections::BTreeMap, time::Duration};

/// Long enough for whatever else is tried to come while the platform has not acted yet.
const SLOW: Duration = Duration::from_millis(1500);

async fn applies(walk: &Walk<'_>, application: &str) {
    let bridge = &walk.world.bridges[0];
    let email = format!("{application}@dune.example");
    bridge.publish(&entered(bridge.tenant(), application, "Ada Lovelace", &email, None)).await;
}

/// Waits until the platform is being asked for this application.
async fn is_asked(walk: &Walk<'_>, application: &str) {
    let tenant = walk.world.bridges[0].tenant();
    let asked = until(async || {
        let found = walk.store().dossiers(tenant, Lookup::Application(application.parse().unwrap())).await.unwrap();
        found.first().and_then(|d| d.current()).is_some_and(|c| c.state == State::Inviting)
    });
    assert!(asked.await, "the platform is not asked for {application}");
}

/// Waits until so many are invited and nothing is left to do; each is invited once.
async fn each_is_invited_once(walk: &Walk<'_>, count: usize) {
    let ledger = walk.world.platform.ledger();
    let invited = |effects: &[Effect]| effects.iter().filter(|e| e.kind == "invitation").count() >= count;
    happens(&ledger, "everybody's invitation", invited).await;
    walk.nothing_is_left().await;
    let mut by_person: BTreeMap<String, usize> = BTreeMap::new();
    for effect in ledger.effects().into_iter().filter(|effect| effect.kind == "invitation") {
        *by_person.entry(effect.subject).or_default() += 1;
    }
    assert!(by_person.len() == count && by_person.values().all(|times| *times == 1), "{by_person:?}");
    assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
}

#[test]
fn copies_of_one_request_at_several_invite_actors_are_one_invitation() {
    on_hub(Pair::Real, &[], &["dune"], async |walk| {
        walk.world.platform.set_guard(Guard::Absent);
        walk.world.platform.faults().next("createInvitation", Fault::Slow(SLOW), 1);
        applies(walk, "only").await;
        is_asked(walk, "only").await;
        let behind = client(&walk.ground.addresses.1).await;
        let row = behind.query_one("select message_id, body from outbox where routing_key = $1", &[&topology::INVITES]).await.unwrap();
        let (message_id, body): (String, String) = (row.get(0), row.get(1));
        let copy = || Publication {
            exchange: topology::WORK.into(),
            routing_key: topology::INVITES.into(),
            message_id: message_id.clone(),
            content_type: CONTENT_TYPE.into(),
            headers: BTreeMap::new(),
            body: body.clone().into(),
        };
        for answer in walk.running.broker.publish((0..8).map(|_| copy()).collect()).await {
            answer.unwrap();
        }
        each_is_invited_once(walk, 1).await;
    });
}

#[test]
fn an_actor_that_dies_with_calls_under_way_doubles_none_of_them() {
    for pair in [Pair::Embedded, Pair::Real] {
        on_hub(pair, &[], &["dune"], async |walk| {
            const COUNT: usize = 6;
            walk.world.platform.set_guard(Guard::Absent);
            walk.world.platform.faults().next("createInvitation", Fault::Slow(SLOW), COUNT);
            for n in 0..COUNT {
                applies(walk, &format!("a-{n}")).await;
            }
            for n in 0..COUNT {
                is_asked(walk, &format!("a-{n}")).await;
            }
            // Whichever of the two gets the next one dies of it, once, and all its calls lose their work.
            for child in ["invites/1", "invites/2"] {
                walk.running.hub.control(child, Action::Rehearse(Rehearsal::Panic(Duration::ZERO)), "a test").await.unwrap();
            }
            applies(walk, "last").await;
            each_is_invited_once(walk, COUNT + 1).await;
            let board = walk.running.hub.board();
            let deaths = ["invites/1", "invites/2"].map(|child| board.child(child).unwrap().generation - 1);
            assert!(deaths.iter().sum::<u64>() >= 1, "no actor died: {deaths:?}");
        });
    }
}

#[test]
fn a_request_that_was_given_up_with_its_call_under_way_is_found_when_it_is_asked_anew() {
    on_hub(Pair::Real, &[], &["dune"], async |walk| {
        let (platform, ats) = (&walk.world.platform, walk.world.bridges[0].ledger());
        platform.set_guard(Guard::Absent);
        platform.faults().next("createInvitation", Fault::Slow(SLOW), 1);
        applies(walk, "only").await;
        assert!(until(async || platform.faults().pending() == 0).await, "the platform is not called");
        let panic = async |time| {
            for child in ["invites/1", "invites/2"] {
                walk.running.hub.control(child, Action::Rehearse(Rehearsal::Panic(time)), "a test").await.unwrap();
            }
        };
        panic(LIMIT).await;
        let last = |effects: &[Effect], text: &str| {
            let statuses = effects.iter().rev().find(|e| e.kind == "status" && e.subject == "only");
            statuses.and_then(|e| e.value.as_str()).is_some_and(|status| status.starts_with(text))
        };
        happens(&ats, "that it is given up", |effects| last(effects, "Invite failed: no usable answer")).await;
        panic(Duration::ZERO).await;
        applies(walk, "only").await;
        happens(&ats, "the invitation", |effects| last(effects, "Invited")).await;
        walk.nothing_is_left().await;
        assert_eq!(platform.ledger().count("invitation"), 1);
    });
}

#[test]
fn a_platform_that_acts_after_its_call_was_given_up_invites_once() {
    // Every call is given up before the platform acts on it, and a look that came soon would see nothing.
    let calls = http::Options { connect_time: SLOW, total_time: SLOW, ..http::Options::default() };
    for pair in [Pair::Embedded, Pair::Real] {
        on_tuned_hub(pair, Tuning { calls, ..Tuning::default() }, &[], &["dune"], async |walk| {
            const COUNT: usize = 9;
            walk.world.platform.set_guard(Guard::Absent);
            walk.world.platform.faults().next("createInvitation", Fault::Slow(SLOW * 5 / 2), COUNT);
            for n in 0..COUNT {
                applies(walk, &format!("a-{n}")).await;
            }
            each_is_invited_once(walk, COUNT).await;
            assert_eq!(walk.world.platform.faults().pending(), 0, "every call was slow");
        });
    }
}

#[test]
fn a_status_that_comes_late_does_not_take_back_a_newer_one_that_may_stand_already() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        walk.world.platform.faults().next("createInvitation", Fault::Slow(SLOW), 1);
        let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
        let new = NewCandidate { name: "Ada".into(), email: "ada@acme.example".into(), job, ..NewCandidate::default() };
        let application = ats.add_candidate(new).await.unwrap();
        ats.move_stage(&application, TRIGGER).await.unwrap();
        let shows = |effects: &[Effect], text: &str| {
            effects.iter().any(|e| e.kind == "status" && e.value.as_str().is_some_and(|status| status.starts_with(text)))
        };
        happens(&ats.ledger(), "the first status", |effects| shows(effects, "Received")).await;
        // Written, and nobody hears of it: it is tried again after a second or more.
        ats.faults().next("customField.setValue", Fault::ActThenFail(500), 1);
        happens(&ats.ledger(), "the second status", |effects| shows(effects, "Invited")).await;
        let asked = async |number| {
            let found = walk.store().dossiers(tenant, Lookup::Application(application.parse().unwrap())).await.unwrap().remove(0);
            (found.sequence == number).then_some(found)
        };
        let dossier = asked(2).await.expect("two statuses were asked for");
        let write = Write::Status { sequence: 1, code: "received".parse().unwrap(), text: "Received".parse().unwrap(), link: None };
        let candidacy = dossier.current().unwrap().id;
        let wanted = WritebackRequested {
            candidacy,
            application: application.parse().unwrap(),
            candidate: dossier.candidate.id.clone(),
            assessment: None,
            write,
        };
        let time = later(now(), -60);
        let late = Envelope::new("/atshub".parse().unwrap(), tenant.clone(), time, Message::WritebackRequested(wanted));
        applied(walk.store().commit(Change { outbox: vec![publishes(&late, None)], ..Change::default() }).await);
        walk.message(late.id.as_str(), "handled").await;
        walk.nothing_is_left().await;
        let statuses = values(&ats.ledger(), "status", &application);
        assert!(statuses.len() == 2 && statuses[1].starts_with("Invited"), "{statuses:?}");
    });
}
