//! One change: applied within a savepoint, or found to be late. Ends no transaction.

use super::{
    connection::Fault,
    threads::Kept,
    words::{Micros, key_words},
};
use crate::records::{DossierRow, Rows, count, last_error, storable, stored, taken};
use atshub_actors::ports::{CommitOutcome, Conflict, MessageKey, Progress};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

/// Applies a change, or says what stands in its way.
pub(super) fn commit(connection: &Connection, rows: &Rows) -> Result<Kept<CommitOutcome>, Fault> {
    if !inbox(connection, rows)? {
        return Ok(Kept::Nothing(CommitOutcome::Duplicate));
    }
    for dossier in &rows.dossiers {
        if stored_version(connection, dossier)? != dossier.expected {
            return Ok(Kept::Nothing(CommitOutcome::Conflict(Conflict::Raced)));
        }
    }
    if let Some(conflict) = rows.own_conflict() {
        return Ok(Kept::Nothing(CommitOutcome::Conflict(conflict)));
    }
    for (tenant, key) in rows.live_keys() {
        let holder = connection
            .prepare_cached("select application_id from candidacies where tenant = ? and live_key = ?")?
            .query_row([tenant, key], |row| row.get::<_, String>(0))
            .optional()?;
        if let Some(holder) = holder.filter(|application| !rows.saves(tenant, application)) {
            return Ok(Kept::Nothing(CommitOutcome::Conflict(taken(key, &holder))));
        }
    }
    dossiers(connection, rows)?;
    attempt(connection, rows)?;
    outbox(connection, rows)?;
    journal(connection, rows)?;
    parked(connection, rows)?;
    Ok(Kept::All(CommitOutcome::Committed))
}

/// False: it was there.
fn inbox(connection: &Connection, rows: &Rows) -> Result<bool, Fault> {
    let Some(handled) = &rows.handled else { return Ok(true) };
    let [tenant, source, id] = key_words(&handled.key);
    let new = connection
        .prepare_cached(
            "insert into inbox (tenant, source, id, time, kind, envelope, disposition, handled_at) values (?, ?, ?, ?, ?, ?, ?, ?) \
             on conflict do nothing",
        )?
        .execute(params![
            tenant,
            source,
            id,
            Micros(handled.key.time),
            handled.kind,
            handled.envelope,
            handled.disposition,
            Micros(rows.received)
        ])?;
    connection
        .prepare_cached("update attempts set next_at = null where tenant = ? and source = ? and id = ? and next_at is not null")?
        .execute([tenant, source, id])?;
    Ok(new > 0)
}

fn stored_version(connection: &Connection, dossier: &DossierRow) -> Result<Option<i64>, Fault> {
    let mut statement = connection.prepare_cached("select version from dossiers where tenant = ? and application_id = ?")?;
    Ok(statement.query_row([&dossier.tenant, &dossier.application], |row| row.get(0)).optional()?)
}

/// All keys are let go before any is taken, so that a key may move from one candidacy to another within one change.
fn dossiers(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    for d in &rows.dossiers {
        connection
            .prepare_cached(
                "insert into dossiers (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) \
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (tenant, application_id) do update set version = excluded.version, \
                 candidate_id = excluded.candidate_id, job_id = excluded.job_id, state = excluded.state, body = excluded.body, \
                 created_at = excluded.created_at, updated_at = excluded.updated_at",
            )?
            .execute(params![
                d.tenant,
                d.application,
                d.version,
                d.candidate,
                d.job,
                d.state,
                d.body,
                Micros(d.created_at),
                Micros(d.updated_at)
            ])?;
        connection
            .prepare_cached("delete from candidacies where tenant = ? and application_id = ?")?
            .execute([&d.tenant, &d.application])?;
    }
    for d in &rows.dossiers {
        for c in &d.candidacies {
            connection
                .prepare_cached(
                    "insert into candidacies (tenant, application_id, id, state, live_key, platform_candidacy, changed_at) \
                     values (?, ?, ?, ?, ?, ?, ?) on conflict (tenant, id) do update set application_id = excluded.application_id, \
                     state = excluded.state, live_key = excluded.live_key, platform_candidacy = excluded.platform_candidacy, \
                     changed_at = excluded.changed_at",
                )?
                .execute(params![
                    d.tenant,
                    d.application,
                    c.id.to_string(),
                    c.state,
                    c.live_key,
                    c.platform_candidacy,
                    Micros(c.changed_at)
                ])?;
        }
    }
    Ok(())
}

fn attempt(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    let Some(attempt) = &rows.attempt else { return Ok(()) };
    let [tenant, source, id] = key_words(&attempt.key);
    connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, failures, last_error, next_at, updated_at) values (?, ?, ?, ?, ?, ?, ?) \
             on conflict (tenant, source, id) do update set failures = failures + excluded.failures, last_error = excluded.last_error, \
             next_at = excluded.next_at, updated_at = excluded.updated_at",
        )?
        .execute(params![
            tenant,
            source,
            id,
            i64::from(attempt.counts),
            last_error(&attempt.code, &attempt.detail),
            attempt.next_at.map(Micros),
            Micros(rows.received)
        ])?;
    Ok(())
}

fn outbox(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    for o in &rows.outbox {
        connection
            .prepare_cached(
                "insert into outbox (exchange, routing_key, tenant, source, message_id, kind, body, created_at, not_before, due) \
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                o.exchange,
                o.routing_key,
                o.tenant,
                o.source,
                o.message_id,
                o.kind,
                o.body,
                Micros(rows.received),
                o.not_before.map(Micros),
                Micros(o.due)
            ])?;
    }
    Ok(())
}

fn journal(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    for j in &rows.journal {
        connection
            .prepare_cached("insert into journal (at, tenant, application, candidacy, message, code, text) values (?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                Micros(j.at),
                j.tenant.as_str(),
                j.application.as_ref().map(|a| a.as_str()),
                j.candidacy.map(|c| c.to_string()),
                j.message.as_ref().map(|m| m.as_str()),
                j.code,
                j.text
            ])?;
    }
    Ok(())
}

fn parked(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    let Some(row) = &rows.parked else { return Ok(()) };
    let p = &row.parked;
    connection
        .prepare_cached(
            "insert into parked (fingerprint, at, recorded_at, tenant, source, queue, exchange, routing_key, message_id, kind, code, \
             field, detail, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             on conflict (fingerprint) do update set recorded_at = excluded.recorded_at",
        )?
        .execute(params![
            row.fingerprint.to_string(),
            Micros(p.at),
            Micros(rows.received),
            p.tenant,
            row.source,
            p.queue,
            p.exchange,
            p.routing_key,
            p.message_id,
            p.kind,
            p.code,
            p.field,
            p.detail,
            p.body.as_ref()
        ])?;
    Ok(())
}

/// Counts a beginning; what was handled is not begun again, and not counted.
pub(super) fn begin(connection: &Connection, key: &MessageKey) -> Result<Kept<Progress>, Fault> {
    let words = key_words(key);
    let handled = connection.prepare_cached("select 1 from inbox where tenant = ? and source = ? and id = ?")?.exists(words)?;
    let before = connection
        .prepare_cached("select begun, failures, crashes, begun_at from attempts where tenant = ? and source = ? and id = ?")?
        .query_row(words, |row| {
            let (begun, failures, crashes) = (count(row.get(0)?), count(row.get(1)?), count(row.get(2)?));
            Ok(Progress { handled, begun, earlier: row.get::<_, Option<Micros>>(3)?.map(|at| at.0), failures, crashes })
        })
        .optional()?
        .unwrap_or(Progress { handled, ..Progress::default() });
    if handled {
        return Ok(Kept::Nothing(before));
    }
    let [tenant, source, id] = words;
    let now = Micros(stored(Timestamp::now()));
    connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, begun, begun_at, updated_at) values (?1, ?2, ?3, 1, ?4, ?4) \
             on conflict (tenant, source, id) do update set begun = begun + 1, begun_at = excluded.begun_at, \
             updated_at = excluded.updated_at",
        )?
        .execute(params![tenant, source, id, now])?;
    Ok(Kept::All(Progress { begun: before.begun + 1, ..before }))
}

/// Counts a crash.
pub(super) fn crashed(connection: &Connection, key: &MessageKey, cause: &str) -> Result<Kept<u32>, Fault> {
    let [tenant, source, id] = key_words(key);
    let crashes: i64 = connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, crashes, last_error, updated_at) values (?, ?, ?, 1, ?, ?) \
             on conflict (tenant, source, id) do update set crashes = crashes + 1, last_error = excluded.last_error, \
             updated_at = excluded.updated_at returning crashes",
        )?
        .query_row(params![tenant, source, id, storable(cause), Micros(stored(Timestamp::now()))], |row| row.get(0))?;
    Ok(Kept::All(count(crashes)))
}
