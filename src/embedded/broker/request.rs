//! What is asked of the engine's thread, and by whom it is answered. No work is done here.

use atshub_actors::ports::{Ack, AckError, BrokerError, Delivery, Publication, PublishError, QueueInfo, QueueSpec};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
    mpsc::Sender,
};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// What can be asked of the thread. A dropped answer means that the transaction failed; `health` says why.
pub(super) enum Request {
    Declare(QueueSpec, oneshot::Sender<Result<(), BrokerError>>),
    /// The store that is to be the broker's.
    Belongs(String, oneshot::Sender<Result<(), BrokerError>>),
    Disown(oneshot::Sender<()>),
    /// A write that changes nothing.
    Write(oneshot::Sender<()>),
    Delete(String, oneshot::Sender<Result<(), BrokerError>>),
    Publish(Vec<Publication>, oneshot::Sender<Vec<Result<(), PublishError>>>, OwnedSemaphorePermit),
    Consume {
        queue: String,
        prefetch: usize,
        deliveries: mpsc::Sender<Delivery>,
        answer: oneshot::Sender<Result<u64, ConsumeError>>,
    },
    Ack {
        consumption: u64,
        seq: i64,
        epoch: u64,
        answer: oneshot::Sender<Result<(), AckError>>,
    },
    End(u64),
    Queues(Vec<String>, oneshot::Sender<Vec<QueueInfo>>),
    Lose(String, oneshot::Sender<()>),
    Close(Option<oneshot::Sender<()>>),
}

/// Why a consumption did not begin.
pub(super) enum ConsumeError {
    /// Another process consumes from this folder, for now.
    Taken,
    /// For good.
    Refused(String),
}

/// The port's token.
#[derive(Debug)]
pub(super) struct EmbeddedAck {
    pub(super) consumption: u64,
    pub(super) seq: i64,
    pub(super) epoch: u64,
    pub(super) engine: Sender<Request>,
    pub(super) closed: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Ack for EmbeddedAck {
    async fn ack(self: Box<Self>) -> Result<(), AckError> {
        let (answer, answered) = oneshot::channel();
        let Self { consumption, seq, epoch, engine, closed } = *self;
        engine.send(Request::Ack { consumption, seq, epoch, answer }).map_err(|_| AckError::Stale)?;
        answered.await.unwrap_or_else(|_| {
            // Asked while the thread was ending: its consumption had ended before.
            let over = closed.load(Ordering::Acquire);
            Err(if over { AckError::Stale } else { AckError::Unsure("the file could not be written".to_owned()) })
        })
    }
}
