//! What `actix::Supervisor` alone does with the same ways of dying: the reasons for the hub's own. Held here so that somebody
//! notices when actix changes, and so that none of the hub's ways is a guard against nothing.

#![expect(clippy::disallowed_types, reason = "shows why it is not used")]

use crate::support::hub::soon;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Supervised, Supervisor, WrapFuture};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

#[derive(Default, Clone)]
struct Counts {
    starts: Arc<AtomicU64>,
    done: Arc<AtomicU64>,
}

struct Plain {
    counts: Counts,
    /// State that a fresh start would not have.
    broken: bool,
    /// Stops at so many starts.
    stops: u64,
}

impl Actor for Plain {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if self.counts.starts.fetch_add(1, Ordering::SeqCst) < self.stops {
            ctx.stop();
        }
    }
}

impl Supervised for Plain {}

#[derive(actix::Message)]
#[rtype(result = "bool")]
struct Do(&'static str);

impl Handler<Do> for Plain {
    type Result = bool;

    fn handle(&mut self, Do(word): Do, ctx: &mut Context<Self>) -> bool {
        match word {
            "panic" => panic!("told to panic in the handler"),
            "spawn" => drop(ctx.spawn(async { panic!("told to panic in a future") }.into_actor(self))),
            "stop" => {
                self.broken = true;
                ctx.stop();
            }
            "arbiter" => drop(actix_rt::Arbiter::current().stop()),
            _ => drop(self.counts.done.fetch_add(1, Ordering::SeqCst)),
        }
        self.broken
    }
}

fn plain(stops: u64) -> (Addr<Plain>, Counts, actix_rt::Arbiter) {
    let (counts, arbiter) = (Counts::default(), actix_rt::Arbiter::new());
    let made = counts.clone();
    let addr = Supervisor::start_in_arbiter(&arbiter.handle(), move |_| Plain { counts: made, broken: false, stops });
    (addr, counts, arbiter)
}

#[test]
fn after_a_panic_or_with_its_thread_an_actor_is_gone_for_ever() {
    actix::System::new().block_on(async {
        for way in ["panic", "spawn", "arbiter"] {
            let (addr, counts, _arbiter) = plain(0);
            let _ = addr.send(Do(way)).await;
            soon("the end", async {
                while addr.connected() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            assert!(addr.send(Do("ok")).await.is_err(), "{way}");
            assert_eq!(counts.starts.load(Ordering::SeqCst), 1, "{way}: it was never started again");
        }
    });
}

#[test]
fn after_a_stop_the_same_broken_value_goes_on() {
    actix::System::new().block_on(async {
        let (addr, ..) = plain(0);
        let _ = addr.send(Do("stop")).await;
        assert!(addr.send(Do("ok")).await.unwrap(), "what was broken is still broken");
    });
}

#[test]
fn an_actor_that_stops_at_its_start_is_started_in_a_loop_that_lets_nobody_else_run() {
    const STARTS: u64 = 5_000;
    actix::System::new().block_on(async {
        let arbiter = actix_rt::Arbiter::new();
        let (storm, calm) = (Counts::default(), Counts::default());
        let (tell, told) = std::sync::mpsc::channel();
        let (stormy, neighbour) = (storm.clone(), calm.clone());
        // All on one thread, in this order: the storm is due before the neighbour's message.
        arbiter.spawn_fn(move || {
            let addr = Plain { counts: neighbour, broken: false, stops: 0 }.start();
            let storm = Supervisor::start(move |_| Plain { counts: stormy, broken: false, stops: STARTS });
            tell.send((addr, storm)).unwrap();
        });
        let (addr, _storm) = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        addr.send(Do("ok")).await.unwrap();
        assert_eq!(calm.done.load(Ordering::SeqCst), 1);
        assert!(storm.starts.load(Ordering::SeqCst) > STARTS, "every start came before the neighbour's turn");
    });
}

#[test]
fn a_send_that_is_not_waited_for_is_lost_without_a_word() {
    actix::System::new().block_on(async {
        let (addr, counts, arbiter) = plain(0);
        // Held up, so that the message is still in the mailbox when its sender gives up.
        let (release, held) = std::sync::mpsc::channel::<()>();
        arbiter.spawn_fn(move || {
            let _ = held.recv();
        });
        let mut send = Box::pin(addr.send(Do("ok")));
        let polled = futures_util::poll!(send.as_mut());
        assert!(matches!(polled, Poll::Pending));
        drop(send);
        release.send(()).unwrap();
        addr.send(Do("ok")).await.unwrap();
        assert_eq!(counts.done.load(Ordering::SeqCst), 1, "of two messages one was handled");
    });
}
