//! What is deleted on the broker under a running hub is put right by the hub, and candidates are invited all the same.

use crate::support::guards::with_and_without_guard;
use crate::support::hub::{Ground, Pair, happens, on_hub, until};
use atshub::demo::world::TRIGGER;
use atshub_schemas::topology::{
    COMMANDS, CONTROL, DEAD, EVENTS, INVITES, LIFECYCLE, RESULTS, UNROUTED, WORK, tenant_queue, tenant_work_key,
};
use atshub_simulators::{ashby::NewCandidate, platform::Guard};
use lapin::{
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};

enum Gone {
    Exchange(&'static str),
    Queue(String),
    Binding(String, &'static str, String),
}

async fn delete(ground: &Ground, gone: &Gone) {
    let connection = ground.amqp().await;
    let channel = connection.create_channel().await.unwrap();
    match gone {
        Gone::Exchange(name) => channel.exchange_delete((*name).into(), ExchangeDeleteOptions::default()).await.unwrap(),
        Gone::Queue(name) => drop(channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap()),
        Gone::Binding(queue, exchange, key) => {
            channel.queue_unbind(queue.as_str().into(), (*exchange).into(), key.as_str().into(), FieldTable::default()).await.unwrap();
        }
    }
    connection.close(200, "done".into()).await.unwrap();
}

async fn is_there(ground: &Ground, gone: &Gone) -> bool {
    let connection = ground.amqp().await;
    let channel = connection.create_channel().await.unwrap();
    let there = match gone {
        Gone::Exchange(name) => {
            let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            channel.exchange_declare((*name).into(), lapin::ExchangeKind::Direct, look, FieldTable::default()).await.is_ok()
        }
        Gone::Queue(name) => {
            channel.queue_declare(name.as_str().into(), QueueDeclareOptions::default().passive(), FieldTable::default()).await.is_ok()
        }
        // Shown by the invitation.
        Gone::Binding(..) => true,
    };
    let _ = connection.close(200, "done".into()).await;
    there
}

with_and_without_guard! {
    whatever_is_deleted_under_a_running_hub_comes_back_by_itself_and_the_next_candidate_is_invited_once
}

fn whatever_is_deleted_under_a_running_hub_comes_back_by_itself_and_the_next_candidate_is_invited_once(guard: Guard) {
    on_hub(Pair::Real, &["acme"], &[], async |walk| {
        walk.world.platform.set_guard(guard);
        let (tenant, ats) = &walk.world.ashby[0];
        let own = tenant_queue(tenant);
        let all = [EVENTS, WORK, COMMANDS, CONTROL, DEAD, LIFECYCLE, UNROUTED].map(Gone::Exchange).into_iter();
        let all = all.chain([own.clone(), INVITES.into(), RESULTS.into(), DEAD.into(), UNROUTED.into()].map(Gone::Queue)).chain([
            Gone::Binding(own.clone(), EVENTS, format!("{tenant}.#")),
            Gone::Binding(own.clone(), WORK, tenant_work_key(tenant)),
            Gone::Binding(INVITES.into(), WORK, INVITES.into()),
        ]);
        let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
        for (at, gone) in all.enumerate() {
            delete(walk.ground, &gone).await;
            let email = format!("c{at}@acme.example");
            let new = NewCandidate { name: format!("Candidate {at}"), email: email.clone(), job: job.clone(), ..NewCandidate::default() };
            let application = ats.add_candidate(new).await.unwrap();
            ats.move_stage(&application, TRIGGER).await.unwrap();
            let invited = |effects: &[atshub_simulators::Effect]| effects.iter().any(|e| e.kind == "invitation" && e.subject == email);
            happens(&walk.world.platform.ledger(), &format!("an invitation after deletion {at}"), invited).await;
            assert!(until(async || is_there(walk.ground, &gone).await).await, "deletion {at} was not put right");
        }
        walk.nothing_is_left().await;
        let mut invited: Vec<String> = walk.world.platform.ledger().effects().into_iter().map(|effect| effect.subject).collect();
        let all = invited.len();
        invited.sort();
        invited.dedup();
        assert_eq!(invited.len(), all, "what was sent again is done once");
        let parked = walk.store().parked_counts(None).await.unwrap();
        assert!(parked.is_empty(), "no false verdict about who is unknown: {parked:?}");
    });
}

#[test]
fn to_look_at_a_broker_makes_nothing_there() {
    use crate::support::rabbitmq::VirtualHost;
    let host = VirtualHost::new();
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_atshub")).args(["check", "broker", "--broker", &host.url()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let connection = lapin::Connection::connect(&host.url(), lapin::ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let look = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
        let found = channel.exchange_declare(EVENTS.into(), lapin::ExchangeKind::Topic, look, FieldTable::default()).await;
        assert!(found.is_err(), "the exchange was made by looking");
    });
}
