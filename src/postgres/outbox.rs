//! The outbox as the relay sees it: rows handed out under a lease, confirmed, or put off.
//!
//! Handing out and confirming do not wait for the disk (`synchronous_commit`, PostgreSQL manual, "Asynchronous Commit"): a crash
//! of the database may forget the last of them, and then these rows are published again, which the inbox on the other side is for.

use super::connection::{Database, Fault};
use crate::records::{storable, stored};
use atshub_actors::ports::ClaimedRow;
use bytes::Bytes;
use futures_util::FutureExt;
use jiff::{Timestamp, civil::Date};

/// Rows without a time are due by any clock, so they have an index and a branch of their own; and so have invitations, of which
/// thousands may wait.
const CLAIM: &str = "with at_once as materialized (\
        select day, number, due from outbox where sent_at is null and not_before is null and routing_key <> 'atshub.invites' \
        and (claimed_until is null or claimed_until <= $1) order by due, number limit $2 for update skip locked), \
    timed as materialized (\
        select day, number, due from outbox where sent_at is null and not_before is not null and routing_key <> 'atshub.invites' \
        and due <= $1 and (claimed_until is null or claimed_until <= $1) order by due, number limit $2 for update skip locked), \
    invites_at_once as materialized (\
        select day, number, due from outbox where sent_at is null and not_before is null and routing_key = 'atshub.invites' \
        and (claimed_until is null or claimed_until <= $1) order by due, number limit $4 for update skip locked), \
    invites_timed as materialized (\
        select day, number, due from outbox where sent_at is null and not_before is not null and routing_key = 'atshub.invites' \
        and due <= $1 and (claimed_until is null or claimed_until <= $1) order by due, number limit $4 for update skip locked), \
    invites as (\
        select * from (select * from invites_at_once union all select * from invites_timed) due order by due, number limit $4), \
    chosen as (\
        select * from (select * from at_once union all select * from timed union all select * from invites) due \
        order by due, number limit $2) \
    update outbox o set claimed_until = $3 from chosen c, (select set_config('synchronous_commit', 'off', true)) at_leisure \
    where o.day = c.day and o.number = c.number \
    returning o.number, o.day, o.exchange, o.routing_key, o.message_id, o.body, o.due";

const SENT: &str = "update outbox o set sent_at = $3, claimed_until = null from unnest($1::date[], $2::int8[]) as r (day, number), \
    (select set_config('synchronous_commit', 'off', true)) at_leisure where o.day = r.day and o.number = r.number and o.sent_at is null";

const UNSENT: &str = "update outbox o set not_before = $3, due = $3, claimed_until = null, failures = failures + 1, last_error = $4 \
    from unnest($1::date[], $2::int8[]) as r (day, number) where o.day = r.day and o.number = r.number and o.sent_at is null";

const NEXT_DUE: &str = "select least(\
        (select due from outbox where sent_at is null and not_before is null and routing_key <> 'atshub.invites' \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from outbox where sent_at is null and not_before is null and routing_key = 'atshub.invites' \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from outbox where sent_at is null and not_before is not null and routing_key <> 'atshub.invites' \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from outbox where sent_at is null and not_before is not null and routing_key = 'atshub.invites' \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1))";

pub(super) async fn claim(
    database: &Database,
    now: Timestamp,
    limit: i64,
    invites: i64,
    until: Timestamp,
) -> Result<Vec<ClaimedRow>, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(CLAIM).await?;
                let mut rows = Vec::new();
                for row in connection.query(&statement, &[&stored(now), &limit, &stored(until), &invites]).await? {
                    let claimed = ClaimedRow {
                        row: row.try_get(0)?,
                        day: Some(row.try_get(1)?),
                        exchange: row.try_get(2)?,
                        routing_key: row.try_get(3)?,
                        message_id: row.try_get(4)?,
                        body: Bytes::from(row.try_get::<_, String>(5)?),
                    };
                    rows.push((row.try_get::<_, Timestamp>(6)?, claimed));
                }
                rows.sort_by_key(|(due, claimed)| (*due, claimed.row));
                Ok(rows.into_iter().map(|(_, claimed)| claimed).collect())
            }
            .boxed()
        })
        .await
}

pub(super) async fn sent(database: &Database, rows: Vec<ClaimedRow>) -> Result<(), Fault> {
    let (days, numbers): (Vec<Option<Date>>, Vec<i64>) = rows.into_iter().map(|r| (r.day, r.row)).unzip();
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(SENT).await?;
                connection.execute(&statement, &[&days, &numbers, &stored(Timestamp::now())]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn unsent(database: &Database, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), Fault> {
    let cause = storable(cause);
    let (days, numbers): (Vec<Option<Date>>, Vec<i64>) = rows.into_iter().map(|r| (r.day, r.row)).unzip();
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(UNSENT).await?;
                connection.execute(&statement, &[&days, &numbers, &stored(not_before), &cause]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn next_due(database: &Database) -> Result<Option<Timestamp>, Fault> {
    database
        .run(|connection| {
            async move {
                let statement = connection.prepare_cached(NEXT_DUE).await?;
                Ok(connection.query_one(&statement, &[&stored(Timestamp::now())]).await?.try_get(0)?)
            }
            .boxed()
        })
        .await
}
