//! The stage that supervision is tried on: a supervisor with its surroundings, real ones, and probes in place of tenants, which do
//! what the application's id in a message tells them. No expectations of its own.

use super::probe::{Block, Probe, ProbeActor, Start, Strings};
use crate::support::hub::{Ground, LIMIT, Pair, on_ground};
use actix::Actor;
use atshub::{app, rail::consumer::Consumer};
use atshub_actors::{
    flight::Flight,
    lag::Lag,
    ports::{Broker, Publication, QueueSpec, Store, SystemClock},
    supervision::{
        Action, Birth, Board, ChildName, ChildSnapshot, ChildSpec, Control, Factory, Phase, RestartPolicy, Roster, Share, Supervisor,
        SupervisorOptions, Workload,
    },
};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, Line, Message, TenantName,
    fact::{Application, ApplicationChange},
    topology,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

/// How the stage is set.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) restarts: RestartPolicy,
    pub(crate) share: Share,
    pub(crate) arbiters: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self { restarts: quick(), share: Share::default(), arbiters: 2 }
    }
}

/// A supervisor with its surroundings.
pub(crate) struct Stage {
    pub(crate) supervisor: actix::Addr<Supervisor>,
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) board: Board,
    pub(crate) fatal: watch::Sender<Option<String>>,
    pub(crate) stored: Arc<Notify>,
    pub(crate) done: mpsc::UnboundedReceiver<(u64, String)>,
    pub(crate) flights: mpsc::UnboundedReceiver<Flight>,
    pub(crate) strings: Strings,
    births: Arc<AtomicU64>,
}

pub(crate) fn on_stage(pair: Pair, restarts: RestartPolicy, play: impl AsyncFnOnce(&mut Stage, &Ground)) {
    on_stage_set(pair, Setting { restarts, ..Setting::default() }, play);
}

/// Ends what is blocked when the test ends, however it does: its threads could not be joined.
struct Unblock(Arc<Block>);

impl Drop for Unblock {
    fn drop(&mut self) {
        self.0.end();
    }
}

pub(crate) fn on_stage_set(pair: Pair, setting: Setting, play: impl AsyncFnOnce(&mut Stage, &Ground)) {
    // Without a backtrace: looking its names up keeps a thread busy for so long that it counts as standing still.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    on_ground(pair, async |ground, handle| {
        let broker = app::open_broker(&ground.config, handle.clone()).await.unwrap();
        let store = app::open_store(&ground.config, handle.clone()).await.unwrap();
        let clock = Arc::new(SystemClock);
        let (board, fatal, stored) = (Board::default(), watch::Sender::new(None), Arc::new(Notify::new()));
        let intake = Consumer::new(Arc::clone(&broker), Arc::clone(&store) as _, clock.clone(), handle.clone());
        let options = SupervisorOptions {
            intake: Arc::new(intake),
            store: Arc::clone(&store),
            clock,
            board: board.clone(),
            io: handle,
            restarts: setting.restarts,
            share: setting.share,
            lag: Lag::said(true),
            arbiters: setting.arbiters,
            fatal: fatal.clone(),
            stored: Arc::clone(&stored),
        };
        let ((tell, done), (depart, flights)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let strings = Strings {
            done: tell,
            entered: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(0)),
            flights: depart,
            block: Arc::default(),
        };
        let _unblock = Unblock(Arc::clone(&strings.block));
        let supervisor = Supervisor::new(options).start();
        let mut stage = Stage { supervisor, broker, store, board, fatal, stored, done, flights, strings, births: Arc::default() };
        play(&mut stage, ground).await;
        stage.broker.close(LIMIT).await;
    });
}

pub(crate) fn quick() -> RestartPolicy {
    RestartPolicy { first: Duration::from_millis(5), longest: Duration::from_millis(20), ..RestartPolicy::default() }
}

impl Stage {
    fn factory(&self, start: Start) -> Factory {
        let (strings, births) = (self.strings.clone(), Arc::clone(&self.births));
        Arc::new(move |birth: Birth| {
            births.fetch_add(1, Ordering::SeqCst);
            ProbeActor::start(birth, strings.clone(), start)
        })
    }

    pub(crate) fn spec(&self, tenant: &str, start: Start) -> ChildSpec {
        let tenant = TenantName::new(tenant).unwrap();
        ChildSpec {
            name: ChildName(format!("tenant/{tenant}").into()),
            queue: QueueSpec {
                name: topology::tenant_queue(&tenant),
                single_consumer: true,
                bindings: vec![(topology::EVENTS.into(), format!("{tenant}.#"))],
                expires: None,
            },
            tenant: Some(tenant),
            revision: 1,
            prefetch: 8,
            lane: Probe::lane,
            last_words: None,
            standing: Phase::Starting,
            stood: 0,
            cause: None,
            factory: self.factory(start),
        }
    }

    /// A child that works for all tenants.
    pub(crate) fn shared(&self, start: Start) -> ChildSpec {
        ChildSpec {
            name: ChildName("invites/1".into()),
            queue: QueueSpec {
                name: topology::INVITES.into(),
                single_consumer: false,
                bindings: vec![(topology::WORK.into(), topology::INVITES.into())],
                expires: None,
            },
            tenant: None,
            ..self.spec("nobody", start)
        }
    }

    pub(crate) async fn raise(&self, mut specs: Vec<ChildSpec>) {
        let records = self.store.tenants().await.unwrap();
        for spec in &mut specs {
            self.broker.declare(spec.queue.clone()).await.unwrap();
            if let Some(record) = records.iter().find(|record| spec.tenant.as_ref() == Some(&record.name)) {
                spec.stood = record.stood;
            }
        }
        self.tell(specs, Instant::now()).await;
    }

    /// The supervisor is told which children there should be, as the store had them at a time.
    pub(crate) async fn tell(&self, children: Vec<ChildSpec>, read_at: Instant) {
        self.supervisor.send(Roster { children, read_at }).await.unwrap();
    }

    /// Publishes messages that tell a tenant's probe what to do; answers with their message ids.
    pub(crate) async fn publish(&self, tenant: &str, ids: &[&str]) -> Vec<String> {
        self.send(tenant, ids, None).await
    }

    /// The same for the child that works for all.
    pub(crate) async fn ask(&self, tenant: &str, ids: &[&str]) -> Vec<String> {
        self.send(tenant, ids, Some(topology::INVITES)).await
    }

    async fn send(&self, tenant: &str, ids: &[&str], work: Option<&str>) -> Vec<String> {
        let tenant = TenantName::new(tenant).unwrap();
        let messages: Vec<Publication> = ids
            .iter()
            .map(|id| {
                let application = Application { id: id.parse().unwrap(), url: None, status: None };
                let fact = ApplicationChange {
                    application,
                    candidate: None,
                    job: None,
                    recruiter: None,
                    grader: None,
                    from_stage: None,
                    to_stage: None,
                    reason: None,
                };
                let envelope =
                    Envelope::new(Line::new("/test").unwrap(), tenant.clone(), Timestamp::now(), Message::ApplicationMoved(fact));
                Publication {
                    exchange: if work.is_some() { topology::WORK } else { topology::EVENTS }.into(),
                    routing_key: work.map_or_else(|| envelope.routing_key(), str::to_owned),
                    message_id: envelope.id.to_string(),
                    content_type: CONTENT_TYPE.into(),
                    headers: BTreeMap::new(),
                    body: envelope.encode().unwrap().into(),
                }
            })
            .collect();
        let names = messages.iter().map(|message| message.message_id.clone()).collect();
        for answer in self.broker.publish(messages).await {
            answer.unwrap();
        }
        names
    }

    pub(crate) async fn collect(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < count {
            let next = tokio::time::timeout(LIMIT, self.done.recv()).await;
            let (_, id) = next.unwrap_or_else(|_| panic!("only {seen:?} of {count} were done")).unwrap();
            seen.push(id);
        }
        seen.sort();
        seen
    }

    pub(crate) async fn until(&self, child: &str, phase: Phase) {
        self.becomes(child, |row| row.phase == phase).await;
    }

    /// Waits until a tenant's actor is as wanted.
    pub(crate) async fn becomes(&self, child: &str, wanted: impl FnMut(&ChildSnapshot) -> bool) {
        let reached = tokio::time::timeout(LIMIT, self.board.until(child, wanted)).await;
        assert!(reached.is_ok(), "in vain: {:?}", self.board.child(child));
    }

    /// Waits until so many pieces of work have rung.
    pub(crate) async fn entered(&self, count: u32) {
        let rung = tokio::time::timeout(LIMIT, self.strings.entered.acquire_many(count)).await;
        rung.expect("the work begins").unwrap().forget();
    }

    pub(crate) async fn control(&self, child: &str, action: Action) -> Result<Phase, String> {
        self.supervisor.send(Control { child: ChildName(child.into()), action, reason: "test".into() }).await.unwrap()
    }

    pub(crate) async fn nothing_left(&self, tenant: &str) {
        self.becomes(&format!("tenant/{tenant}"), |row| row.in_hand == 0).await;
        assert_eq!(self.ready(tenant).await, 0);
    }

    /// Messages that wait in a tenant's queue.
    pub(crate) async fn ready(&self, tenant: &str) -> u64 {
        let queue = topology::tenant_queue(&TenantName::new(tenant).unwrap());
        self.broker.queues(&[queue]).await.unwrap()[0].ready
    }
}
