//! What is written when a message is done: its inbox row, the history it makes, and what of the outbox is taken back by it or ends with it.

use super::{
    statement::{Piece, Sql},
    write::{How, day, each, number_of},
};
use crate::records::{InboxRow, Rows};
use atshub_actors::ports::JournalEntry;
use jiff::Timestamp;

const HANDLED: Sql = Sql {
    with: "done as (insert into inbox (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
        select day, tenant, source, id, time, kind, envelope::json, disposition::json, handled_at \
        from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], \
        $9::timestamptz[]) as r (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
        order by day, tenant, source, id on conflict do nothing returning 1), \
    over as (update attempts set next_at = null where ctid = any (array(\
        select a.ctid from unnest($2::text[], $3::text[], $4::text[]) as r (tenant, source, id), lateral (select ctid \
        from attempts a where a.tenant = r.tenant and a.source = r.source and a.id = r.id and a.next_at is not null \
        limit 1 for update) a))), \
    told as (insert into journal (day, at, tenant, application, candidacy, message, code, text) \
        select day, at, tenant, application, candidacy, message, code, text \
        from unnest($11::date[], $12::timestamptz[], $13::text[], $14::text[], $15::uuid[], $16::text[], $17::text[], $18::text[]) \
        with ordinality as r (day, at, tenant, application, candidacy, message, code, text, ord) order by ord)",
    holds: "(select count(*) = $10 from done)",
    answer: None,
};

/// Messages whose work is done, of which nothing is tried again; and what is told of it.
pub(super) fn handled<'a>(changes: &[&'a Rows]) -> Piece<'a> {
    let rows: Vec<(&InboxRow, Timestamp)> = changes.iter().filter_map(|c| Some((c.handled.as_ref()?, c.received))).collect();
    let lines: Vec<&JournalEntry> = changes.iter().flat_map(|c| &c.journal).collect();
    let parameters = vec![
        each(&rows, |(r, _)| day(r.key.time)),
        each(&rows, |(r, _)| r.key.tenant.as_str()),
        each(&rows, |(r, _)| r.key.source.as_str()),
        each(&rows, |(r, _)| r.key.id.as_str()),
        each(&rows, |(r, _)| r.key.time),
        each(&rows, |(r, _)| r.kind),
        each(&rows, |(r, _)| r.envelope.as_str()),
        each(&rows, |(r, _)| r.disposition.as_str()),
        each(&rows, |(_, at)| at),
        Box::new(number_of(rows.len())),
        each(&lines, |j| day(j.at)),
        each(&lines, |j| j.at),
        each(&lines, |j| j.tenant.as_str()),
        each(&lines, |j| j.application.as_ref().map(AsRef::<str>::as_ref)),
        each(&lines, |j| j.candidacy),
        each(&lines, |j| j.message.as_ref().map(AsRef::<str>::as_ref)),
        each(&lines, |j| j.code.as_str()),
        each(&lines, |j| j.text.as_str()),
    ];
    Piece { sql: &HANDLED, parameters, is_empty: rows.is_empty() && lines.is_empty() }
}

macro_rules! found {
    () => {
        "found as materialized (select w.*, k.ends from unnest($1::text[], $2::text[], $3::bool[]) as k (tenant, effect_key, ends), \
            lateral (select day, number, body is not null as whole from waiting w where w.tenant = k.tenant and w.effect_key = k.effect_key limit 1 for update) w), \
        gone as (delete from waiting where number = any (array(select number from found)))"
    };
}

/// What ends has to wait still, and to hold its message itself.
const ENDS: Sql = Sql {
    with: found!(),
    holds: "(select count(*) filter (where ends) = $4 and count(*) filter (where not whole) = 0 from found)",
    answer: None,
};
/// The same with what has its message in the outbox.
const ENDS_ANYWHERE: Sql = Sql {
    with: concat!(
        found!(),
        ", unsent as (delete from outbox where day = any (array(select day from found)) and number = any (array(select number from found)))"
    ),
    holds: "(select count(*) filter (where ends) = $4 from found)",
    answer: None,
};

/// What of the outbox is taken back, and what ends.
pub(super) fn ends<'a>(changes: &[&'a Rows], how: How) -> Piece<'a> {
    let keys = changes.iter().flat_map(|c| c.taken_back.iter().map(|key| (key, false)).chain(c.ends.iter().map(|key| (key, true))));
    let rows: Vec<(&(String, String), bool)> = keys.collect();
    let sql = match how {
        How::Hoping => &ENDS,
        How::Looked => &ENDS_ANYWHERE,
    };
    let parameters = vec![
        each(&rows, |((tenant, _), _)| tenant.as_str()),
        each(&rows, |((_, key), _)| key.as_str()),
        each(&rows, |(_, ends)| ends),
        Box::new(number_of(rows.iter().filter(|(_, ends)| *ends).count())),
    ];
    Piece { sql, parameters, is_empty: rows.is_empty() }
}
