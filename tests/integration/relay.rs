//! The relay: how much it puts into the shared queue of invitations and whose goes next, what waits for what, and how it ends.

use crate::support::{
    build::{applied, moved, now, publishes, tenant},
    hub::{soon, until},
};
use async_trait::async_trait;
use atshub::{
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
    rail::{ahead::LEAST as AHEAD, relay},
};
use atshub_actors::ports::{
    Broker, BrokerError, BrokerHealth, Change, Consumption, Missing, OutboxRow, Publication, PublishError, QueueInfo, QueueSpec, Store,
    SystemClock,
};
use atshub_schemas::{Envelope, TenantName, topology};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

struct Rail {
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    stop: watch::Sender<bool>,
}

impl Rail {
    async fn start() -> Self {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open_in_memory().unwrap());
        let broker: Arc<dyn Broker> = Arc::new(EmbeddedBroker::open_in_memory().unwrap());
        let rail = Self { store, broker, stop: watch::Sender::new(false) };
        rail.declare(topology::INVITES, topology::INVITES).await;
        rail
    }

    async fn declare(&self, queue: &str, key: &str) {
        let bindings = vec![(topology::WORK.to_owned(), key.to_owned())];
        self.broker.declare(QueueSpec { name: queue.to_owned(), bindings, ..spec() }).await.unwrap();
    }

    async fn commit(&self, outbox: Vec<OutboxRow>) {
        applied(self.store.commit(Change { outbox, ..Change::default() }).await);
    }

    async fn ask(&self, tenant: &TenantName, count: usize) {
        let asked = (0..count).map(|_| OutboxRow { routing_key: topology::INVITES.into(), ..publishes(&moved(tenant, "a-1"), None) });
        self.commit(asked.collect()).await;
    }

    async fn waiting(&self) -> usize {
        usize::try_from(self.broker.queues(&[topology::INVITES.to_owned()]).await.unwrap()[0].ready).unwrap()
    }
}

fn spec() -> QueueSpec {
    atshub::hub::inbox(&tenant("acme"))
}

async fn next(consumption: &mut Consumption) -> Envelope {
    let delivery = soon("a delivery", consumption.deliveries.recv()).await.unwrap();
    let envelope = Envelope::decode(&delivery.body).unwrap();
    delivery.ack.ack().await.unwrap();
    envelope
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_invitations_waits_in_the_store_and_others_pass_it() {
    let (rail, flood, acme) = (Rail::start().await, tenant("flood"), tenant("acme"));
    rail.declare(&topology::tenant_queue(&acme), &topology::tenant_work_key(&acme)).await;
    rail.ask(&flood, 200).await;
    let running =
        tokio::spawn(relay::run(Arc::clone(&rail.store) as _, Arc::clone(&rail.broker), Arc::new(SystemClock), rail.stop.subscribe()));
    assert!(until(async || rail.waiting().await == AHEAD).await, "{} wait", rail.waiting().await);
    // What goes elsewhere is not held up by them; and each of these is a round in which another invitation could have gone.
    let mut own = rail.broker.consume(&topology::tenant_queue(&acme), 16).await.unwrap();
    for _ in 0..3 {
        let other = moved(&acme, "a-2");
        rail.commit(vec![publishes(&other, None)]).await;
        assert_eq!(next(&mut own).await.id, other.id);
        assert_eq!(rail.waiting().await, AHEAD);
    }
    rail.ask(&acme, 1).await;
    let mut invites = rail.broker.consume(topology::INVITES, 4).await.unwrap();
    let mut tenants = Vec::new();
    for _ in 0..201 {
        tenants.push(next(&mut invites).await.tenant);
    }
    let passed = tenants.iter().position(|t| *t == acme).unwrap();
    assert!(passed <= 2 * AHEAD, "only what was ahead already went before it, not {passed}");
    assert_eq!(tenants.iter().filter(|t| **t == flood).count(), 200, "and the flood is served all the same");
    running.abort();
}

/// Takes its time.
struct Slow {
    broker: Arc<dyn Broker>,
    /// The routing key whose messages are neither taken nor answered.
    silent: Option<String>,
    /// Whether it says how many wait.
    tells: bool,
    /// Whether it confirms what it has taken.
    confirms: watch::Receiver<bool>,
}

#[async_trait]
impl Broker for Slow {
    async fn declare(&self, queue: QueueSpec) -> Result<(), BrokerError> {
        self.broker.declare(queue).await
    }

    async fn belongs_to(&self, store: &str) -> Result<(), BrokerError> {
        self.broker.belongs_to(store).await
    }

    async fn disown(&self) -> Result<(), BrokerError> {
        self.broker.disown().await
    }

    async fn takes(&self) -> Result<(), BrokerError> {
        self.broker.takes().await
    }

    fn when_missing(&self, hears: Arc<dyn Missing>) {
        self.broker.when_missing(hears);
    }

    async fn delete(&self, queue: &str) -> Result<(), BrokerError> {
        self.broker.delete(queue).await
    }

    async fn publish(&self, messages: Vec<Publication>) -> Vec<Result<(), PublishError>> {
        if messages.iter().any(|message| Some(&message.routing_key) == self.silent.as_ref()) {
            return std::future::pending().await;
        }
        let answers = self.broker.publish(messages).await;
        let _ = self.confirms.clone().wait_for(|confirms| *confirms).await;
        answers
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Consumption, BrokerError> {
        self.broker.consume(queue, prefetch).await
    }

    async fn queues(&self, names: &[String]) -> Result<Vec<QueueInfo>, BrokerError> {
        if self.tells { self.broker.queues(names).await } else { std::future::pending().await }
    }

    async fn lose(&self, cause: &str) {
        self.broker.lose(cause).await;
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.broker.health()
    }

    async fn close(&self, deadline: Duration) {
        self.broker.close(deadline).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_does_not_say_how_many_invitations_wait_holds_up_nothing_else() {
    let (rail, acme) = (Rail::start().await, tenant("acme"));
    rail.declare(&topology::tenant_queue(&acme), &topology::tenant_work_key(&acme)).await;
    let silent = Arc::new(Slow { broker: Arc::clone(&rail.broker), silent: None, tells: false, confirms: watch::channel(true).1 });
    let running = tokio::spawn(relay::run(Arc::clone(&rail.store) as _, silent, Arc::new(SystemClock), rail.stop.subscribe()));
    let mut own = rail.broker.consume(&topology::tenant_queue(&acme), 16).await.unwrap();
    rail.ask(&acme, 1).await;
    for _ in 0..3 {
        let other = moved(&acme, "a-2");
        rail.commit(vec![publishes(&other, None)]).await;
        assert_eq!(next(&mut own).await.id, other.id);
    }
    assert_eq!(rail.waiting().await, 0, "nobody knows whether there is room");
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_does_not_wait_until_what_went_before_is_confirmed() {
    let (rail, acme) = (Rail::start().await, tenant("acme"));
    rail.declare(&topology::tenant_queue(&acme), &topology::tenant_work_key(&acme)).await;
    let (confirm, confirms) = watch::channel(false);
    let slow = Arc::new(Slow { broker: Arc::clone(&rail.broker), silent: None, tells: true, confirms });
    let running = tokio::spawn(relay::run(Arc::clone(&rail.store) as _, slow, Arc::new(SystemClock), rail.stop.subscribe()));
    let mut own = rail.broker.consume(&topology::tenant_queue(&acme), 16).await.unwrap();
    for _ in 0..3 {
        let other = moved(&acme, "a-2");
        rail.commit(vec![publishes(&other, None)]).await;
        assert_eq!(next(&mut own).await.id, other.id);
    }
    rail.stop.send_replace(true);
    soon("the relay has heard that it is to stop", rail.stop.closed()).await;
    confirm.send_replace(true);
    soon("the end of the relay", running).await.unwrap();
    let left = rail.store.claim(now() + Duration::from_secs(3600), 10, 10, Duration::from_secs(60)).await.unwrap();
    assert!(left.is_empty(), "it waits for the broker's word and writes it down: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_told_to_stop_publishes_one_more_window_before_it_ends() {
    let (rail, acme) = (Rail::start().await, tenant("acme"));
    rail.declare(&topology::tenant_queue(&acme), &topology::tenant_work_key(&acme)).await;
    rail.commit((0..500).map(|_| publishes(&moved(&acme, "a-1"), None)).collect()).await;
    rail.stop.send_replace(true);
    let running = relay::run(Arc::clone(&rail.store) as _, Arc::clone(&rail.broker), Arc::new(SystemClock), rail.stop.subscribe());
    soon("the end of the relay", running).await;
    assert_eq!(rail.broker.queues(&[topology::tenant_queue(&acme)]).await.unwrap()[0].ready, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_never_confirms_slows_only_itself() {
    let (rail, dead, acme) = (Rail::start().await, tenant("dead"), tenant("acme"));
    rail.declare(&topology::tenant_queue(&acme), &topology::tenant_work_key(&acme)).await;
    let silent = Some(topology::tenant_work_key(&dead));
    let slow = Arc::new(Slow { broker: Arc::clone(&rail.broker), silent, tells: true, confirms: watch::channel(true).1 });
    let running = tokio::spawn(relay::run(Arc::clone(&rail.store) as _, slow, Arc::new(SystemClock), rail.stop.subscribe()));
    let mut own = rail.broker.consume(&topology::tenant_queue(&acme), 16).await.unwrap();
    // In every round something of the silent one as well, and more rounds than there are windows.
    for _ in 0..12 {
        let other = moved(&acme, "a-2");
        rail.commit(vec![publishes(&moved(&dead, "a-1"), None), publishes(&other, None)]).await;
        assert_eq!(next(&mut own).await.id, other.id);
    }
    // What was answered is written down, though what went with it was not.
    let written = until(async || {
        let later = now() + Duration::from_secs(3600);
        let left = rail.store.claim(later, 100, 100, Duration::from_millis(1)).await.unwrap();
        left.iter().all(|row| row.routing_key == topology::tenant_work_key(&dead)) && !left.is_empty()
    });
    assert!(written.await);
    running.abort();
}
