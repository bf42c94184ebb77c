//! The tables and every statement on them. It decides nothing beyond the delivery limit, and never commits: who calls it
//! owns the transaction.

use super::{
    passing,
    routing::{self, Topology},
};
use atshub_actors::ports::{Publication, QueueInfo, QueueSpec};
use atshub_schemas::topology::{DEAD, DELIVERY_LIMIT, UNROUTED};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// How long another process's commit is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(5);

/// One row of `message` is one message in one queue. `seq` is its place, and stays: what goes back goes to the front.
const SCHEMA: &str = "
    create table if not exists queue (
        name text primary key, single_consumer integer not null
    ) strict, without rowid;
    create table if not exists binding (
        queue text not null references queue (name) on delete cascade, exchange text not null, routing_key text not null,
        primary key (queue, exchange, routing_key)
    ) strict, without rowid;
    create table if not exists message (
        seq integer primary key autoincrement, queue text not null references queue (name) on delete cascade,
        exchange text not null, routing_key text not null, message_id text not null, content_type text not null,
        headers text not null, body blob not null, delivery_count integer not null default 0, claimed integer not null default 0
    ) strict;
    create table if not exists owner (only_one integer primary key check (only_one = 1), store text) strict;
    insert into owner (only_one) values (1) on conflict do nothing;
    create index if not exists message_of_queue on message (queue, claimed, seq);
";

/// A message that was claimed for a consumption.
pub(super) struct Claimed {
    pub(super) seq: i64,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) message_id: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
    pub(super) delivery_count: u32,
}

/// Opens the file, or memory, and makes tables and fixed queues.
pub(super) fn open(file: Option<&Path>) -> Result<Connection> {
    let connection = match file {
        Some(file) => {
            own(file).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
            Connection::open(file)?
        }
        None => Connection::open_in_memory()?,
    };
    connection.busy_timeout(BUSY_LIMIT)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    confirm_durably(&connection, true)?;
    connection.execute_batch("begin immediate")?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch(passing::SCHEMA)?;
    for queue in [DEAD, UNROUTED] {
        let bindings = vec![(queue.to_owned(), String::new())];
        declare(&connection, &QueueSpec { name: queue.to_owned(), single_consumer: false, bindings, expires: None })?;
    }
    connection.execute_batch("commit")?;
    Ok(connection)
}

/// Makes the file readable by its owner alone: messages hold names and addresses of candidates. SQLite gives the files
/// beside it the same rights.
fn own(file: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// Whether a commit waits for the disk. Claims need not: a power cut may forget that a message was handed over.
pub(super) fn confirm_durably(connection: &Connection, durably: bool) -> Result<()> {
    connection.pragma_update(None, "synchronous", if durably { "full" } else { "normal" })
}

/// Changes when another process has written.
pub(super) fn data_version(connection: &Connection) -> Result<i64> {
    connection.prepare_cached("pragma data_version")?.query_row([], |row| row.get(0))
}

/// Reads queues and bindings.
pub(super) fn topology(connection: &Connection) -> Result<Topology> {
    let mut topology = Topology::default();
    let mut queues = connection.prepare_cached("select name, single_consumer from queue")?;
    for queue in queues.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (name, single) = queue?;
        topology.queues.insert(name, single);
    }
    topology.passing = passing::all(connection)?;
    let mut bindings = connection.prepare_cached("select exchange, routing_key, queue from binding")?;
    for binding in bindings.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
        let (exchange, key, queue): (String, String, String) = binding?;
        topology.bind(&exchange, &key, &queue);
    }
    Ok(topology)
}

/// The store whose broker this is: this one, if it was nobody's.
pub(super) fn owner(connection: &Connection, store: &str) -> Result<String> {
    connection.prepare_cached("update owner set store = coalesce(store, ?) returning store")?.query_row([store], |row| row.get(0))
}

/// Makes the broker nobody's.
pub(super) fn disown(connection: &Connection) -> Result<()> {
    connection.prepare_cached("update owner set store = null")?.execute([]).map(drop)
}

/// A write that changes nothing.
pub(super) fn write(connection: &Connection) -> Result<()> {
    connection.prepare_cached("update owner set store = store")?.execute([]).map(drop)
}

/// Adds a queue and its bindings; what is there stays.
pub(super) fn declare(connection: &Connection, spec: &QueueSpec) -> Result<()> {
    connection
        .prepare_cached("insert into queue (name, single_consumer) values (?, ?) on conflict do nothing")?
        .execute(params![spec.name, spec.single_consumer])?;
    let mut bind =
        connection.prepare_cached("insert into binding (queue, exchange, routing_key) values (?, ?, ?) on conflict do nothing")?;
    for (exchange, key) in &spec.bindings {
        bind.execute(params![spec.name, exchange, key])?;
    }
    Ok(())
}

/// Removes a queue, its bindings and its messages.
pub(super) fn delete(connection: &Connection, queue: &str) -> Result<()> {
    connection.prepare_cached("delete from queue where name = ?")?.execute([queue]).map(|_| ())
}

/// Puts a message at the end of each queue.
pub(super) fn insert(connection: &Connection, queues: &[&str], message: &Publication) -> Result<()> {
    let mut insert = connection.prepare_cached(
        "insert into message (queue, exchange, routing_key, message_id, content_type, headers, body) values (?, ?, ?, ?, ?, ?, ?)",
    )?;
    let headers = serde_json::to_string(&message.headers).unwrap_or_default();
    for queue in queues {
        let Publication { exchange, routing_key, message_id, content_type, body, .. } = message;
        insert.execute(params![queue, exchange, routing_key, message_id, content_type, headers, body.as_ref()])?;
    }
    Ok(())
}

/// Takes a message out for good. False if it is not claimed any more.
pub(super) fn settle(connection: &Connection, seq: i64) -> Result<bool> {
    Ok(connection.prepare_cached("delete from message where seq = ? and claimed = 1")?.execute([seq])? == 1)
}

/// Claims the oldest messages of a queue that nobody has, at most `room`.
pub(super) fn claim(connection: &Connection, queue: &str, room: usize) -> Result<Vec<Claimed>> {
    let mut oldest = connection.prepare_cached(
        "select seq, exchange, routing_key, message_id, headers, body, delivery_count
         from message where queue = ? and claimed = 0 order by seq limit ?",
    )?;
    let room = i64::try_from(room).unwrap_or(i64::MAX);
    let claimed: Vec<Claimed> = oldest.query_map(params![queue, room], read)?.collect::<Result<_>>()?;
    let mut mark = connection.prepare_cached("update message set claimed = 1 where seq = ?")?;
    for message in &claimed {
        mark.execute([message.seq])?;
    }
    Ok(claimed)
}

fn read(row: &Row<'_>) -> Result<Claimed> {
    let headers: String = row.get(4)?;
    let body: Vec<u8> = row.get(5)?;
    Ok(Claimed {
        seq: row.get(0)?,
        exchange: row.get(1)?,
        routing_key: row.get(2)?,
        message_id: row.get(3)?,
        headers: serde_json::from_str(&headers).unwrap_or_default(),
        body: Bytes::from(body),
        delivery_count: row.get(6)?,
    })
}

/// All claimed messages, oldest first.
pub(super) fn all_claimed(connection: &Connection) -> Result<Vec<i64>> {
    connection.prepare_cached("select seq from message where claimed = 1 order by seq")?.query_map([], |row| row.get(0))?.collect()
}

/// Gives a claimed message back to its queue, or past the delivery limit to the dead-letter exchange. Returns the queue
/// in which it now waits; `None` if it is no longer there.
pub(super) fn give_back(connection: &Connection, topology: &Topology, seq: i64) -> Result<Option<String>> {
    let mut returned = connection.prepare_cached(
        "update message set claimed = 0, delivery_count = delivery_count + 1 where seq = ? and claimed = 1 returning queue, delivery_count",
    )?;
    let Some((queue, count)) = returned.query_row([seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?))).optional()? else {
        return Ok(None);
    };
    if count <= DELIVERY_LIMIT || routing::is_last_stop(&queue) || topology.passing.contains_key(&queue) {
        return Ok(Some(queue));
    }
    bury(connection, topology, seq, &queue)?;
    Ok(Some(DEAD.to_owned()))
}

/// Moves a message to the dead letters, with the headers that RabbitMQ would write.
fn bury(connection: &Connection, topology: &Topology, seq: i64, queue: &str) -> Result<()> {
    let dead = connection
        .prepare_cached("select exchange, routing_key, message_id, headers, body, content_type from message where seq = ?")?
        .query_row([seq], |row| {
            let headers: String = row.get(3)?;
            let mut headers: BTreeMap<String, String> = serde_json::from_str(&headers).unwrap_or_default();
            let was: String = row.get(0)?;
            headers.entry("x-first-death-exchange".to_owned()).or_insert(was);
            headers.entry("x-first-death-queue".to_owned()).or_insert_with(|| queue.to_owned());
            headers.entry("x-first-death-reason".to_owned()).or_insert_with(|| "delivery_limit".to_owned());
            let body: Vec<u8> = row.get(4)?;
            Ok(Publication {
                exchange: DEAD.to_owned(),
                routing_key: row.get(1)?,
                message_id: row.get(2)?,
                content_type: row.get(5)?,
                headers,
                body: Bytes::from(body),
            })
        })?;
    let queues = topology.route(DEAD, &dead.routing_key);
    if queues.is_empty() {
        // Nowhere to go: it stays where it is rather than be lost.
        return Ok(());
    }
    insert(connection, &queues, &dead)?;
    connection.prepare_cached("delete from message where seq = ?")?.execute([seq]).map(|_| ())
}

/// What is in a queue. The caller knows the consumers.
pub(super) fn count(connection: &Connection, queue: &str, consumers: u32) -> Result<QueueInfo> {
    let mut counts = connection.prepare_cached("select count(*) from message where queue = ? and claimed = ?")?;
    let mut count = |claimed: bool| {
        let count: i64 = counts.query_row(params![queue, claimed], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>(u64::try_from(count).unwrap_or_default())
    };
    Ok(QueueInfo { name: queue.to_owned(), ready: count(false)?, unacked: Some(count(true)?), consumers })
}
