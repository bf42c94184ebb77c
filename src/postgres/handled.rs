//! What is written when a message is done: its inbox row, the history it makes, and what of the outbox is taken back by it or ends with it.

use super::{
    connection::Fault,
    sending::Sent,
    write::{ask, day, number_of},
};
use crate::records::{InboxRow, Rows};
use deadpool_postgres::Client;
use jiff::{Timestamp, civil::Date};
use tokio_postgres::types::ToSql;

/// What is common to both statements below.
macro_rules! handled {
    ($more:literal, $of_more:literal) => {
        concat!(
            "with new as (insert into inbox (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
                select day, tenant, source, id, time, kind, envelope::json, disposition::json, handled_at \
                from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], \
                $9::timestamptz[]) as r (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
                order by day, tenant, source, id on conflict do nothing returning 1), \
            ended as (update attempts set next_at = null where ctid = any (array(\
                select a.ctid from unnest($2::text[], $3::text[], $4::text[]) as r (tenant, source, id), lateral (select ctid \
                from attempts a where a.tenant = r.tenant and a.source = r.source and a.id = r.id and a.next_at is not null \
                limit 1 for update) a))), \
            told as (insert into journal (day, at, tenant, application, candidacy, message, code, text) \
                select day, at, tenant, application, candidacy, message, code, text \
                from unnest($11::date[], $12::timestamptz[], $13::text[], $14::text[], $15::uuid[], $16::text[], $17::text[], $18::text[]) \
                with ordinality as r (day, at, tenant, application, candidacy, message, code, text, ord) order by ord)",
            $more,
            "select 1 / ((select count(*) = $10 from new)",
            $of_more,
            ")::int"
        )
    };
}

pub(super) const HANDLED: &str = handled!(" ", "");
/// The same with what ends with it, which has to wait still, and what is taken back. A statement that names a table by days looks at each
/// of its partitions before it begins; most changes take nothing back.
pub(super) const ENDED: &str = handled!(
    ", found as materialized (select w.*, k.ends from unnest($19::text[], $20::text[], $21::bool[]) as k (tenant, effect_key, ends), \
        lateral (select day, number, tenant, effect_key from waiting w where w.tenant = k.tenant and w.effect_key = k.effect_key \
        limit 1 for update) w), \
    gone as (delete from waiting where number = any (array(select number from found))), \
    unsent as (delete from outbox where day = any (array(select day from found)) and number = any (array(select number from found))) ",
    " and (select count(*) filter (where ends) = $22 from found)"
);

/// Messages whose work is done, of which nothing is tried again; what is told of it; and what of the outbox is taken back, or ends.
pub(super) async fn write(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<(), Fault> {
    let rows: Vec<(&InboxRow, Timestamp)> = changes.iter().filter_map(|c| Some((c.handled.as_ref()?, c.received))).collect();
    let told: Vec<_> = changes.iter().flat_map(|c| &c.journal).collect();
    let keys = changes.iter().flat_map(|c| c.taken_back.iter().map(|key| (key, false)).chain(c.ends.iter().map(|key| (key, true))));
    let gone: Vec<(&(String, String), bool)> = keys.collect();
    if rows.is_empty() && told.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let days: Vec<Date> = rows.iter().map(|(r, _)| day(r.key.time)).collect();
    let tenants: Vec<&str> = rows.iter().map(|(r, _)| r.key.tenant.as_str()).collect();
    let sources: Vec<&str> = rows.iter().map(|(r, _)| r.key.source.as_str()).collect();
    let ids: Vec<&str> = rows.iter().map(|(r, _)| r.key.id.as_str()).collect();
    let times: Vec<Timestamp> = rows.iter().map(|(r, _)| r.key.time).collect();
    let kinds: Vec<&str> = rows.iter().map(|(r, _)| r.kind).collect();
    let envelopes: Vec<&str> = rows.iter().map(|(r, _)| r.envelope.as_str()).collect();
    let dispositions: Vec<&str> = rows.iter().map(|(r, _)| r.disposition.as_str()).collect();
    let at: Vec<Timestamp> = rows.iter().map(|(_, at)| *at).collect();
    let all = number_of(rows.len());
    let told_days: Vec<Date> = told.iter().map(|j| day(j.at)).collect();
    let told_at: Vec<Timestamp> = told.iter().map(|j| j.at).collect();
    let told_tenants: Vec<&str> = told.iter().map(|j| j.tenant.as_str()).collect();
    let applications: Vec<Option<&str>> = told.iter().map(|j| j.application.as_ref().map(AsRef::as_ref)).collect();
    let candidacies: Vec<Option<uuid::Uuid>> = told.iter().map(|j| j.candidacy).collect();
    let messages: Vec<Option<&str>> = told.iter().map(|j| j.message.as_ref().map(AsRef::as_ref)).collect();
    let codes: Vec<&str> = told.iter().map(|j| j.code.as_str()).collect();
    let texts: Vec<&str> = told.iter().map(|j| j.text.as_str()).collect();
    let gone_tenants: Vec<&str> = gone.iter().map(|((tenant, _), _)| tenant.as_str()).collect();
    let gone_keys: Vec<&str> = gone.iter().map(|((_, key), _)| key.as_str()).collect();
    let ends: Vec<bool> = gone.iter().map(|(_, ends)| *ends).collect();
    let ended = number_of(ends.iter().filter(|ends| **ends).count());
    let everything: [&(dyn ToSql + Sync); 22] = [
        &days,
        &tenants,
        &sources,
        &ids,
        &times,
        &kinds,
        &envelopes,
        &dispositions,
        &at,
        &all,
        &told_days,
        &told_at,
        &told_tenants,
        &applications,
        &candidacies,
        &messages,
        &codes,
        &texts,
        &gone_tenants,
        &gone_keys,
        &ends,
        &ended,
    ];
    let (sql, parameters) = if gone.is_empty() { (HANDLED, everything.get(..18)) } else { (ENDED, everything.get(..)) };
    ask(client, sql, parameters.unwrap_or_default(), sent).await?;
    Ok(())
}
