//! A tenant's actor that does what it is told: the application's id in a message is `<word>-<anything>`, and the word says what to
//! do. A word that ends in `1st` is obeyed by the first generation only; the others do the message like any.

use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler};
use async_trait::async_trait;
use atshub_actors::{
    flight::{self, Flight},
    supervision::{Birth, Deliver, Lanes, Workload},
};
use atshub_schemas::{Envelope, Message};
use std::sync::{Arc, Condvar, Mutex};
use tokio::sync::{Semaphore, mpsc};

use crate::support::hub::LIMIT;

/// What probes share with the test.
#[derive(Clone)]
pub(crate) struct Strings {
    /// Messages that were done, with the generation that did them.
    pub(crate) done: mpsc::UnboundedSender<(u64, String)>,
    /// Rung by work that waits for [`Strings::gate`], or that blocks.
    pub(crate) entered: Arc<Semaphore>,
    /// Opens for work that waits.
    pub(crate) gate: Arc<Semaphore>,
    /// Calls that `flight` has under way, until the test lets go of them.
    pub(crate) flights: mpsc::UnboundedSender<Flight>,
    pub(crate) block: Arc<Block>,
}

/// What a blocked thread waits for. It is let go with the test, however that ends.
#[derive(Default)]
pub(crate) struct Block(Mutex<bool>, Condvar);

impl Block {
    fn wait(&self) {
        let open = self.0.lock().unwrap();
        drop(self.1.wait_timeout_while(open, LIMIT, |open| !*open).unwrap());
    }

    pub(crate) fn end(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    pub(crate) fn has_ended(&self) -> bool {
        *self.0.lock().unwrap()
    }
}

/// How a probe starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Start {
    Well,
    Stops,
    Panics,
    /// Only the first time.
    StopsAtFirst,
    PanicsAtFirst,
}

pub(crate) struct Probe {
    strings: Strings,
    generation: u64,
    end: mpsc::UnboundedSender<()>,
}

/// The word that this generation is to obey.
fn word(envelope: &Envelope, generation: u64) -> (String, &str) {
    let Message::ApplicationMoved(fact) = &envelope.message else { return (String::new(), "") };
    let id = fact.application.id.as_str();
    let word = id.split('-').next().unwrap_or_default();
    (id.to_owned(), word.strip_suffix("1st").map_or(word, |word| if generation == 1 { word } else { "" }))
}

#[async_trait(?Send)]
impl Workload for Probe {
    fn lane(envelope: &Envelope) -> String {
        envelope.subject.as_ref().map_or_else(|| envelope.id.to_string(), ToString::to_string)
    }

    async fn perform(&self, envelope: Arc<Envelope>, _: &str, _: bool) {
        let (id, word) = word(&envelope, self.generation);
        match word {
            "panic" => panic!("told to panic"),
            "late" => {
                tokio::task::yield_now().await;
                panic!("told to panic in the future")
            }
            "gated" => {
                self.strings.entered.add_permits(1);
                self.strings.gate.acquire().await.unwrap().forget();
            }
            "abandon" => {
                let _ = self.end.send(());
                std::future::pending::<()>().await;
            }
            "hang" => std::future::pending::<()>().await,
            "flight" => {
                self.strings.entered.add_permits(1);
                if self.generation == 1 {
                    self.strings.flights.send(flight::depart().unwrap()).unwrap();
                    std::future::pending::<()>().await;
                }
            }
            "block" => {
                self.strings.entered.add_permits(1);
                self.strings.block.wait();
                // Whoever was given up while its thread stood still does not come past this.
                tokio::task::yield_now().await;
            }
            "arbiter" => {
                actix_rt::Arbiter::current().stop();
            }
            _ => {}
        }
        let _ = self.strings.done.send((self.generation, id));
    }
}

pub(crate) struct ProbeActor {
    lanes: Lanes<Probe>,
    generation: u64,
    told: Option<mpsc::UnboundedReceiver<()>>,
    start: Start,
}

impl ProbeActor {
    pub(crate) fn start(birth: Birth, strings: Strings, start: Start) -> actix::Recipient<Deliver> {
        let Birth { arbiter, lifeline } = birth;
        Self::start_in_arbiter(&arbiter, move |_| {
            let ((end, told), generation) = (mpsc::unbounded_channel(), lifeline.generation());
            let probe = Probe { strings, generation, end };
            Self { lanes: Lanes::new(lifeline, Arc::new(probe)), generation, told: Some(told), start }
        })
        .recipient()
    }
}

impl Actor for ProbeActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let first = self.generation == 1;
        match self.start {
            Start::Stops => return ctx.stop(),
            Start::StopsAtFirst if first => return ctx.stop(),
            Start::Panics => panic!("told to panic at the start"),
            Start::PanicsAtFirst if first => panic!("told to panic at the first start"),
            _ => self.lanes.link().up(),
        }
        let mut told = self.told.take().unwrap();
        let stop = async move { told.recv().await };
        ctx.spawn(actix::fut::wrap_future::<_, Self>(stop).map(|told, _, ctx: &mut Context<Self>| {
            if told.is_some() {
                ctx.terminate();
            }
        }));
    }
}

impl Handler<Deliver> for ProbeActor {
    type Result = ();

    fn handle(&mut self, delivery: Deliver, ctx: &mut Context<Self>) {
        match word(&delivery.envelope, self.generation).1 {
            "sync" => panic!("told to panic in the handler"),
            "spawn" => {
                let fall = async { panic!("told to panic in a future beside the work") };
                ctx.spawn(actix::fut::wrap_future::<_, Self>(fall));
            }
            "stop" => return ctx.stop(),
            "terminate" => return ctx.terminate(),
            // The delivery is thrown away, as it is when somebody gives up waiting for a `send`.
            "throw" => return drop(delivery),
            _ => {}
        }
        self.lanes.take(delivery, |actor: &mut Self| &mut actor.lanes, ctx);
    }
}
