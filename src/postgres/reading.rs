//! What is asked of the store beside dossiers: messages, history, counts. Changes nothing.

use super::connection::{Database, Fault};
use crate::records::{EVIDENCE_LIMIT, Evidence, JOURNAL_LIMIT, SeenAttempt, SeenInbox, SeenOutbox, SeenParked, checked, count};
use atshub_actors::ports::{JournalEntry, MessageView, ParkedView};
use atshub_schemas::{ExternalId, TenantName};
use deadpool_postgres::Object;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::collections::BTreeMap;
use tokio_postgres::{Row, types::ToSql};

pub(super) type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

pub(super) async fn rows(connection: &Object, sql: &str, parameters: Parameters<'_>) -> Result<Vec<Row>, Fault> {
    let statement = connection.prepare_cached(sql).await?;
    Ok(connection.query(&statement, parameters).await?)
}

const JOURNAL: &str = "select * from (select at, tenant, application, candidacy, message, code, text, number from journal \
    where tenant = $1 and application = $2 order by at desc, number desc limit $3) newest order by at, number";
const JOURNAL_OF_MESSAGE: &str = "select * from (select at, tenant, application, candidacy, message, code, text, number from journal \
    where message = $1 order by at desc, number desc limit $2) newest order by at, number";

fn entry(row: &Row) -> Result<JournalEntry, Fault> {
    Ok(JournalEntry {
        at: row.try_get(0)?,
        tenant: checked("a tenant's name", row.try_get(1)?)?,
        application: row.try_get::<_, Option<String>>(2)?.map(|id| checked("an application's id", id)).transpose()?,
        candidacy: row.try_get(3)?,
        message: row.try_get::<_, Option<String>>(4)?.map(|id| checked("a message's id", id)).transpose()?,
        code: row.try_get(5)?,
        text: row.try_get(6)?,
    })
}

pub(super) async fn journal(database: &Database, tenant: TenantName, application: ExternalId) -> Result<Vec<JournalEntry>, Fault> {
    database
        .run(move |connection| {
            async move {
                rows(connection, JOURNAL, &[&tenant.as_str(), &application.as_str(), &JOURNAL_LIMIT]).await?.iter().map(entry).collect()
            }
            .boxed()
        })
        .await
}

const INBOX: &str =
    "select tenant, source, kind, envelope::text, disposition::text, handled_at from inbox where id = $1 order by handled_at limit $2";
const ATTEMPTS: &str =
    "select tenant, source, begun, begun_at, failures, last_error, next_at, updated_at from attempts where id = $1 limit $2";
const OUTBOX: &str = "select * from (select o.tenant, o.source, o.kind, o.body, w.not_before, o.created_at, w.number is null, o.number \
        from outbox o left join waiting w on w.number = o.number where o.message_id = $1 \
    union all select tenant, source, kind, body, not_before, created_at, false, number from waiting where message_id = $1) seen \
    order by created_at desc, number desc limit $2";
const PARKED: &str = "select tenant, source, kind, body, recorded_at, number, at, code, field, detail, queue, routing_key from parked \
    where message_id = $1 order by recorded_at desc limit $2";

pub(super) async fn message(database: &Database, id: String, now: Timestamp) -> Result<Vec<MessageView>, Fault> {
    database
        .run(move |connection| {
            async move {
                let (by_id, of_message): (Parameters<'_>, Parameters<'_>) = (&[&id, &EVIDENCE_LIMIT], &[&id, &JOURNAL_LIMIT]);
                let (inbox, attempts, outbox, parked, journal) = futures_util::try_join!(
                    rows(connection, INBOX, by_id),
                    rows(connection, ATTEMPTS, by_id),
                    rows(connection, OUTBOX, by_id),
                    rows(connection, PARKED, by_id),
                    rows(connection, JOURNAL_OF_MESSAGE, of_message),
                )?;
                let evidence = Evidence {
                    inbox: inbox.iter().map(seen_inbox).collect::<Result<_, _>>()?,
                    attempts: attempts.iter().map(seen_attempt).collect::<Result<_, _>>()?,
                    outbox: outbox.iter().map(seen_outbox).collect::<Result<_, _>>()?,
                    parked: parked.iter().map(seen_parked).collect::<Result<_, _>>()?,
                    journal: journal.iter().map(entry).collect::<Result<_, _>>()?,
                };
                Ok(evidence.views(&id, now)?)
            }
            .boxed()
        })
        .await
}

fn seen_inbox(row: &Row) -> Result<SeenInbox, Fault> {
    Ok(SeenInbox {
        tenant: row.try_get(0)?,
        source: row.try_get(1)?,
        kind: row.try_get(2)?,
        envelope: row.try_get(3)?,
        disposition: row.try_get(4)?,
        handled_at: row.try_get(5)?,
    })
}

fn seen_attempt(row: &Row) -> Result<SeenAttempt, Fault> {
    Ok(SeenAttempt {
        tenant: row.try_get(0)?,
        source: row.try_get(1)?,
        begun: count(row.try_get::<_, i32>(2)?.into()),
        begun_at: row.try_get(3)?,
        failures: count(row.try_get::<_, i32>(4)?.into()),
        last_error: row.try_get(5)?,
        next_at: row.try_get(6)?,
        updated_at: row.try_get(7)?,
    })
}

fn seen_outbox(row: &Row) -> Result<SeenOutbox, Fault> {
    Ok(SeenOutbox {
        tenant: row.try_get(0)?,
        source: row.try_get(1)?,
        kind: row.try_get(2)?,
        body: row.try_get(3)?,
        not_before: row.try_get(4)?,
        created_at: row.try_get(5)?,
        sent: row.try_get(6)?,
    })
}

fn seen_parked(row: &Row) -> Result<SeenParked, Fault> {
    let view = ParkedView {
        number: row.try_get(5)?,
        at: row.try_get(6)?,
        code: row.try_get(7)?,
        field: row.try_get(8)?,
        detail: row.try_get(9)?,
        queue: row.try_get(10)?,
        routing_key: row.try_get(11)?,
    };
    Ok(SeenParked {
        tenant: row.try_get(0)?,
        source: row.try_get(1)?,
        kind: row.try_get(2)?,
        body: row.try_get(3)?,
        recorded_at: row.try_get(4)?,
        view,
    })
}

const PARKED_COUNTS: &str = "select code, count(*) from parked where $1::text is null or tenant = $1 group by code";
const CANDIDACY_COUNTS: &str =
    "select state, count(*) from dossiers where state is not null and ($1::text is null or tenant = $1) group by state";

pub(super) async fn parked_counts(database: &Database, tenant: Option<TenantName>) -> Result<BTreeMap<String, u64>, Fault> {
    counts(database, PARKED_COUNTS, tenant).await
}

pub(super) async fn candidacy_counts(database: &Database, tenant: Option<TenantName>) -> Result<BTreeMap<String, u64>, Fault> {
    counts(database, CANDIDACY_COUNTS, tenant).await
}

async fn counts(database: &Database, sql: &'static str, tenant: Option<TenantName>) -> Result<BTreeMap<String, u64>, Fault> {
    database
        .run(move |connection| {
            async move {
                let whose = tenant.as_ref().map(TenantName::as_str);
                let found = rows(connection, sql, &[&whose]).await?;
                found.iter().map(|row| Ok((row.try_get(0)?, crate::records::unsigned(row.try_get(1)?)))).collect()
            }
            .boxed()
        })
        .await
}
