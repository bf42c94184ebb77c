//! The dispatcher of one child: between broker and child, outliving the child's generations. Holds every delivery from the
//! moment the broker hands it over until the broker has the acknowledgement. What a dead child did not begin goes to the
//! next generation; a message that crashed the child twice is parked, and only it.
//!
//! It never asks the broker to requeue: closing the intake is the only way back, and that is for a child that is stopped.

use super::{
    board::Board,
    intake::{Intake, Work, Works},
    lanes::Deliver,
    token::{Report, Revoke, Token},
};
use crate::ports::{AckError, Change, Clock, MessageKey, Parked, QueueSpec, Store};
use actix::{Recipient, dev::SendError};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Crashes by one message after which it is parked.
pub(super) const POISON_CRASHES: u32 = 2;
/// Deaths of a child with a begun message in hand that nobody was blamed for, after which that message is blamed.
const ABANDONED_MAX: u32 = 3;
/// Wait before a failed opening of the intake, or a full mailbox, is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// What the supervisor tells a dispatcher.
#[derive(Debug)]
pub(super) enum Order {
    /// Take deliveries from the broker.
    Open,
    /// A generation is up: hand deliveries to it.
    Up { to: Recipient<Deliver>, generation: u64 },
    /// That generation is gone.
    Down { generation: u64 },
    /// Take no more; answer when nothing is in hand, then give back what was not begun.
    Close { done: oneshot::Sender<()> },
}

/// What a dispatcher is made of.
pub(super) struct Parts {
    pub name: String,
    pub queue: QueueSpec,
    pub prefetch: u16,
    pub intake: Arc<dyn Intake>,
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub board: Board,
}

struct Held {
    work: Work,
    at: jiff::Timestamp,
    given: Option<(u64, Revoke)>,
    culprit: bool,
    abandoned: u32,
}

enum Later {
    Acked(Result<(), AckError>),
    Counted { ticket: u64, crashes: Option<u32>, cause: String },
    Parked { ticket: u64, done: bool },
    Opened(Result<Works, crate::ports::BrokerError>),
    Again,
}

pub(super) struct Dispatcher {
    parts: Parts,
    queue: Arc<str>,
    held: BTreeMap<u64, Held>,
    pending: BTreeSet<u64>,
    next_ticket: u64,
    child: Option<(Recipient<Deliver>, u64)>,
    works: Option<Works>,
    wants_open: bool,
    closing: Vec<oneshot::Sender<()>>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
    later: FuturesUnordered<BoxFuture<'static, Later>>,
    again: bool,
    /// Acknowledgements, crash counts and parkings under way: a close waits for them, not for an opening that hangs.
    settling: usize,
}

impl Dispatcher {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            queue: Arc::from(parts.queue.name.as_str()),
            parts,
            held: BTreeMap::new(),
            pending: BTreeSet::new(),
            next_ticket: 1,
            child: None,
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
            let room = self.held.len() < usize::from(self.parts.prefetch);
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some(order) => self.order(order),
                    None => return,
                },
                Some(report) = self.reports.1.recv() => self.report(report),
                Some(later) = self.later.next(), if !self.later.is_empty() => self.later(later),
                work = next_work(&mut self.works), if room && self.closing.is_empty() => match work {
                    Some(work) => self.hold(work),
                    None => {
                        self.works = None;
                        self.open();
                    }
                },
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
            Order::Up { to, generation } => self.child = Some((to, generation)),
            Order::Down { generation } => {
                if self.child.as_ref().is_some_and(|(_, g)| *g <= generation) {
                    self.child = None;
                }
            }
            Order::Close { done } => {
                self.wants_open = false;
                self.closing.push(done);
                // What waits in a mailbox or a lane is taken back now; what was begun is waited for.
                let waiting: Vec<u64> = self
                    .held
                    .iter()
                    .filter(|(_, h)| h.given.as_ref().is_some_and(|(_, revoke)| revoke.revoke()))
                    .map(|(t, _)| *t)
                    .collect();
                for ticket in waiting {
                    if let Some(held) = self.held.get_mut(&ticket) {
                        held.given = None;
                    }
                    self.pending.insert(ticket);
                }
            }
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
        self.held.insert(ticket, Held { work, at, given: None, culprit: false, abandoned: 0 });
        self.pending.insert(ticket);
        self.parts.board.update(&self.parts.name, |row| row.last_in = Some(at));
    }

    fn hand_out(&mut self) {
        if !self.closing.is_empty() {
            return;
        }
        let Some((child, generation)) = self.child.clone() else { return };
        while let Some(ticket) = self.pending.first().copied() {
            let Some(held) = self.held.get_mut(&ticket) else {
                self.pending.remove(&ticket);
                continue;
            };
            let (token, revoke) = Token::new(ticket, generation, self.reports.0.clone());
            match child.try_send(Deliver::new(token, &held.work, &self.queue)) {
                Ok(()) => {
                    held.given = Some((generation, revoke));
                    self.pending.remove(&ticket);
                }
                Err(SendError::Full(delivery)) => {
                    delivery.token.disarm();
                    self.try_again();
                    return;
                }
                Err(SendError::Closed(delivery)) => {
                    // Its lifeline will say so too; until the next generation is up, everything is held.
                    delivery.token.disarm();
                    self.child = None;
                    return;
                }
            }
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

    fn report(&mut self, report: Report) {
        match report {
            Report::Done { ticket } => self.done(ticket),
            Report::Panicked { ticket, generation, cause } => {
                if let Some(held) = self.held.get_mut(&ticket)
                    && held.given.as_ref().is_some_and(|(g, _)| *g == generation)
                {
                    held.culprit = true;
                    self.count_crash(ticket, cause);
                }
            }
            Report::Dropped { ticket, generation, begun } => {
                let Some(held) = self.held.get_mut(&ticket) else { return };
                if held.culprit || held.given.as_ref().is_none_or(|(g, _)| *g != generation) {
                    return;
                }
                held.given = None;
                if begun {
                    held.abandoned += 1;
                }
                if held.abandoned >= ABANDONED_MAX {
                    held.abandoned = 0;
                    held.culprit = true;
                    self.count_crash(ticket, format!("its actor ended {ABANDONED_MAX} times with this message in hand"));
                } else {
                    self.pending.insert(ticket);
                }
            }
        }
    }

    fn count_crash(&mut self, ticket: u64, cause: String) {
        let Some(held) = self.held.get(&ticket) else { return };
        let (store, key) = (Arc::clone(&self.parts.store), MessageKey::from(&*held.work.envelope));
        tracing::error!(child = %self.parts.name, messaging.message.id = %key.id, cause, "a message crashed its actor");
        self.settle(
            async move {
                let crashes = store.crashed(&key, &cause).await.ok();
                Later::Counted { ticket, crashes, cause }
            }
            .boxed(),
        );
    }

    fn later(&mut self, later: Later) {
        if !matches!(later, Later::Opened(_) | Later::Again) {
            self.settling -= 1;
        }
        match later {
            Later::Acked(Ok(()) | Err(AckError::Stale)) => {}
            Later::Acked(Err(error @ AckError::Away(_))) => {
                tracing::warn!(child = %self.parts.name, %error, "an acknowledgement was not taken; the message will come again");
            }
            Later::Counted { ticket, crashes, cause } => match crashes {
                Some(crashes) if crashes >= POISON_CRASHES => self.park(ticket, crashes, &cause),
                Some(_) => {
                    if let Some(held) = self.held.get_mut(&ticket) {
                        held.culprit = false;
                        held.given = None;
                        self.pending.insert(ticket);
                    }
                }
                // The store is away: the count must not be lost, or poison would go round for ever.
                None => {
                    if let Some(held) = self.held.get(&ticket) {
                        let (store, key) = (Arc::clone(&self.parts.store), MessageKey::from(&*held.work.envelope));
                        self.settle(
                            async move {
                                tokio::time::sleep(AGAIN).await;
                                let crashes = store.crashed(&key, &cause).await.ok();
                                Later::Counted { ticket, crashes, cause }
                            }
                            .boxed(),
                        );
                    }
                }
            },
            Later::Parked { ticket, done: true } => {
                self.parts.board.update(&self.parts.name, |row| row.poisoned += 1);
                self.done(ticket);
            }
            Later::Parked { ticket, done: false } => self.park(ticket, POISON_CRASHES, "see the log"),
            Later::Opened(Ok(works)) => {
                if self.wants_open && self.works.is_none() {
                    self.works = Some(works);
                }
            }
            Later::Opened(Err(error)) => {
                tracing::warn!(child = %self.parts.name, queue = %self.queue, %error, "failed to open the queue; trying again");
                self.try_again();
            }
            Later::Again => {
                self.again = false;
                self.open();
            }
        }
    }

    fn park(&mut self, ticket: u64, crashes: u32, cause: &str) {
        let Some(held) = self.held.get(&ticket) else { return };
        let envelope = Arc::clone(&held.work.envelope);
        let parked = Parked {
            at: self.parts.clock.now(),
            tenant: Some(envelope.tenant.to_string()),
            queue: self.queue.to_string(),
            exchange: envelope.message.family().exchange().to_owned(),
            routing_key: envelope.routing_key(),
            message_id: Some(envelope.id.to_string()),
            kind: Some(envelope.message.kind().to_owned()),
            code: "poison".into(),
            field: None,
            detail: format!("crashed its actor {crashes} times, last: {cause}. Correct the message or the hub, then retry it"),
            body: envelope.encode().unwrap_or_default().into(),
        };
        let store = Arc::clone(&self.parts.store);
        self.settle(
            async move {
                let change = Change { parked: Some(parked), ..Change::default() };
                let done = store.commit(change).await.is_ok();
                if !done {
                    tokio::time::sleep(AGAIN).await;
                }
                Later::Parked { ticket, done }
            }
            .boxed(),
        );
    }

    fn done(&mut self, ticket: u64) {
        self.pending.remove(&ticket);
        if let Some(held) = self.held.remove(&ticket) {
            self.settle(held.work.ack.ack().map(Later::Acked).boxed());
            let now = self.parts.clock.now();
            self.parts.board.update(&self.parts.name, |row| {
                row.done += 1;
                row.last_done = Some(now);
            });
        }
    }

    fn maybe_closed(&mut self) {
        if self.closing.is_empty() {
            return;
        }
        let begun = self.held.iter().any(|(ticket, held)| !self.pending.contains(ticket) && (held.given.is_some() || held.culprit));
        if !begun && self.settling == 0 {
            self.child = None;
            self.held.clear();
            self.pending.clear();
            self.works = None;
            for done in self.closing.drain(..) {
                let _ = done.send(());
            }
        }
    }

    fn show(&self) {
        let (in_hand, oldest) = (self.held.len(), self.held.values().next().map(|h| h.at));
        self.parts.board.update(&self.parts.name, |row| {
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
