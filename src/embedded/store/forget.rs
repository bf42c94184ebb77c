//! What is let go of: with its time, with the tenant that is removed, and of a person. Which tables that is, and by what their rows are
//! found, is in `records::kept`.

use super::{connection::Fault, threads::Kept as Writes, words::Micros};
use crate::records::{
    Cell, ROUNDS, Traces,
    kept::{Ends, Erased, Kept, STRAYS_ARE_NOBODYS, Says, Stores, TENANT, WITHOUT_DOSSIER},
    stored,
};
use atshub_actors::ports::Person;
use jiff::Timestamp;
use rusqlite::{Connection, types::ValueRef};
use std::collections::BTreeMap;

fn tables() -> impl Iterator<Item = &'static Kept> {
    Kept::of(Stores::Sqlite)
}

/// Deletes what its time is over for: of history, and of candidates.
pub(super) fn sweep(connection: &Connection, history: Timestamp, candidates: Timestamp) -> Result<Writes<()>, Fault> {
    for kept in tables() {
        let Some(old) = kept.old(Stores::Sqlite) else { continue };
        let before = if matches!(kept.ends, Ends::Candidates(_)) { candidates } else { history };
        connection.prepare_cached(&format!("delete from {} as t where {old}", kept.table))?.execute([Micros(stored(before))])?;
    }
    for kept in tables().filter(|kept| kept.ends == Ends::Dossier) {
        connection.prepare_cached(&format!("delete from {} as t where {WITHOUT_DOSSIER}", kept.table))?.execute([])?;
    }
    Ok(Writes::All(()))
}

/// Deletes all that is kept of a tenant, unless there is one of that name. Answers how many rows.
pub(super) fn tenant(connection: &Connection, name: &str) -> Result<usize, Fault> {
    let mut gone = 0;
    for kept in tables() {
        let Some(whose) = kept.tenant else { continue };
        let sql = format!("delete from {} as t where {whose} and not exists (select 1 from tenants n where n.name = $1)", kept.table);
        gone += connection.prepare_cached(&sql)?.execute([name])?;
    }
    Ok(gone)
}

/// Lets a new tenant begin with nothing: what is left of an earlier one of its name is deleted.
pub(super) fn before(connection: &Connection, name: &str) -> Result<(), Fault> {
    connection.prepare_cached(STRAYS_ARE_NOBODYS)?.execute([name])?;
    for kept in tables().filter(|kept| kept.is_of_work()) {
        connection.prepare_cached(&format!("delete from {} where {TENANT}", kept.table))?.execute([name])?;
    }
    Ok(())
}

/// Deletes what was written for tenants after they were removed, and what waits to be sent for those that have been disabled since then.
pub(super) fn removed(connection: &Connection, disabled: Timestamp) -> Result<Writes<u64>, Fault> {
    let sql =
        "delete from outbox where sent_at is null and tenant in (select name from tenants where standing = 'disabled' and updated_at < ?)";
    let mut gone = connection.prepare_cached(sql)?.execute([Micros(stored(disabled))])?;
    for kept in tables().filter(|kept| kept.goes_with_tenant()) {
        let sql = format!("delete from {} as t where not exists (select 1 from tenants n where n.name = t.tenant)", kept.table);
        gone += connection.prepare_cached(&sql)?.execute([])?;
    }
    Ok(Writes::All(gone as u64))
}

/// Erases a person, or tells what that would be: rows by table.
pub(super) fn person(
    connection: &Connection,
    tenant: &str,
    person: &Person,
    really: bool,
) -> Result<Writes<BTreeMap<&'static str, u64>>, Fault> {
    let mut traces = Traces::of(person);
    let mut rows = BTreeMap::new();
    for _ in 0..ROUNDS {
        let before = traces.len();
        rows.clear();
        for kept in tables() {
            let found = found(connection, kept, tenant, &mut traces)?;
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
        return Ok(Writes::Nothing(count));
    }
    for kept in tables() {
        let sql = match kept.erased {
            Erased::Row => format!("delete from {} where rowid = ?", kept.table),
            Erased::Words(nothing) => format!("update {} set {nothing} where rowid = ?", kept.table),
            Erased::Nothing => continue,
        };
        let mut statement = connection.prepare_cached(&sql)?;
        for row in rows.remove(kept.table).unwrap_or_default() {
            statement.execute([row])?;
        }
    }
    for kept in tables().filter(|kept| kept.ends == Ends::Dossier) {
        let sql = format!("delete from {} as t where t.tenant = ? and {WITHOUT_DOSSIER}", kept.table);
        connection.prepare_cached(&sql)?.execute([tenant])?;
    }
    Ok(Writes::All(count))
}

/// The rows of a table that are about the person.
fn found(connection: &Connection, kept: &Kept, tenant: &str, traces: &mut Traces) -> Result<Vec<i64>, Fault> {
    let (Some(whose), false) = (kept.tenant, kept.erased == Erased::Nothing) else { return Ok(Vec::new()) };
    let columns: Vec<(&str, Says)> =
        kept.says.iter().filter(|(.., stores)| stores.include(Stores::Sqlite)).map(|(column, says, _)| (*column, *says)).collect();
    let read: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
    let says: Vec<Says> = columns.iter().map(|(_, says)| *says).collect();
    let mut statement = connection.prepare(&format!("select rowid, {} from {} where {whose}", read.join(", "), kept.table))?;
    let mut all = statement.query([tenant])?;
    let mut found = Vec::new();
    while let Some(row) = all.next()? {
        let cells = (1..=says.len()).map(|nth| {
            Ok::<Cell, rusqlite::Error>(match row.get_ref(nth)? {
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
                ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => None,
            })
        });
        if traces.learn(kept, &says, &cells.collect::<Result<Vec<Cell>, _>>()?) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}
