//! The bounds of queues that others fill, as `deploy/rabbitmq` sets them, on the real broker and under a running hub: a full queue refuses
//! its publisher, loses nothing, and makes no other wait.

use super::broker::{as_root, rabbitmqctl, repository, run};
use crate::support::{
    build::{applied, entered, publishes, tenant},
    hub::{Ground, LIMIT, Pair, on_hub, until},
};
use atshub_actors::{
    ports::{Change, OutboxRow, Publication, PublishError},
    supervision::Phase,
};
use atshub_schemas::{CONTENT_TYPE, Envelope, topology};
use serde_json::Value;
use std::{collections::BTreeMap, process::Command};

/// Runs `deploy/rabbitmq/set-bounds` on the broker of a test's ground.
fn set_bounds(ground: &Ground, messages: &str) {
    let host = ground.addresses.0.rsplit('/').next().unwrap();
    let (code, _, said) = run(as_root(&repository().join("deploy/rabbitmq/set-bounds")).args([host, messages]), None);
    assert_eq!(code, 0, "{said}");
    let listed = rabbitmqctl(&["list_queues", "-p", host, "--no-table-headers", "name", "policy"], None);
    let policy = |queue: &str| {
        let line = listed.lines().find(|line| line.split('\t').next() == Some(queue)).unwrap_or_else(|| panic!("no {queue} in {listed}"));
        line.split('\t').nth(1).unwrap_or_default().to_owned()
    };
    let acme = tenant("acme");
    for queue in [topology::tenant_queue(&acme), topology::commands_queue(&acme), topology::UNROUTED.to_owned()] {
        assert_eq!(policy(&queue), "atshub-bounds", "{queue}");
    }
    for queue in [topology::INVITES, topology::DEAD] {
        assert_eq!(policy(queue), "", "{queue}: what goes there is the hub's own, or has nowhere else to go");
    }
}

fn publication(exchange: &str, routing_key: String, fact: &Envelope) -> Publication {
    Publication {
        exchange: exchange.into(),
        routing_key,
        message_id: fact.id.to_string(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: fact.encode().unwrap().into(),
    }
}

fn fact(whose: &str, application: &str) -> Envelope {
    entered(&tenant(whose), application, "Ada Lovelace", &format!("{application}@example.org"), None)
}

#[test]
fn a_full_queue_refuses_its_publisher_loses_nothing_and_makes_no_other_tenant_wait() {
    on_hub(Pair::Real, &[], &["acme", "birch"], async |walk| {
        let running = async |whose: &str| {
            let (name, board) = (format!("tenant/{whose}"), walk.running.hub.board());
            let running = board.until(&name, |row| row.phase == Phase::Running);
            assert!(tokio::time::timeout(LIMIT, running).await.is_ok(), "{whose} does not run");
        };
        running("acme").await;
        running("birch").await;
        set_bounds(walk.ground, "5");
        walk.ground.says(&["tenant", "pause", "acme", "--reason", "its queue is to fill"]).await;

        // Until the queue is full; a quorum queue may take a few more than its bound.
        let (mut taken, mut refused) = (Vec::new(), None);
        for n in 0..200 {
            let fact = fact("acme", &format!("a-{n}"));
            match &walk.running.broker.publish(vec![publication(topology::EVENTS, fact.routing_key(), &fact)]).await[..] {
                [Ok(())] => taken.push(fact),
                [Err(PublishError::Refused(_))] => {
                    refused = Some(fact);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        let refused = refused.expect("the queue takes whatever comes");

        // What the hub itself sends there waits in the store, and what it sends elsewhere does not wait for it.
        let (of_acme, of_birch) = (fact("acme", "late"), fact("birch", "b-1"));
        let row =
            |fact: &Envelope| OutboxRow { exchange: topology::EVENTS.into(), routing_key: fact.routing_key(), ..publishes(fact, None) };
        applied(walk.store().commit(Change { outbox: vec![row(&of_acme), row(&of_birch)], ..Change::default() }).await);
        walk.message(of_birch.id.as_str(), "handled").await;
        let put_off = until(async || {
            let seen = walk.store().message(of_acme.id.as_str()).await.unwrap();
            matches!(seen[0].state.as_str(), "scheduled" | "outbox") && seen[0].next_at.is_some()
        });
        assert!(put_off.await, "the refused row is not put off: {:?}", walk.store().message(of_acme.id.as_str()).await);
        let beside = fact("birch", "b-2");
        applied(walk.store().commit(Change { outbox: vec![row(&beside)], ..Change::default() }).await);
        walk.message(beside.id.as_str(), "handled").await;

        // Once there is room everything arrives, and the producer may send again what was refused.
        walk.ground.says(&["tenant", "resume", "acme", "--reason", "it is full"]).await;
        for fact in taken.iter().chain([&of_acme]) {
            walk.message(fact.id.as_str(), "handled").await;
        }
        assert!(walk.store().message(refused.id.as_str()).await.unwrap().is_empty(), "what was refused was not taken");
        let again = walk.running.broker.publish(vec![publication(topology::EVENTS, refused.routing_key(), &refused)]).await;
        assert_eq!(again, [Ok(())]);
        walk.message(refused.id.as_str(), "handled").await;
    });
}

#[test]
fn the_bounds_are_the_same_in_the_definitions_and_in_the_script() {
    let read = |name: &str| std::fs::read_to_string(repository().join("deploy/rabbitmq").join(name)).unwrap();
    let (definitions, script): (Value, String) = (serde_json::from_str(&read("definitions.json")).unwrap(), read("set-bounds"));
    let [policy] = definitions["policies"].as_array().unwrap().as_slice() else { panic!("{definitions}") };
    let default = |name: &str| {
        let value = script.split_once(&format!("{name}=\"${{")).unwrap().1.split_once(":-").unwrap().1;
        value.split_once('}').unwrap().0.parse::<u64>().unwrap()
    };
    assert_eq!(policy["definition"]["max-length"], default("messages"));
    assert_eq!(policy["definition"]["max-length-bytes"], default("bytes"));
    assert_eq!((&policy["definition"]["overflow"], &policy["apply-to"]), (&"reject-publish".into(), &"queues".into()));
    let [name, pattern] = ["name", "pattern"].map(|key| policy[key].as_str().unwrap());
    assert!(script.contains(&format!("{name} '{pattern}'")), "{pattern}");
    assert!(script.contains(&format!("--priority {}", policy["priority"])));
}

#[test]
fn set_bounds_refuses_what_is_no_number() {
    let script = repository().join("deploy/rabbitmq/set-bounds");
    for words in [["atshub", "many", "1"], ["atshub", "1", "-1"], ["atshub", "1e6", "1"]] {
        let (code, out, said) = run(Command::new(&script).args(words), None);
        assert_eq!((code, out.as_str()), (64, ""), "{words:?}: {said}");
    }
}
