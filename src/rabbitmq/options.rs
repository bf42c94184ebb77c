//! The settings of the RabbitMQ adapter, with defaults that suit production. Where they come from is the configuration's business.

use crate::tls::Tls;
use std::time::Duration;

/// Kind of the queues that the adapter declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueType {
    /// Replicated, counts deliveries, dead-letters at least once. Three file handles of the broker each.
    #[default]
    Quorum,
    /// On one node, no delivery limit: a message that kills its consumer comes back for ever.
    Classic,
}

/// How [`super::RabbitBroker`] behaves.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// Kind of the queues it declares.
    pub queue_type: QueueType,
    /// Name of its connections in the broker's own lists.
    pub connection_name: String,
    /// Longest wait for a confirm, an acknowledgement or any other answer; a connection that takes longer is given up.
    pub answer_limit: Duration,
    /// Longest wait for one attempt to connect. A broker out of file handles accepts a connection and never serves it.
    pub connect_limit: Duration,
    /// Heartbeat asked for, unless the address names one. Whole seconds count. Each side sends after half of it; the broker takes
    /// a silent connection for dead, and gives its messages and its place at a queue to the next, two to three of it after the
    /// last byte: 1.5 to 3 of it after a process stopped. That is how long a process that hangs holds its tenants.
    pub heartbeat: Duration,
    /// Ceiling of the back-off between attempts to connect.
    pub longest_pause: Duration,
    /// A consumption that hears nothing for this long, with room for more and messages waiting, is opened anew.
    pub deaf_after: Duration,
    /// Channels on one connection before another is opened; the broker's own limit is 2,047.
    pub channels_per_connection: u16,
    /// False: it only looks. Nothing is made on the broker by connecting, nor put right later.
    pub puts_topology: bool,
    /// False: `connect` returns at once and the broker is sought in the background.
    pub wait_for_broker: bool,
    /// What TLS connections stand on.
    pub tls: Tls,
}

impl Default for RabbitOptions {
    fn default() -> Self {
        Self {
            queue_type: QueueType::Quorum,
            connection_name: "atshub".to_owned(),
            answer_limit: Duration::from_secs(10),
            connect_limit: Duration::from_secs(10),
            heartbeat: Duration::from_secs(6),
            longest_pause: Duration::from_secs(10),
            deaf_after: Duration::from_secs(60),
            channels_per_connection: 1_900,
            puts_topology: true,
            wait_for_broker: true,
            tls: Tls::default(),
        }
    }
}
