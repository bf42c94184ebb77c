//! The broker is away, at the start or later, or comes back empty.

use super::{Stage, runtime};
use crate::support::{
    crowd::Crowd,
    hub::{Pair, on_hub, until},
    postgres::TestDatabase,
    proxy::Proxy,
    rabbitmq::{self, VirtualHost},
};
use atshub_schemas::topology::tenant_queue;
use std::time::Duration;

/// What the hub says of its parts at `/readyz`.
pub(super) async fn readiness(hub: &str) -> serde_json::Value {
    let client = atshub_simulators::loopback_client(Duration::from_secs(5)).unwrap();
    match client.get(format!("{hub}/readyz")).send().await {
        Ok(answer) => answer.json().await.unwrap_or_default(),
        Err(_) => serde_json::Value::Null,
    }
}

async fn says_that_only_the_broker_is_away(hub: &str) -> bool {
    let said = readiness(hub).await;
    (said["store"]["up"].as_bool(), said["broker"]["up"].as_bool()) == (Some(true), Some(false))
}

#[test]
fn webhooks_are_taken_while_the_broker_is_away_and_their_candidates_are_invited_once_when_it_is_back() {
    runtime().block_on(async {
        let (host, database) = (VirtualHost::new(), TestDatabase::empty().await);
        let proxy = Proxy::to(rabbitmq::address()).await;
        let stage = Stage::new(&["acme"], &database.store().await).await;
        let mut hub = stage.hub(&host.url_at(proxy.address), &database.url);
        hub.ready().await;
        let mut crowd = Crowd::of(&stage.world, 0).await;
        crowd.enter(5).await;
        crowd.is_shown_as_invited().await;

        proxy.turn_away();
        assert!(until(async || says_that_only_the_broker_is_away(&hub.url()).await).await, "{}", hub.log_tail());
        crowd.enter(20).await;
        crowd.is_taken().await;
        for (application, _) in &crowd.all[5..10] {
            stage.world.ashby[0].1.repeat_last_webhook(application).await.unwrap();
        }
        crowd.is_taken().await;
        assert!(says_that_only_the_broker_is_away(&hub.url()).await, "and all that while the broker was away");

        proxy.let_in();
        crowd.is_shown_as_invited().await;
        assert!(hub.terminate().success(), "{}", hub.log_tail());
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}

#[test]
fn a_hub_that_starts_without_its_broker_takes_webhooks_and_goes_on_when_it_comes() {
    runtime().block_on(async {
        let (host, database) = (VirtualHost::new(), TestDatabase::empty().await);
        let proxy = Proxy::to(rabbitmq::address()).await;
        proxy.turn_away();
        let stage = Stage::new(&["acme"], &database.store().await).await;
        let mut hub = stage.hub(&host.url_at(proxy.address), &database.url);
        assert!(until(async || says_that_only_the_broker_is_away(&hub.url()).await).await, "{}", hub.log_tail());
        let mut crowd = Crowd::of(&stage.world, 0).await;
        crowd.enter(10).await;
        stage.world.ashby[0].1.wait_until_idle().await;
        let told = stage.world.ashby[0].1.deliveries();
        assert_eq!((told.lost(), told.pending), (0, 0), "{told:?}");
        assert!(says_that_only_the_broker_is_away(&hub.url()).await, "and all that while the broker was away");

        proxy.let_in();
        hub.ready().await;
        crowd.is_shown_as_invited().await;
        assert!(hub.terminate().success(), "{}", hub.log_tail());
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}

#[test]
fn what_a_paused_tenants_queue_held_is_done_after_the_broker_has_lost_it() {
    on_hub(Pair::Real, &["acme"], &[], async |walk| {
        let reason = ["--reason", "their ATS is being moved"];
        walk.ground.says(&[&["tenant", "pause", "acme"], &reason[..]].concat()).await;
        let mut crowd = Crowd::of(&walk.world, 0).await;
        crowd.enter(20).await;
        crowd.is_taken().await;
        let queue = tenant_queue(&walk.world.ashby[0].0);
        let holds = async |least: u64| {
            let found = walk.running.broker.queues(std::slice::from_ref(&queue)).await.unwrap_or_default();
            found.iter().any(|queue| queue.ready >= least)
        };
        // Applied and moved: two webhooks each.
        assert!(until(async || holds(40).await).await, "the queue does not hold what was accepted");

        walk.ground.host.as_ref().unwrap().make_anew();
        assert!(until(async || holds(40).await).await, "what was lost is not sent again");
        assert_eq!(walk.world.platform.ledger().count("invitation"), 0, "the tenant is paused");
        walk.ground.says(&[&["tenant", "resume", "acme"], &reason[..]].concat()).await;
        crowd.is_shown_as_invited().await;
        walk.nothing_is_left().await;
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}
