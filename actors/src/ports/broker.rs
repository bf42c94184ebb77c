//! The broker: queues that deliver at least once, one message at a time, until it is acknowledged.
//!
//! Contract, held by `tests/integration/broker_conformance`:
//! - `publish` answers per message, in order, and says `Ok` only when the broker has the message on durable storage in at
//!   least one queue. A message that no queue takes is [`PublishError::Unroutable`] (AMQP `mandatory`), unless its
//!   exchange has an alternate exchange, which counts as a queue.
//! - Messages for one tenant on one exchange reach a queue in the order in which `publish` was first polled for them, whether or
//!   not the earlier ones have been answered; but for those that are refused. The tenant is the first word of the routing key on
//!   a topic exchange, and all of the key on others.
//! - A delivery that is neither acknowledged nor given up stays with its consumer. When the consumption ends (dropped,
//!   closed, process killed) it goes back to the front of its queue and is delivered again with `redelivered` set and a
//!   higher `delivery_count`; past the queue's delivery limit it goes to the dead-letter exchange.
//! - At most `prefetch` deliveries of one consumption are unacknowledged at any time.
//! - A queue with `single_consumer` delivers to one consumption at a time; when that ends, to the next.
//! - A queue that `expires` is removed, with what is in it, once nobody has consumed from it for so long; until then it
//!   takes messages. Nothing of it is dead-lettered: what nobody wanted in time is of no use later.
//! - A queue that is not there is made by `declare`, after a reconnect, or when it was deleted meanwhile; before it is made, what was
//!   set with `when_missing` is told its name, every time, and if that fails the queue is not made yet.
//! - It belongs to one store: the first that is named. To another it is refused, until it is disowned.
//! - When the broker goes away and comes back, consumptions go on by themselves with new deliveries; acknowledging an
//!   old one answers [`AckError::Stale`]. One whose acknowledgement was on its way when the connection ended answers
//!   [`AckError::Unsure`], and is delivered again only if the broker had not taken it.

use async_trait::async_trait;
use atshub_schemas::topology;
use bytes::Bytes;
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::{mpsc, watch};

/// A message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Exchange, one of `atshub_schemas::topology`.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// AMQP `message_id`.
    pub message_id: String,
    /// AMQP `content_type`.
    pub content_type: String,
    /// String headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Publication {
    /// A message that no queue takes: that it is answered at all says that the broker takes messages.
    #[must_use]
    pub fn probe() -> Self {
        Self {
            exchange: topology::WORK.to_owned(),
            routing_key: "nobody".to_owned(),
            message_id: "probe".to_owned(),
            content_type: "text/plain".to_owned(),
            headers: BTreeMap::new(),
            body: Bytes::new(),
        }
    }
}

/// Why one message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue is bound for its routing key. Publishing it again will not help until one is.
    #[error("no queue takes `{routing_key}` on `{exchange}`")]
    Unroutable {
        /// The exchange it was published to.
        exchange: String,
        /// Its routing key.
        routing_key: String,
    },
    /// The broker refused it (queue full, `basic.nack`).
    #[error("the broker refused the message: {0}")]
    Refused(String),
    /// No answer, or no connection: it may or may not be there. Publish it again.
    #[error("the broker is away: {0}")]
    Away(String),
}

/// A queue that the hub declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: String,
    /// Deliver to one consumption at a time.
    pub single_consumer: bool,
    /// Exchange and routing key of each binding.
    pub bindings: Vec<(String, String)>,
    /// The queue goes by itself, with everything in it, once nobody has consumed from it for so long. `None`: it stays.
    pub expires: Option<Duration>,
}

/// One hand-over of one message.
#[derive(Debug)]
pub struct Delivery {
    /// Queue it came from.
    pub queue: String,
    /// Exchange it was published to.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// AMQP `message_id`, if it has one.
    pub message_id: Option<String>,
    /// String headers.
    pub headers: BTreeMap<String, String>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// What the body was, where only its beginning was kept because it is larger than the hub takes.
    pub cut: Option<Cut>,
    /// True if it was handed over before.
    pub redelivered: bool,
    /// Times it was handed over before (0 at first; a lower bound where the broker does not count).
    pub delivery_count: u32,
    /// Ends the delivery. Dropping it does nothing: the message stays with the consumption.
    pub ack: Box<dyn Ack>,
}

/// A body of which only the beginning is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// How many bytes it had.
    pub size: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Ends one delivery.
#[async_trait]
pub trait Ack: Send + Sync + std::fmt::Debug {
    /// Done: the broker may forget the message.
    ///
    /// `Ok` says that the broker was told, not that it heard: AMQP answers no acknowledgement. A connection that ends right
    /// afterwards may bring the message again.
    ///
    /// # Errors
    /// [`AckError::Stale`] if the connection it came by is gone and the broker was not told: the message will come again.
    /// [`AckError::Unsure`] if it may have been told: the message comes again or it does not.
    async fn ack(self: Box<Self>) -> Result<(), AckError>;
}

/// Why an acknowledgement did not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AckError {
    /// Its connection is gone, and the broker was not told; the message will be delivered again.
    #[error("the delivery belongs to a connection that is gone")]
    Stale,
    /// The broker may or may not have taken it: the connection ended while it was on its way, or it could not be sent in time.
    #[error("the broker may not have taken the acknowledgement: {0}")]
    Unsure(String),
}

/// A running consumption of one queue. Dropping it ends it; unacknowledged deliveries go back to the queue.
#[derive(Debug)]
pub struct Consumption {
    /// The deliveries. Closed only when the consumption is over for good.
    pub deliveries: mpsc::Receiver<Delivery>,
    /// Kept alive as long as deliveries are wanted; its `Drop` ends the consumption.
    pub guard: Box<dyn std::any::Any + Send + Sync>,
}

/// How the broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerHealth {
    /// Connected, topology in place. The number rises with every connection.
    Up {
        /// Which connection this is, from 1.
        epoch: u64,
    },
    /// Away; being sought.
    Down {
        /// What the last attempt said.
        cause: String,
    },
}

/// What can be said of a queue.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct QueueInfo {
    /// Its name.
    pub name: String,
    /// Messages waiting to be delivered.
    pub ready: u64,
    /// Messages delivered and not acknowledged, where the broker says.
    pub unacked: Option<u64>,
    /// Consumers.
    pub consumers: u32,
}

/// Why the broker could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// Not reachable.
    #[error("the broker is away: {0}")]
    Away(String),
    /// It said no: a queue exists with other arguments, a permission is missing.
    #[error("the broker refused: {0}")]
    Refused(String),
}

/// Hears of queues that are not there, before they are made: what was in them is gone.
#[async_trait]
pub trait Missing: Send + Sync + 'static {
    /// Told again until it has answered well once; the queue is made only then, so that nothing is forgotten if the process ends
    /// in between.
    ///
    /// # Errors
    /// Why nothing could be done about it now.
    async fn missing(&self, queue: &str) -> Result<(), String>;
}

/// Carries messages.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Declares a queue and its bindings; the same again is no error. Kept, and declared anew after every reconnect.
    async fn declare(&self, queue: QueueSpec) -> Result<(), BrokerError>;

    /// Says which store ([`Store::identity`](super::Store::identity)) this process works on: the first to say so makes the broker that
    /// store's. Kept, and said anew after every reconnect.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if it is another store's: two hubs that share the queues and not the store would each take half of the
    /// messages, for tenants that the other one knows.
    async fn belongs_to(&self, store: &str) -> Result<(), BrokerError>;

    /// Makes the broker nobody's, for the next to say whose it is.
    async fn disown(&self) -> Result<(), BrokerError>;

    /// Answers if a publication would be taken now: a broker that is there and out of memory or disk takes none.
    ///
    /// # Errors
    /// Why not.
    async fn takes(&self) -> Result<(), BrokerError>;

    /// Sets who hears of queues that are not there. Once, before the first queue is declared.
    fn when_missing(&self, hears: std::sync::Arc<dyn Missing>);

    /// Removes a queue with everything in it; one that is not there is no error.
    async fn delete(&self, queue: &str) -> Result<(), BrokerError>;

    /// Publishes a window of messages and waits for every answer. Answers stand in the order of `messages`.
    async fn publish(&self, messages: Vec<Publication>) -> Vec<Result<(), PublishError>>;

    /// Begins to consume a declared queue.
    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Consumption, BrokerError>;

    /// What can be said of these queues; one that does not exist is left out.
    async fn queues(&self, names: &[String]) -> Result<Vec<QueueInfo>, BrokerError>;

    /// Loses the connection on purpose, as a real loss does: consumptions go on by themselves with new deliveries, and
    /// acknowledgements of old ones answer [`AckError::Stale`]. For drills.
    async fn lose(&self, cause: &str);

    /// How the broker is, now and from now on.
    fn health(&self) -> watch::Receiver<BrokerHealth>;

    /// Ends all consumptions and closes, after outstanding answers or the deadline.
    async fn close(&self, deadline: Duration);
}
