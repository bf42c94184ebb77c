//! Supervision on a real broker and a real store, both pairs of them: every way of dying, and that nobody else notices.

use crate::support::hub::{Ground, LIMIT, Pair, on_ground, until};
use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient};
use async_trait::async_trait;
use atshub::{app, rail::consumer::Consumer};
use atshub_actors::{
    ports::{Broker, Publication, QueueSpec, Store, SystemClock},
    supervision::{
        Action, Birth, Board, ChildName, ChildSpec, Control, Deliver, Factory, Lanes, Phase, RestartPolicy, Roster, Share, Shutdown,
        Supervisor, SupervisorOptions, Workload,
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
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};

/// What a probe is told to do, by the application's id in the message.
struct Probe {
    done: mpsc::UnboundedSender<(u64, String)>,
    generation: u64,
    gate: Arc<Semaphore>,
    entered: Arc<Semaphore>,
    abandon: mpsc::UnboundedSender<()>,
}

#[async_trait(?Send)]
impl Workload for Probe {
    fn lane(envelope: &Envelope) -> String {
        envelope.id.to_string()
    }

    async fn perform(&self, envelope: Arc<Envelope>, _: &str, _: bool) {
        let Message::ApplicationMoved(fact) = &envelope.message else { return };
        let id = fact.application.id.to_string();
        match id.split('-').next().unwrap_or_default() {
            "panic" => panic!("told to panic"),
            "panic1st" if self.generation == 1 => panic!("told to panic once"),
            "late" => {
                tokio::task::yield_now().await;
                panic!("told to panic in the future")
            }
            "gated" => {
                self.entered.add_permits(1);
                self.gate.acquire().await.unwrap().forget();
            }
            "abandon" => {
                let _ = self.abandon.send(());
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let _ = self.done.send((self.generation, id));
    }
}

struct ProbeActor {
    lanes: Lanes<Probe>,
    told: mpsc::UnboundedReceiver<()>,
    start: Start,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Start {
    Well,
    Stops,
    Panics,
}

impl Actor for ProbeActor {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Context<Self>) {
        match self.start {
            Start::Well => self.lanes.link().up(),
            Start::Stops => ctx.stop(),
            Start::Panics => panic!("told to panic at the start"),
        }
        let (_, never) = mpsc::unbounded_channel();
        let mut told = std::mem::replace(&mut self.told, never);
        let stop = async move { told.recv().await };
        ctx.spawn(actix::ActorFutureExt::map(actix::fut::wrap_future::<_, Self>(stop), |told, _, ctx: &mut Context<Self>| {
            if told.is_some() {
                ctx.terminate();
            }
        }));
    }
}

impl Handler<Deliver> for ProbeActor {
    type Result = ();
    fn handle(&mut self, delivery: Deliver, ctx: &mut Context<Self>) {
        self.lanes.take(delivery, |a: &mut Self| &mut a.lanes, ctx);
    }
}

/// A supervisor with its surroundings.
pub(crate) struct Stage {
    supervisor: actix::Addr<Supervisor>,
    broker: Arc<dyn Broker>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) board: Board,
    done: mpsc::UnboundedReceiver<(u64, String)>,
    tell: mpsc::UnboundedSender<(u64, String)>,
    gate: Arc<Semaphore>,
    entered: Arc<Semaphore>,
    births: Arc<AtomicU64>,
}

pub(crate) fn on_stage(pair: Pair, restarts: RestartPolicy, play: impl AsyncFnOnce(&mut Stage, &Ground)) {
    on_ground(pair, async |ground, handle| {
        let broker = app::open_broker(&ground.config, handle.clone()).await.unwrap();
        let store = app::open_store(&ground.config, handle.clone()).await.unwrap();
        let clock = Arc::new(SystemClock);
        let board = Board::default();
        let intake = Consumer::new(Arc::clone(&broker), Arc::clone(&store), clock.clone(), handle.clone());
        let options = SupervisorOptions {
            intake: Arc::new(intake),
            store: Arc::clone(&store),
            clock,
            board: board.clone(),
            io: handle,
            restarts,
            share: Share::default(),
            arbiters: 2,
            fatal: tokio::sync::watch::Sender::new(None),
        };
        let (tell, done) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(options).start();
        let (gate, entered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let mut stage = Stage { supervisor, broker, store, board, done, tell, gate, entered, births: Arc::default() };
        play(&mut stage, ground).await;
        stage.broker.close(LIMIT).await;
    });
}

pub(crate) fn quick() -> RestartPolicy {
    RestartPolicy { first: Duration::from_millis(5), longest: Duration::from_millis(20), ..RestartPolicy::default() }
}

impl Stage {
    fn factory(&self, start: Start) -> Factory {
        let (tell, births) = (self.tell.clone(), Arc::clone(&self.births));
        let (gate, entered) = (Arc::clone(&self.gate), Arc::clone(&self.entered));
        Arc::new(move |birth: Birth| -> Recipient<Deliver> {
            births.fetch_add(1, Ordering::SeqCst);
            let (done, gate, entered) = (tell.clone(), Arc::clone(&gate), Arc::clone(&entered));
            let Birth { arbiter, lifeline } = birth;
            ProbeActor::start_in_arbiter(&arbiter, move |_| {
                let (abandon, told) = mpsc::unbounded_channel();
                let probe = Probe { done, generation: lifeline.generation(), gate, entered, abandon };
                ProbeActor { lanes: Lanes::new(lifeline, Arc::new(probe)), told, start }
            })
            .recipient()
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
            standing: Phase::Starting,
            cause: None,
            factory: self.factory(start),
        }
    }

    pub(crate) async fn raise(&self, specs: Vec<ChildSpec>) {
        for spec in &specs {
            self.broker.declare(spec.queue.clone()).await.unwrap();
        }
        self.supervisor.send(Roster(specs)).await.unwrap();
    }

    /// Publishes messages that tell a probe what to do; answers with their message ids.
    pub(crate) async fn publish(&self, tenant: &str, ids: &[&str]) -> Vec<String> {
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
                    exchange: topology::EVENTS.into(),
                    routing_key: envelope.routing_key(),
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

    async fn until(&self, child: &str, phase: Phase) {
        let reached = tokio::time::timeout(LIMIT, self.board.until(child, |row| row.phase == phase)).await;
        assert!(reached.is_ok(), "{child} is {:?}, not {phase:?}", self.board.child(child));
    }

    async fn control(&self, child: &str, action: Action) -> Result<Phase, String> {
        self.supervisor.send(Control { child: ChildName(child.into()), action, reason: "test".into() }).await.unwrap()
    }

    pub(crate) async fn nothing_left(&self, tenant: &str) {
        let queue = topology::tenant_queue(&TenantName::new(tenant).unwrap());
        let idle = tokio::time::timeout(LIMIT, self.board.until(&format!("tenant/{tenant}"), |row| row.in_hand == 0)).await;
        assert!(idle.is_ok(), "{tenant} still has work in hand");
        assert_eq!(self.broker.queues(&[queue]).await.unwrap()[0].ready, 0);
    }
}

/// One test per case and pair.
macro_rules! on_both_pairs {
    ($($case:ident)*) => {
        mod on_rabbitmq_and_postgres { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Real); })* }
        mod embedded { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Embedded); })* }
    };
}

on_both_pairs! {
    a_message_that_panics_twice_is_parked_and_only_it
    a_panic_in_a_future_is_tied_to_its_message_as_well
    what_a_dead_actor_had_in_hand_is_done_by_the_next_generation
    an_actor_that_stops_in_the_middle_of_work_is_made_anew_and_the_message_is_blamed_after_three_times
    an_actor_that_dies_at_its_start_backs_off_and_is_quarantined_at_the_sixth_death
    a_quarantined_child_that_is_released_goes_on_with_what_waited
    a_paused_child_takes_nothing_and_a_resumed_one_takes_everything
    the_drain_finishes_what_was_begun_and_gives_back_the_rest
}

/// Messages that wait in a queue.
async fn ready(stage: &Stage, queue: &str) -> u64 {
    stage.broker.queues(&[queue.to_owned()]).await.unwrap()[0].ready
}

fn a_message_that_panics_twice_is_parked_and_only_it(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("acme", &["ok-1", "panic-1", "ok-2", "ok-3"]).await;
        stage.publish("other", &["ok-4"]).await;
        assert_eq!(stage.collect(4).await, ["ok-1", "ok-2", "ok-3", "ok-4"]);
        let parked = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.poisoned == 1)).await;
        assert!(parked.is_ok());
        assert_eq!(stage.store.parked_counts(None).await.unwrap().get("poison"), Some(&1));
        stage.nothing_left("acme").await;
        assert_eq!(stage.board.child("tenant/other").unwrap().generation, 1, "the neighbour was not made anew");
        let third = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.generation == 3)).await;
        assert!(third.is_ok(), "each of the two crashes made a new generation");
    });
}

fn a_panic_in_a_future_is_tied_to_its_message_as_well(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["ok-1", "late-1", "ok-2"]).await;
        assert_eq!(stage.collect(2).await, ["ok-1", "ok-2"]);
        let parked = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.poisoned == 1)).await;
        assert!(parked.is_ok());
        stage.nothing_left("acme").await;
    });
}

fn what_a_dead_actor_had_in_hand_is_done_by_the_next_generation(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        // The gated ones are begun when the panic kills their actor; they are begun again, and done.
        stage.publish("acme", &["gated-1", "gated-2", "panic1st-1", "gated-3"]).await;
        let second = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.generation == 2)).await;
        assert!(second.is_ok());
        stage.gate.add_permits(100);
        assert_eq!(stage.collect(4).await, ["gated-1", "gated-2", "gated-3", "panic1st-1"]);
        stage.nothing_left("acme").await;
        assert!(stage.store.parked_counts(None).await.unwrap().is_empty());
    });
}

fn an_actor_that_stops_in_the_middle_of_work_is_made_anew_and_the_message_is_blamed_after_three_times(pair: Pair) {
    on_stage(pair, RestartPolicy { restarts: 50, ..quick() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["abandon-1", "ok-1"]).await;
        let parked = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.poisoned == 1)).await;
        assert!(parked.is_ok(), "{:?}", stage.board.child("tenant/acme"));
        assert!(stage.collect(1).await == ["ok-1"]);
        stage.nothing_left("acme").await;
    });
}

fn an_actor_that_dies_at_its_start_backs_off_and_is_quarantined_at_the_sixth_death(pair: Pair) {
    for start in [Start::Stops, Start::Panics] {
        on_stage(pair, quick(), async |stage, _| {
            stage.raise(vec![stage.spec("acme", start), stage.spec("other", Start::Well)]).await;
            stage.publish("acme", &["ok-1", "ok-2"]).await;
            stage.publish("other", &["ok-3"]).await;
            stage.until("tenant/acme", Phase::Quarantined).await;
            assert_eq!(stage.board.child("tenant/acme").unwrap().generation, 6, "no storm");
            assert_eq!(stage.collect(1).await, ["ok-3"], "the neighbour works");
            // Its messages are at the broker again, not lost and not with it.
            let held = tokio::time::timeout(LIMIT, stage.board.until("tenant/acme", |row| row.in_hand == 0)).await;
            assert!(held.is_ok());
            let queue = topology::tenant_queue(&TenantName::new("acme").unwrap());
            assert!(until(async || ready(stage, &queue).await == 2).await, "both messages are at the broker");
            // Released with a working factory, it goes on where it was.
            assert!(stage.control("tenant/acme", Action::Resume).await.is_err(), "resume is not release");
        });
    }
}

fn a_quarantined_child_that_is_released_goes_on_with_what_waited(pair: Pair) {
    on_stage(pair, RestartPolicy { restarts: 0, ..quick() }, async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["panic1st-1", "ok-1"]).await;
        stage.until("tenant/acme", Phase::Quarantined).await;
        assert_eq!(stage.control("tenant/acme", Action::Release).await, Ok(Phase::Starting));
        let mut seen = stage.collect(2).await;
        seen.dedup();
        assert!(seen.contains(&"panic1st-1".to_owned()), "{seen:?}");
        stage.nothing_left("acme").await;
    });
}

fn a_paused_child_takes_nothing_and_a_resumed_one_takes_everything(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.until("tenant/acme", Phase::Running).await;
        assert_eq!(stage.control("tenant/acme", Action::Pause).await, Ok(Phase::Paused));
        stage.publish("acme", &["ok-1", "ok-2"]).await;
        assert_eq!(stage.control("tenant/acme", Action::Resume).await, Ok(Phase::Starting));
        assert_eq!(stage.collect(2).await, ["ok-1", "ok-2"]);
        assert_eq!(
            stage.control("tenant/acme", Action::Release).await.unwrap_err(),
            "`tenant/acme` is running; that does not allow Release"
        );
        assert!(stage.control("tenant/nobody", Action::Pause).await.is_err());
    });
}

fn the_drain_finishes_what_was_begun_and_gives_back_the_rest(pair: Pair) {
    on_stage(pair, quick(), async |stage, _| {
        stage.raise(vec![stage.spec("acme", Start::Well)]).await;
        stage.publish("acme", &["gated-1"]).await;
        tokio::time::timeout(LIMIT, stage.entered.acquire()).await.unwrap().unwrap().forget();
        let drain = stage.supervisor.send(Shutdown { deadline: LIMIT });
        stage.gate.add_permits(1);
        drain.await.unwrap();
        assert_eq!(stage.collect(1).await, ["gated-1"]);
        stage.publish("acme", &["ok-late"]).await;
        let queue = topology::tenant_queue(&TenantName::new("acme").unwrap());
        // The consumption's end reaches the broker a moment later; what it was given meanwhile comes back.
        assert!(until(async || ready(stage, &queue).await == 1).await, "it waits for the next hub");
        assert!(stage.done.try_recv().is_err(), "nothing is done after the drain");
    });
}
