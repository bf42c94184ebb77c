//! What came to tenants' doors: one row for each door, whichever process it came to.

use super::{connection::Fault, threads::Kept, words::Micros};
use crate::records::{checked, signed, stored, unsigned};
use atshub_actors::ports::{Callers, Door};
use rusqlite::{Connection, params};

/// A comparison with `null` does not hold.
const TELL: &str = "insert into callers (tenant, door, known_at, refused, refused_since, refused_at) values (?, ?, ?, ?, ?, ?) \
    on conflict (tenant, door) do update set \
    known_at = case when excluded.known_at > callers.known_at or callers.known_at is null then excluded.known_at else callers.known_at end, \
    refused = excluded.refused + case when excluded.known_at >= callers.refused_at then 0 else callers.refused end, \
    refused_since = case when callers.refused_since is null or excluded.known_at >= callers.refused_at \
        then excluded.refused_since else callers.refused_since end, \
    refused_at = case when excluded.refused_at is null and not coalesce(excluded.known_at >= callers.refused_at, false) \
        then callers.refused_at else excluded.refused_at end";

pub(super) fn tell(connection: &Connection, told: &[Callers]) -> Result<Kept<()>, Fault> {
    let mut statement = connection.prepare_cached(TELL)?;
    let micros = |at: Option<jiff::Timestamp>| at.map(|at| Micros(stored(at)));
    for row in told {
        statement.execute(params![
            row.tenant.as_str(),
            row.door.as_str(),
            micros(row.known_at),
            signed(row.refused)?,
            micros(row.refused_since),
            micros(row.refused_at)
        ])?;
    }
    Ok(Kept::All(()))
}

pub(super) fn all(connection: &Connection, tenant: Option<&str>) -> Result<Vec<Callers>, Fault> {
    let sql = "select tenant, door, known_at, refused, refused_since, refused_at from callers where ?1 is null or tenant = ?1 \
        order by tenant, door";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query([tenant])?;
    let mut callers = Vec::new();
    while let Some(row) = found.next()? {
        // A door that only another release has is not shown by this one.
        let Some(door) = Door::named(&row.get::<_, String>(1)?) else { continue };
        let at = |column: usize| row.get::<_, Option<Micros>>(column).map(|at| at.map(|at| at.0));
        callers.push(Callers {
            tenant: checked("a tenant's name", row.get(0)?)?,
            door,
            known_at: at(2)?,
            refused: unsigned(row.get(3)?),
            refused_since: at(4)?,
            refused_at: at(5)?,
        });
    }
    Ok(callers)
}

pub(super) fn forget(connection: &Connection, tenant: &str, door: Door) -> Result<Kept<()>, Fault> {
    let sql = "update callers set refused = 0, refused_since = null, refused_at = null where tenant = ? and door = ?";
    connection.prepare_cached(sql)?.execute([tenant, door.as_str()])?;
    Ok(Kept::All(()))
}
