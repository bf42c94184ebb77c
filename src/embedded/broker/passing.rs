//! Queues that go by themselves once nobody has consumed from them for so long. The process that consumes says so in the file
//! again and again; whoever opens the file, or has it open, removes those of which nobody has said so in time.

use super::{engine::Engine, table};
use jiff::Timestamp;
use rusqlite::{Connection, Result, params};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub(super) const SCHEMA: &str = "
    create table if not exists passing (
        queue text primary key references queue (name) on delete cascade, expires_ms integer not null, used_at_ms integer not null
    ) strict, without rowid;
";

/// A queue in use is noted as such so many times within the time after which it would go.
const NOTES: u32 = 4;

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Makes a queue one that goes by itself. Declaring it again counts as use.
pub(super) fn declare(connection: &Connection, queue: &str, expires: Duration) -> Result<()> {
    connection
        .prepare_cached(
            "insert into passing (queue, expires_ms, used_at_ms) values (?, ?, ?) on conflict (queue) do update set used_at_ms = excluded.used_at_ms",
        )?
        .execute(params![queue, millis(expires), Timestamp::now().as_millisecond()])
        .map(drop)
}

/// All of them, with the time after which each goes.
pub(super) fn all(connection: &Connection) -> Result<BTreeMap<String, Duration>> {
    let mut all = connection.prepare_cached("select queue, expires_ms from passing")?;
    let rows = all.query_map([], |row| Ok((row.get(0)?, Duration::from_millis(row.get::<_, i64>(1)?.unsigned_abs()))))?;
    rows.collect()
}

fn over(connection: &Connection) -> Result<Vec<String>> {
    let mut over = connection.prepare_cached("select queue from passing where used_at_ms + expires_ms < ?")?;
    over.query_map([Timestamp::now().as_millisecond()], |row| row.get(0))?.collect()
}

impl Engine {
    /// Notes which of these queues are in use, and removes those whose time is over.
    pub(super) fn tend(&mut self) -> Result<()> {
        let Some(shortest) = self.topology.passing.values().min() else { return Ok(()) };
        if self.tended.is_some_and(|at| at.elapsed() < *shortest / NOTES) {
            return Ok(());
        }
        self.tended = Some(Instant::now());
        let in_use: Vec<String> =
            self.topology.passing.keys().filter(|queue| !self.consumers.of_queue(queue).is_empty()).cloned().collect();
        if in_use.is_empty() && over(&self.connection)?.is_empty() {
            return Ok(());
        }
        // Not durably: a power cut ends the use as well.
        self.transaction(false, |engine| {
            let mut note = engine.connection.prepare_cached("update passing set used_at_ms = ? where queue = ?")?;
            for queue in &in_use {
                note.execute(params![Timestamp::now().as_millisecond(), queue])?;
            }
            over(&engine.connection)?.iter().try_for_each(|queue| table::delete(&engine.connection, queue))
        })?;
        self.topology = table::topology(&self.connection)?;
        Ok(())
    }
}
