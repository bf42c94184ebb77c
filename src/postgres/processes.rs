//! Hub processes and what their children are doing. Times are the database's, so that processes need not agree on a clock.

use super::{
    clock::Clocks,
    connection::{Database, Fault},
};
use crate::records::{from_json, storable, stored, to_json};
use atshub_actors::{
    ports::{Beat, ProcessRecord, ShownChild},
    supervision::ChildSnapshot,
};
use futures_util::FutureExt;
use jiff::Timestamp;
use std::time::Duration;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// A process that has not been heard of for a day is of no interest to anybody. One that was heard of in the future was so by a wrong
/// clock; if it lives, it is heard of again.
const ALL: &str = "select process, name, started_at, beat_at, able, \
    beat_at between clock_timestamp() - make_interval(secs => $1) and clock_timestamp() + interval '2 minutes', clock_timestamp() \
    from processes where beat_at >= clock_timestamp() - interval '1 day' order by process";
const FORGET: &str = "with forgotten as (delete from processes where beat_at < clock_timestamp() - interval '1 day' returning process) \
    delete from children where process in (select process from forgotten)";
const BEAT: &str = "insert into processes (process, name, started_at, beat_at, able) values ($1, $2, $3, clock_timestamp(), $4) \
    on conflict (process) do update set name = excluded.name, beat_at = excluded.beat_at, able = excluded.able";
const SHOW: &str = "insert into children (name, process, at, snapshot) \
    select name, $1, clock_timestamp(), snapshot::json from unnest($2::text[], $3::text[]) as r (name, snapshot) order by name \
    on conflict (name) do update set process = excluded.process, at = excluded.at, snapshot = excluded.snapshot";
const HIDE: &str = "delete from children where process = $1 and name = any($2)";
const CHILDREN: &str = "select process, at, snapshot::text from children where $1::text is null or name = $1 order by name collate \"C\"";

/// A statement with what stands in it.
type Step = (&'static str, Vec<Box<dyn ToSql + Send + Sync>>);

/// Runs these one after the other; each by itself is whole.
async fn steps(database: &Database, steps: Vec<Step>) -> Result<(), Fault> {
    database
        .run(move |connection| {
            async move {
                for (sql, parameters) in steps {
                    let statement = connection.prepare_cached(sql).await?;
                    let parameters: Vec<&(dyn ToSql + Sync)> = parameters.iter().map(|p| &**p as &(dyn ToSql + Sync)).collect();
                    connection.execute(&statement, &parameters).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn beat(database: &Database, clocks: &Clocks, beat: Beat, alive: Duration) -> Result<Vec<ProcessRecord>, Fault> {
    let Beat { process, name, started_at, able } = beat;
    let told: Step = (BEAT, vec![Box::new(process), Box::new(storable(&name)), Box::new(stored(started_at)), Box::new(able)]);
    steps(database, vec![(FORGET, Vec::new()), told]).await?;
    all(database, clocks, alive).await
}

pub(super) async fn all(database: &Database, clocks: &Clocks, alive: Duration) -> Result<Vec<ProcessRecord>, Fault> {
    let read = database.run(move |connection| {
        async move {
            let statement = connection.prepare_cached(ALL).await?;
            let rows = connection.query(&statement, &[&alive.as_secs_f64()]).await?;
            let record = |row: &tokio_postgres::Row| {
                Ok(ProcessRecord {
                    process: row.try_get(0)?,
                    name: row.try_get(1)?,
                    started_at: row.try_get(2)?,
                    beat_at: row.try_get(3)?,
                    able: row.try_get(4)?,
                    live: row.try_get(5)?,
                })
            };
            let now: Option<Timestamp> = rows.first().map(|row| row.try_get(6)).transpose()?;
            let records: Result<Vec<_>, Fault> = rows.iter().map(record).collect();
            Ok((now, records?))
        }
        .boxed()
    });
    let (now, records) = read.await?;
    if let Some(now) = now {
        clocks.heard(now);
    }
    Ok(records)
}

pub(super) async fn leave(database: &Database, process: Uuid) -> Result<(), Fault> {
    let gone = |sql: &'static str| -> Step { (sql, vec![Box::new(process)]) };
    steps(database, vec![gone("delete from processes where process = $1"), gone("delete from children where process = $1")]).await
}

pub(super) async fn show(database: &Database, process: Uuid, children: &[ChildSnapshot]) -> Result<(), Fault> {
    let names: Vec<String> = children.iter().map(|child| child.name.clone()).collect();
    // JSON in a text column takes no NUL, and its escape is one that `json` would take and `jsonb` would not.
    let told: Vec<String> = children.iter().map(to_json).collect::<Result<_, _>>()?;
    steps(database, vec![(SHOW, vec![Box::new(process), Box::new(names), Box::new(told)])]).await
}

pub(super) async fn hide(database: &Database, process: Uuid, names: Vec<String>) -> Result<(), Fault> {
    steps(database, vec![(HIDE, vec![Box::new(process), Box::new(names)])]).await
}

pub(super) async fn children(database: &Database, name: Option<String>) -> Result<Vec<ShownChild>, Fault> {
    let read = database.run(move |connection| {
        async move {
            let statement = connection.prepare_cached(CHILDREN).await?;
            let mut children = Vec::new();
            for row in connection.query(&statement, &[&name]).await? {
                // One that another version of the hub speaks of in its own words is as good as unheard of, and hides no other.
                if let Ok(child) = from_json("what a child is doing", &row.try_get::<_, String>(2)?) {
                    children.push(ShownChild { process: row.try_get(0)?, at: row.try_get(1)?, child });
                }
            }
            Ok(children)
        }
        .boxed()
    });
    read.await
}
