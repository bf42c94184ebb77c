//! A running hub: supervisor, relay, strays and reload, over adapters that somebody else has opened. No configuration, no
//! command line, no choice of adapter here; that is [`crate::app`].

mod control;
mod directory;
#[cfg_attr(not(feature = "lab"), path = "no_drills.rs")]
mod drills;
mod keeping;
mod not_set_up;
mod ownership;
mod processes;
mod retention;
mod retest;
mod seats;
mod showing;
mod workers;

pub use directory::Directory;
pub use drills::Drills;
#[cfg(feature = "lab")]
pub use drills::PROBE;
pub use ownership::{Standpoint, View, candidates, owner};
pub use processes::ALIVE;
pub use seats::{Connected, Seat, inbox};

use crate::{credentials::Sealer, http::Http, rail};
use actix::{Actor, Addr};
use atshub_actors::{
    desk::Desk,
    gate::GatePolicy,
    lag::Lag,
    ports::{Broker, BrokerError, Clock, Store, StoreError},
    supervision::{Action, Board, ChildName, Control, Phase, RestartPolicy, Share, Shutdown, Supervisor, SupervisorOptions},
};
use atshub_schemas::topology;
use control::Ear;
use processes::Membership;
use showing::Showing;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, watch},
    task::JoinHandle,
    time::sleep,
};
use uuid::Uuid;

/// How often tenants, accounts and credentials are looked at for changes made by somebody else.
const RELOAD: Duration = Duration::from_secs(1);
/// Longest wait, when the deadline has passed, for what was committed to be published, and again for the broker to close. Another
/// process publishes what is left.
const LAST_CALL: Duration = Duration::from_secs(5);

/// What a hub is made of.
#[derive(Clone)]
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// What carries messages.
    pub broker: Arc<dyn Broker>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Opens credentials.
    pub sealer: Arc<Sealer>,
    /// The client for platforms and ATSs.
    pub http: Http,
    /// The threads that all input and output runs on.
    pub io: Handle,
    /// How much of what.
    pub options: HubOptions,
    /// Where faults are made on purpose, if they may be: the store is one of its own then.
    pub drills: Option<Arc<Drills>>,
}

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct HubOptions {
    /// Threads for actors.
    pub arbiters: usize,
    /// Invite actors in this process.
    pub invite_actors: usize,
    /// Invitations that one invite actor has in hand at most.
    pub invite_prefetch: u16,
    /// How patient the supervisor is.
    pub restarts: RestartPolicy,
    /// How patient the gates before ATSs and platforms are.
    pub gate: GatePolicy,
    /// What a tenant may take freely while others have work.
    pub share: Share,
    /// How long messages and history are kept.
    pub retention: Duration,
    /// How long what is known of candidates is kept.
    pub candidates: Duration,
    /// True where broker or store are for one process only.
    pub sole: bool,
}

/// Why a hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The store did not do its part.
    #[error("failed to start on the store: {0}")]
    Store(#[from] StoreError),
    /// The broker is another store's.
    #[error("{0}")]
    OtherStore(String),
    /// The broker did not do its part.
    #[error("failed to start on the broker: {0}")]
    Broker(#[from] BrokerError),
}

/// A running hub. To be started within an actix system.
pub struct Hub {
    supervisor: Addr<Supervisor>,
    directory: Arc<Directory>,
    board: Board,
    tasks: Vec<JoinHandle<()>>,
    relay: JoinHandle<()>,
    last_call: watch::Sender<bool>,
    beats: JoinHandle<()>,
    process: Uuid,
    stopping: watch::Sender<bool>,
    broker: Arc<dyn Broker>,
    store: Arc<dyn Store>,
    fatal: watch::Sender<Option<String>>,
}

impl Hub {
    /// Declares the shared queues, loads the tenants, and starts everything. A broker that is away is taken for one that comes later.
    ///
    /// # Errors
    /// [`HubError`] if the store does not answer at the start, or the broker refuses; later both may come and go.
    pub async fn start(parts: Parts) -> Result<Self, HubError> {
        parts.store.ping().await?;
        match parts.broker.belongs_to(&parts.store.identity().await?).await {
            // Said again when the broker is there; until then nothing is taken from it.
            Err(BrokerError::Away(cause)) => tracing::debug!(cause, "whose the broker is is looked at later"),
            Err(BrokerError::Refused(why)) => return Err(HubError::OtherStore(why)),
            Ok(()) => {}
        }
        parts.broker.when_missing(Arc::new(rail::again::SendAgain(Arc::clone(&parts.store) as _)));
        let now = parts.clock.now();
        retention::let_go(&*parts.store, now, &parts.options).await?;
        let went_back = Arc::default();
        keeping::look(&*parts.store, &*parts.clock, &went_back).await?;
        for queue in workers::queues() {
            let name = queue.name.clone();
            match parts.broker.declare(queue).await {
                // Kept, and declared when the broker is there. What comes in by the doors waits in the store until then.
                Err(BrokerError::Away(cause)) => tracing::debug!(queue = name, cause, "a shared queue is declared later"),
                declared => declared?,
            }
        }
        let (stopping, told_to_stop) = watch::channel(false);
        let member = Membership::join(&parts, told_to_stop).await?;
        let (process, views, lease) = (member.process(), member.views(), member.lease());
        let board = Board::default();
        let fatal = watch::Sender::new(None);
        let intake = rail::consumer::Consumer::new(
            Arc::clone(&parts.broker),
            Arc::clone(&parts.store) as _,
            Arc::clone(&parts.clock),
            parts.io.clone(),
        );
        let bell = Arc::new(Notify::new());
        let lag = Lag::default();
        let supervisor = Supervisor::new(SupervisorOptions {
            intake: Arc::new(intake),
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
            board: board.clone(),
            io: parts.io.clone(),
            restarts: parts.options.restarts,
            share: parts.options.share,
            lag: lag.clone(),
            arbiters: parts.options.arbiters,
            fatal: fatal.clone(),
            stored: Arc::clone(&bell),
        })
        .start();
        let desk = Desk {
            store: Arc::clone(&parts.store),
            clock: Arc::clone(&parts.clock),
            lease: lease.clone(),
            longest_call: parts.http.longest_call(),
            lag,
            went_back: Arc::clone(&went_back),
            recent: Arc::default(),
        };
        // A process that was killed had requests sent; their host may act on them for as long as it may take over any.
        parts.store.only_process_begins(desk.longest_call).await?;
        let directory = Arc::new(Directory::new(parts.clone(), desk, board.clone(), views.clone()));
        directory.reload().await?;
        directory.enrol(&supervisor).await;
        let (store, broker, clock) = (&parts.store, &parts.broker, &parts.clock);
        let (last_call, stop) = watch::channel(false);
        let relay = parts.io.spawn(rail::relay::run(Arc::clone(store) as _, Arc::clone(broker), Arc::clone(clock), stop));
        let mut tasks = Vec::new();
        for queue in [topology::DEAD, topology::UNROUTED] {
            tasks.push(parts.io.spawn(rail::strays::run(queue, Arc::clone(broker), Arc::clone(store), Arc::clone(clock))));
        }
        let ear = Ear {
            process,
            broker: Arc::clone(broker),
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            directory: Arc::clone(&directory),
            supervisor: supervisor.clone(),
            board: board.clone(),
            bell: Arc::clone(&bell),
            drills: parts.drills.clone(),
        };
        tasks.push(parts.io.spawn(ear.run()));
        let showing =
            Showing { store: Arc::clone(store), board: board.clone(), views: views.clone(), lease, process, place: member.name() };
        tasks.push(parts.io.spawn(showing.run()));
        tasks.push(parts.io.spawn(follow(Arc::clone(&directory), supervisor.clone(), views, bell, fatal.clone())));
        tasks.push(parts.io.spawn(retention::run(Arc::clone(&directory))));
        tasks.push(parts.io.spawn(keeping::run(Arc::clone(store), Arc::clone(clock), went_back)));
        let beats = parts.io.spawn(member.run(supervisor.clone(), board.clone()));
        let (broker, store) = (parts.broker, parts.store);
        Ok(Self { supervisor, directory, board, tasks, relay, last_call, beats, process, stopping, broker, store, fatal })
    }

    /// The tenants, in memory.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// What every child is doing.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// The store it runs on.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Waits until this process can no longer do its work; says why. It is to end then, for its init system to start another.
    pub async fn fatal(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        let sentence = fatal.wait_for(Option::is_some).await.ok().and_then(|sentence| sentence.clone());
        sentence.unwrap_or_default()
    }

    /// Asks something of a child.
    ///
    /// # Errors
    /// Why it was not done, as a sentence.
    pub async fn control(&self, child: &str, action: Action, reason: &str) -> Result<Phase, String> {
        let control = Control { child: ChildName(child.into()), action, reason: reason.to_owned() };
        self.supervisor.send(control).await.map_err(|e| e.to_string())?
    }

    /// Takes over changes to tenants now, instead of within [`RELOAD`].
    ///
    /// # Errors
    /// The store's.
    pub async fn reload(&self) -> Result<(), StoreError> {
        self.directory.reload().await?;
        self.directory.enrol(&self.supervisor).await;
        Ok(())
    }

    /// The drain, in order: say that others are to take over, stop intake, finish what is in hand, settle, leave, publish what was
    /// committed, close.
    pub async fn shutdown(self, deadline: Duration) {
        let (end, last_call) = (Instant::now() + deadline, deadline.min(LAST_CALL));
        for task in &self.tasks {
            task.abort();
        }
        // The others begin to wait for this process's queues; they get each when it has let go of it. Its beats go on until then:
        // what it has begun is finished under its lease.
        self.stopping.send_replace(true);
        let _ = self.supervisor.send(Shutdown { deadline }).await;
        self.beats.abort();
        let _ = self.beats.await;
        processes::leave(&*self.store, self.process).await;
        let _ = self.broker.delete(&topology::control_queue(&self.process)).await; // else it goes by itself
        self.last_call.send_replace(true);
        let mut relay = self.relay;
        if tokio::time::timeout(last_call, &mut relay).await.is_err() {
            relay.abort(); // what it has claimed is another's when its lease is over
        }
        self.broker.close(end.saturating_duration_since(Instant::now()).max(last_call)).await;
    }
}

/// Follows changes to tenants, accounts and credentials, made by whatever process, and to who runs which. The roster is told
/// only after changes: at rest, thousands of tenants cost one look at a number a second.
async fn follow(
    directory: Arc<Directory>,
    supervisor: Addr<Supervisor>,
    mut views: watch::Receiver<View>,
    bell: Arc<Notify>,
    fatal: watch::Sender<Option<String>>,
) {
    let mut changed = false;
    loop {
        tokio::select! {
            () = sleep(RELOAD) => {}
            () = bell.notified() => changed = true,
            seen = views.changed() => match seen {
                Ok(()) => changed = true,
                Err(_) => return,
            },
        }
        match directory.reload().await {
            Ok(new) => changed |= new,
            Err(error) => tracing::warn!(%error, "failed to look for changed tenants; trying again"),
        }
        if std::mem::take(&mut changed) {
            directory.enrol(&supervisor).await;
        }
        if !supervisor.connected() {
            // Nobody is left to hear of deaths: a process without its supervisor only looks alive.
            fatal.send_replace(Some("the supervisor is gone; this process has to be started anew".into()));
            return;
        }
        directory.retire().await;
        if let Err(error) = directory.end_standings().await {
            tracing::warn!(%error, "failed to let a tenant go on whose time has come; trying again");
        }
        directory.retest();
        if let Err(error) = directory.end_predecessors().await {
            tracing::warn!(%error, "failed to remove a credential that is good no longer; it is not accepted all the same; trying again");
        }
    }
}
