//! Delivering, acknowledging, coming back: what the port says of the way out of a queue.

use super::{conformance, id_of, info, is_unroutable, message, next, publish_all, queue, settle, until};
use atshub_actors::ports::{AckError, Broker, BrokerError, BrokerHealth, QueueSpec};
use atshub_schemas::topology::{CONTROL, DEAD, DELIVERY_LIMIT, EVENTS, WORK};
use std::{collections::BTreeSet, time::Duration};

conformance! { flow:
    an_acknowledged_message_does_not_come_again
    what_was_not_acknowledged_goes_back_to_the_front_when_its_consumption_ends
    a_dropped_delivery_stays_with_its_consumption
    no_more_than_prefetch_is_out_at_any_time
    an_acknowledgement_after_the_consumption_ended_is_stale
    deliveries_may_be_acknowledged_in_any_order
    past_the_delivery_limit_a_message_becomes_a_dead_letter
    a_single_consumer_hands_over_to_the_next_when_it_ends
    consumptions_of_a_shared_queue_share_the_work
    dropping_the_receiver_alone_ends_the_consumption
    a_queue_that_nobody_uses_goes_by_itself_and_one_in_use_stays
    after_a_loss_deliveries_come_again_and_old_acknowledgements_are_stale
}

async fn filled(broker: &dyn Broker, count: usize) {
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    publish_all(broker, (1..=count).map(|at| message(WORK, "q", at)).collect()).await;
}

async fn an_acknowledged_message_does_not_come_again(broker: &dyn Broker) {
    filled(broker, 2).await;
    let mut first = broker.consume("q", 1).await.unwrap();
    assert_eq!(settle(&mut first, 1).await, ["1"]);
    drop(first);
    let mut second = broker.consume("q", 10).await.unwrap();
    assert_eq!(settle(&mut second, 1).await, ["2"]);
    until(broker, "q", |info| info.ready == 0 && info.unacked.unwrap_or_default() == 0).await;
}

async fn what_was_not_acknowledged_goes_back_to_the_front_when_its_consumption_ends(broker: &dyn Broker) {
    filled(broker, 5).await;
    let mut first = broker.consume("q", 3).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(next(&mut first).await);
    }
    // The middle one is done; the others go back in their order.
    held.remove(1).ack.ack().await.unwrap();
    drop(first);
    until(broker, "q", |info| info.ready == 4 && info.consumers == 0).await;
    let mut second = broker.consume("q", 10).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let delivery = next(&mut second).await;
        seen.push((id_of(&delivery), delivery.redelivered, delivery.delivery_count > 0));
    }
    let seen: Vec<_> = seen.iter().map(|(id, redelivered, counted)| (id.as_str(), *redelivered, *counted)).collect();
    // The fourth may have been on its way to the first consumption when that ended.
    assert_eq!([seen[0], seen[1]], [("1", true, true), ("3", true, true)]);
    assert_eq!((seen[2].0, seen[3]), ("4", ("5", false, false)));
}

async fn a_dropped_delivery_stays_with_its_consumption(broker: &dyn Broker) {
    filled(broker, 2).await;
    let mut consumption = broker.consume("q", 1).await.unwrap();
    drop(next(&mut consumption).await);
    assert_eq!(info(broker, "q").await.unwrap().ready, 1);
    assert!(consumption.deliveries.try_recv().is_err());
    drop(consumption);
    until(broker, "q", |info| info.ready == 2).await;
}

async fn no_more_than_prefetch_is_out_at_any_time(broker: &dyn Broker) {
    filled(broker, 10).await;
    let mut consumption = broker.consume("q", 3).await.unwrap();
    let mut held = Vec::new();
    for done in 0..=7_u64 {
        while held.len() < 3 {
            held.push(next(&mut consumption).await);
        }
        // All the others wait at the broker, none on the way.
        until(broker, "q", |info| info.ready == 7 - done).await;
        assert!(consumption.deliveries.try_recv().is_err());
        held.remove(0).ack.ack().await.unwrap();
        if done == 7 {
            break;
        }
    }
}

async fn an_acknowledgement_after_the_consumption_ended_is_stale(broker: &dyn Broker) {
    filled(broker, 1).await;
    let mut consumption = broker.consume("q", 1).await.unwrap();
    let held = next(&mut consumption).await;
    drop(consumption);
    let mut again = broker.consume("q", 1).await.unwrap();
    let delivery = next(&mut again).await;
    assert!(delivery.redelivered);
    // Nor does it settle the message in its new hands.
    assert_eq!(held.ack.ack().await, Err(AckError::Stale));
    drop(again);
    until(broker, "q", |info| info.ready == 1 && info.consumers == 0).await;
    assert_eq!(delivery.ack.ack().await, Err(AckError::Stale));
    assert_eq!(info(broker, "q").await.unwrap().ready, 1);
}

async fn deliveries_may_be_acknowledged_in_any_order(broker: &dyn Broker) {
    filled(broker, 6).await;
    let mut consumption = broker.consume("q", 6).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(next(&mut consumption).await);
    }
    let acks = futures_util::future::join_all(held.into_iter().rev().map(|delivery| delivery.ack.ack())).await;
    assert!(acks.iter().all(Result::is_ok), "{acks:?}");
    drop(consumption);
    until(broker, "q", |info| info.ready == 0 && info.consumers == 0 && info.unacked.unwrap_or_default() == 0).await;
}

async fn past_the_delivery_limit_a_message_becomes_a_dead_letter(broker: &dyn Broker) {
    broker.declare(queue("q", &[(EVENTS, "acme.#")])).await.unwrap();
    publish_all(broker, vec![message(EVENTS, "acme.poison", "poison")]).await;
    for count in 0..=DELIVERY_LIMIT {
        let mut consumption = broker.consume("q", 1).await.unwrap();
        let delivery = next(&mut consumption).await;
        assert_eq!((delivery.delivery_count, delivery.redelivered), (count, count > 0));
    }
    let mut dead = broker.consume(DEAD, 1).await.unwrap();
    let letter = next(&mut dead).await;
    assert_eq!((id_of(&letter).as_str(), letter.exchange.as_str(), letter.routing_key.as_str()), ("poison", DEAD, "acme.poison"));
    assert_eq!(letter.headers.get("x-first-death-queue").map(String::as_str), Some("q"));
    assert_eq!(letter.headers.get("x-first-death-reason").map(String::as_str), Some("delivery_limit"));
    assert_eq!(letter.headers.get("x-first-death-exchange").map(String::as_str), Some(EVENTS));
    letter.ack.ack().await.unwrap();
    assert_eq!(info(broker, "q").await.unwrap().ready, 0);
}

async fn a_single_consumer_hands_over_to_the_next_when_it_ends(broker: &dyn Broker) {
    broker.declare(QueueSpec { single_consumer: true, ..queue("q", &[(WORK, "q")]) }).await.unwrap();
    let mut first = broker.consume("q", 2).await.unwrap();
    let mut second = broker.consume("q", 2).await.unwrap();
    publish_all(broker, (1..=4).map(|at| message(WORK, "q", at)).collect()).await;
    let held = [next(&mut first).await, next(&mut first).await];
    until(broker, "q", |info| info.ready == 2).await;
    assert!(second.deliveries.try_recv().is_err());
    let [one, _two] = held;
    one.ack.ack().await.unwrap();
    let three = next(&mut first).await;
    assert_eq!(id_of(&three), "3");
    assert!(second.deliveries.try_recv().is_err());
    drop(first);
    assert_eq!(settle(&mut second, 3).await, ["2", "3", "4"]);
}

async fn consumptions_of_a_shared_queue_share_the_work(broker: &dyn Broker) {
    filled(broker, 2).await;
    let mut first = broker.consume("q", 1).await.unwrap();
    let mut second = broker.consume("q", 1).await.unwrap();
    let ids: BTreeSet<String> = [id_of(&next(&mut first).await), id_of(&next(&mut second).await)].into();
    assert_eq!(ids, ["1".to_owned(), "2".to_owned()].into());
}

async fn dropping_the_receiver_alone_ends_the_consumption(broker: &dyn Broker) {
    filled(broker, 1).await;
    let consumption = broker.consume("q", 1).await.unwrap();
    let guard = consumption.guard;
    drop(consumption.deliveries);
    until(broker, "q", |info| info.ready == 1 && info.consumers == 0).await;
    drop(guard);
}

async fn a_queue_that_nobody_uses_goes_by_itself_and_one_in_use_stays(broker: &dyn Broker) {
    let passing = |name: &str, key: &str| QueueSpec { expires: Some(Duration::from_millis(500)), ..queue(name, &[(WORK, key)]) };
    broker.declare(passing("used", "used")).await.unwrap();
    let mut consumption = broker.consume("used", 1).await.unwrap();
    broker.declare(QueueSpec { bindings: vec![(CONTROL.to_owned(), String::new())], ..passing("unused", "") }).await.unwrap();
    let otherwise = broker.declare(queue("used", &[(WORK, "used")])).await;
    assert!(matches!(otherwise, Err(BrokerError::Refused(_))), "{otherwise:?}");
    // It takes messages until it goes. To be asked for would count as use: the exchange says when nobody is behind it.
    let mut taken = 0;
    let gone = async {
        while !is_unroutable(&broker.publish(vec![message(CONTROL, "x", taken)]).await[0]) {
            taken += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::SIGNAL_LIMIT, gone).await.expect("the queue never goes");
    assert!(taken > 0, "it went at once");
    assert_eq!(info(broker, "unused").await, None);
    // The other one was consumed from all the while, which is longer than its time.
    publish_all(broker, vec![message(WORK, "used", 1)]).await;
    assert_eq!(settle(&mut consumption, 1).await, ["1"]);
}

async fn after_a_loss_deliveries_come_again_and_old_acknowledgements_are_stale(broker: &dyn Broker) {
    filled(broker, 4).await;
    let mut consumption = broker.consume("q", 2).await.unwrap();
    let held = next(&mut consumption).await;
    let mut health = broker.health();
    broker.lose("a test").await;
    let second = health.wait_for(|health| matches!(health, BrokerHealth::Up { epoch: 2 }));
    tokio::time::timeout(super::SIGNAL_LIMIT, second).await.expect("no second connection").unwrap();
    assert_eq!(held.ack.ack().await, Err(AckError::Stale));
    // What was on its way at the loss may come first, and cannot be acknowledged; everything comes again.
    let mut done = BTreeSet::new();
    while done.len() < 4 {
        let delivery = next(&mut consumption).await;
        let id = id_of(&delivery);
        if delivery.ack.ack().await.is_ok() {
            assert!(done.insert(id), "done twice");
        }
    }
    until(broker, "q", |info| info.ready == 0 && info.unacked.unwrap_or_default() == 0).await;
}
