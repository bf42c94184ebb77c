//! The supervisor: an actor that makes children from factories and never from the dead. One child's trouble is that child's:
//! nothing here waits for one of them, and nothing escalates to another. What follows from a death is in [`deaths`], what follows
//! from somebody's wish in [`requests`], how children go in [`leaving`], what is different for those that work for all tenants
//! in [`shared`].

mod deaths;
mod leaving;
mod requests;
mod shared;

use super::{
    arbiters::{Arbiters, Home},
    backoff::{Intensity, RestartPolicy},
    board::Board,
    dispatcher::{Dispatcher, Order, Parts},
    fairness::{Allowance, Crowd, Share},
    intake::Intake,
    lifeline::{Birth, Lifeline, Link},
    notice::{ChildName, Notice},
    pulse::NOBODY,
    rehearsal::Stage,
    spec::ChildSpec,
    watchdog::Watchdog,
};
use crate::{
    lag::Lag,
    lifecycle,
    phase::{Phase, Step},
    ports::{Change, Clock, Store},
};
use actix::{Actor, AsyncContext, Context, StreamHandler};
use atshub_schemas::TenantName;
use futures_util::stream;
use jiff::Timestamp;
use shared::Blame;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
};

/// Wait before something that the store did not take is told to it again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// What the supervisor works with.
#[derive(Clone)]
pub struct SupervisorOptions {
    /// Where deliveries come from.
    pub intake: Arc<dyn Intake>,
    /// Where crashes and standings are kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where children are shown.
    pub board: Board,
    /// The threads that dispatchers run on; not the children's, which a child may block.
    pub io: tokio::runtime::Handle,
    /// How patient to be.
    pub restarts: RestartPolicy,
    /// What a tenant may take freely while others have work.
    pub share: Share,
    /// How slow the store is: nobody is held to a share while it keeps up.
    pub lag: Lag,
    /// Threads for children.
    pub arbiters: usize,
    /// Changes to a sentence when this process can no longer do its work, and should end for its init system to start another.
    pub fatal: watch::Sender<Option<String>>,
    /// Rung when a standing of the supervisor's own making is stored: a roster is wanted that was read after that.
    pub stored: Arc<Notify>,
}

struct Child {
    spec: ChildSpec,
    /// By which the pulse of a thread names it.
    number: u64,
    phase: Phase,
    generation: u64,
    alive: bool,
    home: Option<Home>,
    intensity: Intensity,
    /// Times it made its thread stand still since somebody last looked at it.
    frozen: u32,
    crash: Option<String>,
    orders: mpsc::UnboundedSender<Order>,
    dispatching: JoinHandle<()>,
    stage: Stage,
    leaving: bool,
    /// What is to be made in its place once it has left.
    successor: Option<ChildSpec>,
    /// Standings of the supervisor's own making that are on their way to the store, and when the last one was there: a roster read
    /// before that must not undo it.
    storing: u32,
    stored: Option<Instant>,
    /// The last of them: each is stored in place of the one before it. Ends with the version that its standing has then.
    last_stored: Option<JoinHandle<u64>>,
}

/// The supervisor.
pub struct Supervisor {
    options: SupervisorOptions,
    arbiters: Arbiters,
    children: HashMap<ChildName, Child>,
    /// Last generations of children that have left. One that comes back counts on from there: the late report of an older end must
    /// not be taken for its own.
    left: HashMap<ChildName, u64>,
    crowd: Crowd,
    blames: HashMap<TenantName, Blame>,
    next_number: u64,
    notices: mpsc::UnboundedSender<Notice>,
    heard: Option<mpsc::UnboundedReceiver<Notice>>,
}

impl Supervisor {
    /// Without children; send it a [`Roster`](super::Roster).
    #[must_use]
    pub fn new(options: SupervisorOptions) -> Self {
        let (notices, heard) = mpsc::unbounded_channel();
        let arbiters = Arbiters::start(options.arbiters, Watchdog::start(notices.clone()), options.board.pulses());
        let (children, left, crowd) = (HashMap::new(), HashMap::new(), Crowd::new(options.lag.clone()));
        Self { options, arbiters, children, left, crowd, blames: HashMap::new(), next_number: NOBODY + 1, notices, heard: Some(heard) }
    }

    fn adopt(&mut self, spec: ChildSpec) {
        let (orders, heard) = mpsc::unbounded_channel();
        let allowance = spec.tenant.is_some().then(|| Allowance::new(self.options.share, self.crowd.clone(), Instant::now()));
        let dispatcher = Dispatcher::new(Parts {
            name: spec.name.clone(),
            queue: spec.queue.clone(),
            prefetch: spec.prefetch.max(1),
            lane: spec.lane,
            last_words: spec.last_words.clone(),
            intake: Arc::clone(&self.options.intake),
            store: Arc::clone(&self.options.store),
            clock: Arc::clone(&self.options.clock),
            board: self.options.board.clone(),
            allowance,
            patience: self.options.restarts.patience,
            notices: self.notices.clone(),
        });
        let dispatching = self.options.io.spawn(dispatcher.run(heard));
        // What was to be drained when the last process ended has nothing in hand any more.
        let drained = spec.standing == Phase::Draining;
        let (name, cause) = (spec.name.clone(), spec.cause.clone());
        let phase = if drained { Phase::Paused } else { spec.standing };
        let child = Child {
            spec,
            number: self.next_number,
            phase,
            generation: self.left.remove(&name).unwrap_or(0),
            alive: false,
            home: None,
            intensity: Intensity::default(),
            frozen: 0,
            crash: None,
            orders,
            dispatching,
            stage: Stage::default(),
            leaving: false,
            successor: None,
            storing: 0,
            stored: None,
            last_stored: None,
        };
        self.next_number += 1;
        self.children.insert(name.clone(), child);
        self.show(&name, cause.clone());
        if drained {
            self.remember(&name, Phase::Paused, cause, None);
        }
        if phase == Phase::Starting {
            self.start(&name);
        }
    }

    /// Makes the next generation.
    fn start(&mut self, name: &ChildName) {
        let Some(child) = self.children.get_mut(name) else { return };
        child.generation += 1;
        child.alive = true;
        child.crash = None;
        let generation = child.generation;
        self.options.board.update(&name.0, |row| row.generation = generation);
        let home = self.arbiters.of(name);
        let link =
            Link { child: name.clone(), generation: child.generation, notices: self.notices.clone(), board: self.options.board.clone() };
        let lifeline = Lifeline::new(link, &home, child.number, child.stage.clone());
        let to = (child.spec.factory)(Birth { arbiter: home.arbiter.clone(), lifeline });
        child.home = Some(home);
        let _ = child.orders.send(Order::Open);
        let _ = child.orders.send(Order::Up { to, generation: child.generation });
    }

    fn step(&mut self, name: &ChildName, step: Step, cause: Option<String>) -> Option<Phase> {
        let child = self.children.get_mut(name)?;
        let from = child.phase;
        let next = from.after(step)?;
        tracing::info!(child = %name, from = from.as_str(), to = next.as_str(), cause = cause.as_deref().unwrap_or(""), "phase");
        child.phase = next;
        // A first start, and the end of the process, are no news of a tenant.
        let news = !(child.leaving || step == Step::Started && child.generation == 1);
        let (tenant, generation) = (child.spec.tenant.clone().filter(|_| news), child.generation);
        if let Some(tenant) = tenant {
            let told = cause.as_deref().unwrap_or(step.words());
            let row = lifecycle::phase(&tenant, from, next, generation, told, self.options.clock.now());
            let (store, change) = (Arc::clone(&self.options.store), Change { outbox: row.into_iter().collect(), ..Change::default() });
            self.options.io.spawn(async move {
                if let Err(error) = store.commit(change).await {
                    tracing::warn!(%tenant, %error, "a change of phase was not announced");
                }
            });
        }
        self.show(name, cause);
        Some(next)
    }

    fn show(&self, name: &ChildName, cause: Option<String>) {
        let Some(child) = self.children.get(name) else { return };
        self.options.board.show(&name.0, |row| {
            row.phase = child.phase;
            row.generation = child.generation;
            row.restarts = child.intensity.restarts();
            row.cause = cause;
            row.next_start = None;
        });
    }

    /// Stops a child's intake; its actor goes when its address does.
    fn stop(&mut self, name: &ChildName) -> Option<oneshot::Receiver<()>> {
        let child = self.children.get_mut(name)?;
        let (done, closed) = oneshot::channel();
        child.orders.send(Order::Close { done }).ok()?;
        Some(closed)
    }

    /// Stops a child for longer than a back-off: its messages go back to the broker, and a tenant's standing is stored.
    fn set_aside(&mut self, name: &ChildName, step: Step, cause: String, until: Option<Timestamp>) -> Option<Phase> {
        let phase = self.step(name, step, Some(cause.clone()))?;
        let _ = self.stop(name);
        self.remember(name, phase, Some(cause), until);
        Some(phase)
    }

    fn remember(&mut self, name: &ChildName, phase: Phase, cause: Option<String>, until: Option<Timestamp>) {
        let Some(child) = self.children.get_mut(name) else { return };
        let Some(tenant) = child.spec.tenant.clone() else { return };
        child.spec.standing = phase;
        child.storing += 1;
        let (before, stood) = (child.last_stored.take(), child.spec.stood);
        let (store, name, notices) = (Arc::clone(&self.options.store), name.clone(), self.notices.clone());
        child.last_stored = Some(self.options.io.spawn(async move {
            let over = match before {
                Some(before) => before.await.unwrap_or(stood),
                None => stood,
            };
            let stands = loop {
                match store.set_standing(&tenant, phase.into(), cause.as_deref(), until, Some(over)).await {
                    Ok(stands) => break stands,
                    Err(error) => tracing::warn!(tenant = %tenant, %error, "failed to store a tenant's standing; trying again"),
                }
                tokio::time::sleep(STORE_AGAIN).await;
            };
            if stands.is_none() {
                tracing::info!(%tenant, standing = phase.as_str(), "not stored: the tenant's standing was changed meanwhile, and that counts");
            }
            let _ = notices.send(Notice::Stored { child: name });
            stands.unwrap_or(over)
        }));
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if let Some(heard) = self.heard.take() {
            ctx.add_stream(stream::unfold(heard, |mut heard| async move { heard.recv().await.map(|notice| (notice, heard)) }));
        }
    }
}

impl StreamHandler<Notice> for Supervisor {
    fn handle(&mut self, notice: Notice, ctx: &mut Context<Self>) {
        match notice {
            Notice::Up { child, generation } => self.up(&child, generation),
            Notice::Crashed { child: name, generation, cause } => {
                if let Some(child) = self.children.get_mut(&name).filter(|c| c.generation == generation) {
                    child.crash = Some(cause);
                }
            }
            Notice::Blamed { tenant, cause, froze } => self.blamed(tenant, &cause, froze),
            Notice::Down { child, generation, panicking } => self.down(&child, generation, panicking, ctx),
            Notice::Unauthorized { child: name, generation, cause, until } => {
                // A child on its way out has the credential that was replaced.
                if self.children.get(&name).is_some_and(|c| c.generation == generation && !c.leaving) {
                    tracing::error!(child = %name, cause, tested = %until, "the credential is not accepted; the child is paused");
                    self.set_aside(&name, Step::Pause, cause, Some(until));
                }
            }
            Notice::NoProgress { child, generation, cause } => self.no_progress(&child, generation, cause, ctx),
            Notice::Closed { child } => self.closed(&child),
            Notice::Stored { child: name } => {
                if let Some(child) = self.children.get_mut(&name) {
                    (child.storing, child.stored) = (child.storing.saturating_sub(1), Some(Instant::now()));
                }
                self.options.stored.notify_one();
            }
            Notice::Stuck { thread, child, age } => self.stuck(thread, child, age, ctx),
            Notice::Returned { thread } => self.returned(thread),
        }
    }

    fn finished(&mut self, _: &mut Context<Self>) {}
}
