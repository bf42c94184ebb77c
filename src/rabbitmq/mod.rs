//! The broker on RabbitMQ. Its tasks run on the runtime they are given, never on the caller's: an arbiter that stands
//! still must not cost a heartbeat. lapin's own recovery stays off (it sleeps on its I/O thread and gives up).
//!
//! `keeper` keeps a `session` (the connections of one epoch) and puts the topology in place; `publisher` and every
//! `consumption` take the session of now. It does not decode bodies, retry publications, or settle anything by itself.
//!

mod consumption;
mod keeper;
mod options;
mod publisher;
mod refusal;
mod scratch;
mod session;
mod topology;
mod url;
mod window;
mod wire;

pub use options::{QueueType, RabbitOptions};
pub use url::clear_text;

use async_trait::async_trait;
use atshub_actors::ports::{Broker, BrokerError, BrokerHealth, Consumption, Missing, Publication, PublishError, QueueInfo, QueueSpec};
use futures_util::{StreamExt as _, stream};
use keeper::Shared;
use publisher::Publisher;
use scratch::Scratch;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::watch, time::timeout};

/// Channels on which queues are looked at at the same time.
const PROBING_AT_ONCE: usize = 16;

/// Carries messages on RabbitMQ.
pub struct RabbitBroker {
    io: Handle,
    shared: Arc<Shared>,
    publisher: Arc<Publisher>,
}

impl RabbitBroker {
    /// Connects, declares the fixed exchanges and queues, and keeps connected from then on. `io` runs all its tasks.
    ///
    /// # Errors
    /// [`BrokerError::Refused`] for an address, user, virtual host or permission that will not do, [`BrokerError::Away`] if
    /// nobody answers. With [`RabbitOptions::wait_for_broker`] off, only the address is judged.
    pub async fn connect(url: &str, io: Handle, options: RabbitOptions) -> Result<Self, BrokerError> {
        // The address may hold a password: it is never repeated.
        let mut uri = url::read(url).map_err(BrokerError::Refused)?;
        let heartbeat = u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(heartbeat);
        let wait = options.wait_for_broker;
        let shared = Arc::new(Shared::new(uri, options));
        let begun = {
            let shared = Arc::clone(&shared);
            io.spawn(async move {
                let first = if wait { Some(keeper::establish(&shared, 1).await?) } else { None };
                if let Some(session) = &first {
                    keeper::announce(&shared, session);
                }
                let publisher = Arc::new(Publisher::start(&shared));
                tokio::spawn(keeper::run(shared, first));
                Ok(publisher)
            })
        };
        let publisher = begun.await.unwrap_or_else(|cause| Err(BrokerError::Away(cause.to_string())))?;
        Ok(Self { io, shared, publisher })
    }

    /// Runs `work` on the adapter's own runtime.
    async fn on_io<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, BrokerError>> + Send + 'static,
    ) -> Result<T, BrokerError> {
        self.io.spawn(work).await.unwrap_or_else(|cause| Err(BrokerError::Away(cause.to_string())))
    }
}

impl Drop for RabbitBroker {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

#[async_trait]
impl Broker for RabbitBroker {
    async fn declare(&self, queue: QueueSpec) -> Result<(), BrokerError> {
        let shared = Arc::clone(&self.shared);
        self.on_io(async move {
            let before = shared.keep(&queue);
            let session = shared.session()?;
            let declared = Scratch::new(&session).declare(&queue).await;
            if matches!(declared, Err(BrokerError::Refused(_))) {
                shared.put_back(&queue.name, before);
            }
            declared
        })
        .await
    }

    async fn belongs_to(&self, store: &str) -> Result<(), BrokerError> {
        let (shared, store) = (Arc::clone(&self.shared), store.to_owned());
        self.on_io(async move {
            shared.owned_by(store.clone());
            let session = shared.session()?;
            Scratch::new(&session).belongs_to(&store).await
        })
        .await
    }

    async fn disown(&self) -> Result<(), BrokerError> {
        let shared = Arc::clone(&self.shared);
        self.on_io(async move {
            let session = shared.session()?;
            Scratch::new(&session).disown().await
        })
        .await
    }

    async fn takes(&self) -> Result<(), BrokerError> {
        if let Some(reason) = self.shared.session()?.blocked() {
            return Err(BrokerError::Away(format!("it takes no publications for now: {reason}")));
        }
        match self.publish(vec![Publication::probe()]).await.pop() {
            Some(Err(PublishError::Away(cause))) => Err(BrokerError::Away(cause)),
            Some(Err(PublishError::Refused(cause))) => Err(BrokerError::Refused(cause)),
            Some(Ok(()) | Err(PublishError::Unroutable { .. })) | None => Ok(()),
        }
    }

    fn when_missing(&self, hears: Arc<dyn Missing>) {
        // A second one would be a mistake of this program; the first stays.
        let _ = self.shared.missing.set(hears);
    }

    async fn delete(&self, queue: &str) -> Result<(), BrokerError> {
        let (shared, queue) = (Arc::clone(&self.shared), queue.to_owned());
        self.on_io(async move {
            let session = shared.session()?;
            // Forgotten first: its consumptions must not declare it again.
            let before = shared.kept(&queue);
            shared.put_back(&queue, None);
            let deleted = Scratch::new(&session).delete(&queue).await;
            if deleted.is_err() {
                shared.put_back(&queue, before);
            }
            deleted
        })
        .await
    }

    async fn publish(&self, messages: Vec<Publication>) -> Vec<Result<(), PublishError>> {
        let count = messages.len();
        if *self.shared.closing.borrow() {
            return vec![Err(PublishError::Away("closed".to_owned())); count];
        }
        let unanswered = Unanswered::one(&self.shared);
        // Here and not in a task: the order of the calls is the order of the messages.
        let handed_in = self.publisher.hand_in(messages).await;
        let answers = self.io.spawn(async move {
            let answers = handed_in.answered().await;
            drop(unanswered);
            answers
        });
        answers.await.unwrap_or_else(|cause| vec![Err(PublishError::Away(cause.to_string())); count])
    }

    async fn consume(&self, queue: &str, prefetch: u16) -> Result<Consumption, BrokerError> {
        self.on_io(consumption::begin(Arc::clone(&self.shared), queue.to_owned(), prefetch)).await
    }

    async fn queues(&self, names: &[String]) -> Result<Vec<QueueInfo>, BrokerError> {
        let (shared, names) = (Arc::clone(&self.shared), names.to_vec());
        self.on_io(async move {
            let session = shared.session()?;
            let share = names.len().div_ceil(PROBING_AT_ONCE).max(1);
            let shares: Vec<Vec<String>> = names.chunks(share).map(<[String]>::to_vec).collect();
            let found: Vec<_> = stream::iter(shares).map(|share| probe(&session, share)).buffered(PROBING_AT_ONCE).collect().await;
            let found: Result<Vec<_>, _> = found.into_iter().collect();
            found.map(|found| found.into_iter().flatten().collect())
        })
        .await
    }

    async fn lose(&self, cause: &str) {
        // Without a session there is nothing to lose.
        if let Ok(session) = self.shared.session() {
            session.fail(cause);
        }
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.shared.health.subscribe()
    }

    async fn close(&self, deadline: Duration) {
        let shared = Arc::clone(&self.shared);
        let closing = self.io.spawn(async move {
            let quiet = async {
                let mut unanswered = shared.unanswered.subscribe();
                let _ = unanswered.wait_for(|unanswered| *unanswered == 0).await;
                shared.closing.send_replace(true);
                let mut consumptions = shared.consumptions.subscribe();
                let _ = consumptions.wait_for(|running| *running == 0).await;
            };
            // Past the deadline everything ends as it stands: what has no answer will come again.
            let _ = timeout(deadline, quiet).await;
            shared.closing.send_replace(true);
            shared.health.send_replace(BrokerHealth::Down { cause: "closed".to_owned() });
            if let Some(session) = shared.session.send_replace(None) {
                session.close().await;
            }
        });
        // A runtime that is gone has nothing left to close.
        let _ = closing.await;
    }
}

/// A publication that has no answer yet, for as long as this is kept. Closing waits for it.
struct Unanswered(Arc<Shared>);

impl Unanswered {
    fn one(shared: &Arc<Shared>) -> Self {
        shared.unanswered.send_modify(|unanswered| *unanswered += 1);
        Self(Arc::clone(shared))
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.0.unanswered.send_modify(|unanswered| *unanswered -= 1);
    }
}

/// Looks at some queues one after another.
async fn probe(session: &session::Session, names: Vec<String>) -> Result<Vec<QueueInfo>, BrokerError> {
    let mut scratch = Scratch::new(session);
    let mut found = Vec::new();
    for name in names {
        found.extend(scratch.probe(&name).await?);
    }
    Ok(found)
}
