//! Changes as arrays: one statement per table for the whole group, sent without waiting for one another. Decides
//! nothing; a row that turns out to be in the way is a race, and the transaction ends.

use super::connection::Fault;
use crate::records::{CandidacyRow, DossierRow, HeardRow, InboxRow, Rows, last_error};
use atshub_actors::ports::Attempt;
use atshub_schemas::topology;
use deadpool_postgres::Transaction;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use tokio_postgres::types::ToSql;

/// The partition of a time.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// Writes all of these changes.
pub(super) async fn all(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    // First: what is taken back makes room for what is asked for anew by the same key.
    taken_back(transaction, changes).await?;
    futures_util::try_join!(
        inbox(transaction, changes),
        new_dossiers(transaction, changes),
        known_dossiers(transaction, changes),
        candidacies(transaction, changes),
        failed(transaction, changes),
        ended(transaction, changes),
        heard(transaction, changes),
        outbox(transaction, changes),
        journal(transaction, changes),
        parked(transaction, changes),
    )?;
    Ok(())
}

async fn execute(transaction: &Transaction<'_>, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Fault> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, parameters).await?)
}

fn expect(what: &str, written: u64, wanted: usize) -> Result<(), Fault> {
    if usize::try_from(written) == Ok(wanted) { Ok(()) } else { Err(Fault::Race(format!("{what}: somebody else was faster"))) }
}

async fn inbox(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "insert into inbox (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
        select day, tenant, source, id, time, kind, envelope::json, disposition::json, handled_at \
        from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[], $8::text[], $9::timestamptz[]) \
        as r (day, tenant, source, id, time, kind, envelope, disposition, handled_at) \
        order by day, tenant, source, id on conflict do nothing";
    let rows: Vec<(&InboxRow, Timestamp)> = changes.iter().filter_map(|c| Some((c.handled.as_ref()?, c.received))).collect();
    if rows.is_empty() {
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
    let written = execute(transaction, SQL, &[&days, &tenants, &sources, &ids, &times, &kinds, &envelopes, &dispositions, &at]).await?;
    expect("inbox", written, rows.len())
}

/// The columns of `dossiers`, in the order of both statements below.
struct Dossiers<'a> {
    tenants: Vec<&'a str>,
    applications: Vec<&'a str>,
    versions: Vec<i64>,
    candidates: Vec<Option<&'a str>>,
    jobs: Vec<Option<&'a str>>,
    states: Vec<Option<&'a str>>,
    bodies: Vec<&'a str>,
    created: Vec<Timestamp>,
    updated: Vec<Timestamp>,
}

impl<'a> Dossiers<'a> {
    fn of(rows: &[&'a DossierRow]) -> Self {
        Self {
            tenants: rows.iter().map(|d| d.tenant.as_str()).collect(),
            applications: rows.iter().map(|d| d.application.as_str()).collect(),
            versions: rows.iter().map(|d| d.version).collect(),
            candidates: rows.iter().map(|d| d.candidate.as_deref()).collect(),
            jobs: rows.iter().map(|d| d.job.as_deref()).collect(),
            states: rows.iter().map(|d| d.state).collect(),
            bodies: rows.iter().map(|d| d.body.as_str()).collect(),
            created: rows.iter().map(|d| d.created_at).collect(),
            updated: rows.iter().map(|d| d.updated_at).collect(),
        }
    }

    async fn execute(&self, transaction: &Transaction<'_>, sql: &str) -> Result<(), Fault> {
        let Self { tenants, applications, versions, candidates, jobs, states, bodies, created, updated } = self;
        let written =
            execute(transaction, sql, &[tenants, applications, versions, candidates, jobs, states, bodies, created, updated]).await?;
        expect("dossiers", written, tenants.len())
    }
}

macro_rules! dossier_rows {
    () => {
        "unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[]) \
         as r (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at)"
    };
}

async fn new_dossiers(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = concat!(
        "insert into dossiers (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) \
         select tenant, application_id, version, candidate_id, job_id, state, body::json, created_at, updated_at from ",
        dossier_rows!(),
        " order by tenant, application_id on conflict do nothing"
    );
    let rows: Vec<&DossierRow> = changes.iter().flat_map(|c| &c.dossiers).filter(|d| d.expected.is_none()).collect();
    if rows.is_empty() { Ok(()) } else { Dossiers::of(&rows).execute(transaction, SQL).await }
}

/// Their rows are locked, at the version that was read.
async fn known_dossiers(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = concat!(
        "update dossiers d set version = r.version, candidate_id = r.candidate_id, job_id = r.job_id, state = r.state, \
         body = r.body::json, created_at = r.created_at, updated_at = r.updated_at from ",
        dossier_rows!(),
        " where d.tenant = r.tenant and d.application_id = r.application_id"
    );
    let rows: Vec<&DossierRow> = changes.iter().flat_map(|c| &c.dossiers).filter(|d| d.expected.is_some()).collect();
    if rows.is_empty() { Ok(()) } else { Dossiers::of(&rows).execute(transaction, SQL).await }
}

async fn candidacies(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const GONE: &str = "delete from candidacies c using unnest($1::text[], $2::text[]) as d (tenant, application_id) \
        where c.tenant = d.tenant and c.application_id = d.application_id and not c.id = any ($3::uuid[])";
    const KEPT: &str = "insert into candidacies as c (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at, \
        invited_at, scheduled_at, completed_at) \
        select *, case when state = 'invited' then changed_at end, case when state = 'scheduled' then changed_at end, \
        case when state = 'completed' then changed_at end \
        from unnest($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[]) \
        as r (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at) order by tenant, id \
        on conflict (tenant, id) do update set application_id = excluded.application_id, state = excluded.state, \
        live_key = excluded.live_key, platform_candidacy = excluded.platform_candidacy, changed_at = excluded.changed_at, \
        asked_at = excluded.asked_at, invited_at = coalesce(c.invited_at, excluded.invited_at), \
        scheduled_at = coalesce(c.scheduled_at, excluded.scheduled_at), completed_at = coalesce(c.completed_at, excluded.completed_at) \
        where (c.application_id, c.state, c.live_key, c.platform_candidacy, c.changed_at, c.asked_at) is distinct from \
        (excluded.application_id, excluded.state, excluded.live_key, excluded.platform_candidacy, excluded.changed_at, \
        excluded.asked_at)";
    let dossiers: Vec<&DossierRow> = changes.iter().flat_map(|c| &c.dossiers).collect();
    let rows: Vec<(&DossierRow, &CandidacyRow)> = dossiers.iter().flat_map(|d| d.candidacies.iter().map(|c| (*d, c))).collect();
    let ids: Vec<uuid::Uuid> = rows.iter().map(|(_, c)| c.id).collect();
    let (known, known_applications): (Vec<&str>, Vec<&str>) =
        dossiers.iter().filter(|d| d.expected.is_some()).map(|d| (d.tenant.as_str(), d.application.as_str())).unzip();
    if !known.is_empty() {
        execute(transaction, GONE, &[&known, &known_applications, &ids]).await?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = rows.iter().map(|(d, _)| d.tenant.as_str()).collect();
    let applications: Vec<&str> = rows.iter().map(|(d, _)| d.application.as_str()).collect();
    let states: Vec<&str> = rows.iter().map(|(_, c)| c.state).collect();
    let live: Vec<Option<&str>> = rows.iter().map(|(_, c)| c.live_key.as_deref()).collect();
    let platform: Vec<Option<&str>> = rows.iter().map(|(_, c)| c.platform_candidacy.as_deref()).collect();
    let changed: Vec<Timestamp> = rows.iter().map(|(_, c)| c.changed_at).collect();
    let asked: Vec<Timestamp> = rows.iter().map(|(_, c)| c.asked_at).collect();
    execute(transaction, KEPT, &[&tenants, &applications, &ids, &states, &live, &platform, &changed, &asked]).await?;
    Ok(())
}

/// Tries that failed.
async fn failed(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "insert into attempts as a (tenant, source, id, failures, last_error, next_at, updated_at) \
        select * from unnest($1::text[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::timestamptz[], $7::timestamptz[]) \
        as r (tenant, source, id, failures, last_error, next_at, updated_at) order by tenant, source, id \
        on conflict (tenant, source, id) do update set failures = a.failures + excluded.failures, \
        last_error = excluded.last_error, next_at = excluded.next_at, updated_at = excluded.updated_at, owner = null, held_until = null";
    let rows: Vec<(&Attempt, Timestamp)> = changes.iter().filter_map(|c| Some((c.attempt.as_ref()?, c.received))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = rows.iter().map(|(a, _)| a.key.tenant.as_str()).collect();
    let sources: Vec<&str> = rows.iter().map(|(a, _)| a.key.source.as_str()).collect();
    let ids: Vec<&str> = rows.iter().map(|(a, _)| a.key.id.as_str()).collect();
    let failures: Vec<i32> = rows.iter().map(|(a, _)| i32::from(a.counts)).collect();
    let errors: Vec<String> = rows.iter().map(|(a, _)| last_error(&a.code, &a.detail)).collect();
    let next: Vec<Option<Timestamp>> = rows.iter().map(|(a, _)| a.next_at).collect();
    let at: Vec<Timestamp> = rows.iter().map(|(_, at)| *at).collect();
    execute(transaction, SQL, &[&tenants, &sources, &ids, &failures, &errors, &next, &at]).await?;
    Ok(())
}

/// Messages whose work is done: nothing is tried again.
async fn ended(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "update attempts a set next_at = null from unnest($1::text[], $2::text[], $3::text[]) as r (tenant, source, id) \
        where a.tenant = r.tenant and a.source = r.source and a.id = r.id and a.next_at is not null";
    let rows: Vec<&InboxRow> = changes.iter().filter_map(|c| c.handled.as_ref()).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = rows.iter().map(|r| r.key.tenant.as_str()).collect();
    let sources: Vec<&str> = rows.iter().map(|r| r.key.source.as_str()).collect();
    let ids: Vec<&str> = rows.iter().map(|r| r.key.id.as_str()).collect();
    execute(transaction, SQL, &[&tenants, &sources, &ids]).await?;
    Ok(())
}

/// A row whose key waits already takes that one's place. In one statement, so that nobody sees neither or both.
async fn outbox(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "with r as materialized (select nextval('outbox_number') as number, u.* from (select * \
        from unnest($1::date[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], \
        $10::timestamptz[], $11::timestamptz[], $12::text[], $13::bool[]) with ordinality as u (day, exchange, routing_key, tenant, source, \
        message_id, kind, body, created_at, not_before, due, effect_key, invitation, ord) order by ord) u), \
    before as materialized (select w.day, w.number from r join waiting w on w.tenant = r.tenant and w.effect_key = r.effect_key \
        where r.effect_key is not null), \
    gone as (delete from outbox o using before b where o.day = b.day and o.number = b.number), \
    kept as (insert into outbox (day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at) \
        select day, number, exchange, routing_key, tenant, source, message_id, kind, body, created_at from r order by ord) \
    insert into waiting (number, day, tenant, effect_key, invitation, not_before, due) \
        select number, day, tenant, effect_key, invitation, not_before, due from r order by tenant, effect_key, ord \
        on conflict (tenant, effect_key) where effect_key is not null do update set number = excluded.number, day = excluded.day, \
        invitation = excluded.invitation, not_before = excluded.not_before, due = excluded.due, made_at = excluded.made_at, claimed_until = null, failures = 0, \
        last_error = null";
    let rows: Vec<_> = changes.iter().flat_map(|c| c.outbox.iter().map(|o| (o, c.received))).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let days: Vec<Date> = rows.iter().map(|(o, _)| day(o.due)).collect();
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
    let invitations: Vec<bool> = rows.iter().map(|(o, _)| o.routing_key == topology::INVITES).collect();
    let all: [&(dyn ToSql + Sync); 13] =
        [&days, &exchanges, &routing, &tenants, &sources, &messages, &kinds, &bodies, &at, &not_before, &due, &keys, &invitations];
    execute(transaction, SQL, &all).await?;
    Ok(())
}

/// Their messages go as well, so that none looks sent.
async fn taken_back(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "with gone as (delete from waiting w using unnest($1::text[], $2::text[]) as k (tenant, effect_key) \
        where w.tenant = k.tenant and w.effect_key = k.effect_key returning w.day, w.number) \
        delete from outbox o using gone g where o.day = g.day and o.number = g.number";
    let (tenants, keys): (Vec<&str>, Vec<&str>) = changes.iter().flat_map(|c| &c.taken_back).map(|(t, k)| (t.as_str(), k.as_str())).unzip();
    if !tenants.is_empty() {
        execute(transaction, SQL, &[&tenants, &keys]).await?;
    }
    Ok(())
}

/// A row that is new is put in, one that is known is written over the version that was read; another version is a race.
async fn heard(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const NEW: &str = "insert into heard (tenant, kind, id, version, body, updated_at) \
        select tenant, kind, id, version, body::json, updated_at \
        from unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::timestamptz[]) \
        as r (tenant, kind, id, version, body, updated_at) order by tenant, kind, id on conflict do nothing";
    const KNOWN: &str = "update heard h set version = r.version, body = r.body::json, updated_at = r.updated_at \
        from unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::text[], $6::timestamptz[], $7::int8[]) \
        as r (tenant, kind, id, version, body, updated_at, expected) \
        where h.tenant = r.tenant and h.kind = r.kind and h.id = r.id and h.version = r.expected";
    let (known, new): (Vec<&HeardRow>, Vec<&HeardRow>) = changes.iter().flat_map(|c| &c.heard).partition(|h| h.expected.is_some());
    for (rows, sql) in [(new, NEW), (known, KNOWN)] {
        if rows.is_empty() {
            continue;
        }
        let tenants: Vec<&str> = rows.iter().map(|h| h.tenant.as_str()).collect();
        let kinds: Vec<&str> = rows.iter().map(|h| h.kind).collect();
        let ids: Vec<&str> = rows.iter().map(|h| h.id.as_str()).collect();
        let versions: Vec<i64> = rows.iter().map(|h| h.version).collect();
        let bodies: Vec<&str> = rows.iter().map(|h| h.body.as_str()).collect();
        let at: Vec<Timestamp> = rows.iter().map(|h| h.updated_at).collect();
        let expected: Vec<i64> = rows.iter().filter_map(|h| h.expected).collect();
        let mut all: Vec<&(dyn ToSql + Sync)> = vec![&tenants, &kinds, &ids, &versions, &bodies, &at];
        if !expected.is_empty() {
            all.push(&expected);
        }
        expect("heard", execute(transaction, sql, &all).await?, rows.len())?;
    }
    Ok(())
}

async fn journal(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "insert into journal (day, at, tenant, application, candidacy, message, code, text) \
        select day, at, tenant, application, candidacy, message, code, text \
        from unnest($1::date[], $2::timestamptz[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[], $8::text[]) \
        with ordinality as r (day, at, tenant, application, candidacy, message, code, text, ord) order by ord";
    let rows: Vec<_> = changes.iter().flat_map(|c| &c.journal).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let days: Vec<Date> = rows.iter().map(|j| day(j.at)).collect();
    let at: Vec<Timestamp> = rows.iter().map(|j| j.at).collect();
    let tenants: Vec<&str> = rows.iter().map(|j| j.tenant.as_str()).collect();
    let applications: Vec<Option<&str>> = rows.iter().map(|j| j.application.as_ref().map(AsRef::as_ref)).collect();
    let candidacies: Vec<Option<uuid::Uuid>> = rows.iter().map(|j| j.candidacy).collect();
    let messages: Vec<Option<&str>> = rows.iter().map(|j| j.message.as_ref().map(AsRef::as_ref)).collect();
    let codes: Vec<&str> = rows.iter().map(|j| j.code.as_str()).collect();
    let texts: Vec<&str> = rows.iter().map(|j| j.text.as_str()).collect();
    execute(transaction, SQL, &[&days, &at, &tenants, &applications, &candidacies, &messages, &codes, &texts]).await?;
    Ok(())
}

/// Rare, so one by one.
async fn parked(transaction: &Transaction<'_>, changes: &[&Rows]) -> Result<(), Fault> {
    const SQL: &str = "insert into parked (fingerprint, at, recorded_at, tenant, source, queue, exchange, routing_key, message_id, kind, \
        code, field, detail, body) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
        on conflict (fingerprint) do update set recorded_at = excluded.recorded_at";
    for (row, received) in changes.iter().filter_map(|c| Some((c.parked.as_ref()?, c.received))) {
        let p = &row.parked;
        let body = p.body.as_ref();
        let rest: [&(dyn ToSql + Sync); 14] = [
            &row.fingerprint,
            &p.at,
            &received,
            &p.tenant,
            &row.source,
            &p.queue,
            &p.exchange,
            &p.routing_key,
            &p.message_id,
            &p.kind,
            &p.code,
            &p.field,
            &p.detail,
            &body,
        ];
        execute(transaction, SQL, &rest).await?;
    }
    Ok(())
}
