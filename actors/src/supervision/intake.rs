//! Where deliveries come from, decoded. The rail implements it over the broker; tests over a list.

use crate::ports::{Ack, BrokerError, QueueSpec};
use async_trait::async_trait;
use atshub_schemas::Envelope;
use std::{any::Any, sync::Arc};
use tokio::sync::mpsc;

/// One decoded delivery.
#[derive(Debug)]
pub struct Work {
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Queue it came from.
    pub queue: String,
    /// Ends the delivery.
    pub ack: Box<dyn Ack>,
}

/// A running intake. Dropping it gives back what was not acknowledged.
#[derive(Debug)]
pub struct Works {
    /// The deliveries, in the queue's order.
    pub works: mpsc::Receiver<Work>,
    /// Its drop ends the intake.
    pub guard: Box<dyn Any + Send + Sync>,
}

/// Opens intakes.
#[async_trait]
pub trait Intake: Send + Sync + 'static {
    /// Declares the queue and begins to take from it, at most `prefetch` unacknowledged at a time.
    async fn open(&self, queue: QueueSpec, prefetch: u16) -> Result<Works, BrokerError>;
}
