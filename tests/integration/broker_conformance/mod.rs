//! The broker port's contract, sentence by sentence, on both adapters; then what only one of them can show.

mod cases;
mod embedded;
mod flow;
mod rabbitmq;
mod wire;

use crate::support::rabbitmq::VirtualHost;
use atshub::{
    embedded::broker::EmbeddedBroker,
    rabbitmq::{RabbitBroker, RabbitOptions},
};
use atshub_actors::ports::{Broker, Consumption, Delivery, Publication, PublishError, QueueInfo, QueueSpec};
use bytes::Bytes;
use std::{collections::BTreeMap, future::Future, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// Longest wait for a signal; a healthy run never gets near.
const SIGNAL_LIMIT: Duration = Duration::from_secs(30);

/// Runs a case on a runtime with more than one thread, as in the hub.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

fn on_rabbitmq(case: impl AsyncFnOnce(&dyn Broker)) {
    let host = VirtualHost::new();
    block_on(async {
        let broker = RabbitBroker::connect(&host.url(), Handle::current(), RabbitOptions::default()).await.unwrap();
        case(&broker).await;
        broker.close(Duration::from_secs(5)).await;
    });
}

fn on_embedded(case: impl AsyncFnOnce(&dyn Broker)) {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let broker = EmbeddedBroker::open(folder.path()).unwrap();
        case(&broker).await;
        broker.close(Duration::from_secs(5)).await;
    });
}

fn in_memory(case: impl AsyncFnOnce(&dyn Broker)) {
    block_on(async { case(&EmbeddedBroker::open_in_memory().unwrap()).await });
}

/// One test per case and adapter.
macro_rules! conformance {
    ($module:ident: $($case:ident)*) => {
        mod on_rabbitmq { $(#[test] fn $case() { crate::broker_conformance::on_rabbitmq(super::$case); })* }
        mod on_embedded { $(#[test] fn $case() { crate::broker_conformance::on_embedded(super::$case); })* }
        mod in_memory { $(#[test] fn $case() { crate::broker_conformance::in_memory(super::$case); })* }
    };
}
use conformance;

fn queue(name: &str, bindings: &[(&str, &str)]) -> QueueSpec {
    let bindings = bindings.iter().map(|(exchange, key)| ((*exchange).to_owned(), (*key).to_owned())).collect();
    QueueSpec { name: name.to_owned(), single_consumer: false, bindings, expires: None }
}

fn message(exchange: &str, key: &str, id: impl std::fmt::Display) -> Publication {
    Publication {
        exchange: exchange.to_owned(),
        routing_key: key.to_owned(),
        message_id: id.to_string(),
        content_type: "application/cloudevents+json".to_owned(),
        headers: BTreeMap::new(),
        body: Bytes::from(format!("{{\"id\":\"{id}\"}}")),
    }
}

/// Publishes and expects every message to be taken.
async fn publish_all(broker: &dyn Broker, messages: Vec<Publication>) {
    let answers = broker.publish(messages).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

async fn next(consumption: &mut Consumption) -> Delivery {
    timeout(SIGNAL_LIMIT, consumption.deliveries.recv()).await.expect("no delivery in time").expect("the consumption is over")
}

/// The ids of the next deliveries, which are acknowledged.
async fn settle(consumption: &mut Consumption, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let delivery = next(consumption).await;
        ids.push(id_of(&delivery));
        delivery.ack.ack().await.unwrap();
    }
    ids
}

fn id_of(delivery: &Delivery) -> String {
    delivery.message_id.clone().unwrap()
}

async fn info(broker: &dyn Broker, queue: &str) -> Option<QueueInfo> {
    broker.queues(&[queue.to_owned()]).await.unwrap().pop()
}

/// Waits until a queue is as wanted. The broker has no signal for it, so it is asked again and again.
async fn until(broker: &dyn Broker, queue: &str, wanted: impl Fn(&QueueInfo) -> bool) {
    let seek = async {
        loop {
            if info(broker, queue).await.is_some_and(|info| wanted(&info)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    if timeout(SIGNAL_LIMIT, seek).await.is_err() {
        panic!("the queue never got there: {:?}", info(broker, queue).await);
    }
}

fn is_unroutable(answer: &Result<(), PublishError>) -> bool {
    matches!(answer, Err(PublishError::Unroutable { .. }))
}
