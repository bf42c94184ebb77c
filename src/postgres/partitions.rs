//! Partitions by day: made ahead, dropped when they are old and nothing in them is still wanted.

use super::{
    connection::{Database, Fault},
    write::day,
};
use crate::records::{
    kept::{Ends, Kept, Stores, WITHOUT_DOSSIER},
    stored,
};
use deadpool_postgres::{Object, Transaction};
use futures_util::FutureExt;
use jiff::{Timestamp, civil::Date};
use std::time::Duration;

/// How many days from today on have their partitions.
const DAYS_AHEAD: i32 = 7;
/// Making and dropping waits for locks and scans whole tables.
const PATIENCE: Duration = Duration::from_secs(120);
/// Only one process at a time makes or drops partitions.
const LOCK: i64 = 0x6174_7368_7562_0002;

/// The tables that are partitioned by day: what is old of them goes a day at a time.
const TABLES: [&str; 3] = ["inbox", "outbox", "journal"];

/// Makes the partitions of the days to come.
pub(super) async fn make(database: &Database, now: Timestamp) -> Result<(), Fault> {
    for table in TABLES {
        for ahead in 0..=DAYS_AHEAD {
            let Ok(date) = day(now).checked_add(jiff::Span::new().days(ahead)) else { continue };
            database.run_within(PATIENCE, move |connection| make_one(connection, table, date).boxed()).await?;
        }
    }
    Ok(())
}

/// Drops what its time is over for: of history, and of candidates.
pub(super) async fn drop_old(database: &Database, history: Timestamp, candidates: Timestamp) -> Result<(), Fault> {
    let (history, candidates) = (stored(history), stored(candidates));
    for kept in Kept::of(Stores::Postgres) {
        let Some(old) = kept.old(Stores::Postgres) else { continue };
        if TABLES.contains(&kept.table) {
            database.run_within(PATIENCE, move |connection| drop_of(connection, kept.table, old, history).boxed()).await?;
            continue;
        }
        let before = if matches!(kept.ends, Ends::Candidates(_)) { candidates } else { history };
        let sql = format!("delete from {} t where {old}", kept.table);
        database.run_within(PATIENCE, move |c| async move { Ok(c.execute(&sql, &[&before]).await?) }.boxed()).await?;
    }
    for kept in Kept::of(Stores::Postgres).filter(|kept| kept.ends == Ends::Dossier) {
        let sql = format!("delete from {} t where {WITHOUT_DOSSIER}", kept.table);
        database.run_within(PATIENCE, move |c| async move { Ok(c.execute(&sql, &[]).await?) }.boxed()).await?;
    }
    Ok(())
}

fn partition(table: &str, date: Date) -> String {
    format!("{table}_{}", date.strftime("%Y%m%d"))
}

async fn exclusively(connection: &mut Object) -> Result<Transaction<'_>, Fault> {
    let transaction = connection.transaction().await?;
    let patience = PATIENCE.as_millis();
    transaction.batch_execute(&format!("set local statement_timeout = {patience}")).await?;
    transaction.execute("select pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    Ok(transaction)
}

/// Asked of the catalog's rows: `to_regclass` answers from a cache that is as old as the transaction, and the lock may
/// have been waited for since.
const EXISTS: &str = "select exists (select from pg_class where relname = $1::text and relnamespace = current_schema()::regnamespace)";

async fn make_one(connection: &mut Object, table: &'static str, date: Date) -> Result<(), Fault> {
    let Ok(next) = date.tomorrow() else { return Ok(()) };
    let name = partition(table, date);
    if connection.query_one(EXISTS, &[&name]).await?.try_get(0)? {
        return Ok(());
    }
    let transaction = exclusively(connection).await?;
    if transaction.query_one(EXISTS, &[&name]).await?.try_get(0)? {
        return Ok(transaction.rollback().await?);
    }
    // Rows of that day that came before its partition are in the default one, which would forbid the partition.
    let sql = format!(
        "lock table {table} in access exclusive mode; \
         create table {name} (like {table} including defaults including constraints); \
         with moved as (delete from {table}_default where day = '{date}' returning *) insert into {name} select * from moved; \
         alter table {table} attach partition {name} for values from ('{date}') to ('{next}')"
    );
    transaction.batch_execute(&sql).await?;
    Ok(transaction.commit().await?)
}

async fn drop_of(connection: &mut Object, name: &str, old: &str, before: Timestamp) -> Result<(), Fault> {
    const PARTITIONS: &str = "select c.relname::text from pg_inherits i join pg_class c on c.oid = i.inhrelid \
        where i.inhparent = $1::text::regclass and c.relname not like '%\\_default' order by 1";
    let partitions: Vec<String> =
        connection.query(PARTITIONS, &[&name]).await?.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let oldest_kept = partition(name, day(before));
    // Names of one table sort as their days do.
    for part in partitions.into_iter().filter(|p| *p < oldest_kept) {
        let transaction = exclusively(connection).await?;
        let there: bool = transaction.query_one(EXISTS, &[&part]).await?.try_get(0)?;
        if !there {
            transaction.rollback().await?;
            continue;
        }
        transaction.batch_execute(&format!("lock table {part} in access exclusive mode")).await?;
        let find = format!("select exists (select from {part} t where not ({old}))");
        let wanted: bool = transaction.query_one(&find, &[&before]).await?.try_get(0)?;
        if wanted {
            transaction.rollback().await?;
            continue;
        }
        transaction.batch_execute(&format!("alter table {name} detach partition {part}; drop table {part}")).await?;
        transaction.commit().await?;
        tracing::info!(partition = part, "an old partition was dropped");
    }
    connection.execute(&format!("delete from {name}_default t where {old}"), &[&before]).await?;
    Ok(())
}
