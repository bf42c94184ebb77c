//! The supervisor: an actor that makes children from factories and never from the dead. One child's trouble is that child's:
//! nothing here waits for one of them, and nothing escalates to another.

use super::{
    arbiters::Arbiters,
    backoff::{Intensity, RestartPolicy, Verdict},
    board::Board,
    dispatcher::{Dispatcher, Order, Parts},
    intake::Intake,
    lifeline::{Birth, Lifeline, Link, Notice},
    phase::{Phase, Step},
    spec::{Action, ChildName, ChildSpec, Control, Roster, Shutdown},
};
use crate::ports::{Clock, Store};
use actix::{Actor, AsyncContext, Context, Handler, ResponseFuture, SpawnHandle, StreamHandler};
use futures_util::{FutureExt, future::join_all, stream};
use jiff::SignedDuration;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// How long a standing of the supervisor's own making may take to be stored and read back.
const STANDING_SETTLES: Duration = Duration::from_secs(5);

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
    /// Threads for children.
    pub arbiters: usize,
}

pub(super) struct Child {
    spec: ChildSpec,
    phase: Phase,
    pub(super) generation: u64,
    pub(super) alive: bool,
    intensity: Intensity,
    crash: Option<String>,
    orders: mpsc::UnboundedSender<Order>,
    timer: Option<SpawnHandle>,
    pub(super) leaving: bool,
    /// What is to be made in its place once it has left.
    pub(super) successor: Option<ChildSpec>,
    /// Its drop tells all generations that they are let go.
    keeps: watch::Sender<()>,
    /// When this supervisor last changed the standing itself: a roster read before that was stored must not undo it.
    stood: Option<Instant>,
}

/// The supervisor.
pub struct Supervisor {
    pub(super) options: SupervisorOptions,
    arbiters: Arbiters,
    pub(super) children: HashMap<ChildName, Child>,
    /// Last generations of children that have left, until their end is reported: it must not be taken for that of a successor.
    pub(super) left: HashMap<ChildName, u64>,
    notices: mpsc::UnboundedSender<Notice>,
    heard: Option<mpsc::UnboundedReceiver<Notice>>,
}

impl Supervisor {
    /// Without children; send it a [`Roster`].
    #[must_use]
    pub fn new(options: SupervisorOptions) -> Self {
        let (notices, heard) = mpsc::unbounded_channel();
        Self {
            arbiters: Arbiters::start(options.arbiters),
            options,
            children: HashMap::new(),
            left: HashMap::new(),
            notices,
            heard: Some(heard),
        }
    }

    pub(super) fn adopt(&mut self, spec: ChildSpec) {
        let (orders, heard) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher::new(Parts {
            name: spec.name.to_string(),
            queue: spec.queue.clone(),
            prefetch: spec.prefetch.max(1),
            intake: Arc::clone(&self.options.intake),
            store: Arc::clone(&self.options.store),
            clock: Arc::clone(&self.options.clock),
            board: self.options.board.clone(),
        });
        self.options.io.spawn(dispatcher.run(heard));
        let (name, phase, cause) = (spec.name.clone(), spec.standing, spec.cause.clone());
        let child = Child {
            spec,
            phase,
            generation: self.left.remove(&name).unwrap_or(0),
            alive: false,
            intensity: Intensity::default(),
            crash: None,
            orders,
            timer: None,
            leaving: false,
            successor: None,
            keeps: watch::Sender::new(()),
            stood: None,
        };
        self.children.insert(name.clone(), child);
        self.show(&name, cause);
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
        let link = Link {
            child: name.clone(),
            generation: child.generation,
            notices: self.notices.clone(),
            board: self.options.board.clone(),
            kept: child.keeps.subscribe(),
        };
        let birth = Birth { arbiter: self.arbiters.of(&name.0), lifeline: Lifeline::new(link) };
        let to = (child.spec.factory)(birth);
        let _ = child.orders.send(Order::Open);
        let _ = child.orders.send(Order::Up { to, generation: child.generation });
    }

    fn step(&mut self, name: &ChildName, step: Step, cause: Option<String>) -> Option<Phase> {
        let child = self.children.get_mut(name)?;
        let next = child.phase.after(step)?;
        tracing::info!(child = %name, from = child.phase.as_str(), to = next.as_str(), cause = cause.as_deref().unwrap_or(""), "phase");
        child.phase = next;
        self.show(name, cause);
        Some(next)
    }

    fn show(&self, name: &ChildName, cause: Option<String>) {
        let Some(child) = self.children.get(name) else { return };
        self.options.board.update(&name.0, |row| {
            row.phase = child.phase;
            row.generation = child.generation;
            row.restarts = child.intensity.restarts();
            row.cause = cause;
            row.next_start = None;
        });
    }

    /// Stops a child's intake; its actor goes when its address does.
    pub(super) fn stop(&mut self, name: &ChildName) -> Option<oneshot::Receiver<()>> {
        let child = self.children.get_mut(name)?;
        child.timer = None;
        let (done, closed) = oneshot::channel();
        child.orders.send(Order::Close { done }).ok()?;
        Some(closed)
    }

    fn died(&mut self, name: &ChildName, generation: u64, panicking: bool, ctx: &mut Context<Self>) {
        if self.left.get(name) == Some(&generation) {
            self.left.remove(name);
        }
        let Some(child) = self.children.get_mut(name).filter(|c| c.generation == generation && c.alive) else { return };
        child.alive = false;
        let _ = child.orders.send(Order::Down { generation });
        if child.leaving || !child.phase.wants_actor() {
            return;
        }
        let cause =
            child.crash.take().unwrap_or_else(|| if panicking { "a panic outside any message".into() } else { "its actor stopped".into() });
        let draw = rand::random_range(0.0..=1.0);
        match child.intensity.died(&self.options.restarts, Instant::now(), draw) {
            Verdict::RestartAfter(wait) => {
                let spec_name = name.clone();
                child.timer = Some(ctx.run_later(wait, move |this, _| this.wait_over(&spec_name)));
                tracing::warn!(child = %name, generation, cause, wait_ms = wait.as_millis() as u64, "an actor died; the next generation waits");
                self.step(name, Step::Died, Some(cause));
                let at = self.options.clock.now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
                self.options.board.update(&name.0, |row| row.next_start = Some(at));
            }
            Verdict::Quarantine => {
                tracing::error!(child = %name, generation, cause, "an actor died once too often and is quarantined");
                let cause = format!("{} restarts did not bring health, last: {cause}", self.options.restarts.restarts);
                self.set_aside(name, Step::GaveUp, cause);
            }
        }
    }

    fn wait_over(&mut self, name: &ChildName) {
        if self.step(name, Step::WaitOver, None).is_some() {
            self.start(name);
        }
    }

    /// Stops a child for longer than a back-off: its messages go back to the broker, and a tenant's standing is stored.
    fn set_aside(&mut self, name: &ChildName, step: Step, cause: String) -> Option<Phase> {
        let phase = self.step(name, step, Some(cause.clone()))?;
        let _ = self.stop(name);
        self.remember(name, phase, Some(cause));
        Some(phase)
    }

    fn remember(&mut self, name: &ChildName, phase: Phase, cause: Option<String>) {
        let Some(tenant) = self.children.get(name).and_then(|c| c.spec.tenant.clone()) else { return };
        if let Some(child) = self.children.get_mut(name) {
            child.spec.standing = phase;
            child.stood = Some(Instant::now());
        }
        let standing = if phase == Phase::Starting { "active" } else { phase.as_str() };
        let (store, clock_away) = (Arc::clone(&self.options.store), Duration::from_secs(1));
        self.options.io.spawn(async move {
            while let Err(error) = store.set_standing(&tenant, standing, cause.as_deref(), None).await {
                tracing::warn!(tenant = %tenant, %error, "failed to store a tenant's standing; trying again");
                tokio::time::sleep(clock_away).await;
            }
        });
    }

    /// Follows a standing that somebody else has stored: an operator at another process, the command line.
    fn follow(&mut self, spec: ChildSpec) {
        let Some(child) = self.children.get_mut(&spec.name) else { return };
        let own = child.stood.is_some_and(|at| at.elapsed() < STANDING_SETTLES);
        if own || child.spec.standing == spec.standing {
            return;
        }
        child.spec.standing = spec.standing;
        let (name, cause) = (spec.name, spec.cause);
        let step = match (spec.standing, child.phase) {
            (Phase::Paused, _) => Step::Pause,
            (Phase::Quarantined, _) => Step::Quarantine,
            (Phase::Disabled, _) => Step::Disable,
            (_, Phase::Quarantined) => Step::Release,
            (_, Phase::Disabled) => Step::Enable,
            _ => Step::Resume,
        };
        match self.step(&name, step, cause) {
            Some(Phase::Starting) => {
                if let Some(child) = self.children.get_mut(&name) {
                    child.intensity.forgive();
                }
                self.start(&name);
            }
            Some(_) => drop(self.stop(&name)),
            None => {}
        }
    }

    fn release(&mut self, name: &ChildName, step: Step) -> Option<Phase> {
        let phase = self.step(name, step, None)?;
        if let Some(child) = self.children.get_mut(name) {
            child.intensity.forgive();
        }
        self.remember(name, phase, None);
        self.start(name);
        Some(phase)
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
            Notice::Up { child: name, generation } => {
                if let Some(child) = self.children.get_mut(&name).filter(|c| c.generation == generation) {
                    child.intensity.came_up(Instant::now());
                    self.step(&name, Step::Started, None);
                }
            }
            Notice::Crashed { child: name, generation, cause } => {
                if let Some(child) = self.children.get_mut(&name).filter(|c| c.generation == generation) {
                    child.crash = Some(cause);
                }
            }
            Notice::Down { child, generation, panicking } => self.died(&child, generation, panicking, ctx),
            Notice::Unauthorized { child: name, generation, cause } => {
                if self.children.get(&name).is_some_and(|c| c.generation == generation) {
                    tracing::error!(child = %name, cause, "the credential is not accepted; the child is paused");
                    self.set_aside(&name, Step::Pause, cause);
                }
            }
        }
    }

    fn finished(&mut self, _: &mut Context<Self>) {}
}

impl Handler<Roster> for Supervisor {
    type Result = ();

    fn handle(&mut self, Roster(specs): Roster, ctx: &mut Context<Self>) {
        let wanted: HashSet<ChildName> = specs.iter().map(|s| s.name.clone()).collect();
        let gone: Vec<ChildName> = self.children.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            match self.children.get_mut(&name) {
                Some(child) if child.leaving => child.successor = None,
                _ => self.dismiss(&name, None, ctx),
            }
        }
        for spec in specs {
            let name = spec.name.clone();
            match self.children.get_mut(&name) {
                Some(child) if child.leaving => child.successor = Some(spec),
                Some(child) if child.spec.revision == spec.revision => self.follow(spec),
                Some(_) => self.dismiss(&name, Some(spec), ctx), // another configuration: made anew
                None => self.adopt(spec),
            }
        }
    }
}

impl Handler<Control> for Supervisor {
    type Result = Result<Phase, String>;

    fn handle(&mut self, control: Control, _: &mut Context<Self>) -> Self::Result {
        let Control { child: name, action, reason } = control;
        let Some(phase) = self.children.get(&name).map(|c| c.phase) else {
            return Err(format!("there is no `{name}` here"));
        };
        let after = match action {
            Action::Restart => {
                let step = self.step(&name, Step::Restart, None);
                if step.is_some() {
                    self.start(&name);
                }
                step
            }
            Action::Pause => self.set_aside(&name, Step::Pause, reason),
            Action::Quarantine => self.set_aside(&name, Step::Quarantine, reason),
            Action::Resume => self.release(&name, Step::Resume),
            Action::Release => self.release(&name, Step::Release),
            Action::Drain => self.set_aside(&name, Step::Drain, reason),
            Action::Rehearse(_) => None,
        };
        after.ok_or_else(|| format!("`{name}` is {}; that does not allow {action:?}", phase.as_str()))
    }
}

impl Handler<Shutdown> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Shutdown { deadline }: Shutdown, _: &mut Context<Self>) -> Self::Result {
        let names: Vec<ChildName> = self.children.keys().cloned().collect();
        let mut closing = Vec::new();
        for name in names {
            self.step(&name, Step::Drain, None);
            if let Some(child) = self.children.get_mut(&name) {
                child.leaving = true;
            }
            closing.extend(self.stop(&name));
        }
        let all = join_all(closing).map(|_| ());
        Box::pin(async move {
            if tokio::time::timeout(deadline, all).await.is_err() {
                tracing::warn!(deadline_s = deadline.as_secs(), "the drain took too long; what is in hand goes back to the broker");
            }
        })
    }
}
