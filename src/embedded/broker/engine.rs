//! The thread that owns the file. Gathers what is asked at the same time into one durable transaction, answers after its
//! commit, then claims and hands over. Everything else about the broker happens elsewhere; all of its order happens here.

use super::{
    consumers::Consumers,
    request::{ConsumeError, EmbeddedAck, Request},
    role::Role,
    routing::{self, Topology},
    table,
};
use atshub_actors::ports::{AckError, BrokerError, BrokerHealth, Delivery, Publication, PublishError, QueueSpec};
use rusqlite::Connection;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, error, info};

/// How often the file is looked at for what another process wrote.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Requests in one transaction.
const GATHER: usize = 512;
/// Messages handed over in one round, of one queue.
const CLAIM: usize = 256;
/// Longest name, as in AMQP.
const LONGEST_NAME: usize = 255;

/// What is done once the transaction is durable.
type After = Box<dyn FnOnce(&mut Consumers)>;

pub(super) struct Engine {
    connection: Connection,
    role: Role,
    topology: Topology,
    version: i64,
    consumers: Consumers,
    /// Queues in which something may wait for somebody.
    stirred: BTreeSet<String>,
    /// Claimed messages of consumptions that ended, to be given back; kept until that is durable.
    returning: Vec<i64>,
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
            health,
            requests,
            closed: Arc::default(),
        };
        if alone {
            engine.recover()?;
            engine.role.release();
        }
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
        if let Err(cause) = self.look().and_then(|()| self.work(work)).and_then(|()| self.hand_over()) {
            error!(%cause, "the embedded broker could not write its file");
            self.health.send_replace(BrokerHealth::Down { cause: cause.to_string() });
            // Not at once again: a full disk does not empty within a millisecond.
            self.stirred.clear();
        } else if matches!(&*self.health.borrow(), BrokerHealth::Down { .. }) {
            self.stirred.extend(self.consumers.queues());
            self.health.send_replace(BrokerHealth::Up { epoch: 1 });
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

    fn end_all_of(&mut self, queue: &str) {
        for id in self.consumers.of_queue(queue) {
            self.end(id);
        }
    }

    fn end(&mut self, id: u64) {
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
    fn transaction<T>(&mut self, durably: bool, body: impl FnOnce(&mut Self) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
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

    fn apply(&mut self, request: Request) -> rusqlite::Result<Option<After>> {
        match request {
            Request::Declare(spec, answer) => {
                let said = self.declare(&spec)?;
                return Ok(Some(Box::new(move |_| drop(answer.send(said)))));
            }
            Request::Delete(queue, answer) => {
                table::delete(&self.connection, &queue)?;
                self.topology = table::topology(&self.connection)?;
                self.end_all_of(&queue);
                return Ok(Some(Box::new(move |_| drop(answer.send(Ok(()))))));
            }
            Request::Publish(messages, answer, permit) => {
                let said = messages.iter().map(|message| self.publish(message)).collect::<rusqlite::Result<Vec<_>>>()?;
                return Ok(Some(Box::new(move |_| {
                    drop(permit);
                    drop(answer.send(said));
                })));
            }
            Request::Ack { consumption, seq, answer } => {
                let said = if self.consumers.has(consumption, seq) && table::settle(&self.connection, seq)? {
                    self.stirred.extend(self.consumers.of(consumption));
                    Ok(())
                } else {
                    Err(AckError::Stale)
                };
                return Ok(Some(Box::new(move |consumers| {
                    consumers.settled(consumption, seq);
                    drop(answer.send(said));
                })));
            }
            Request::Queues(names, answer) => {
                let mut found = Vec::new();
                for name in names.iter().filter(|name| self.topology.queues.contains_key(*name)) {
                    let consumers = u32::try_from(self.consumers.of_queue(name).len()).unwrap_or(u32::MAX);
                    found.push(table::count(&self.connection, name, consumers)?);
                }
                drop(answer.send(found));
            }
            Request::End(id) => self.end(id),
            // Dealt with before the transaction.
            Request::Consume { .. } | Request::Close(_) => {}
        }
        Ok(None)
    }

    fn declare(&mut self, spec: &QueueSpec) -> rusqlite::Result<Result<(), BrokerError>> {
        let queue = &spec.name;
        let names = spec.bindings.iter().flat_map(|(exchange, key)| [exchange, key]).chain([queue]);
        if let Some(name) = names.into_iter().find(|name| name.len() > LONGEST_NAME) {
            return Ok(Err(BrokerError::Refused(format!("a name of {} bytes is longer than {LONGEST_NAME}", name.len()))));
        }
        if let Some((exchange, _)) = spec.bindings.iter().find(|(exchange, _)| !routing::is_exchange(exchange)) {
            return Ok(Err(BrokerError::Refused(format!("bind queue `{queue}` to `{exchange}`: there is no such exchange"))));
        }
        if self.topology.queues.get(queue).is_some_and(|single| *single != spec.single_consumer) {
            let cause = format!("declare queue `{queue}`: it exists with another `single_consumer`: drain and delete it first");
            return Ok(Err(BrokerError::Refused(cause)));
        }
        table::declare(&self.connection, spec)?;
        self.topology = table::topology(&self.connection)?;
        Ok(Ok(()))
    }

    fn publish(&mut self, message: &Publication) -> rusqlite::Result<Result<(), PublishError>> {
        let Publication { exchange, routing_key, message_id, content_type, headers, .. } = message;
        if !routing::is_exchange(exchange) {
            return Ok(Err(PublishError::Refused(format!("`{exchange}` is none of the hub's exchanges"))));
        }
        if [routing_key, message_id, content_type].into_iter().chain(headers.keys()).any(|name| name.len() > LONGEST_NAME) {
            let cause = format!("a routing key, message id, content type or header name is longer than {LONGEST_NAME} bytes");
            return Ok(Err(PublishError::Refused(cause)));
        }
        let queues = self.topology.route(exchange, routing_key);
        if queues.is_empty() {
            return Ok(Err(PublishError::Unroutable { exchange: exchange.clone(), routing_key: routing_key.clone() }));
        }
        table::insert(&self.connection, &queues, message)?;
        self.stirred.extend(queues.into_iter().map(str::to_owned));
        Ok(Ok(()))
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
            redelivered: message.delivery_count > 0,
            delivery_count: message.delivery_count,
            ack: Box::new(EmbeddedAck { consumption, seq: message.seq, engine: self.requests.clone(), closed: Arc::clone(&self.closed) }),
        }
    }
}
