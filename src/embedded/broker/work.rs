//! What each request does to the tables, within the transaction that the engine has begun. It never commits, and hands nothing
//! over.

use super::{
    engine::{After, Engine},
    passing,
    request::Request,
    routing, table,
};
use atshub_actors::ports::{AckError, BrokerError, Publication, PublishError, QueueSpec};
use atshub_schemas::topology;

/// Longest name, as in AMQP.
const LONGEST_NAME: usize = 255;

impl Engine {
    pub(super) fn apply(&mut self, request: Request) -> rusqlite::Result<Option<After>> {
        match request {
            Request::Declare(spec, answer) => {
                let said = self.declare(&spec)?;
                return Ok(Some(Box::new(move |_| drop(answer.send(said)))));
            }
            Request::Belongs(store, answer) => {
                let owner = table::owner(&self.connection, &store)?;
                let said = if owner == store { Ok(()) } else { Err(BrokerError::Refused(topology::other_store(&store, Some(&owner)))) };
                return Ok(Some(Box::new(move |_| drop(answer.send(said)))));
            }
            Request::Disown(answer) => {
                table::disown(&self.connection)?;
                return Ok(Some(Box::new(move |_| answer.send(()).unwrap_or_default())));
            }
            Request::Write(answer) => {
                table::write(&self.connection)?;
                return Ok(Some(Box::new(move |_| answer.send(()).unwrap_or_default())));
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
            Request::Ack { consumption, seq, epoch, answer } => {
                let current = epoch == self.epoch && self.consumers.has(consumption, seq);
                let said = if current && table::settle(&self.connection, seq)? { Ok(()) } else { Err(AckError::Stale) };
                // A stale one as well: whoever had it has room again.
                self.stirred.extend(self.consumers.of(consumption));
                return Ok(Some(Box::new(move |consumers| {
                    if current {
                        consumers.settled(consumption, seq);
                    }
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
            Request::Consume { .. } | Request::Close(_) | Request::Lose(..) => {}
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
        let otherwise = match self.topology.queues.get(queue) {
            Some(single) if *single != spec.single_consumer => Some("single_consumer"),
            Some(_) if self.topology.passing.get(queue) != spec.expires.as_ref() => Some("expires"),
            _ => None,
        };
        if let Some(what) = otherwise {
            let cause = format!("declare queue `{queue}`: it exists with another `{what}`: drain and delete it first");
            return Ok(Err(BrokerError::Refused(cause)));
        }
        table::declare(&self.connection, spec)?;
        if let Some(expires) = spec.expires {
            passing::declare(&self.connection, queue, expires)?;
        }
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
}
