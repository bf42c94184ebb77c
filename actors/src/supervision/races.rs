//! The races of a delivery, explored: its token is used up or lost on the child's thread while the dispatcher takes it back on another,
//! and what waits for the lease or for its lane is taken back while it waits. The small models run under every schedule, the others under
//! many drawn at random; more of them, by hand:
//! `ATSHUB_TEST_SCHEDULES=1000000 cargo test --release -p atshub-actors --lib races`.

use super::{
    lanes::Keyed,
    token::{Fenced, Report, Revoke, Token},
};
use crate::{
    flight::Flights,
    interleaving::{exhaust, explore},
    lease::Lease,
};
use shuttle::{future::block_on, thread};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Schedules drawn for a model that has too many to try them all.
const SCHEDULES: usize = 3_000;

fn token(ticket: u64) -> (Token, Revoke, UnboundedReceiver<Report>) {
    let (tx, rx) = unbounded_channel();
    let (token, revoke) = Token::new(ticket, 1, Flights::default(), tx);
    (token, revoke, rx)
}

/// How the child's side goes.
#[derive(Debug, Clone, Copy)]
enum Child {
    /// It never looks at the delivery: a dead mailbox, a dying actor.
    Loses,
    /// It begins, and is cancelled between two steps.
    Begins,
    /// It dies in the middle of a step.
    Dies,
    /// It works, and acknowledges.
    Works,
}

const CHILDREN: [Child; 4] = [Child::Loses, Child::Begins, Child::Dies, Child::Works];

impl Child {
    /// True if the work had begun.
    fn run(self, mut token: Token) -> bool {
        if matches!(self, Self::Loses) || !token.begin() {
            return false;
        }
        if matches!(self, Self::Begins) || !token.enter() || matches!(self, Self::Dies) {
            return true;
        }
        if token.leave() {
            token.ack();
        }
        true
    }
}

/// What the dispatcher hears, once both sides have ended.
fn assert_one_outcome(child: Child, begun: bool, taken: bool, mut rx: UnboundedReceiver<Report>) {
    let heard = rx.try_recv().ok();
    assert_eq!(heard.is_some(), !taken, "{child:?}: taken back {taken}, and heard {heard:?}");
    assert!(rx.try_recv().is_err(), "{child:?}: reported twice");
    if let Some(Report::Dropped { begun: said, .. }) = heard {
        assert_eq!(said, begun, "{child:?}: what never began was counted as an attempt, or the other way round");
    }
}

#[test]
fn a_token_that_is_lost_or_acknowledged_while_it_is_revoked_has_one_outcome() {
    for child in CHILDREN {
        exhaust(move || {
            let (token, revoke, rx) = token(1);
            let side = thread::spawn(move || child.run(token));
            let taken = revoke.revoke();
            assert_one_outcome(child, side.join().unwrap(), taken, rx);
        });
    }
}

#[test]
fn a_token_that_is_lost_or_acknowledged_while_it_is_fenced_has_one_outcome() {
    for child in CHILDREN {
        exhaust(move || {
            let (token, revoke, rx) = token(1);
            let side = thread::spawn(move || child.run(token));
            let taken = revoke.fence().is_some();
            assert_one_outcome(child, side.join().unwrap(), taken, rx);
        });
    }
}

#[test]
fn no_step_begins_once_the_delivery_was_taken_back() {
    exhaust(|| {
        let (mut token, revoke, _rx) = token(1);
        let fenced = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&fenced);
        let side = thread::spawn(move || {
            if !token.begin() {
                return;
            }
            for _ in 0..2 {
                let before = seen.load(SeqCst);
                if !token.enter() {
                    return;
                }
                assert!(!before, "a step began after the delivery was taken back");
                if !token.leave() {
                    return;
                }
            }
        });
        let _ = revoke.fence();
        fenced.store(true, SeqCst);
        side.join().unwrap();
    });
}

/// Work in the guard's way: each step is entered and left, and a delivery that is taken back drops the work.
async fn guarded(token: Token, work: impl Future<Output = ()>) -> bool {
    let (mut work, mut token) = (pin!(work), Some(token));
    poll_fn(move |context| {
        let Some(mine) = token.take() else { return Poll::Ready(false) };
        mine.listen(context.waker());
        if !mine.enter() {
            return Poll::Ready(false);
        }
        let polled = work.as_mut().poll(context);
        if !mine.leave() {
            return Poll::Ready(false);
        }
        if polled.is_ready() {
            mine.ack();
            return Poll::Ready(true);
        }
        token = Some(mine);
        Poll::Pending
    })
    .await
}

#[test]
fn work_that_waits_is_woken_when_its_delivery_is_taken_back() {
    // A wake-up that is lost leaves the model waiting for ever, which fails it.
    explore(SCHEDULES, || {
        let (mut token, revoke, rx) = token(1);
        assert!(token.begin());
        let side = thread::spawn(move || block_on(guarded(token, std::future::pending())));
        assert!(revoke.fence().is_some());
        assert!(!side.join().unwrap());
        assert!(rx.is_empty());
    });
}

fn ahead() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[test]
fn all_that_wait_for_the_lease_go_on_when_it_is_renewed_in_time() {
    explore(SCHEDULES, || {
        let lease = Lease::until(Instant::now());
        let waits = [0, 1].map(|_| {
            let lease = lease.clone();
            thread::spawn(move || block_on(lease.held()))
        });
        lease.renew(Instant::now()); // too late already
        thread::yield_now();
        lease.renew(ahead());
        waits.into_iter().for_each(|wait| wait.join().unwrap());
        assert!(lease.holds());
    });
}

#[test]
fn work_that_is_let_go_while_it_waits_for_the_lease_never_acts_when_the_lease_comes_back() {
    explore(SCHEDULES, || {
        let (mut token, revoke, mut rx) = token(1);
        assert!(token.begin());
        let (lease, acted) = (Lease::until(Instant::now()), Arc::new(AtomicBool::new(false)));
        let side = {
            let (lease, acted) = (lease.clone(), Arc::clone(&acted));
            thread::spawn(move || {
                block_on(guarded(token, async move {
                    lease.held().await;
                    acted.store(true, SeqCst);
                }))
            })
        };
        let renews = {
            let lease = lease;
            thread::spawn(move || lease.renew(ahead()))
        };
        let (taken, before) = (revoke.fence(), acted.load(SeqCst));
        renews.join().unwrap();
        let done = side.join().unwrap();
        // What was taken back between two steps acts no more; a step that was running goes to its end, and is not acknowledged.
        assert!(taken == Some(Fenced::Running) || acted.load(SeqCst) == before, "it acted after it was let go ({taken:?})");
        // Taken back between its last step and the acknowledgement it is done, and yet not acknowledged: it comes again, as known.
        assert!(done || taken.is_some());
        assert_eq!(matches!(rx.try_recv(), Ok(Report::Done { .. })), taken.is_none());
    });
}

#[test]
fn two_messages_of_one_lane_are_never_in_work_at_once_and_none_is_forgotten() {
    explore(SCHEDULES, || {
        let (tx, mut rx) = unbounded_channel();
        let mut all: Vec<(u64, &str, Token, Revoke)> = Vec::new();
        for (ticket, lane) in [(1, "a"), (2, "a"), (3, "b"), (4, "a")] {
            let (token, revoke) = Token::new(ticket, 1, Flights::default(), tx.clone());
            all.push((ticket, lane, token, revoke));
        }
        let (given, revokes): (Vec<_>, Vec<_>) = all.into_iter().map(|(n, lane, token, revoke)| ((n, lane, token), (n, revoke))).unzip();
        let in_work = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        // The actor's thread: takes all, then works on one of those that run after the other, as its futures are polled.
        let actor = thread::spawn(move || {
            let (mut lanes, mut running, mut order) = (Keyed::default(), Vec::new(), Vec::new());
            for (ticket, lane, token) in given {
                running.extend(lanes.take(lane.to_owned(), (ticket, token)).map(|first| (lane, first)));
            }
            while !running.is_empty() {
                let at = shuttle::rand::Rng::gen_range(&mut shuttle::rand::thread_rng(), 0..running.len());
                let (lane, (ticket, mut token)) = running.swap_remove(at);
                let busy = &in_work[usize::from(lane == "b")];
                if token.begin() {
                    assert_eq!(busy.fetch_add(1, SeqCst), 0, "two messages of lane {lane} at once");
                    order.push((lane, ticket));
                    thread::yield_now();
                    busy.fetch_sub(1, SeqCst);
                    token.ack();
                }
                running.extend(lanes.next(lane).map(|next| (lane, next)));
            }
            assert!(lanes.is_empty(), "a message was forgotten in its lane");
            order
        });
        let taken: Vec<u64> = revokes.iter().filter(|(_, revoke)| revoke.revoke()).map(|(ticket, _)| *ticket).collect();
        let order = actor.join().unwrap();
        let of_a: Vec<u64> = order.iter().filter(|(lane, _)| *lane == "a").map(|(_, ticket)| *ticket).collect();
        assert!(of_a.is_sorted(), "out of order: {of_a:?}");
        drop(tx);
        let mut ends = taken;
        while let Ok(report) = rx.try_recv() {
            let Report::Done { ticket } = report else { panic!("heard {report:?}") };
            ends.push(ticket);
        }
        ends.sort_unstable();
        assert_eq!(ends, [1, 2, 3, 4], "each is done or taken back, and once");
    });
}
