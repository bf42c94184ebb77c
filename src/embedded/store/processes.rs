//! Hub processes and what their children are doing. There is one process that runs tenants on a folder; the others are command
//! lines that look.

use super::{connection::Fault, threads::Kept, words::Micros};
use crate::records::{TOLERANCE, from_json, storable, stored, to_json};
use atshub_actors::{
    ports::{Beat, ProcessRecord, ShownChild, StoreError},
    supervision::ChildSnapshot,
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};
use std::time::Duration;
use uuid::Uuid;

/// How long a process that is not heard of any more is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

fn ago(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn process(text: &str) -> Result<Uuid, Fault> {
    text.parse().map_err(|_| Fault(StoreError::Unreadable("a process has an id that is none".into())))
}

pub(super) fn beat(connection: &Connection, beat: &Beat, alive: Duration, now: Timestamp) -> Result<Kept<Vec<ProcessRecord>>, Fault> {
    let at = stored(now);
    let forgotten = Micros(ago(at, REMEMBERED));
    let of_theirs = "delete from children where process in (select process from processes where beat_at < ?)";
    connection.prepare_cached(of_theirs)?.execute([&forgotten])?;
    connection.prepare_cached("delete from processes where beat_at < ?")?.execute([&forgotten])?;
    connection
        .prepare_cached(
            "insert into processes (process, name, started_at, beat_at, able) values (?, ?, ?, ?, ?) \
             on conflict (process) do update set name = excluded.name, beat_at = excluded.beat_at, able = excluded.able",
        )?
        .execute(params![beat.process.to_string(), storable(&beat.name), Micros(stored(beat.started_at)), Micros(at), beat.able])?;
    Ok(Kept::All(all(connection, alive, now)?))
}

pub(super) fn all(connection: &Connection, alive: Duration, now: Timestamp) -> Result<Vec<ProcessRecord>, Fault> {
    let at = stored(now);
    let (heard, lately) = (ago(at, REMEMBERED), ago(at, SignedDuration::try_from(alive).unwrap_or(SignedDuration::ZERO)));
    let sql = "select process, name, started_at, beat_at, able from processes where beat_at >= ? order by process";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([Micros(heard)])?;
    let mut processes = Vec::new();
    while let Some(row) = found.next()? {
        let beat_at = row.get::<_, Micros>(3)?.0;
        processes.push(ProcessRecord {
            process: process(&row.get::<_, String>(0)?)?,
            name: row.get(1)?,
            started_at: row.get::<_, Micros>(2)?.0,
            beat_at,
            able: row.get(4)?,
            // One that was heard of in the future was so by a wrong clock; if it lives, it is heard of again.
            live: beat_at >= lately && beat_at <= ago(at, -TOLERANCE),
        });
    }
    Ok(processes)
}

pub(super) fn leave(connection: &Connection, process: Uuid) -> Result<Kept<()>, Fault> {
    let process = process.to_string();
    connection.prepare_cached("delete from processes where process = ?")?.execute([&process])?;
    connection.prepare_cached("delete from children where process = ?")?.execute([&process])?;
    Ok(Kept::All(()))
}

pub(super) fn show(connection: &Connection, process: Uuid, children: &[ChildSnapshot], now: Timestamp) -> Result<Kept<()>, Fault> {
    let (at, process) = (Micros(stored(now)), process.to_string());
    let mut statement = connection.prepare_cached(
        "insert into children (name, process, at, snapshot) values (?, ?, ?, ?) \
         on conflict (name) do update set process = excluded.process, at = excluded.at, snapshot = excluded.snapshot",
    )?;
    for child in children {
        statement.execute(params![child.name, process, at, to_json(child)?])?;
    }
    Ok(Kept::All(()))
}

pub(super) fn hide(connection: &Connection, process: Uuid, names: &[String]) -> Result<Kept<()>, Fault> {
    let process = process.to_string();
    let mut statement = connection.prepare_cached("delete from children where name = ? and process = ?")?;
    for name in names {
        statement.execute(params![name, process])?;
    }
    Ok(Kept::All(()))
}

pub(super) fn children(connection: &Connection, name: Option<&str>) -> Result<Vec<ShownChild>, Fault> {
    let sql = "select process, at, snapshot from children where ?1 is null or name = ?1 order by name";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([name])?;
    let mut children = Vec::new();
    while let Some(row) = found.next()? {
        // One that another version of the hub speaks of in its own words is as good as unheard of, and hides no other.
        if let Ok(child) = from_json("what a child is doing", &row.get::<_, String>(2)?) {
            children.push(ShownChild { process: process(&row.get::<_, String>(0)?)?, at: row.get::<_, Micros>(1)?.0, child });
        }
    }
    Ok(children)
}
