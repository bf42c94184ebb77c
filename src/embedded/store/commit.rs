//! One change: applied within a savepoint, or found to be late. Ends no transaction.

use super::{
    connection::Fault,
    searched,
    threads::Kept,
    words::{Micros, key_words},
};
use crate::records::{DossierRow, Rows, count, last_error, storable, stored, taken};
use atshub_actors::ports::{Attempt, Claim, CommitOutcome, Conflict, MessageKey, Progress};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use uuid::Uuid;

/// Applies a change, or says what stands in its way.
pub(super) fn commit(connection: &Connection, rows: &Rows) -> Result<Kept<CommitOutcome>, Fault> {
    if !inbox(connection, rows)? {
        return Ok(Kept::Nothing(CommitOutcome::Duplicate));
    }
    if let Some(attempt) = rows.attempt.as_ref()
        && (is_handled(connection, &attempt.key)? || !owns(connection, attempt)?)
    {
        return Ok(Kept::Nothing(CommitOutcome::Duplicate));
    }
    if let Some(conflict) = stands_in_the_way(connection, rows)? {
        return Ok(Kept::Nothing(CommitOutcome::Conflict(conflict)));
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
    for heard in &rows.heard {
        let version = connection
            .prepare_cached("select version from heard where tenant = ? and kind = ? and id = ?")?
            .query_row(params![heard.tenant, heard.kind, heard.id], |row| row.get::<_, i64>(0))
            .optional()?;
        if version != heard.expected {
            return Ok(Kept::Nothing(CommitOutcome::Conflict(Conflict::Raced)));
        }
    }
    dossiers(connection, rows)?;
    heard(connection, rows)?;
    attempt(connection, rows)?;
    outbox(connection, rows)?;
    journal(connection, rows)?;
    parked(connection, rows)?;
    Ok(Kept::All(CommitOutcome::Committed))
}

/// What was to be so, and is not.
fn stands_in_the_way(connection: &Connection, rows: &Rows) -> Result<Option<Conflict>, Fault> {
    if let Some((tenant, key)) = &rows.ends
        && !connection
            .prepare_cached("select 1 from outbox where tenant = ? and effect_key = ? and effect_key is not null and sent_at is null")?
            .exists([tenant, key])?
    {
        return Ok(Some(Conflict::Ended));
    }
    if let Some((key, claim)) = &rows.begins {
        let words = key_words(key);
        let known = connection.prepare_cached("select 1 from attempts where tenant = ? and source = ? and id = ?")?.exists(words)?;
        let (Kept::All(begun) | Kept::Nothing(begun)) =
            if known { Kept::Nothing(Progress::default()) } else { begin(connection, key, *claim, rows.received)? };
        if begun.owner.is_none() {
            return Ok(Some(Conflict::Begun));
        }
    }
    for (tenant, kind, id) in &rows.unheard {
        let mut statement = connection.prepare_cached("select 1 from heard where tenant = ? and kind = ? and id = ?")?;
        if statement.exists(params![tenant, kind, id])? {
            return Ok(Some(Conflict::Heard));
        }
    }
    Ok(None)
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

/// Its work was done, and no attempt at it ends in another way any more.
fn is_handled(connection: &Connection, key: &MessageKey) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("select 1 from inbox where tenant = ? and source = ? and id = ?")?;
    Ok(statement.exists(key_words(key))?)
}

/// An attempt that has its message, or was put off before it began.
fn owns(connection: &Connection, attempt: &Attempt) -> Result<bool, Fault> {
    let Some(owner) = attempt.owner else { return Ok(true) };
    let [tenant, source, id] = key_words(&attempt.key);
    let mut statement = connection.prepare_cached("select 1 from attempts where tenant = ? and source = ? and id = ? and owner = ?")?;
    Ok(statement.exists(params![tenant, source, id, owner.to_string()])?)
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
        searched::keep(connection, d)?;
        // Not deleted yet: the times at which they came to their states stay.
        connection
            .prepare_cached("update candidacies set live_key = null, application_id = '' where tenant = ? and application_id = ?")?
            .execute([&d.tenant, &d.application])?;
    }
    for d in &rows.dossiers {
        for c in &d.candidacies {
            connection
                .prepare_cached(
                    "insert into candidacies (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at, \
                     invited_at, scheduled_at, completed_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
                     case when ?4 = 'invited' then ?7 end, case when ?4 = 'scheduled' then ?7 end, \
                     case when ?4 = 'completed' then ?7 end) on conflict (tenant, id) do update set application_id = excluded.application_id, \
                     state = excluded.state, live_key = excluded.live_key, platform_candidacy = excluded.platform_candidacy, \
                     changed_at = excluded.changed_at, asked_at = excluded.asked_at, \
                     invited_at = coalesce(invited_at, excluded.invited_at), scheduled_at = coalesce(scheduled_at, excluded.scheduled_at), \
                     completed_at = coalesce(completed_at, excluded.completed_at)",
                )?
                .execute(params![
                    d.tenant,
                    d.application,
                    c.id.to_string(),
                    c.state,
                    c.live_key,
                    c.platform_candidacy,
                    Micros(c.changed_at),
                    Micros(c.asked_at)
                ])?;
        }
    }
    for d in &rows.dossiers {
        connection.prepare_cached("delete from candidacies where tenant = ? and application_id = ''")?.execute([&d.tenant])?;
    }
    Ok(())
}

/// The owner of an attempt that ends lets go of its message; work that was put off before it began leaves it with whoever has it.
fn attempt(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    let Some(attempt) = &rows.attempt else { return Ok(()) };
    let [tenant, source, id] = key_words(&attempt.key);
    connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, failures, last_error, next_at, updated_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             on conflict (tenant, source, id) do update set failures = failures + excluded.failures, last_error = excluded.last_error, \
             next_at = excluded.next_at, updated_at = excluded.updated_at, owner = case when ?8 then null else owner end, \
             held_until = case when ?8 then null else held_until end",
        )?
        .execute(params![
            tenant,
            source,
            id,
            i64::from(attempt.counts),
            last_error(&attempt.code, &attempt.detail),
            attempt.next_at.map(Micros),
            Micros(rows.received),
            attempt.owner.is_some()
        ])?;
    Ok(())
}

fn heard(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    for h in &rows.heard {
        connection
            .prepare_cached(
                "insert into heard (tenant, kind, id, version, body, updated_at) values (?, ?, ?, ?, ?, ?) \
                 on conflict (tenant, kind, id) do update set version = excluded.version, body = excluded.body, \
                 updated_at = excluded.updated_at",
            )?
            .execute(params![h.tenant, h.kind, h.id, h.version, h.body, Micros(h.updated_at)])?;
    }
    Ok(())
}

/// A row whose key waits already takes that one's place.
fn outbox(connection: &Connection, rows: &Rows) -> Result<(), Fault> {
    let replaced = rows.outbox.iter().filter_map(|o| Some((o.tenant.as_str(), o.effect_key.as_deref()?)));
    let taken_back = rows.taken_back.iter().chain(&rows.ends).map(|(tenant, key)| (tenant.as_str(), key.as_str()));
    for (tenant, key) in taken_back.chain(replaced) {
        connection
            .prepare_cached("delete from outbox where tenant = ? and effect_key = ? and effect_key is not null and sent_at is null")?
            .execute([tenant, key])?;
    }
    for o in &rows.outbox {
        connection
            .prepare_cached(
                "insert into outbox (exchange, routing_key, tenant, source, message_id, kind, body, created_at, not_before, due, effect_key, \
                 made_at) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?8)",
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
                Micros(o.due),
                o.effect_key
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

/// Takes a message for an attempt; what was handled, and what another attempt holds, is not begun again, and not counted.
pub(super) fn begin(connection: &Connection, key: &MessageKey, claim: Claim, now: Timestamp) -> Result<Kept<Progress>, Fault> {
    let words = key_words(key);
    let handled = is_handled(connection, key)?;
    let before = connection
        .prepare_cached(
            "select begun, failures, crashes, begun_at, owner, held_until from attempts where tenant = ? and source = ? and id = ?",
        )?
        .query_row(words, |row| {
            let (begun, failures, crashes) = (count(row.get(0)?), count(row.get(1)?), count(row.get(2)?));
            let earlier = row.get::<_, Option<Micros>>(3)?.map(|at| at.0);
            let (owner, until) = (row.get::<_, Option<String>>(4)?, row.get::<_, Option<Micros>>(5)?.map(|at| at.0));
            Ok((Progress { handled, held_until: None, owner: None, begun, earlier, failures, crashes }, owner, until))
        })
        .optional()?;
    let (before, owner, until) = before.unwrap_or((Progress { handled, ..Progress::default() }, None, None));
    if handled {
        return Ok(Kept::Nothing(before));
    }
    let mine = claim.owner.to_string();
    let again = owner.as_deref() == Some(mine.as_str());
    let takes_over = claim.takes_over.map(|before| before.to_string());
    if let (Some(_), Some(until)) = (owner.filter(|owner| !again && takes_over.as_ref() != Some(owner)), until)
        && until > now
    {
        return Ok(Kept::Nothing(Progress { held_until: Some(until), ..before }));
    }
    let until = now.checked_add(claim.lease).unwrap_or(now);
    let [tenant, source, id] = words;
    connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, begun, begun_at, updated_at, owner, held_until) values (?1, ?2, ?3, 1, ?4, ?4, ?5, ?6) \
             on conflict (tenant, source, id) do update set begun = begun + ?7, begun_at = excluded.begun_at, \
             updated_at = excluded.updated_at, owner = excluded.owner, held_until = excluded.held_until",
        )?
        .execute(params![tenant, source, id, Micros(stored(now)), mine, Micros(stored(until)), i64::from(!again)])?;
    Ok(Kept::All(Progress { begun: before.begun + u32::from(!again), owner: Some(claim.owner), ..before }))
}

/// Lets go of all attempts that are held, after so long.
pub(super) fn free_attempts(connection: &Connection, after: Duration, now: Timestamp) -> Result<Kept<()>, Fault> {
    let until = Micros(stored(now.checked_add(after).unwrap_or(now)));
    connection.prepare_cached("update attempts set held_until = ?1 where owner is not null and held_until > ?1")?.execute([until])?;
    Ok(Kept::All(()))
}

/// Begins the lease of an attempt anew.
pub(super) fn renew(connection: &Connection, key: &MessageKey, claim: Claim, now: Timestamp) -> Result<Kept<bool>, Fault> {
    let [tenant, source, id] = key_words(key);
    let until = now.checked_add(claim.lease).unwrap_or(now);
    let renewed = connection
        .prepare_cached("update attempts set held_until = ? where tenant = ? and source = ? and id = ? and owner = ?")?
        .execute(params![Micros(stored(until)), tenant, source, id, claim.owner.to_string()])?;
    Ok(Kept::All(renewed > 0))
}

/// Counts a crash.
pub(super) fn crashed(
    connection: &Connection,
    key: &MessageKey,
    owner: Option<Uuid>,
    cause: &str,
    now: Timestamp,
) -> Result<Kept<u32>, Fault> {
    let [tenant, source, id] = key_words(key);
    let crashes: i64 = connection
        .prepare_cached(
            "insert into attempts (tenant, source, id, crashes, last_error, updated_at) values (?1, ?2, ?3, 1, ?4, ?5) \
             on conflict (tenant, source, id) do update set crashes = crashes + 1, last_error = excluded.last_error, \
             updated_at = excluded.updated_at, owner = nullif(owner, ?6), \
             held_until = case when owner = ?6 then null else held_until end returning crashes",
        )?
        .query_row(params![tenant, source, id, storable(cause), Micros(stored(now)), owner.map(|owner| owner.to_string())], |row| {
            row.get(0)
        })?;
    Ok(Kept::All(count(crashes)))
}
