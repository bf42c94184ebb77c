//! The broker on SQLite: queues in one file that survive kill -9, with the semantics of the RabbitMQ topology (matching,
//! alternate exchange, prefetch, redelivery at the front, delivery limit, single consumer, `mandatory`).
//!
//! `engine` is the one thread that owns the file, `work` what it does for each request; `table` holds the statements, `routing`
//! the matching, `consumers` who has what in hand, `passing` the queues that go by themselves, `role` which process may consume. A second process may open the same folder and publish, declare or count;
//! what it wrote is noticed within a quarter of a second. No replication, no network.

mod consumers;
mod engine;
mod passing;
mod request;
mod role;
mod routing;
mod table;
mod work;

use super::{backup::BROKER, damage::told};
use async_trait::async_trait;
use atshub_actors::ports::{Broker, BrokerError, BrokerHealth, Consumption, Missing, Publication, PublishError, QueueInfo, QueueSpec};
use engine::Engine;
use request::{ConsumeError, Request};
use role::Role;
use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        mpsc::{Sender, channel},
    },
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::{sleep, timeout},
};

/// Publications that wait for the thread.
const WAITING: usize = 1_024;
/// How often, and how far apart, a consumption asks for the role: a process that only looks holds it for a moment.
const ROLE_TRIES: u32 = 20;
const ROLE_PAUSE: Duration = Duration::from_millis(100);

/// Carries messages in one SQLite file.
pub struct EmbeddedBroker {
    requests: Sender<Request>,
    waiting: Arc<Semaphore>,
    health: watch::Sender<BrokerHealth>,
    missing: OnceLock<Arc<dyn Missing>>,
}

impl EmbeddedBroker {
    /// Opens `broker.db` in a folder, making both if need be. What a process that died had in hand waits again.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if the folder or the file cannot be used.
    pub fn open(folder: &Path) -> Result<Self, BrokerError> {
        let refused = |cause: String| BrokerError::Refused(format!("open the embedded broker in `{}`: {cause}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|cause| refused(cause.to_string()))?;
        Self::start(Some(folder)).map_err(refused)
    }

    /// A broker that forgets everything when it is dropped.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] if it cannot be made.
    pub fn open_in_memory() -> Result<Self, BrokerError> {
        Self::start(None).map_err(|cause| BrokerError::Refused(format!("open the embedded broker in memory: {cause}")))
    }

    fn start(folder: Option<&Path>) -> Result<Self, String> {
        let file = folder.map(|folder| folder.join(BROKER));
        let connection = table::open(file.as_deref()).map_err(|cause| told(&cause))?;
        let (requests, received) = channel();
        let health = watch::Sender::new(BrokerHealth::Up { epoch: 1 });
        let engine = Engine::new(connection, Role::of(folder), health.clone(), requests.clone()).map_err(|cause| cause.to_string())?;
        let thread = std::thread::Builder::new().name("atshub-broker".to_owned());
        thread.spawn(move || engine.run(&received)).map_err(|cause| cause.to_string())?;
        Ok(Self { requests, waiting: Arc::new(Semaphore::new(WAITING)), health, missing: OnceLock::new() })
    }

    fn cause(&self) -> String {
        match &*self.health.borrow() {
            BrokerHealth::Down { cause } => cause.clone(),
            BrokerHealth::Up { .. } => "closed".to_owned(),
        }
    }

    /// Asks the thread and waits for its answer.
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, BrokerError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).map_err(|_| BrokerError::Away("closed".to_owned()))?;
        answered.await.map_err(|_| BrokerError::Away(self.cause()))
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // A thread that is gone is closed already.
        let _ = self.requests.send(Request::Close(None));
    }
}

/// Ends its consumption when dropped.
struct Guard {
    id: u64,
    requests: Sender<Request>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.requests.send(Request::End(self.id));
    }
}

#[async_trait]
impl Broker for EmbeddedBroker {
    async fn declare(&self, queue: QueueSpec) -> Result<(), BrokerError> {
        if let Some(hears) = self.missing.get().filter(|_| queue.expires.is_none())
            && self.queues(std::slice::from_ref(&queue.name)).await?.is_empty()
        {
            let what = format!("declare queue `{}`: it is not there, and", queue.name);
            hears.missing(&queue.name).await.map_err(|cause| BrokerError::Away(format!("{what} {cause}")))?;
        }
        self.ask(|answer| Request::Declare(queue, answer)).await?
    }

    async fn belongs_to(&self, store: &str) -> Result<(), BrokerError> {
        self.ask(|answer| Request::Belongs(store.to_owned(), answer)).await?
    }

    async fn disown(&self) -> Result<(), BrokerError> {
        self.ask(Request::Disown).await
    }

    async fn takes(&self) -> Result<(), BrokerError> {
        self.ask(Request::Write).await
    }

    fn when_missing(&self, hears: Arc<dyn Missing>) {
        // A second one would be a mistake of this program; the first stays.
        let _ = self.missing.set(hears);
    }

    async fn delete(&self, queue: &str) -> Result<(), BrokerError> {
        self.ask(|answer| Request::Delete(queue.to_owned(), answer)).await?
    }

    async fn publish(&self, messages: Vec<Publication>) -> Vec<Result<(), PublishError>> {
        let count = messages.len();
        let Ok(permit) = Arc::clone(&self.waiting).acquire_owned().await else {
            return vec![Err(PublishError::Away("closed".to_owned())); count];
        };
        let answers = self.ask(|answer| Request::Publish(messages, answer, permit)).await;
        answers.unwrap_or_else(|cause| vec![Err(PublishError::Away(cause.to_string())); count])
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Consumption, BrokerError> {
        let prefetch = usize::from(prefetch.max(1));
        for _ in 0..ROLE_TRIES {
            let (deliveries, received) = mpsc::channel(prefetch);
            let begun = self.ask(|answer| Request::Consume { queue: queue.to_owned(), prefetch, deliveries, answer }).await?;
            match begun {
                Ok(id) => {
                    let guard = Guard { id, requests: self.requests.clone() };
                    return Ok(Consumption { deliveries: received, guard: Box::new(guard) });
                }
                Err(ConsumeError::Refused(cause)) => return Err(BrokerError::Refused(cause)),
                Err(ConsumeError::Taken) => sleep(ROLE_PAUSE).await,
            }
        }
        Err(BrokerError::Refused("another process consumes from this folder; one hub runs on an embedded broker".to_owned()))
    }

    async fn queues(&self, names: &[String]) -> Result<Vec<QueueInfo>, BrokerError> {
        self.ask(|answer| Request::Queues(names.to_vec(), answer)).await
    }

    async fn lose(&self, cause: &str) {
        // A thread that is gone has nothing left to lose.
        let _ = self.ask(|answer| Request::Lose(cause.to_owned(), answer)).await;
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.health.subscribe()
    }

    async fn close(&self, deadline: Duration) {
        // What was asked before is answered before: the thread takes requests in order.
        let _ = timeout(deadline, self.ask(|answer| Request::Close(Some(answer)))).await;
    }
}
