//! The outbox: what changes put in and take back, and, as the relay sees it, rows handed out under a lease, confirmed, or put off.
//!
//! Handing out and confirming do not wait for the disk (`synchronous_commit`, PostgreSQL manual, "Asynchronous Commit"): a crash
//! of the database may forget the last of them, and then these rows are published again, which the inbox on the other side is for.

use super::{
    connection::{Database, Fault},
    statement::{Piece, Sql},
    write::{self, How, each},
};
use crate::records::{OutboxRecord, Rows, storable, stored};
use atshub_actors::ports::ClaimedRow;
use atshub_schemas::topology;
use bytes::Bytes;
use deadpool_postgres::Transaction;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::time::Duration;

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
        where w.number = any (array(select number from chosen)) \
        returning w.number, w.day, w.due, w.exchange, w.routing_key, w.message_id, w.body) \
    select number, exchange, routing_key, message_id, body, due, false from claimed where body is not null \
    union all select c.number, o.exchange, o.routing_key, o.message_id, o.body, c.due, true from claimed c, lateral (\
        select exchange, routing_key, message_id, body from outbox o where o.day = c.day and o.number = c.number limit 1) o \
        where c.body is null";

/// What was taken back or put in another row's place meanwhile is not there any more, and was sent all the same.
const SENT: &str = "delete from waiting w using (select set_config('synchronous_commit', 'off', true)) at_leisure \
    where w.number = any ($1::int8[])";
/// The same of rows that hold their messages themselves: those are kept from now on.
const SENT_AND_KEPT: &str = "with sent as (delete from waiting w using (select set_config('synchronous_commit', 'off', true)) at_leisure \
        where w.number = any ($1::int8[]) returning w.*) \
    insert into outbox (day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at) \
        select day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at from sent where body is not null";

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

macro_rules! put_in {
    ($first:literal, $known:literal) => {
        concat!(
            "put as materialized (select nextval('outbox_number') as number, u.* from (select * \
            from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], \
            $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bool[], $14::timestamptz[]) with ordinality as u (day, exchange, \
            routing_key, tenant, source, message_id, kind, body, created_at, not_before, due, effect_key, invitation, claimed_until, ord) \
            order by ord) u), ",
            $first,
            "kept as (insert into outbox (day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at) \
            select day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at from put \
            where not_before is null order by ord), \
            waits as (insert into waiting (number, day, tenant, effect_key, invitation, not_before, due, claimed_until, exchange, \
            routing_key, source, message_id, kind, body, created_at) \
            select number, day, tenant, effect_key, invitation, not_before, due, claimed_until, \
            case when not_before is not null then exchange end, case when not_before is not null then routing_key end, \
            case when not_before is not null then source end, case when not_before is not null then message_id end, \
            case when not_before is not null then kind end, case when not_before is not null then body end, \
            case when not_before is not null then created_at end from put order by tenant, effect_key, ord on conflict ",
            $known,
            " returning 1)"
        )
    };
}

const ANSWER: Option<&str> = Some("array(select number from put order by ord)");
const ALL_WAIT: &str = "(select count(*) from waits) = (select count(*) from put)";

/// What is due later holds its message itself, and ends or is sent; the messages of the others are kept.
const PUT_IN: Sql = Sql { with: put_in!("", "do nothing"), holds: ALL_WAIT, answer: ANSWER };
/// The same where a row whose key waits already takes that one's place. In one statement, so that nobody sees neither or both.
const PUT_IN_PLACE: Sql = Sql {
    with: put_in!(
        "before as materialized (select w.day, w.number from put r, lateral (select day, number from waiting w where w.tenant = r.tenant \
            and w.effect_key = r.effect_key limit 1) w where r.effect_key is not null), \
        unkept as (delete from outbox where day = any (array(select day from before)) \
            and number = any (array(select number from before))), ",
        "(tenant, effect_key) where effect_key is not null do update set number = excluded.number, day = excluded.day, \
            invitation = excluded.invitation, not_before = excluded.not_before, due = excluded.due, made_at = excluded.made_at, \
            claimed_until = excluded.claimed_until, failures = 0, last_error = null, exchange = excluded.exchange, \
            routing_key = excluded.routing_key, source = excluded.source, message_id = excluded.message_id, kind = excluded.kind, \
            body = excluded.body, created_at = excluded.created_at"
    ),
    holds: ALL_WAIT,
    answer: ANSWER,
};

/// What changes ask for. The answer is the numbers of the rows, in order.
pub(super) fn put_in<'a>(changes: &[&'a Rows], how: How) -> Piece<'a> {
    let rows: Vec<(&OutboxRecord, Timestamp)> = changes.iter().flat_map(|c| c.outbox.iter().map(|o| (o, c.received))).collect();
    let sql = match how {
        How::Hoping => &PUT_IN,
        How::Looked => &PUT_IN_PLACE,
    };
    let parameters = vec![
        each(&rows, |(o, _)| write::day(o.due)),
        each(&rows, |(o, _)| o.exchange.as_str()),
        each(&rows, |(o, _)| o.routing_key.as_str()),
        each(&rows, |(o, _)| o.tenant.as_str()),
        each(&rows, |(o, _)| o.source.as_str()),
        each(&rows, |(o, _)| o.message_id.as_str()),
        each(&rows, |(o, _)| o.kind),
        each(&rows, |(o, _)| o.body.as_str()),
        each(&rows, |(_, at)| at),
        each(&rows, |(o, _)| o.not_before),
        each(&rows, |(o, _)| o.due),
        each(&rows, |(o, _)| o.effect_key.as_deref()),
        each(&rows, |(o, _)| o.is_invitation()),
        each(&rows, |(o, _)| o.claimed_until),
    ];
    Piece { sql, parameters, is_empty: rows.is_empty() }
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
    and not exists (select from waiting w where w.message_id = o.message_id and w.tenant = o.tenant and w.number > o.number) \
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
                for row in connection.query(&statement, &[&stored(now), &limit, &until, &invites]).await? {
                    let claimed = ClaimedRow {
                        row: row.try_get(0)?,
                        exchange: row.try_get(1)?,
                        routing_key: row.try_get(2)?,
                        message_id: row.try_get(3)?,
                        body: Bytes::from(row.try_get::<_, String>(4)?),
                        kept: row.try_get(6)?,
                    };
                    rows.push((row.try_get::<_, Timestamp>(5)?, claimed));
                }
                rows.sort_by_key(|(due, claimed)| (*due, claimed.row));
                Ok(rows.into_iter().map(|(_, claimed)| claimed).collect())
            }
            .boxed()
        })
        .await
}

pub(super) async fn sent(database: &Database, rows: Vec<ClaimedRow>) -> Result<(), Fault> {
    let (kept, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.kept);
    let numbers = |rows: Vec<ClaimedRow>| rows.into_iter().map(|row| row.row).collect::<Vec<i64>>();
    let both = [(SENT, numbers(kept)), (SENT_AND_KEPT, numbers(others))];
    database
        .run(move |connection| {
            async move {
                for (sql, numbers) in both.into_iter().filter(|(_, numbers)| !numbers.is_empty()) {
                    connection.execute(&connection.prepare_cached(sql).await?, &[&numbers]).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

pub(super) async fn unsent(database: &Database, numbers: Vec<i64>, not_before: Timestamp, cause: &str) -> Result<(), Fault> {
    let cause = storable(cause);
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
