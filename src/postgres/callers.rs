//! What came to tenants' doors: one row for each door, whichever process it came to.

use super::connection::{Database, Fault};
use crate::records::{checked, signed, stored, unsigned};
use atshub_actors::ports::{Callers, Door};
use futures_util::FutureExt;

/// A comparison with `null` does not hold. In the order of the key, so that processes that tell at once wait for each other in one order.
const TELL: &str = "insert into callers (tenant, door, known_at, refused, refused_since, refused_at) \
    select * from unnest($1::text[], $2::text[], $3::timestamptz[], $4::bigint[], $5::timestamptz[], $6::timestamptz[]) \
    as r (tenant, door, known_at, refused, refused_since, refused_at) order by tenant, door \
    on conflict (tenant, door) do update set \
    known_at = greatest(excluded.known_at, callers.known_at), \
    refused = excluded.refused + case when excluded.known_at >= callers.refused_at then 0 else callers.refused end, \
    refused_since = case when callers.refused_since is null or excluded.known_at >= callers.refused_at \
        then excluded.refused_since else callers.refused_since end, \
    refused_at = case when excluded.refused_at is null and not coalesce(excluded.known_at >= callers.refused_at, false) \
        then callers.refused_at else excluded.refused_at end";
const ALL: &str = "select tenant, door, known_at, refused, refused_since, refused_at from callers \
    where $1::text is null or tenant = $1 order by tenant collate \"C\", door";
const FORGET: &str = "update callers set refused = 0, refused_since = null, refused_at = null where tenant = $1 and door = $2";

pub(super) async fn tell(database: &Database, told: Vec<Callers>) -> Result<(), Fault> {
    database
        .run(move |connection| {
            async move {
                let tenants: Vec<&str> = told.iter().map(|row| row.tenant.as_str()).collect();
                let doors: Vec<&str> = told.iter().map(|row| row.door.as_str()).collect();
                let known: Vec<_> = told.iter().map(|row| row.known_at.map(stored)).collect();
                let refused: Vec<i64> = told.iter().map(|row| signed(row.refused)).collect::<Result<_, _>>()?;
                let since: Vec<_> = told.iter().map(|row| row.refused_since.map(stored)).collect();
                let last: Vec<_> = told.iter().map(|row| row.refused_at.map(stored)).collect();
                let statement = connection.prepare_cached(TELL).await?;
                connection.execute(&statement, &[&tenants, &doors, &known, &refused, &since, &last]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn all(database: &Database, tenant: Option<String>) -> Result<Vec<Callers>, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(ALL).await?;
                let mut callers = Vec::new();
                for row in connection.query(&statement, &[&tenant]).await? {
                    // A door that only another release has is not shown by this one.
                    let Some(door) = Door::named(row.try_get(1)?) else { continue };
                    callers.push(Callers {
                        tenant: checked("a tenant's name", row.try_get(0)?)?,
                        door,
                        known_at: row.try_get(2)?,
                        refused: unsigned(row.try_get(3)?),
                        refused_since: row.try_get(4)?,
                        refused_at: row.try_get(5)?,
                    });
                }
                Ok(callers)
            }
            .boxed()
        })
        .await
}

pub(super) async fn forget(database: &Database, tenant: String, door: Door) -> Result<(), Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(FORGET).await?;
                connection.execute(&statement, &[&tenant, &door.as_str()]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}
