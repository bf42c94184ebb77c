//! What is let go of before its time: everything of a tenant that is removed, everything of a person. Which tables that is, and by what
//! their rows are found, is in `records::kept`.

use super::connection::{Database, Fault};
use crate::records::{
    Cell, ROUNDS, Traces,
    kept::{Erased, Kept, STRAYS_ARE_NOBODYS, Says, Stores, TENANT, WITHOUT_DOSSIER},
    stored,
};
use atshub_actors::ports::Person;
use deadpool_postgres::{Object, Transaction};
use futures_util::{FutureExt, TryStreamExt, pin_mut};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// Whole tables are looked through.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often an erasure begins anew because a row that it deletes was changed meanwhile.
const RACES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(50);
/// What waits to be sent without its message is nothing.
const WITHOUT_MESSAGE: &str = "t.body is null and not exists (select from outbox o where o.day = t.day and o.number = t.number)";
/// No such tenant.
const NOBODYS: &str = "not exists (select from tenants n where n.name = t.tenant)";

fn tables() -> impl Iterator<Item = &'static Kept> {
    Kept::of(Stores::Postgres)
}

async fn patient(connection: &mut Object) -> Result<Transaction<'_>, Fault> {
    let transaction = connection.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead).start().await?;
    let limit = PATIENCE.as_millis();
    transaction.batch_execute(&format!("set local statement_timeout = {limit}; set local lock_timeout = {limit}")).await?;
    Ok(transaction)
}

/// Deletes all that is kept of a tenant, unless there is one of that name. Answers how many rows.
pub(super) async fn tenant(database: &Database, name: String) -> Result<u64, Fault> {
    let mut gone = 0;
    for kept in tables() {
        let Some(whose) = kept.tenant else { continue };
        let sql = format!("delete from {} t where {whose} and not exists (select from tenants n where n.name = $1)", kept.table);
        let name = name.clone();
        gone += database.run_within(PATIENCE, move |c| async move { all_of(c, &sql, Some(&name)).await }.boxed()).await?;
    }
    Ok(gone)
}

/// Lets a new tenant begin with nothing: what is left of an earlier one of its name is deleted. Nothing happens to one that is there.
pub(super) async fn before(database: &Database, name: String) -> Result<(), Fault> {
    let deletions = tables().filter(|kept| kept.is_of_work()).map(|kept| format!("delete from {} t where {TENANT}", kept.table));
    let statements = std::iter::once(STRAYS_ARE_NOBODYS.to_owned()).chain(deletions);
    for sql in statements.map(|sql| format!("{sql} and not exists (select from tenants n where n.name = $1)")) {
        let name = name.clone();
        database.run_within(PATIENCE, move |c| async move { all_of(c, &sql, Some(&name)).await }.boxed()).await?;
    }
    Ok(())
}

async fn all_of(connection: &mut Object, sql: &str, name: Option<&String>) -> Result<u64, Fault> {
    let transaction = connection.transaction().await?;
    transaction.batch_execute(&format!("set local statement_timeout = {}", PATIENCE.as_millis())).await?;
    let gone = match name {
        Some(name) => transaction.execute(sql, &[name]).await?,
        None => transaction.execute(sql, &[]).await?,
    };
    transaction.commit().await?;
    Ok(gone)
}

/// Deletes what was written for tenants after they were removed, and what waits to be sent for those that have been disabled since then.
pub(super) async fn removed(database: &Database, disabled: Timestamp) -> Result<u64, Fault> {
    const WAITING: &str = "delete from waiting where tenant in (select name from tenants where standing = 'disabled' and updated_at < $1)";
    let disabled = stored(disabled);
    let mut gone = database.run_within(PATIENCE, move |c| async move { Ok(c.execute(WAITING, &[&disabled]).await?) }.boxed()).await?;
    for kept in tables().filter(|kept| kept.goes_with_tenant()) {
        let sql = format!("delete from {} t where {NOBODYS}", kept.table);
        gone += database.run_within(PATIENCE, move |c| async move { all_of(c, &sql, None).await }.boxed()).await?;
    }
    Ok(gone)
}

/// Erases a person, or tells what that would be: rows by table.
pub(super) async fn person(
    database: &Database,
    tenant: String,
    person: Person,
    really: bool,
) -> Result<BTreeMap<&'static str, u64>, Fault> {
    for _ in 0..RACES {
        let (tenant, person) = (tenant.clone(), person.clone());
        let erased = database.run_within(PATIENCE, move |c| async move { erase(c, &tenant, &person, really).await }.boxed()).await;
        match erased {
            Err(Fault::Race(_)) => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
    Err(Fault::Away("rows of the person were changed again and again meanwhile; nothing was erased".into()))
}

async fn erase(connection: &mut Object, tenant: &String, person: &Person, really: bool) -> Result<BTreeMap<&'static str, u64>, Fault> {
    let transaction = patient(connection).await?;
    let mut traces = Traces::of(person);
    let mut rows = BTreeMap::new();
    for _ in 0..ROUNDS {
        let before = traces.len();
        rows.clear();
        for kept in tables() {
            let found = found(&transaction, kept, tenant, &mut traces).await?;
            if !found.is_empty() {
                rows.insert(kept.table, found);
            }
        }
        if traces.len() == before {
            break;
        }
    }
    let count = rows.iter().map(|(table, found)| (*table, found.len() as u64)).collect();
    if !really {
        transaction.rollback().await?;
        return Ok(count);
    }
    for kept in tables() {
        for (part, places) in by_part(rows.remove(kept.table).unwrap_or_default()) {
            let which = "where t.ctid = any ($1::text[]::tid[])";
            let sql = match kept.erased {
                Erased::Row => format!("delete from {part} t {which}"),
                Erased::Words(nothing) => format!("update {part} t set {nothing} {which}"),
                Erased::Nothing => continue,
            };
            transaction.execute(&sql, &[&places]).await?;
        }
    }
    for (table, condition) in [("candidacies", WITHOUT_DOSSIER), ("searched", WITHOUT_DOSSIER), ("waiting", WITHOUT_MESSAGE)] {
        transaction.execute(&format!("delete from {table} t where t.tenant = $1 and {condition}"), &[tenant]).await?;
    }
    transaction.commit().await?;
    Ok(count)
}

/// The rows of a table that are about the person: each by the partition that holds it, and its place there.
async fn found(transaction: &Transaction<'_>, kept: &Kept, tenant: &String, traces: &mut Traces) -> Result<Vec<(String, String)>, Fault> {
    let (Some(whose), false) = (kept.tenant, kept.erased == Erased::Nothing) else { return Ok(Vec::new()) };
    let columns: Vec<(&str, Says)> =
        kept.says.iter().filter(|(.., stores)| stores.include(Stores::Postgres)).map(|(column, says, _)| (*column, *says)).collect();
    let read = columns.iter().map(|(column, says)| match says {
        Says::Body => (*column).to_owned(),
        _ => format!("({column})::text"),
    });
    let read: Vec<String> = read.collect();
    let says: Vec<Says> = columns.iter().map(|(_, says)| *says).collect();
    let sql = format!("select tableoid::regclass::text, ctid::text, {} from {} where {whose}", read.join(", "), kept.table);
    let all = transaction.query_raw(&sql, [tenant]).await?;
    pin_mut!(all);
    let mut found = Vec::new();
    while let Some(row) = all.try_next().await? {
        let cell = |(nth, says): (usize, &Says)| -> Result<Cell, Fault> {
            Ok(match says {
                Says::Body => row.try_get(nth + 2)?,
                _ => row.try_get::<_, Option<String>>(nth + 2)?.map(String::into_bytes),
            })
        };
        let cells = says.iter().enumerate().map(cell).collect::<Result<Vec<Cell>, Fault>>()?;
        if traces.learn(kept, &says, &cells) {
            found.push((row.try_get(0)?, row.try_get(1)?));
        }
    }
    Ok(found)
}

fn by_part(found: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut parts = BTreeMap::<String, Vec<String>>::new();
    for (part, place) in found {
        parts.entry(part).or_default().push(place);
    }
    parts
}
