//! The thread that owns the file. Gathers what is asked at the same time into one durable transaction, answers after its
//! commit, then claims and hands over. What each request does is in `work`; all of the order of things is here.

use super::{
    consumers::Consumers,
    request::{ConsumeError, EmbeddedAck, Request},
    role::Role,
    routing::Topology,
    table,
};
use atshub_actors::ports::{BrokerHealth, Delivery};
use rusqlite::Connection;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, info};

/// How often the file is looked at for what another process wrote.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Requests in one transaction.
const GATHER: usize = 512;
/// Messages handed over in one round, of one queue.
const CLAIM: usize = 256;

/// What is done once the transaction is durable.
pub(super) type After = Box<dyn FnOnce(&mut Consumers)>;

pub(super) struct Engine {
    pub(super) connection: Connection,
    role: Role,
    pub(super) topology: Topology,
    version: i64,
    pub(super) consumers: Consumers,
    /// Queues in which something may wait for somebody.
    pub(super) stirred: BTreeSet<String>,
    /// Claimed messages of consumptions that ended, to be given back; kept until that is durable.
    returning: Vec<i64>,
    /// Rises with every loss that was made on purpose: what was handed over before it cannot be acknowledged.
    pub(super) epoch: u64,
    /// When the queues that go by themselves were last seen to.
    pub(super) tended: Option<Instant>,
    health: watch::Sender<BrokerHealth>,
    requests: Sender<Request>,
    closed: Arc<AtomicBool>,
}

impl Engine {
    /// Takes the opened file. Gives back what a process that died had in hand, unless another one is alive and consumes.
    pub(super) fn new(
        connection: Connection,
        mut role: Role,
        health: watch::Sender<BrokerHealth>,
        requests: Sender<Request>,
    ) -> rusqlite::Result<Self> {
        let alone = role.take();
        let mut engine = Self {
            topology: table::topology(&connection)?,
            version: table::data_version(&connection)?,
            connection,
            role,
            consumers: Consumers::default(),
            stirred: BTreeSet::new(),
            returning: Vec::new(),
            epoch: 1,
            tended: None,
            health,
            requests,
            closed: Arc::default(),
        };
        if alone {
            engine.recover()?;
            engine.role.release();
        }
        engine.tend()?;
        Ok(engine)
    }

    fn recover(&mut self) -> rusqlite::Result<()> {
        self.transaction(true, |engine| {
            let claimed = table::all_claimed(&engine.connection)?;
            if !claimed.is_empty() {
                info!(messages = claimed.len(), "messages that a process left unfinished wait again");
            }
            for seq in claimed {
                table::give_back(&engine.connection, &engine.topology, seq)?;
            }
            Ok(())
        })
    }

    /// Runs until closed.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        loop {
            let wait = if self.stirred.is_empty() { LOOK_EVERY } else { Duration::ZERO };
            let mut batch = Vec::new();
            match requests.recv_timeout(wait) {
                Ok(first) => batch.push(first),
                // After a loss, room comes with deliveries that are taken and never acknowledged: nobody says so.
                Err(RecvTimeoutError::Timeout) if self.epoch > 1 => self.stirred.extend(self.consumers.queues()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => batch.push(Request::Close(None)),
            }
            while batch.len() < GATHER {
                let Ok(next) = requests.try_recv() else { break };
                batch.push(next);
            }
            let closing = self.turn(batch);
            if let Some(closed) = closing {
                self.finish();
                for answer in closed {
                    // Whoever closed it may not wait for the end.
                    let _ = answer.send(());
                }
                return;
            }
        }
    }

    /// One round. `Some` if it was asked to close, with those who wait for that.
    fn turn(&mut self, batch: Vec<Request>) -> Option<Vec<oneshot::Sender<()>>> {
        let mut closing: Option<Vec<oneshot::Sender<()>>> = None;
        let mut work = Vec::new();
        for request in batch {
            match request {
                Request::Close(answer) => closing.get_or_insert_default().extend(answer),
                Request::Lose(cause, answer) => {
                    self.lose(cause);
                    // Whoever asked may not wait for it.
                    let _ = answer.send(());
                }
                Request::Consume { queue, prefetch, deliveries, answer } => {
                    let begun = self.begin(&queue, prefetch, deliveries);
                    if let Err(Ok(id)) = answer.send(begun) {
                        self.end(id);
                    }
                }
                other => work.push(other),
            }
        }
        for id in self.consumers.deaf() {
            self.end(id);
        }
        if let Err(cause) = self.look().and_then(|()| self.work(work)).and_then(|()| self.hand_over()).and_then(|()| self.tend()) {
            error!(%cause, "the embedded broker could not write its file");
            self.health.send_replace(BrokerHealth::Down { cause: cause.to_string() });
            // Not at once again: a full disk does not empty within a millisecond.
            self.stirred.clear();
        } else if matches!(&*self.health.borrow(), BrokerHealth::Down { .. }) {
            self.stirred.extend(self.consumers.queues());
            self.health.send_replace(BrokerHealth::Up { epoch: self.epoch });
        }
        closing
    }

    /// Ends all consumptions and gives back what they had.
    fn finish(&mut self) {
        for id in self.consumers.all() {
            self.end(id);
        }
        if let Err(cause) = self.work(Vec::new()) {
            error!(%cause, "the embedded broker could not give back what was in hand; it will at the next start");
        }
        self.closed.store(true, Ordering::Release);
        self.role.release();
        self.health.send_replace(BrokerHealth::Down { cause: "closed".to_owned() });
    }

    /// Reads queues and bindings anew if another process has written.
    fn look(&mut self) -> rusqlite::Result<()> {
        let version = table::data_version(&self.connection)?;
        if version != self.version {
            self.topology = table::topology(&self.connection)?;
            self.version = version;
            self.stirred.extend(self.consumers.queues());
            for queue in self.consumers.queues() {
                if !self.topology.queues.contains_key(&queue) {
                    self.end_all_of(&queue);
                }
            }
        }
        Ok(())
    }

    /// A loss made on purpose: what is in hand goes back, and cannot be acknowledged any more.
    fn lose(&mut self, cause: String) {
        self.health.send_replace(BrokerHealth::Down { cause });
        self.epoch += 1;
        self.returning.extend(self.consumers.lose());
        self.stirred.extend(self.consumers.queues());
        self.health.send_replace(BrokerHealth::Up { epoch: self.epoch });
    }

    pub(super) fn end_all_of(&mut self, queue: &str) {
        for id in self.consumers.of_queue(queue) {
            self.end(id);
        }
    }

    pub(super) fn end(&mut self, id: u64) {
        if let Some((queue, in_hand)) = self.consumers.end(id) {
            self.returning.extend(in_hand);
            self.stirred.insert(queue);
        }
    }

    fn begin(&mut self, queue: &str, prefetch: usize, deliveries: mpsc::Sender<Delivery>) -> Result<u64, ConsumeError> {
        self.look().map_err(|cause| ConsumeError::Refused(cause.to_string()))?;
        if !self.topology.queues.contains_key(queue) {
            return Err(ConsumeError::Refused(format!("consume queue `{queue}`: there is no such queue; declare it first")));
        }
        if !self.role.is_taken() {
            if !self.role.take() {
                return Err(ConsumeError::Taken);
            }
            if let Err(cause) = self.recover() {
                self.role.release();
                return Err(ConsumeError::Refused(cause.to_string()));
            }
        }
        self.stirred.insert(queue.to_owned());
        Ok(self.consumers.add(queue, prefetch, deliveries))
    }

    /// Runs `body` in one transaction.
    pub(super) fn transaction<T>(&mut self, durably: bool, body: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        table::confirm_durably(&self.connection, durably)?;
        self.connection.execute_batch("begin immediate")?;
        let done = body(self).and_then(|done| self.connection.execute_batch("commit").map(|()| done));
        if done.is_err() && !self.connection.is_autocommit() {
            self.connection.execute_batch("rollback")?;
        }
        done
    }

    /// What was asked, in one durable transaction.
    fn work(&mut self, batch: Vec<Request>) -> rusqlite::Result<()> {
        if batch.is_empty() && self.returning.is_empty() {
            return Ok(());
        }
        let done = self.transaction(true, |engine| {
            // Another process may have changed the bindings since the last look; now it cannot.
            engine.look()?;
            let mut afters: Vec<After> = Vec::new();
            for request in batch {
                afters.extend(engine.apply(request)?);
            }
            // Last: what was acknowledged before its consumption ended is settled by now.
            for seq in engine.returning.clone() {
                engine.stirred.extend(table::give_back(&engine.connection, &engine.topology, seq)?);
            }
            Ok(afters)
        });
        let afters = match done {
            Ok(afters) => afters,
            Err(cause) => {
                // What was rolled back may have been a declaration.
                self.topology = table::topology(&self.connection)?;
                return Err(cause);
            }
        };
        self.returning.clear();
        for after in afters {
            after(&mut self.consumers);
        }
        Ok(())
    }

    /// Claims what waits for somebody with room, and hands it over once that is written.
    fn hand_over(&mut self) -> rusqlite::Result<()> {
        let stirred = std::mem::take(&mut self.stirred);
        let mut rounds: Vec<(String, bool, Vec<u64>)> = Vec::new();
        for queue in stirred {
            let single = self.topology.queues.get(&queue).copied().unwrap_or_default();
            let next = self.consumers.next(&queue, single, CLAIM);
            if !next.is_empty() {
                rounds.push((queue, single, next));
            }
        }
        if rounds.is_empty() {
            return Ok(());
        }
        let claimed = self.transaction(false, |engine| {
            let mut claimed = HashMap::new();
            for (queue, _, next) in &rounds {
                claimed.insert(queue.clone(), table::claim(&engine.connection, queue, next.len())?);
            }
            Ok(claimed)
        });
        let mut claimed = match claimed {
            Ok(claimed) => claimed,
            Err(cause) => {
                self.stirred.extend(rounds.into_iter().map(|(queue, _, _)| queue));
                return Err(cause);
            }
        };
        for (queue, single, next) in rounds {
            let messages = claimed.remove(&queue).unwrap_or_default();
            if messages.len() == next.len() {
                // There may be more.
                self.stirred.insert(queue.clone());
            }
            debug!(queue, messages = messages.len(), "handing over");
            for (message, id) in messages.into_iter().zip(next) {
                let delivery = self.delivery(&queue, id, &message);
                self.consumers.hand_over(id, message.seq, delivery);
            }
            self.consumers.rotate(&queue, single);
        }
        Ok(())
    }

    fn delivery(&self, queue: &str, consumption: u64, message: &table::Claimed) -> Delivery {
        Delivery {
            queue: queue.to_owned(),
            exchange: message.exchange.clone(),
            routing_key: message.routing_key.clone(),
            message_id: Some(message.message_id.clone()),
            headers: message.headers.clone(),
            body: message.body.clone(),
            cut: None,
            redelivered: message.delivery_count > 0,
            delivery_count: message.delivery_count,
            ack: Box::new(EmbeddedAck {
                consumption,
                seq: message.seq,
                epoch: self.epoch,
                engine: self.requests.clone(),
                closed: Arc::clone(&self.closed),
            }),
        }
    }
}
