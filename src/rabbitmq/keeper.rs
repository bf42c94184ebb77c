//! Keeps a session: connects, puts our topology in place, waits for the loss, and begins again, for ever, with jittered
//! back-off, each time under a new epoch. It does not consume or publish.

use super::{options::RabbitOptions, scratch::Scratch, session::Session};
use atshub_actors::ports::{BrokerError, BrokerHealth, Missing, QueueSpec};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lapin::uri::AMQPUri;
use rand::RngExt as _;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tracing::{debug, error, info, warn};

/// First pause after a loss; doubles from there.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// What lived this long starts with the shortest pause again after its next loss.
pub(super) const SOUND_AFTER: Duration = Duration::from_secs(10);
/// How often the connections are looked at, for a death without an event.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Channels on which queues are declared anew at the same time.
const DECLARING_AT_ONCE: usize = 8;

/// How often exchanges are looked at, and some of the queues, while nothing has failed: what was deleted may fail nobody.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Queues declared again at each look, one share after another.
const QUEUES_PER_LOOK: usize = 32;
/// Shortest time between two times of putting everything in place.
const MEND_PAUSE: Duration = Duration::from_secs(1);

/// What the tasks of one broker share.
pub(super) struct Shared {
    pub(super) options: Arc<RabbitOptions>,
    pub(super) uri: AMQPUri,
    pub(super) health: watch::Sender<BrokerHealth>,
    pub(super) session: watch::Sender<Option<Arc<Session>>>,
    pub(super) closing: watch::Sender<bool>,
    /// Consumptions that have not ended.
    pub(super) consumptions: watch::Sender<usize>,
    /// Publications that have no answer yet.
    pub(super) unanswered: watch::Sender<usize>,
    /// The last attempt to connect had no answer (see [`Session::dial`]).
    suspect: Arc<AtomicBool>,
    /// Rung when something that should be there was not.
    pub(super) mend: Notify,
    /// Which store the broker is to belong to, once that was said.
    owner: OnceLock<String>,
    /// Who hears of queues before they are made.
    pub(super) missing: Arc<OnceLock<Arc<dyn Missing>>>,
    registry: Mutex<BTreeMap<String, QueueSpec>>,
}

impl Shared {
    pub(super) fn new(uri: AMQPUri, options: RabbitOptions) -> Self {
        Self {
            options: Arc::new(options),
            uri,
            health: watch::Sender::new(BrokerHealth::Down { cause: "not connected yet".to_owned() }),
            session: watch::Sender::new(None),
            closing: watch::Sender::new(false),
            consumptions: watch::Sender::new(0),
            unanswered: watch::Sender::new(0),
            suspect: Arc::default(),
            mend: Notify::new(),
            owner: OnceLock::new(),
            missing: Arc::default(),
            registry: Mutex::default(),
        }
    }

    /// The session of now.
    pub(super) fn session(&self) -> Result<Arc<Session>, BrokerError> {
        if let Some(session) = &*self.session.borrow() {
            return Ok(Arc::clone(session));
        }
        match &*self.health.borrow() {
            BrokerHealth::Down { cause } => Err(BrokerError::Away(cause.clone())),
            BrokerHealth::Up { .. } => Err(BrokerError::Away("connecting".to_owned())),
        }
    }

    /// Keeps a queue to be declared after every reconnect, with all bindings ever asked for (bindings are only added).
    /// Returns what was kept before.
    pub(super) fn keep(&self, spec: &QueueSpec) -> Option<QueueSpec> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let before = registry.get(&spec.name).cloned();
        let mut merged = spec.clone();
        for binding in before.iter().flat_map(|before| &before.bindings) {
            if !merged.bindings.contains(binding) {
                merged.bindings.push(binding.clone());
            }
        }
        registry.insert(spec.name.clone(), merged);
        before
    }

    /// Puts back what [`Self::keep`] returned, or forgets the queue.
    pub(super) fn put_back(&self, queue: &str, before: Option<QueueSpec>) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match before {
            Some(before) => registry.insert(queue.to_owned(), before),
            None => registry.remove(queue),
        };
    }

    /// Keeps which store the broker is to belong to, for every session to come.
    pub(super) fn owned_by(&self, store: String) {
        // A second one would be a mistake of this program; the first stays.
        let _ = self.owner.set(store);
    }

    /// The queue as it was declared.
    pub(super) fn kept(&self, queue: &str) -> Option<QueueSpec> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    fn all_kept(&self) -> Vec<QueueSpec> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// Connects and puts the topology in place.
pub(super) async fn establish(shared: &Shared, epoch: u64) -> Result<Arc<Session>, BrokerError> {
    let (options, missing) = (Arc::clone(&shared.options), Arc::clone(&shared.missing));
    let session = Session::dial(shared.uri.clone(), options, missing, Arc::clone(&shared.suspect), epoch).await?;
    if let Some(store) = shared.owner.get() {
        Scratch::new(&session).belongs_to(store).await?;
    }
    if shared.options.puts_topology {
        Scratch::new(&session).declare_fixed().await?;
    }
    declare_all(&session, &shared.all_kept()).await?;
    Ok(session)
}

async fn declare_all(session: &Session, queues: &[QueueSpec]) -> Result<(), BrokerError> {
    let share = queues.len().div_ceil(DECLARING_AT_ONCE).max(1);
    let shares: Vec<Vec<QueueSpec>> = queues.chunks(share).map(<[QueueSpec]>::to_vec).collect();
    stream::iter(shares).map(|share| declare_again(session, share)).buffer_unordered(DECLARING_AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Puts right what is deleted while the session lasts: everything when something was missed, else by looking.
async fn tend(shared: &Shared, session: &Session) {
    if !shared.options.puts_topology {
        return std::future::pending().await;
    }
    let mut seen = String::new();
    loop {
        let missed = tokio::select! {
            () = shared.mend.notified() => true,
            () = sleep(LOOK_EVERY) => false,
        };
        let all = shared.all_kept();
        if let Some(store) = shared.owner.get()
            && let Err(BrokerError::Refused(cause)) = Scratch::new(session).belongs_to(store).await
        {
            // An operator gave the broker to another store: this process takes and publishes nothing there any more.
            session.fail(&cause);
            return std::future::pending().await;
        }
        let put = async {
            let made = Scratch::new(session).declare_fixed().await?;
            if made {
                warn!("an exchange was gone; it is there again, with its bindings");
            }
            let some: Vec<QueueSpec> = if made || missed {
                all
            } else {
                let rest = all.iter().filter(|spec| spec.name > seen).take(QUEUES_PER_LOOK).cloned().collect::<Vec<_>>();
                seen = rest.last().filter(|_| rest.len() == QUEUES_PER_LOOK).map(|spec| spec.name.clone()).unwrap_or_default();
                rest
            };
            declare_all(session, &some).await
        };
        let put: Result<(), BrokerError> = put.await;
        if let Err(cause) = put {
            debug!(%cause, "what was deleted could not be put in place yet");
        }
        if missed {
            sleep(MEND_PAUSE).await;
        }
    }
}

/// A refused queue is reported and passed over: it must not keep the others away.
async fn declare_again(session: &Session, queues: Vec<QueueSpec>) -> Result<(), BrokerError> {
    let mut scratch = Scratch::new(session);
    for spec in queues {
        match scratch.declare(&spec).await {
            Err(BrokerError::Refused(cause)) => error!(queue = spec.name, cause, "the broker refused a queue after a reconnect"),
            other => other?,
        }
    }
    Ok(())
}

/// Makes a session known.
pub(super) fn announce(shared: &Shared, session: &Arc<Session>) {
    shared.session.send_replace(Some(Arc::clone(session)));
    shared.health.send_replace(BrokerHealth::Up { epoch: session.epoch });
    info!(epoch = session.epoch, "connected to the broker");
}

/// Runs until closing. `current` is the first session, if there is one already.
pub(super) async fn run(shared: Arc<Shared>, mut current: Option<Arc<Session>>) {
    let mut closing = shared.closing.subscribe();
    let mut epoch = current.as_ref().map_or(0, |session| session.epoch);
    let mut pause = SHORTEST_PAUSE;
    loop {
        if let Some(session) = current.take() {
            let since = Instant::now();
            let cause = tokio::select! {
                cause = end_of(&session) => Some(cause),
                () = tend(&shared, &session) => None,
                () = closed(&mut closing) => None,
            };
            let Some(cause) = cause else { return };
            warn!(epoch = session.epoch, cause, "lost the broker; seeking it");
            shared.health.send_replace(BrokerHealth::Down { cause });
            shared.session.send_replace(None);
            // Not waited for: a peer that is gone answers no goodbye.
            tokio::spawn(async move { session.close().await });
            if since.elapsed() >= SOUND_AFTER {
                pause = SHORTEST_PAUSE;
            }
        }
        let pausing = jittered(pause);
        pause = (pause * 2).min(shared.options.longest_pause);
        tokio::select! {
            () = sleep(pausing) => {}
            () = closed(&mut closing) => return,
        }
        let attempt = tokio::select! {
            attempt = establish(&shared, epoch + 1) => attempt,
            () = closed(&mut closing) => return,
        };
        match attempt {
            Ok(session) => {
                epoch += 1;
                announce(&shared, &session);
                current = Some(session);
            }
            Err(cause) => {
                let cause = cause.to_string();
                warn!(cause, "the broker is still away");
                shared.health.send_replace(BrokerHealth::Down { cause });
            }
        }
    }
}

/// Waits for the loss and returns its cause.
async fn end_of(session: &Session) -> String {
    let mut lost = session.lost();
    loop {
        tokio::select! {
            cause = cause_of(&mut lost) => return cause,
            () = sleep(CHECK_EVERY) => session.check().await,
        }
    }
}

/// Waits until the broker is being closed.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to close it.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Waits until a session is given up and says why.
pub(super) async fn cause_of(lost: &mut watch::Receiver<Option<String>>) -> String {
    let cause = lost.wait_for(Option::is_some).await;
    cause.ok().and_then(|cause| cause.clone()).unwrap_or_else(|| "closed".to_owned())
}

/// Between half of `pause` and all of it, so that those who lost the same broker do not all come back at once.
pub(super) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.0))
}
