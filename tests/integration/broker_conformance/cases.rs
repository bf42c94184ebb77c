//! Publishing, routing, declaring: what the port says of the way into a queue.

use super::{conformance, id_of, info, is_unroutable, message, next, publish_all, queue, settle, until};
use async_trait::async_trait;
use atshub_actors::ports::{Broker, BrokerError, BrokerHealth, Missing, Publication, PublishError, QueueSpec};
use atshub_schemas::topology::{COMMANDS, DEAD, EVENTS, LIFECYCLE, UNROUTED, WORK};
use bytes::Bytes;
use futures_util::future::join_all;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

conformance! { cases:
    a_delivery_carries_all_that_was_published
    publish_answers_every_message_in_order
    publishes_that_do_not_wait_for_each_other_keep_the_order_of_each_tenant
    an_unroutable_message_is_told_from_its_twin_on_another_key
    a_message_that_no_queue_takes_is_unroutable
    the_alternate_exchange_takes_what_no_tenant_takes
    topics_are_matched_word_by_word
    a_message_goes_to_every_queue_that_is_bound_and_once_to_each
    an_unknown_exchange_is_refused_and_the_rest_is_taken
    a_name_that_is_too_long_is_refused_and_the_rest_is_taken
    a_large_body_arrives_whole
    a_queue_that_is_not_there_is_told_before_it_is_made_and_again_when_it_was_deleted
    five_hundred_concurrent_publishes_arrive_once_each
    declaring_again_is_no_error_and_adds_bindings
    a_queue_declared_otherwise_is_refused_and_the_rest_works
    a_binding_to_an_unknown_exchange_is_refused
    consuming_an_unknown_queue_is_refused
    a_deleted_queue_is_gone_with_everything_in_it
    queues_tells_what_waits_and_leaves_out_what_is_not_there
    the_queues_at_the_end_of_the_line_are_there_from_the_start
    closing_ends_consumptions_and_publishes_nothing_more
    a_broker_belongs_to_the_first_store_that_says_so_until_it_is_disowned
    a_broker_that_is_well_takes_a_publication_that_nobody_gets
}

async fn a_delivery_carries_all_that_was_published(broker: &dyn Broker) {
    broker.declare(queue("q", &[(EVENTS, "acme.#")])).await.unwrap();
    let mut sent = message(EVENTS, "acme.application.moved.v1", "id-1");
    sent.headers = [("traceparent".to_owned(), "00-ab".to_owned()), ("origin".to_owned(), "ü".to_owned())].into();
    publish_all(broker, vec![sent.clone()]).await;
    let mut consumption = broker.consume("q", 1).await.unwrap();
    let got = next(&mut consumption).await;
    assert_eq!((got.queue.as_str(), got.exchange.as_str()), ("q", EVENTS));
    assert_eq!((got.routing_key, got.message_id), (sent.routing_key, Some(sent.message_id)));
    assert_eq!((got.headers, got.body), (sent.headers, sent.body));
    assert_eq!((got.redelivered, got.delivery_count), (false, 0));
}

async fn a_broker_belongs_to_the_first_store_that_says_so_until_it_is_disowned(broker: &dyn Broker) {
    let first = join_all(["0a", "0b", "0c"].map(|store| broker.belongs_to(store))).await;
    assert_eq!(first.iter().filter(|answer| answer.is_ok()).count(), 1, "{first:?}");
    let at = first.iter().position(Result::is_ok).unwrap();
    let (own, other) = (["0a", "0b", "0c"][at], ["0b", "0c", "0a"][at]);
    for _ in 0..2 {
        assert_eq!(broker.belongs_to(own).await, Ok(()));
        let Err(BrokerError::Refused(why)) = broker.belongs_to(other).await else { panic!("it is another store's") };
        assert!(why.contains(&format!("`{own}`")) && why.contains(&format!("`{other}`")) && why.contains("broker release"), "{why}");
    }
    broker.disown().await.unwrap();
    broker.disown().await.unwrap();
    assert_eq!(broker.belongs_to(other).await, Ok(()));
    assert!(matches!(broker.belongs_to(own).await, Err(BrokerError::Refused(_))));
}

async fn a_broker_that_is_well_takes_a_publication_that_nobody_gets(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "#"), (EVENTS, "#")])).await.unwrap();
    for _ in 0..3 {
        assert_eq!(broker.takes().await, Ok(()));
    }
    assert_eq!(info(broker, "q").await.map(|q| q.ready), Some(0));
}

async fn publish_answers_every_message_in_order(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "here")])).await.unwrap();
    assert!(broker.publish(Vec::new()).await.is_empty());
    let lost = |at: usize| at % 7 == 3;
    let messages = (0..1_200).map(|at| message(WORK, if lost(at) { "nowhere" } else { "here" }, at)).collect();
    let answers = broker.publish(messages).await;
    assert_eq!(answers.len(), 1_200);
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(is_unroutable(answer), lost(at), "message {at}: {answer:?}");
        assert_eq!(answer.is_ok(), !lost(at), "message {at}: {answer:?}");
    }
    let mut consumption = broker.consume("q", 100).await.unwrap();
    let expected: Vec<String> = (0..1_200).filter(|at| !lost(*at)).map(|at| at.to_string()).collect();
    assert_eq!(settle(&mut consumption, expected.len()).await, expected);
}

async fn publishes_that_do_not_wait_for_each_other_keep_the_order_of_each_tenant(broker: &dyn Broker) {
    const TENANTS: usize = 12;
    const WINDOWS: usize = 40;
    for tenant in 0..TENANTS {
        broker.declare(queue(&format!("events-{tenant}"), &[(EVENTS, &format!("t-{tenant}.#"))])).await.unwrap();
        broker.declare(queue(&format!("work-{tenant}"), &[(WORK, &format!("tenant.t-{tenant}"))])).await.unwrap();
    }
    let windows = (0..WINDOWS).map(|window| {
        let kind = ["moved", "updated", "withdrawn"][window % 3];
        let of_one = |tenant: usize| {
            [message(EVENTS, &format!("t-{tenant}.{kind}.v1"), window), message(WORK, &format!("tenant.t-{tenant}"), window)]
        };
        broker.publish((0..TENANTS).flat_map(of_one).collect())
    });
    // All are polled before any is answered, in this order.
    for answers in join_all(windows).await {
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    let published: Vec<String> = (0..WINDOWS).map(|window| window.to_string()).collect();
    for name in (0..TENANTS).flat_map(|tenant| [format!("events-{tenant}"), format!("work-{tenant}")]) {
        let mut consumption = broker.consume(&name, 64).await.unwrap();
        assert_eq!(settle(&mut consumption, WINDOWS).await, published, "in {name}");
    }
}

async fn an_unroutable_message_is_told_from_its_twin_on_another_key(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "here")])).await.unwrap();
    let twins = vec![message(WORK, "here", "same"), message(WORK, "nowhere", "same"), message(WORK, "here", "same")];
    let answers = broker.publish(twins).await;
    assert_eq!(answers.iter().map(is_unroutable).collect::<Vec<_>>(), [false, true, false]);
}

async fn a_message_that_no_queue_takes_is_unroutable(broker: &dyn Broker) {
    for exchange in [WORK, COMMANDS, LIFECYCLE] {
        let answers = broker.publish(vec![message(exchange, "acme.x", 1)]).await;
        let expected = PublishError::Unroutable { exchange: exchange.to_owned(), routing_key: "acme.x".to_owned() };
        assert_eq!(answers, [Err(expected)]);
    }
}

async fn the_alternate_exchange_takes_what_no_tenant_takes(broker: &dyn Broker) {
    broker.declare(queue("acme", &[(EVENTS, "acme.#")])).await.unwrap();
    publish_all(broker, vec![message(EVENTS, "acme.x", 1), message(EVENTS, "stranger.x", 2)]).await;
    let mut unrouted = broker.consume(UNROUTED, 10).await.unwrap();
    let got = next(&mut unrouted).await;
    assert_eq!((id_of(&got).as_str(), got.exchange.as_str(), got.routing_key.as_str()), ("2", EVENTS, "stranger.x"));
    got.ack.ack().await.unwrap();
    assert_eq!(info(broker, UNROUTED).await.unwrap().ready, 0);
    assert_eq!(info(broker, "acme").await.unwrap().ready, 1);
}

async fn topics_are_matched_word_by_word(broker: &dyn Broker) {
    broker.declare(queue("one", &[(EVENTS, "*.moved")])).await.unwrap();
    broker.declare(queue("any", &[(EVENTS, "acme.#.v1")])).await.unwrap();
    broker.declare(queue("exact", &[(EVENTS, "acme.moved")])).await.unwrap();
    let keys = ["acme.moved", "acme.v1", "acme.job.updated.v1", "acme.job.moved", "acme-2.moved"];
    publish_all(broker, keys.iter().map(|key| message(EVENTS, key, key)).collect()).await;
    for (queue, expected) in
        [("one", vec!["acme-2.moved", "acme.moved"]), ("any", vec!["acme.job.updated.v1", "acme.v1"]), ("exact", vec!["acme.moved"])]
    {
        let mut consumption = broker.consume(queue, 10).await.unwrap();
        let mut settled = settle(&mut consumption, expected.len()).await;
        settled.sort_unstable(); // two tenants have no order between them
        assert_eq!(settled, expected, "{queue}");
        assert_eq!(info(broker, queue).await.unwrap().ready, 0, "{queue}");
    }
    assert_eq!(info(broker, UNROUTED).await.unwrap().ready, 1);
}

async fn a_message_goes_to_every_queue_that_is_bound_and_once_to_each(broker: &dyn Broker) {
    broker.declare(queue("a", &[(EVENTS, "acme.#"), (EVENTS, "#")])).await.unwrap();
    broker.declare(queue("b", &[(EVENTS, "*.x")])).await.unwrap();
    publish_all(broker, vec![message(EVENTS, "acme.x", 1)]).await;
    assert_eq!((info(broker, "a").await.unwrap().ready, info(broker, "b").await.unwrap().ready), (1, 1));
}

async fn an_unknown_exchange_is_refused_and_the_rest_is_taken(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "here")])).await.unwrap();
    let answers = broker.publish(vec![message(WORK, "here", 1), message("atshub.nothing", "x", 2), message(WORK, "here", 3)]).await;
    assert!(matches!(&answers[..], [Ok(()), Err(PublishError::Refused(_)), Ok(())]), "{answers:?}");
}

async fn a_name_that_is_too_long_is_refused_and_the_rest_is_taken(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "here")])).await.unwrap();
    let long = "x".repeat(300);
    let mut header = message(WORK, "here", 4);
    header.headers.insert(long.clone(), String::new());
    let messages = vec![message(WORK, "here", 1), message(WORK, &long, 2), message(WORK, "here", &long), header, message(WORK, "here", 5)];
    let answers = broker.publish(messages).await;
    assert!(
        matches!(
            &answers[..],
            [Ok(()), Err(PublishError::Refused(_)), Err(PublishError::Refused(_)), Err(PublishError::Refused(_)), Ok(())]
        ),
        "{answers:?}"
    );
    assert!(matches!(broker.declare(queue(&long, &[])).await, Err(BrokerError::Refused(_))));
}

async fn a_large_body_arrives_whole(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "here")])).await.unwrap();
    let body: Vec<u8> = (0..256 * 1024_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let sent = [Bytes::from(body), Bytes::new()];
    publish_all(broker, sent.iter().map(|body| Publication { body: body.clone(), ..message(WORK, "here", 1) }).collect()).await;
    let mut consumption = broker.consume("q", 2).await.unwrap();
    for body in sent {
        assert_eq!(next(&mut consumption).await.body, body);
    }
}

async fn five_hundred_concurrent_publishes_arrive_once_each(broker: &dyn Broker) {
    broker.declare(queue("q", &[(EVENTS, "acme.#")])).await.unwrap();
    let answers = join_all((0..500).map(|at| broker.publish(vec![message(EVENTS, "acme.x", at)]))).await;
    assert!(answers.iter().flatten().all(Result::is_ok), "{answers:?}");
    let mut consumption = broker.consume("q", 50).await.unwrap();
    let ids: BTreeSet<String> = settle(&mut consumption, 500).await.into_iter().collect();
    assert_eq!(ids, (0..500).map(|at| at.to_string()).collect());
    until(broker, "q", |info| info.ready == 0 && info.unacked.unwrap_or_default() == 0).await;
}

async fn declaring_again_is_no_error_and_adds_bindings(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "a")])).await.unwrap();
    broker.declare(queue("q", &[(WORK, "a")])).await.unwrap();
    broker.declare(queue("q", &[(WORK, "b")])).await.unwrap();
    publish_all(broker, vec![message(WORK, "a", 1), message(WORK, "b", 2)]).await;
    assert_eq!(info(broker, "q").await.unwrap().ready, 2);
}

async fn a_queue_declared_otherwise_is_refused_and_the_rest_works(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    let mut consumption = broker.consume("q", 1).await.unwrap();
    let other = QueueSpec { single_consumer: true, ..queue("q", &[(WORK, "q")]) };
    let Err(BrokerError::Refused(cause)) = broker.declare(other).await else { panic!("it was not refused") };
    assert!(cause.contains("`q`") && cause.contains("drain and delete it"), "{cause}");
    publish_all(broker, vec![message(WORK, "q", 1)]).await;
    assert_eq!(settle(&mut consumption, 1).await, ["1"]);
    assert_eq!(*broker.health().borrow(), BrokerHealth::Up { epoch: 1 });
}

async fn a_binding_to_an_unknown_exchange_is_refused(broker: &dyn Broker) {
    let refused = broker.declare(queue("q", &[("atshub.nothing", "x")])).await;
    assert!(matches!(&refused, Err(BrokerError::Refused(cause)) if cause.contains("atshub.nothing")), "{refused:?}");
}

async fn consuming_an_unknown_queue_is_refused(broker: &dyn Broker) {
    let refused = broker.consume("nobody", 1).await;
    assert!(matches!(&refused, Err(BrokerError::Refused(cause)) if cause.contains("nobody")), "{refused:?}");
}

async fn a_deleted_queue_is_gone_with_everything_in_it(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    publish_all(broker, vec![message(WORK, "q", 1)]).await;
    let mut consumption = broker.consume("q", 1).await.unwrap();
    next(&mut consumption).await;
    broker.delete("q").await.unwrap();
    broker.delete("q").await.unwrap();
    broker.delete("never").await.unwrap();
    assert_eq!(info(broker, "q").await, None);
    assert!(is_unroutable(&broker.publish(vec![message(WORK, "q", 2)]).await[0]));
    let end = tokio::time::timeout(super::SIGNAL_LIMIT, consumption.deliveries.recv()).await.expect("the consumption never ends");
    assert!(end.is_none(), "{end:?}");
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    assert_eq!(info(broker, "q").await.unwrap().ready, 0);
}

async fn queues_tells_what_waits_and_leaves_out_what_is_not_there(broker: &dyn Broker) {
    for name in ["a", "b", "c"] {
        broker.declare(queue(name, &[(WORK, name)])).await.unwrap();
    }
    publish_all(broker, vec![message(WORK, "b", 1), message(WORK, "b", 2), message(WORK, "c", 3)]).await;
    let mut consumption = broker.consume("c", 5).await.unwrap();
    next(&mut consumption).await;
    let names = ["none", "a", "b", "nothing", "c", "nobody"].map(str::to_owned);
    let found = broker.queues(&names).await.unwrap();
    let seen: Vec<_> = found.iter().map(|info| (info.name.as_str(), info.ready, info.consumers)).collect();
    assert_eq!(seen, [("a", 0, 0), ("b", 2, 0), ("c", 0, 1)]);
    assert!(found[2].unacked.is_none_or(|unacked| unacked == 1));
}

async fn the_queues_at_the_end_of_the_line_are_there_from_the_start(broker: &dyn Broker) {
    let found = broker.queues(&[DEAD, UNROUTED].map(str::to_owned)).await.unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    publish_all(broker, vec![message(DEAD, "any.key", 1), message(UNROUTED, "any.key", 2)]).await;
}

async fn closing_ends_consumptions_and_publishes_nothing_more(broker: &dyn Broker) {
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    publish_all(broker, vec![message(WORK, "q", 1)]).await;
    let mut consumption = broker.consume("q", 1).await.unwrap();
    let held = next(&mut consumption).await;
    broker.close(Duration::from_secs(10)).await;
    assert!(consumption.deliveries.recv().await.is_none());
    assert!(held.ack.ack().await.is_err());
    assert!(matches!(&broker.publish(vec![message(WORK, "q", 2)]).await[..], [Err(PublishError::Away(_))]));
    assert!(matches!(*broker.health().borrow(), BrokerHealth::Down { .. }));
    assert!(matches!(broker.consume("q", 1).await, Err(BrokerError::Away(_))));
}

/// Notes what it hears, and answers that nothing can be done for as often as it is told to.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    fails: AtomicUsize,
}

#[async_trait]
impl Missing for Ear {
    async fn missing(&self, queue: &str) -> Result<(), String> {
        self.heard.lock().unwrap().push(queue.to_owned());
        let left = self.fails.load(Ordering::SeqCst);
        self.fails.store(left.saturating_sub(1), Ordering::SeqCst);
        if left > 0 { Err("the store is away".to_owned()) } else { Ok(()) }
    }
}

async fn a_queue_that_is_not_there_is_told_before_it_is_made_and_again_when_it_was_deleted(broker: &dyn Broker) {
    let ear = Arc::new(Ear::default());
    broker.when_missing(Arc::<Ear>::clone(&ear));
    let heard = || std::mem::take(&mut *ear.heard.lock().unwrap()).into_iter().filter(|name| name == "q").count();
    ear.fails.store(1, Ordering::SeqCst);
    let refused = broker.declare(queue("q", &[(WORK, "q")])).await;
    assert!(matches!(refused, Err(BrokerError::Away(_))), "{refused:?}");
    assert_eq!((heard(), info(broker, "q").await), (1, None), "told, and not made yet");
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    assert_eq!(heard(), 1, "told again, and not once it stands");
    broker.delete("q").await.unwrap();
    broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
    assert_eq!(heard(), 1, "told of the one that was deleted");
    let passing = QueueSpec { expires: Some(Duration::from_secs(60)), ..queue("passing", &[]) };
    broker.declare(passing).await.unwrap();
    assert!(ear.heard.lock().unwrap().is_empty(), "one that goes by itself is nobody's loss");
}
