//! How deliveries end: done and acknowledged, taken back and handed out again, or parked because they crashed their child.

use super::{
    AGAIN, Abandoned, Dispatcher, Later, POISON_CRASHES,
    held::{Held, State},
};
use crate::{
    lifecycle,
    ports::{AckError, BrokerError, Change, CommitOutcome, MessageKey, Parked, StoreError},
    supervision::{
        notice::Notice,
        spec::LastWords,
        token::{Fenced, Report},
    },
};
use atshub_schemas::{Envelope, topology};
use futures_util::FutureExt;
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// Deaths of a child with a begun message in hand that nobody was blamed for, after which that message is blamed.
const ABANDONED_MAX: u32 = 3;
/// Longest wait for a call that was under way when its work was interrupted. Longer than any call may take.
const LANDING: Duration = Duration::from_secs(30);
/// Longest wait for a message's last words. A store that is away takes the parking no more than it answers them: both come again.
const WORDS: Duration = Duration::from_secs(10);

impl Dispatcher {
    pub(super) fn report(&mut self, report: Report) {
        match report {
            Report::Done { ticket } => {
                self.patience.progress();
                self.done(ticket);
            }
            Report::Panicked { ticket, generation, cause } => {
                if self.held.get(&ticket).is_some_and(|held| held.is_given_to(generation)) {
                    self.explained = generation;
                    self.blame(ticket, &cause, false);
                    self.count_crash(ticket, cause);
                }
            }
            Report::Dropped { ticket, generation, begun } => {
                let Some(held) = self.held.get_mut(&ticket).filter(|held| held.is_given_to(generation)) else { return };
                // A message that panicked explains the death: what was in hand beside it is not to blame.
                held.abandoned += u32::from(begun && self.explained != generation);
                if !begun && self.child.as_ref().is_some_and(|(_, current)| *current == generation) {
                    // The generation is dying, or throws away what it is given: not again at once, or it would go in circles.
                    held.state = State::Resting;
                    self.later.push(sleep(AGAIN).map(move |()| Later::Landed { ticket }).boxed());
                } else {
                    self.again_or_blame(ticket);
                }
            }
        }
    }

    /// A generation is given up: everything it has is taken back, whatever it thinks.
    pub(super) fn abandon(&mut self, generation: u64, why: &Abandoned) {
        let taken: Vec<(u64, Fenced)> =
            self.held.iter_mut().filter_map(|(ticket, held)| Some((*ticket, held.take_back(generation)?))).collect();
        for (ticket, fenced) in taken {
            match (why, fenced) {
                (Abandoned::Froze(cause), Fenced::Running) => {
                    self.blame(ticket, cause, true);
                    self.count_crash(ticket, cause.clone());
                }
                (Abandoned::NoProgress, Fenced::Between | Fenced::Running) => {
                    if let Some(held) = self.held.get_mut(&ticket) {
                        held.abandoned += 1;
                    }
                    self.again_or_blame(ticket);
                }
                _ => self.rest(ticket),
            }
        }
    }

    /// A message that was in hand too often when its child died is to blame, though nothing says so.
    fn again_or_blame(&mut self, ticket: u64) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        if held.abandoned < ABANDONED_MAX {
            return self.rest(ticket);
        }
        held.abandoned = 0;
        self.count_crash(ticket, format!("its actor ended {ABANDONED_MAX} times with this message in hand"));
    }

    /// Handed out again, once no call of it is under way any more.
    fn rest(&mut self, ticket: u64) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        if !held.flights.any() {
            held.state = State::Pending;
            return;
        }
        held.state = State::Resting;
        let flights = held.flights.clone();
        let landed = async move {
            let _ = timeout(LANDING, flights.landed()).await;
            Later::Landed { ticket }
        };
        self.later.push(landed.boxed());
    }

    /// A child that works for all tenants died of this message, for certain: that is held against its tenant.
    fn blame(&self, ticket: u64, cause: &str, froze: bool) {
        let Some(held) = self.held.get(&ticket).filter(|_| self.parts.allowance.is_none()) else { return };
        let (tenant, cause) = (held.work.envelope.tenant.clone(), cause.to_owned());
        let _ = self.parts.notices.send(Notice::Blamed { tenant, cause, froze });
    }

    fn count_crash(&mut self, ticket: u64, cause: String) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        held.state = State::Counting;
        let (id, tenant) = (held.work.envelope.id.clone(), held.work.envelope.tenant.clone());
        tracing::error!(child = %self.parts.name, %tenant, messaging.message.id = %id, cause, "a message crashed its actor");
        self.count(ticket, cause, Duration::ZERO);
    }

    fn count(&mut self, ticket: u64, cause: String, wait: Duration) {
        let Some(held) = self.held.get(&ticket) else { return };
        let (store, key, owner) = (Arc::clone(&self.parts.store), MessageKey::from(&*held.work.envelope), held.flights.owner());
        let counting = async move {
            sleep(wait).await;
            let crashes = store.crashed(&key, owner, &cause).await.ok();
            Later::Counted { ticket, crashes, cause }
        };
        self.settle(counting.boxed());
    }

    pub(super) fn later(&mut self, later: Later) {
        if matches!(later, Later::Acked(_) | Later::Counted { .. } | Later::Parked { .. }) {
            self.settling -= 1;
        }
        match later {
            Later::Acked(Ok(()) | Err(AckError::Stale)) => {}
            // What was done is stored: if the message comes again, it is found done.
            Later::Acked(Err(error @ AckError::Unsure(_))) => {
                tracing::debug!(child = %self.parts.name, %error, "a message may come again");
            }
            Later::Counted { ticket, crashes: Some(crashes), cause } if crashes >= POISON_CRASHES => {
                self.park(ticket, crashes, cause, Duration::ZERO);
            }
            Later::Counted { ticket, crashes: Some(_), .. } => self.rest(ticket),
            // The store is away: the count must not be lost, or poison would go round for ever.
            Later::Counted { ticket, crashes: None, cause } => self.count(ticket, cause, AGAIN),
            Later::Parked { ticket, done: true, .. } => {
                self.parts.board.update(&self.parts.name.0, |row| row.poisoned += 1);
                self.done(ticket);
            }
            Later::Parked { ticket, crashes, cause, done: false } => self.park(ticket, crashes, cause, AGAIN),
            Later::Landed { ticket } => {
                if let Some(held) = self.held.get_mut(&ticket).filter(|held| matches!(held.state, State::Resting)) {
                    held.state = State::Pending;
                }
            }
            Later::Pinged { well } => self.looked(well),
            Later::Opened(Ok(works)) => {
                if self.wants_open && self.works.is_none() {
                    self.works = Some(works);
                }
            }
            Later::Opened(Err(BrokerError::Away(cause))) => {
                // Said once, by the broker itself.
                tracing::debug!(child = %self.parts.name, queue = %self.queue, cause, "the queue is opened when the broker is there");
                self.try_again();
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

    fn park(&mut self, ticket: u64, crashes: u32, cause: String, wait: Duration) {
        let Some(Held { work, .. }) = self.held.get(&ticket) else { return };
        let envelope = Arc::clone(&work.envelope);
        let (store, now) = (Arc::clone(&self.parts.store), self.parts.clock.now());
        // The hub's own messages go by the name of their queue: `<tenant>.<type>` leads nowhere on that exchange.
        let exchange = envelope.message.family().exchange();
        let routing_key =
            if exchange == topology::WORK { topology::work_key(&envelope.tenant, &self.queue) } else { envelope.routing_key() };
        let parked = Parked {
            at: now,
            tenant: Some(envelope.tenant.to_string()),
            queue: self.queue.to_string(),
            exchange: exchange.to_owned(),
            routing_key,
            message_id: Some(envelope.id.to_string()),
            kind: Some(envelope.message.kind().to_owned()),
            code: "poison".into(),
            field: None,
            detail: format!(
                "crashed its actor {crashes} times, last: {cause}. It is not tried again by itself: correct what it says, then have it published again under a new id"
            ),
            body: envelope.encode().unwrap_or_default().into(),
            cut: None,
        };
        let (event, words) = (lifecycle::parked(&parked), self.parts.last_words.clone());
        let parking = async move {
            sleep(wait).await;
            let mut change = match words {
                Some(words) => say(&words, envelope).await,
                None => Change::default(),
            };
            let bare = Change { parked: Some(parked), outbox: event.into_iter().collect(), ..Change::default() };
            change.parked.clone_from(&bare.parked);
            change.outbox.extend(bare.outbox.iter().cloned());
            let outcome = match store.commit(change).await {
                // What its last words were to save cannot be saved, now or later: it is parked without them.
                Err(StoreError::Unreadable(_) | StoreError::Refused(_)) => store.commit(bare).await,
                outcome => outcome,
            };
            let done = matches!(outcome, Ok(CommitOutcome::Committed | CommitOutcome::Duplicate));
            Later::Parked { ticket, crashes, cause, done }
        };
        self.settle(parking.boxed());
    }

    fn done(&mut self, ticket: u64) {
        if let Some(held) = self.held.remove(&ticket) {
            self.settle(held.work.ack.ack().map(Later::Acked).boxed());
            let now = self.parts.clock.now();
            self.parts.board.update(&self.parts.name.0, |row| {
                row.done += 1;
                row.last_done = Some(now);
            });
        }
    }
}

/// A message's last words, or none: they are about what has crashed an actor twice.
async fn say(words: &LastWords, envelope: Arc<Envelope>) -> Change {
    let (id, saying, here) = (envelope.id.clone(), Arc::clone(words), Handle::current());
    // The inner limit is for a store that does not answer, the outer one for words that make their thread stand still.
    let said = timeout(WORDS * 2, spawn_blocking(move || here.block_on(async { timeout(WORDS, saying(envelope)).await }))).await;
    said.ok().and_then(Result::ok).and_then(Result::ok).unwrap_or_else(|| {
        tracing::error!(messaging.message.id = %id, "a message is parked without its last words; nobody is told what it was to bring about");
        Change::default()
    })
}
