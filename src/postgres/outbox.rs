//! The outbox: what changes put in and take back, and, as the relay sees it, rows handed out under a lease, confirmed, or put off.
//!
//! Handing out and confirming do not wait for the disk (`synchronous_commit`, PostgreSQL manual, "Asynchronous Commit"): a crash
//! of the database may forget the last of them, and then these rows are published again, which the inbox on the other side is for.

use super::{
    connection::{Database, Fault},
    sending::Sent,
    write,
};
use crate::records::{Rows, storable, stored};
use atshub_actors::ports::ClaimedRow;
use atshub_schemas::topology;
use bytes::Bytes;
use deadpool_postgres::{Client, Transaction};
use futures_util::FutureExt;
use jiff::{Timestamp, civil::Date};
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// Rows without a time are due by any clock, so they have an index and a branch of their own; and so have invitations, of which
/// thousands may wait.
const CLAIM: &str = "with at_once as materialized (\
        select number, due from waiting where not_before is null and not invitation \
        and (claimed_until is null or claimed_until <= $1) order by due, number limit $2 for update skip locked), \
    timed as materialized (\
        select number, due from waiting where not_before is not null and not invitation \
        and due <= $1 and (claimed_until is null or claimed_until <= $1) order by due, number limit $2 for update skip locked), \
    invites_at_once as materialized (\
        select number, due from waiting where not_before is null and invitation \
        and (claimed_until is null or claimed_until <= $1) order by due, number limit $4 for update skip locked), \
    invites_timed as materialized (\
        select number, due from waiting where not_before is not null and invitation \
        and due <= $1 and (claimed_until is null or claimed_until <= $1) order by due, number limit $4 for update skip locked), \
    invites as (\
        select * from (select * from invites_at_once union all select * from invites_timed) due order by due, number limit $4), \
    chosen as (\
        select * from (select * from at_once union all select * from timed union all select * from invites) due \
        order by due, number limit $2), \
    claimed as (\
        update waiting w set claimed_until = $3 from (select set_config('synchronous_commit', 'off', true)) at_leisure \
        where w.number = any (array(select number from chosen)) returning w.number, w.day, w.due) \
    select c.number, c.day, o.exchange, o.routing_key, o.message_id, o.body, c.due from claimed c, lateral (\
        select exchange, routing_key, message_id, body from outbox o where o.day = c.day and o.number = c.number limit 1) o";

/// What was taken back or put in another row's place meanwhile is not there any more, and was sent all the same.
const SENT: &str = "delete from waiting w using (select set_config('synchronous_commit', 'off', true)) at_leisure \
    where w.number = any ($1::int8[])";

const UNSENT: &str = "update waiting w set not_before = $2, due = $2, made_at = clock_timestamp(), claimed_until = null, \
    failures = failures + 1, last_error = $3 where w.number = any ($1::int8[])";

const NEXT_DUE: &str = "select least(\
        (select due from waiting where not_before is null and not invitation \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from waiting where not_before is null and invitation \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from waiting where not_before is not null and not invitation \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1), \
        (select due from waiting where not_before is not null and invitation \
         and (claimed_until is null or claimed_until <= $1) order by due, number limit 1))";

/// A row whose key waits already takes that one's place. In one statement, so that nobody sees neither or both.
pub(super) const PUT_IN: &str = "with r as materialized (select nextval('outbox_number') as number, u.* from (select * \
        from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], \
        $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bool[], $14::timestamptz[]) with ordinality as u (day, exchange, \
        routing_key, tenant, source, message_id, kind, body, created_at, not_before, due, effect_key, invitation, claimed_until, ord) \
        order by ord) u), \
    before as materialized (select w.day, w.number from r, lateral (select day, number from waiting w where w.tenant = r.tenant \
        and w.effect_key = r.effect_key limit 1) w where r.effect_key is not null), \
    gone as (delete from outbox where day = any (array(select day from before)) and number = any (array(select number from before))), \
    kept as (insert into outbox (day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at) \
        select day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at from r order by ord), \
    waits as (insert into waiting (number, day, tenant, effect_key, invitation, not_before, due, claimed_until) \
        select number, day, tenant, effect_key, invitation, not_before, due, claimed_until from r order by tenant, effect_key, ord \
        on conflict (tenant, effect_key) where effect_key is not null do update set number = excluded.number, day = excluded.day, \
        invitation = excluded.invitation, not_before = excluded.not_before, due = excluded.due, made_at = excluded.made_at, \
        claimed_until = excluded.claimed_until, failures = 0, last_error = null) \
    select number from r order by ord";

/// Puts in what changes ask for. Answers with the numbers of the rows, in order.
pub(super) async fn put_in(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<Vec<i64>, Fault> {
    let rows: Vec<_> = changes.iter().flat_map(|c| c.outbox.iter().map(|o| (o, c.received))).collect();
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let days: Vec<Date> = rows.iter().map(|(o, _)| write::day(o.due)).collect();
    let exchanges: Vec<&str> = rows.iter().map(|(o, _)| o.exchange.as_str()).collect();
    let routing: Vec<&str> = rows.iter().map(|(o, _)| o.routing_key.as_str()).collect();
    let tenants: Vec<&str> = rows.iter().map(|(o, _)| o.tenant.as_str()).collect();
    let sources: Vec<&str> = rows.iter().map(|(o, _)| o.source.as_str()).collect();
    let messages: Vec<&str> = rows.iter().map(|(o, _)| o.message_id.as_str()).collect();
    let kinds: Vec<&str> = rows.iter().map(|(o, _)| o.kind).collect();
    let bodies: Vec<&str> = rows.iter().map(|(o, _)| o.body.as_str()).collect();
    let at: Vec<Timestamp> = rows.iter().map(|(_, at)| *at).collect();
    let not_before: Vec<Option<Timestamp>> = rows.iter().map(|(o, _)| o.not_before).collect();
    let due: Vec<Timestamp> = rows.iter().map(|(o, _)| o.due).collect();
    let keys: Vec<Option<&str>> = rows.iter().map(|(o, _)| o.effect_key.as_deref()).collect();
    let invitations: Vec<bool> = rows.iter().map(|(o, _)| o.is_invitation()).collect();
    let claimed: Vec<Option<Timestamp>> = rows.iter().map(|(o, _)| o.claimed_until).collect();
    let all: [&(dyn ToSql + Sync); 14] = [
        &days,
        &exchanges,
        &routing,
        &tenants,
        &sources,
        &messages,
        &kinds,
        &bodies,
        &at,
        &not_before,
        &due,
        &keys,
        &invitations,
        &claimed,
    ];
    write::ask(client, PUT_IN, &all, sent).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// What was sent and has no inbox row, unless it waits again, is parked, or was sent anew under the same id. Of commands the bridge's
/// answers are handled, not they themselves: those that were not answered still have a clock that waits. (`is not distinct from` has no
/// index, so that parked work is found by the message, and not looked through by the tenant.)
const SEND_AGAIN: &str = "insert into waiting (number, day, tenant, invitation, due) \
    select o.number, o.day, o.tenant, o.routing_key = 'atshub.invites', $2 from outbox o where case \
        when $1::text is null then o.exchange in ('atshub.work', 'atshub.events') or (o.exchange = 'atshub.commands' \
            and exists (select from waiting w where w.tenant = o.tenant and w.effect_key = o.message_id || '/0/unanswered')) \
        when $3::text is not null then o.tenant = $3 and ((o.exchange = 'atshub.work' and o.routing_key = 'tenant.' || $3) \
            or (o.exchange = 'atshub.events' and o.routing_key like $3 || '.%')) \
        when $4::text is not null then o.tenant = $4 and o.exchange = 'atshub.commands' and o.routing_key like $4 || '.%' \
            and exists (select from waiting w where w.tenant = o.tenant and w.effect_key = o.message_id || '/0/unanswered') \
        else o.exchange = 'atshub.work' and o.routing_key = $1 end \
    and not exists (select from waiting w where w.number = o.number) \
    and not exists (select from inbox i where i.tenant = o.tenant and i.source = o.source and i.id = o.message_id) \
    and not exists (select from outbox w where w.message_id = o.message_id and w.tenant = o.tenant and w.number > o.number) \
    and not exists (select from parked p where p.message_id = o.message_id and p.tenant is not distinct from o.tenant) \
    order by o.number on conflict do nothing";

/// All of what was sent within the retention may have to be looked through.
const SEND_AGAIN_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn send_again(database: &Database, queue: &str, now: Timestamp) -> Result<u64, Fault> {
    let queue = queue.to_owned();
    database
        .run_within(SEND_AGAIN_LIMIT, move |connection| {
            async move {
                let transaction = connection.transaction().await?;
                let again = send_again_within(&transaction, Some(&queue), stored(now)).await?;
                transaction.commit().await?;
                Ok(again)
            }
            .boxed()
        })
        .await
}

/// The same within a transaction; without a queue, of all queues.
pub(super) async fn send_again_within(transaction: &Transaction<'_>, queue: Option<&str>, now: Timestamp) -> Result<u64, Fault> {
    let of_tenant = queue.and_then(|queue| queue.strip_prefix(topology::TENANT_QUEUES));
    let of_bridge = queue.and_then(|queue| queue.strip_prefix(topology::COMMANDS)?.strip_prefix('.'));
    let statement = transaction.prepare_cached(SEND_AGAIN).await?;
    Ok(transaction.execute(&statement, &[&queue, &now, &of_tenant, &of_bridge]).await?)
}

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
    let numbers: Vec<i64> = rows.into_iter().map(|r| r.row).collect();
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(SENT).await?;
                connection.execute(&statement, &[&numbers]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn unsent(database: &Database, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), Fault> {
    let cause = storable(cause);
    let numbers: Vec<i64> = rows.into_iter().map(|r| r.row).collect();
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(UNSENT).await?;
                connection.execute(&statement, &[&numbers, &stored(not_before), &cause]).await?;
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn next_due(database: &Database, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(NEXT_DUE).await?;
                Ok(connection.query_one(&statement, &[&stored(now)]).await?.try_get(0)?)
            }
            .boxed()
        })
        .await
}
