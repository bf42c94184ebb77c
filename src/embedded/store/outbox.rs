//! The outbox as the relay sees it.

use super::{connection::Fault, threads::Kept, words::Micros};
use crate::records::{storable, stored};
use atshub_actors::ports::ClaimedRow;
use atshub_schemas::topology;
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Rows without a time are due by any clock, so they have an index and a branch of their own; and so have invitations, of which
/// thousands may wait.
const BRANCHES: [(&str, &str); 4] = [
    ("not_before is null", "<>"),
    ("not_before is not null and due <= ?1", "<>"),
    ("not_before is null", "="),
    ("not_before is not null and due <= ?1", "="),
];

pub(super) fn claim(
    connection: &Connection,
    now: Timestamp,
    limit: usize,
    invites: usize,
    until: Timestamp,
) -> Result<Kept<Vec<ClaimedRow>>, Fault> {
    let now = Micros(stored(now));
    let (mut due, mut turns) = (Vec::new(), Vec::new());
    for (when, invitation) in BRANCHES {
        let (found, most) = if invitation == "=" { (&mut turns, invites) } else { (&mut due, limit) };
        let mut statement = connection.prepare_cached(&format!(
            "select number, exchange, routing_key, message_id, body, due from outbox where sent_at is null and {when} \
             and routing_key {invitation} 'atshub.invites' and (claimed_until is null or claimed_until <= ?1) order by due, number limit ?2"
        ))?;
        let rows = statement.query_map(params![now, i64::try_from(most).unwrap_or(i64::MAX)], |row| {
            let claimed = ClaimedRow {
                row: row.get(0)?,
                kept: true,
                exchange: row.get(1)?,
                routing_key: row.get(2)?,
                message_id: row.get(3)?,
                body: Bytes::from(row.get::<_, String>(4)?),
            };
            Ok((row.get::<_, Micros>(5)?, claimed))
        })?;
        found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    }
    turns.sort_by_key(|(due, claimed)| (*due, claimed.row));
    due.extend(turns.into_iter().take(invites));
    due.sort_by_key(|(due, claimed)| (*due, claimed.row));
    due.truncate(limit);
    let mut lease = connection.prepare_cached("update outbox set claimed_until = ? where number = ?")?;
    for (_, claimed) in &due {
        lease.execute(params![Micros(stored(until)), claimed.row])?;
    }
    Ok(Kept::All(due.into_iter().map(|(_, claimed)| claimed).collect()))
}

/// What was sent and has no inbox row, unless it waits again, is parked, or was sent anew under the same id. Of commands the bridge's
/// answers are handled, not they themselves: those that were not answered still have a clock that waits. Their keys stay with what was
/// asked for since.
pub(super) fn send_again(connection: &Connection, queue: Option<&str>, now: Timestamp) -> Result<Kept<u64>, Fault> {
    let of_tenant = queue.and_then(|queue| queue.strip_prefix(topology::TENANT_QUEUES));
    let of_bridge = queue.and_then(|queue| queue.strip_prefix(topology::COMMANDS)?.strip_prefix('.'));
    let again = connection
        .prepare_cached(
            "update outbox as o set sent_at = null, claimed_until = null, not_before = null, due = ?2, made_at = ?2, effect_key = null \
             where o.sent_at is not null and case \
                 when ?1 is null then o.exchange in ('atshub.work', 'atshub.events') or (o.exchange = 'atshub.commands' \
                     and exists (select 1 from outbox w where w.tenant = o.tenant and w.sent_at is null \
                         and w.effect_key = o.message_id || '/0/unanswered')) \
                 when ?3 is not null then o.tenant = ?3 and ((o.exchange = 'atshub.work' and o.routing_key = 'tenant.' || ?3) \
                     or (o.exchange = 'atshub.events' and o.routing_key like ?3 || '.%')) \
                 when ?4 is not null then o.tenant = ?4 and o.exchange = 'atshub.commands' and o.routing_key like ?4 || '.%' \
                     and exists (select 1 from outbox w where w.tenant = o.tenant and w.sent_at is null \
                         and w.effect_key = o.message_id || '/0/unanswered') \
                 else o.exchange = 'atshub.work' and o.routing_key = ?1 end \
             and not exists (select 1 from inbox i where i.tenant = o.tenant and i.source = o.source and i.id = o.message_id) \
             and not exists (select 1 from outbox w where w.message_id = o.message_id and w.tenant = o.tenant and w.number > o.number) \
             and not exists (select 1 from parked p where p.message_id = o.message_id and p.tenant = o.tenant)",
        )?
        .execute(params![queue, Micros(stored(now)), of_tenant, of_bridge])?;
    Ok(Kept::All(u64::try_from(again).unwrap_or(u64::MAX)))
}

pub(super) fn sent(connection: &Connection, rows: &[ClaimedRow], now: Timestamp) -> Result<Kept<()>, Fault> {
    let now = Micros(stored(now));
    let mut statement =
        connection.prepare_cached("update outbox set sent_at = ?, claimed_until = null where number = ? and sent_at is null")?;
    for row in rows {
        statement.execute(params![now, row.row])?;
    }
    Ok(Kept::All(()))
}

pub(super) fn unsent(connection: &Connection, row: i64, not_before: Timestamp, cause: &str, now: Timestamp) -> Result<Kept<()>, Fault> {
    connection
        .prepare_cached(
            "update outbox set not_before = ?2, due = ?2, made_at = ?4, claimed_until = null, failures = failures + 1, last_error = ?3 \
             where number = ?1 and sent_at is null",
        )?
        .execute(params![row, Micros(stored(not_before)), storable(cause), Micros(stored(now))])?;
    Ok(Kept::All(()))
}

pub(super) fn next_due(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    let now = Micros(stored(now));
    let mut earliest = None;
    for (when, invitation) in [("null", "<>"), ("not null", "<>"), ("null", "="), ("not null", "=")] {
        let due: Option<Micros> = connection
            .prepare_cached(&format!(
                "select (select due from outbox where sent_at is null and not_before is {when} and routing_key {invitation} 'atshub.invites' \
                 and (claimed_until is null or claimed_until <= ?) order by due, number limit 1)"
            ))?
            .query_row([now], |row| row.get(0))?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest.map(|due| due.0))
}
