//! What is asked of the store: dossiers, messages, history, counts. Changes nothing.

use super::{connection::Fault, searched, words::Micros};
use crate::records::{
    CANDIDATE_LIMIT, EVIDENCE_LIMIT, Evidence, JOURNAL_LIMIT, REFUSED_LIMIT, SeenAttempt, SeenInbox, SeenOutbox, SeenParked, checked,
    count, from_json, sought, unsigned,
};
use atshub_actors::{
    domain::{Dossier, Heard, Lookup, Subject},
    ports::{JournalEntry, MessageView, ParkedView, StoreError},
};
use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, params};
use std::collections::BTreeMap;

fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_map(parameters, read)?.collect::<Result<_, _>>()?)
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get::<_, Micros>(column).map(|m| m.0)
}

fn time_if_any(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<Micros>>(column).map(|m| m.map(|m| m.0))
}

const BY_APPLICATION: &str = "select application_id, body from dossiers where tenant = ?1 and application_id = ?2 limit ?3";
const BY_CANDIDACY: &str = "select application_id, d.body from candidacies c join dossiers d using (tenant, application_id) where c.tenant = ?1 and c.id = ?2 limit ?3";
const BY_LIVE_KEY: &str = "select application_id, d.body from candidacies c join dossiers d using (tenant, application_id) where c.tenant = ?1 and c.live_key = ?2 limit ?3";
const BY_PLATFORM: &str = "select application_id, body from dossiers where tenant = ?1 and application_id in \
    (select application_id from candidacies where tenant = ?1 and platform_candidacy = ?2) order by created_at desc, application_id limit ?3";
const BY_CANDIDATE: &str =
    "select application_id, body from dossiers where tenant = ?1 and candidate_id = ?2 order by created_at desc, application_id limit ?3";
const BY_WAITING_JOB: &str = "select application_id, body from dossiers where tenant = ?1 and job_id = ?2 and state in ('refused', 'received') \
    order by created_at desc, application_id limit ?3";

const BY_REFUSED: &str = "select application_id, body from dossiers where tenant = ?1 and state = 'refused' and ?2 = '' \
    order by created_at desc, application_id limit ?3";

pub(super) fn dossiers(connection: &Connection, tenant: &str, by: &Lookup) -> Result<Vec<Dossier>, Fault> {
    let (sql, key, most) = match by {
        Lookup::Application(id) => (BY_APPLICATION, id.to_string(), 1),
        Lookup::Candidacy(id) => (BY_CANDIDACY, id.to_string(), 1),
        Lookup::Live(key) => (BY_LIVE_KEY, key.clone(), 1),
        Lookup::PlatformCandidacy(id) => (BY_PLATFORM, id.to_string(), CANDIDATE_LIMIT),
        Lookup::Candidate(id) => (BY_CANDIDATE, id.to_string(), CANDIDATE_LIMIT),
        Lookup::Refused => (BY_REFUSED, String::new(), REFUSED_LIMIT),
        Lookup::WaitingOfJob(id) => (BY_WAITING_JOB, id.to_string(), REFUSED_LIMIT),
        Lookup::Email(_) | Lookup::ProfileUrl(_) | Lookup::Job(_) | Lookup::Role(_) | Lookup::Recruiter(_) => {
            let Some((column, key)) = sought(by) else { return Ok(vec![]) };
            (searched::by(column), key, CANDIDATE_LIMIT)
        }
    };
    let found = rows(connection, sql, params![tenant, key, most], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let dossier = |(application, body): &(String, String)| Ok(from_json(&format!("the dossier of application `{application}`"), body)?);
    found.iter().map(dossier).collect()
}

pub(super) fn heard(connection: &Connection, tenant: &str, of: &[Subject]) -> Result<Vec<Heard>, Fault> {
    let mut found = Vec::new();
    for subject in of {
        let key = params![tenant, subject.kind(), subject.id().as_str()];
        found.extend(rows(connection, "select body from heard where tenant = ? and kind = ? and id = ?", key, |row| {
            row.get::<_, String>(0)
        })?);
    }
    found.iter().map(|body| Ok(from_json("what was heard", body)?)).collect()
}

const JOURNAL: &str = "select * from (select at, tenant, application, candidacy, message, code, text, number from journal \
    where tenant = ? and application = ? order by at desc, number desc limit ?) order by at, number";
const JOURNAL_OF_MESSAGE: &str = "select * from (select at, tenant, application, candidacy, message, code, text, number from journal \
    where message = ? order by at desc, number desc limit ?) order by at, number";

struct Line {
    at: Timestamp,
    tenant: String,
    application: Option<String>,
    candidacy: Option<String>,
    message: Option<String>,
    code: String,
    text: String,
}

impl Line {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            at: time(row, 0)?,
            tenant: row.get(1)?,
            application: row.get(2)?,
            candidacy: row.get(3)?,
            message: row.get(4)?,
            code: row.get(5)?,
            text: row.get(6)?,
        })
    }

    fn entry(self) -> Result<JournalEntry, Fault> {
        let candidacy = self.candidacy.map(|id| id.parse().map_err(|_| StoreError::Unreadable("a candidacy's id is not a UUID".into())));
        Ok(JournalEntry {
            at: self.at,
            tenant: checked("a tenant's name", self.tenant)?,
            application: self.application.map(|id| checked("an application's id", id)).transpose()?,
            candidacy: candidacy.transpose()?,
            message: self.message.map(|id| checked("a message's id", id)).transpose()?,
            code: self.code,
            text: self.text,
        })
    }
}

pub(super) fn journal(connection: &Connection, tenant: &str, application: &str) -> Result<Vec<JournalEntry>, Fault> {
    rows(connection, JOURNAL, params![tenant, application, JOURNAL_LIMIT], Line::read)?.into_iter().map(Line::entry).collect()
}

const INBOX: &str = "select tenant, source, kind, envelope, disposition, handled_at from inbox where id = ? order by handled_at limit ?";
const ATTEMPTS: &str =
    "select tenant, source, begun, begun_at, failures, last_error, next_at, updated_at from attempts where id = ? limit ?";
const OUTBOX: &str = "select tenant, source, kind, body, not_before, created_at, sent_at is not null from outbox where message_id = ? \
    order by created_at desc, number desc limit ?";
const PARKED: &str = "select tenant, source, kind, body, recorded_at, number, at, code, field, detail, queue, routing_key from parked \
    where message_id = ? order by recorded_at desc limit ?";

pub(super) fn message(connection: &Connection, id: &str, now: Timestamp) -> Result<Vec<MessageView>, Fault> {
    let by_id = params![id, EVIDENCE_LIMIT];
    let journal = rows(connection, JOURNAL_OF_MESSAGE, params![id, JOURNAL_LIMIT], Line::read)?;
    let evidence = Evidence {
        inbox: rows(connection, INBOX, by_id, seen_inbox)?,
        attempts: rows(connection, ATTEMPTS, by_id, seen_attempt)?,
        outbox: rows(connection, OUTBOX, by_id, seen_outbox)?,
        parked: rows(connection, PARKED, by_id, seen_parked)?,
        journal: journal.into_iter().map(Line::entry).collect::<Result<_, _>>()?,
    };
    Ok(evidence.views(id, now)?)
}

fn seen_inbox(row: &Row<'_>) -> rusqlite::Result<SeenInbox> {
    Ok(SeenInbox {
        tenant: row.get(0)?,
        source: row.get(1)?,
        kind: row.get(2)?,
        envelope: row.get(3)?,
        disposition: row.get(4)?,
        handled_at: time(row, 5)?,
    })
}

fn seen_attempt(row: &Row<'_>) -> rusqlite::Result<SeenAttempt> {
    Ok(SeenAttempt {
        tenant: row.get(0)?,
        source: row.get(1)?,
        begun: count(row.get(2)?),
        begun_at: time_if_any(row, 3)?,
        failures: count(row.get(4)?),
        last_error: row.get(5)?,
        next_at: time_if_any(row, 6)?,
        updated_at: time(row, 7)?,
    })
}

fn seen_outbox(row: &Row<'_>) -> rusqlite::Result<SeenOutbox> {
    Ok(SeenOutbox {
        tenant: row.get(0)?,
        source: row.get(1)?,
        kind: row.get(2)?,
        body: row.get(3)?,
        not_before: time_if_any(row, 4)?,
        created_at: time(row, 5)?,
        sent: row.get(6)?,
    })
}

fn seen_parked(row: &Row<'_>) -> rusqlite::Result<SeenParked> {
    let view = ParkedView {
        number: row.get(5)?,
        at: time(row, 6)?,
        code: row.get(7)?,
        field: row.get(8)?,
        detail: row.get(9)?,
        queue: row.get(10)?,
        routing_key: row.get(11)?,
    };
    Ok(SeenParked { tenant: row.get(0)?, source: row.get(1)?, kind: row.get(2)?, body: row.get(3)?, recorded_at: time(row, 4)?, view })
}

/// Number of parked messages, by code.
pub(super) const PARKED_COUNTS: &str = "select code, count(*) from parked where ?1 is null or tenant = ?1 group by code";
/// Number of dossiers, by the state of the newest candidacy.
pub(super) const CANDIDACY_COUNTS: &str =
    "select state, count(*) from dossiers where state is not null and (?1 is null or tenant = ?1) group by state";

pub(super) fn counts(connection: &Connection, sql: &str, tenant: Option<&str>) -> Result<BTreeMap<String, u64>, Fault> {
    let found = rows(connection, sql, [tenant], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
    Ok(found.into_iter().collect())
}
