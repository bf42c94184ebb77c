//! The dispatcher of one child: between broker and child, outliving the child's generations. Holds every delivery from the
//! moment the broker hands it over until the broker has the acknowledgement. What a dead child did not begin goes to the
//! next generation; what it began goes there too, once the calls it had under way have ended; a message that crashed the child
//! twice is parked, and only it. How deliveries end is in [`ends`], and when a child is taken to be stuck in [`patience`].
//!
//! It never asks the broker to requeue: closing the intake is the only way back, and that is for a child that is stopped.

mod ends;
mod held;
mod patience;

use super::{
    board::Board,
    deliver::Deliver,
    fairness::Allowance,
    intake::{Intake, Work, Works},
    notice::{ChildName, Notice},
    spec::{LaneOf, LastWords},
    token::{Report, Token},
};
use crate::ports::{AckError, BrokerError, Clock, QueueSpec, Store};
use actix::{Recipient, dev::SendError};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use held::{Held, State};
use jiff::Timestamp;
use patience::Patience;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

/// Crashes by one message after which it is parked.
pub(super) const POISON_CRASHES: u32 = 2;
/// Wait before a failed opening of the intake, or a full mailbox, is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often it is looked whether a flood is over.
const HELD_LOOK: Duration = Duration::from_secs(1);

/// What the supervisor tells a dispatcher.
#[derive(Debug)]
pub(super) enum Order {
    /// Take deliveries from the broker.
    Open,
    /// A generation is up: hand deliveries to it.
    Up { to: Recipient<Deliver>, generation: u64 },
    /// That generation is gone.
    Down { generation: u64 },
    /// That generation is given up, though it may not know: take everything back from it.
    Abandon { generation: u64, why: Abandoned },
    /// Take no more; answer when nothing is in hand, then give back what was not begun.
    Close { done: oneshot::Sender<()> },
}

/// Why a generation is given up.
#[derive(Debug, Clone)]
pub(super) enum Abandoned {
    /// Its thread stands still, through another child: nothing counts against it.
    Moved,
    /// It made its thread stand still: the message whose work was running crashed it.
    Froze(String),
    /// It got nothing done: whatever was begun may be to blame.
    NoProgress,
}

/// What a dispatcher is made of.
pub(super) struct Parts {
    pub name: ChildName,
    pub queue: QueueSpec,
    pub prefetch: u16,
    pub lane: LaneOf,
    /// What is stored with a message that is parked as poison.
    pub last_words: Option<LastWords>,
    pub intake: Arc<dyn Intake>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub board: Board,
    /// Holds a tenant to its share; a child that works for all tenants has none.
    pub allowance: Option<Allowance>,
    /// With work in hand and nothing done for so long, the child is stuck.
    pub patience: Duration,
    pub notices: mpsc::UnboundedSender<Notice>,
}

enum Later {
    Acked(Result<(), AckError>),
    Counted { ticket: u64, crashes: Option<u32>, cause: String },
    Parked { ticket: u64, crashes: u32, cause: String, done: bool },
    Landed { ticket: u64 },
    Pinged { well: bool },
    Opened(Result<Works, BrokerError>),
    Again,
}

pub(super) struct Dispatcher {
    parts: Parts,
    queue: Arc<str>,
    held: BTreeMap<u64, Held>,
    next_ticket: u64,
    child: Option<(Recipient<Deliver>, u64)>,
    /// The last generation of which a message panicked.
    explained: u64,
    works: Option<Works>,
    wants_open: bool,
    closing: Vec<oneshot::Sender<()>>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    later: FuturesUnordered<BoxFuture<'static, Later>>,
    again: bool,
    /// Acknowledgements, crash counts and parkings under way: a close waits for them, not for an opening that hangs.
    settling: usize,
    patience: Patience,
    /// Since when it is held to its share.
    held_since: Option<Timestamp>,
}

impl Dispatcher {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            queue: Arc::from(parts.queue.name.as_str()),
            patience: Patience::new(parts.patience),
            held_since: None,
            parts,
            held: BTreeMap::new(),
            next_ticket: 1,
            child: None,
            explained: 0,
            works: None,
            wants_open: false,
            closing: Vec::new(),
            reports: mpsc::unbounded_channel(),
            later: FuturesUnordered::new(),
            again: false,
            settling: 0,
        }
    }

    /// Runs until the supervisor lets go of the orders' sender.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        loop {
            let room = self.held.len() < usize::from(self.parts.prefetch) && self.closing.is_empty();
            let wait = self.parts.allowance.as_mut().filter(|_| room).and_then(|allowance| allowance.wait(Instant::now()));
            let opens = wait.map(tokio::time::sleep);
            self.show_whether_held(wait.is_some());
            let working = !self.held.is_empty() && self.child.is_some();
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    // The child is let go: what it has been given is not this process's to do any more.
                    None => return self.held.values_mut().for_each(Held::let_go),
                },
                Some(report) = self.reports.1.recv() => self.report(report),
                Some(later) = self.later.next(), if !self.later.is_empty() => self.later(later),
                work = next_work(&mut self.works), if room && wait.is_none() => match work {
                    Some(work) => self.hold(work),
                    None => {
                        self.works = None;
                        self.open();
                    }
                },
                Some(()) = OptionFuture::from(opens), if wait.is_some() => {}
                () = self.patience.ends(), if working => self.look_at_progress(),
                // So that it is seen when the flood is over, though nothing comes any more.
                () = tokio::time::sleep(HELD_LOOK), if self.held_since.is_some() => {}
            }
            self.hand_out();
            self.maybe_closed();
            self.show();
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Open => {
                self.wants_open = true;
                self.closing.clear();
                self.open();
            }
            Order::Up { to, generation } => {
                self.patience.progress();
                self.child = Some((to, generation));
            }
            Order::Down { generation } => self.forget(generation),
            Order::Abandon { generation, why } => {
                self.forget(generation);
                self.abandon(generation, &why);
            }
            Order::Close { done } => {
                self.wants_open = false;
                self.closing.push(done);
                // What waits in a mailbox or a lane is taken back now; what was begun is waited for.
                self.held.values_mut().for_each(Held::take_back_if_waiting);
            }
        }
    }

    fn forget(&mut self, generation: u64) {
        if self.child.as_ref().is_some_and(|(_, g)| *g <= generation) {
            self.child = None;
        }
    }

    fn open(&mut self) {
        if !self.wants_open || self.works.is_some() {
            return;
        }
        let (intake, queue, prefetch) = (Arc::clone(&self.parts.intake), self.parts.queue.clone(), self.parts.prefetch);
        self.later.push(async move { Later::Opened(intake.open(queue, prefetch).await) }.boxed());
    }

    fn hold(&mut self, work: Work) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let at = self.parts.clock.now();
        let lane = (self.parts.lane)(&work.envelope);
        if self.held.is_empty() {
            self.patience.progress();
        }
        self.held.insert(ticket, Held::new(work, at, lane));
        if let Some(allowance) = &mut self.parts.allowance {
            allowance.took(Instant::now());
        }
        self.parts.board.update(&self.parts.name.0, |row| row.last_in = Some(at));
    }

    /// Hands to the child whatever waits for it, in order. Behind a message that rests, or whose crash is being counted, the
    /// others of its lane wait.
    fn hand_out(&mut self) {
        if !self.closing.is_empty() {
            return;
        }
        let Some((child, generation)) = self.child.clone() else { return };
        let mut barred: Vec<&str> = Vec::new();
        let (mut again, mut gone) = (false, false);
        for (ticket, held) in &mut self.held {
            if matches!(held.state, State::Resting | State::Counting) {
                barred.push(&held.lane);
            }
            if !matches!(held.state, State::Pending) || barred.contains(&held.lane.as_str()) {
                continue;
            }
            let (token, revoke) = Token::new(*ticket, generation, held.flights.clone(), self.reports.0.clone());
            match child.try_send(Deliver::new(token, &held.work, &self.queue, held.known)) {
                Ok(()) => (held.state, held.known) = (State::Given { generation, revoke }, true),
                Err(SendError::Full(delivery)) => {
                    delivery.token.disarm();
                    again = true;
                    break;
                }
                Err(SendError::Closed(delivery)) => {
                    // Its lifeline will say so too; until the next generation is up, everything is held.
                    delivery.token.disarm();
                    gone = true;
                    break;
                }
            }
        }
        if gone {
            self.child = None;
        }
        if again {
            self.try_again();
        }
    }

    fn settle(&mut self, work: BoxFuture<'static, Later>) {
        self.settling += 1;
        self.later.push(work);
    }

    fn try_again(&mut self) {
        if !self.again {
            self.again = true;
            self.later.push(tokio::time::sleep(AGAIN).map(|()| Later::Again).boxed());
        }
    }

    fn maybe_closed(&mut self) {
        if self.closing.is_empty() {
            return;
        }
        let busy = self.held.values().any(|held| !matches!(held.state, State::Pending));
        if !busy && self.settling == 0 {
            self.child = None;
            self.held.clear();
            self.works = None;
            for done in self.closing.drain(..) {
                let _ = done.send(());
            }
            let _ = self.parts.notices.send(Notice::Closed { child: self.parts.name.clone() });
        }
    }

    /// A flood is held from its first wait until it keeps within its share again.
    fn show_whether_held(&mut self, waits: bool) {
        let floods = self.parts.allowance.as_ref().is_some_and(Allowance::floods);
        let held_since = if floods { self.held_since.or_else(|| waits.then(|| self.parts.clock.now())) } else { None };
        if held_since != self.held_since {
            self.held_since = held_since;
            self.parts.board.update(&self.parts.name.0, |row| row.held_since = held_since);
        }
    }

    fn show(&mut self) {
        let (in_hand, oldest) = (self.held.len(), self.held.values().next().map(|h| h.at));
        self.parts.board.update(&self.parts.name.0, |row| {
            row.in_hand = in_hand;
            row.oldest = oldest;
        });
    }
}

async fn next_work(works: &mut Option<Works>) -> Option<Work> {
    match works {
        Some(works) => works.works.recv().await,
        None => std::future::pending().await,
    }
}
