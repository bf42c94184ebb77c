//! Changes as arrays: one statement for what is written together, for the whole group, sent without waiting for one another. Decides
//! nothing; a row that turns out to be in the way is a race, and the transaction ends.
//!
//! No statement joins an array to a table: a plan that is made while the table is small reads all of it for each row of the array, and
//! stays. Rows are found by subqueries that cannot be turned into joins (a scalar one, or one with a limit), or by `on conflict`.

use super::{
    connection::Fault,
    handled, outbox, searched,
    sending::{Sending, Sent},
};
use crate::records::{CandidacyRow, DossierRow, HeardRow, Rows, last_error};
use atshub_actors::ports::{Attempt, Claim, MessageKey};
use deadpool_postgres::Client;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::collections::HashSet;
use tokio_postgres::{Row, types::ToSql};

/// The partition of a time.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// Writes all of these changes. Whatever stands in the way of one of them is a race: a row that is there already or not there any more,
/// another version than the one that was read. A live key that another one holds is found at the end of the transaction.
/// Answers with the numbers of their outbox rows, in order.
///
/// The database itself finds races, by dividing by nought, which ends the transaction: so that `commit` can follow at once, without
/// waiting for any answer.
pub(super) async fn all(client: &Client, changes: &[&Rows], sending: &Sending) -> Result<Vec<i64>, Fault> {
    let (_, _, numbers, ..) = futures_util::try_join!(
        dossiers(client, changes, sending.one()),
        // Before the outbox: what is taken back makes room for what is asked for anew by its key.
        handled::write(client, changes, sending.one()),
        outbox::put_in(client, changes, sending.one()),
        failed(client, changes, sending.one()),
        heard(client, changes, sending.one()),
        parked(client, changes, sending.one()),
    )?;
    Ok(numbers)
}

/// Whether [`all`] writes them with one statement.
pub(super) fn is_one_statement(changes: &[&Rows]) -> bool {
    let any = |has: fn(&Rows) -> bool| usize::from(changes.iter().any(|c| has(c)));
    let rare = any(|c| c.attempt.is_some() || !c.heard.is_empty() || c.parked.is_some());
    let dossiers = any(|c| !c.dossiers.is_empty() || c.begins.is_some() || !c.unheard.is_empty());
    let handled = any(|c| c.handled.is_some() || !c.journal.is_empty() || !c.taken_back.is_empty() || c.ends.is_some());
    2 * rare + dossiers + handled + any(|c| !c.outbox.is_empty()) == 1
}

/// So that each is sent at once, and so in order.
pub(super) async fn prepare(client: &Client) -> Result<(), Fault> {
    for sql in [DOSSIERS, BEGUN, handled::HANDLED, handled::ENDED, outbox::PUT_IN] {
        client.prepare_cached(sql).await?;
    }
    Ok(())
}

/// Waits for the answer; the statement is under way when it says so.
pub(super) async fn ask(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)], sent: Sent<'_>) -> Result<Vec<Row>, Fault> {
    let statement = client.prepare_cached(sql).await?;
    Ok(sent.after(client.query(&statement, parameters)).await?)
}

async fn execute(client: &Client, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, Fault> {
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, parameters).await?)
}

/// A number of rows, as the database counts.
pub(super) fn number_of(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn expect(what: &str, written: u64, wanted: usize) -> Result<(), Fault> {
    if usize::try_from(written) == Ok(wanted) { Ok(()) } else { Err(Fault::Race(format!("{what}: somebody else was faster"))) }
}

/// One that is new is put in, one that is known is written over the version that was read; what they are searched by is written where it
/// has changed. In one order everywhere, so that two groups do not wait for each other. A row that was put in has no `xmax`; one that was
/// written over has this transaction's.
macro_rules! dossiers {
    ($more:literal, $of_more:literal) => {
        concat!("with r as materialized (select * from unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::text[], $6::text[], \
        $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) \
        as r (tenant, application_id, expected, version, candidate_id, job_id, state, body, created_at, updated_at, email_key, url_key, \
        job_key, role_id, recruiter_key) order by tenant, application_id), \
    searched_by as (insert into searched (tenant, application_id, email_key, url_key, job_id, role_id, recruiter_key, created_at) \
        select r.tenant, r.application_id, r.email_key, r.url_key, r.job_key, r.role_id, r.recruiter_key, r.created_at from r \
        where (select (s.email_key, s.url_key, s.job_id, s.role_id, s.recruiter_key) \
        is not distinct from (r.email_key, r.url_key, r.job_key, r.role_id, r.recruiter_key) \
        from searched s where s.tenant = r.tenant and s.application_id = r.application_id) is not true \
        order by r.tenant, r.application_id on conflict (tenant, application_id) do update set email_key = excluded.email_key, \
        url_key = excluded.url_key, job_id = excluded.job_id, role_id = excluded.role_id, recruiter_key = excluded.recruiter_key), \
    saved as (insert into dossiers as d (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) \
        select tenant, application_id, version, candidate_id, job_id, state, body::json, created_at, updated_at from r \
        on conflict (tenant, application_id) do update set version = excluded.version, candidate_id = excluded.candidate_id, \
        job_id = excluded.job_id, state = excluded.state, body = excluded.body, created_at = excluded.created_at, \
        updated_at = excluded.updated_at where d.version = \
        (select k.expected from r k where k.tenant = excluded.tenant and k.application_id = excluded.application_id) \
        returning d.xmax = 0 as new), \
    gone as (delete from candidacies where ctid = any (array(\
        select c.ctid from unnest($18::text[], $19::text[]) as d (tenant, application_id), lateral (select ctid from candidacies c \
        where c.tenant = d.tenant and c.application_id = d.application_id and not c.id = any ($22::uuid[]) offset 0) c))), \
    kept as (insert into candidacies as c (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at, \
        invited_at, scheduled_at, completed_at) \
        select *, case when state = 'invited' then changed_at end, case when state = 'scheduled' then changed_at end, \
        case when state = 'completed' then changed_at end \
        from unnest($20::text[], $21::text[], $22::uuid[], $23::text[], $24::text[], $25::text[], $26::timestamptz[], $27::timestamptz[]) \
        as r (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at) order by tenant, id \
        on conflict (tenant, id) do update set application_id = excluded.application_id, state = excluded.state, \
        live_key = excluded.live_key, platform_candidacy = excluded.platform_candidacy, changed_at = excluded.changed_at, \
        asked_at = excluded.asked_at, invited_at = coalesce(c.invited_at, excluded.invited_at), \
        scheduled_at = coalesce(c.scheduled_at, excluded.scheduled_at), completed_at = coalesce(c.completed_at, excluded.completed_at) \
        where (c.application_id, c.state, c.live_key, c.platform_candidacy, c.changed_at, c.asked_at) is distinct from \
        (excluded.application_id, excluded.state, excluded.live_key, excluded.platform_candidacy, excluded.changed_at, \
        excluded.asked_at))", $more, "\
    select 1 / ((select count(*) filter (where new) = $16 and count(*) filter (where not new) = $17 from saved) \
        and (select count(*) = 0 from unnest($28::text[], $29::text[], $30::text[]) as k (tenant, kind, id) \
        where (select true from heard h where h.tenant = k.tenant and h.kind = k.kind and h.id = k.id))", $of_more, ")::int")
    };
}

const DOSSIERS: &str = dossiers!(" ", "");
/// The same with messages that are taken for the first attempt at their work.
const BEGUN: &str = dossiers!(
    ", begun as (insert into attempts (tenant, source, id, begun, begun_at, updated_at, owner, held_until) \
        select tenant, source, id, 1, now(), now(), owner, clock_timestamp() + make_interval(secs => lease) \
        from unnest($31::date[], $32::text[], $33::text[], $34::text[], $35::uuid[], $36::float8[]) \
        as k (day, tenant, source, id, owner, lease) \
        where not exists (select from inbox i where i.day = k.day and i.tenant = k.tenant and i.source = k.source and i.id = k.id) \
        order by tenant, source, id on conflict do nothing returning 1) ",
    " and (select count(*) = $37 from begun)"
);

/// Dossiers with their candidacies, messages that are taken for the first attempt at their work, and subjects of which nothing may have
/// been heard.
async fn dossiers(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<(), Fault> {
    let rows: Vec<&DossierRow> = changes.iter().flat_map(|c| &c.dossiers).collect();
    let begun: Vec<&(MessageKey, Claim)> = changes.iter().filter_map(|c| c.begins.as_ref()).collect();
    let unheard: Vec<_> = changes.iter().flat_map(|c| &c.unheard).collect();
    if rows.is_empty() && begun.is_empty() && unheard.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&str> = rows.iter().map(|d| d.tenant.as_str()).collect();
    let applications: Vec<&str> = rows.iter().map(|d| d.application.as_str()).collect();
    let expected: Vec<Option<i64>> = rows.iter().map(|d| d.expected).collect();
    let versions: Vec<i64> = rows.iter().map(|d| d.version).collect();
    let candidates: Vec<Option<&str>> = rows.iter().map(|d| d.candidate.as_deref()).collect();
    let jobs: Vec<Option<&str>> = rows.iter().map(|d| d.job.as_deref()).collect();
    let states: Vec<Option<&str>> = rows.iter().map(|d| d.state.as_deref()).collect();
    let bodies: Vec<&str> = rows.iter().map(|d| d.body.as_str()).collect();
    let created: Vec<Timestamp> = rows.iter().map(|d| d.created_at).collect();
    let updated: Vec<Timestamp> = rows.iter().map(|d| d.updated_at).collect();
    let [email, url, job, role, recruiter] = searched::columns(&rows.iter().map(|d| &d.search).collect::<Vec<_>>());
    let new = rows.iter().filter(|d| d.expected.is_none()).count();
    let (new, known) = (number_of(new), number_of(rows.len() - new));
    let (known_tenants, known_applications): (Vec<&str>, Vec<&str>) =
        rows.iter().filter(|d| d.expected.is_some()).map(|d| (d.tenant.as_str(), d.application.as_str())).unzip();
    let own: Vec<(&DossierRow, &CandidacyRow)> = rows.iter().flat_map(|d| d.candidacies.iter().map(|c| (*d, c))).collect();
    let own_tenants: Vec<&str> = own.iter().map(|(d, _)| d.tenant.as_str()).collect();
    let own_applications: Vec<&str> = own.iter().map(|(d, _)| d.application.as_str()).collect();
    let candidacies: Vec<uuid::Uuid> = own.iter().map(|(_, c)| c.id).collect();
    let candidacy_states: Vec<&str> = own.iter().map(|(_, c)| c.state.as_str()).collect();
    let live: Vec<Option<&str>> = own.iter().map(|(_, c)| c.live_key.as_deref()).collect();
    let platform: Vec<Option<&str>> = own.iter().map(|(_, c)| c.platform_candidacy.as_deref()).collect();
    let changed: Vec<Timestamp> = own.iter().map(|(_, c)| c.changed_at).collect();
    let asked: Vec<Timestamp> = own.iter().map(|(_, c)| c.asked_at).collect();
    let begun_days: Vec<Date> = begun.iter().map(|(k, _)| day(k.time)).collect();
    let begun_tenants: Vec<&str> = begun.iter().map(|(k, _)| k.tenant.as_str()).collect();
    let begun_sources: Vec<&str> = begun.iter().map(|(k, _)| k.source.as_str()).collect();
    let begun_ids: Vec<&str> = begun.iter().map(|(k, _)| k.id.as_str()).collect();
    let owners: Vec<uuid::Uuid> = begun.iter().map(|(_, claim)| claim.owner).collect();
    let leases: Vec<f64> = begun.iter().map(|(_, claim)| claim.lease.as_secs_f64()).collect();
    let begins = number_of(begun.len());
    let heard_tenants: Vec<&str> = unheard.iter().map(|(tenant, ..)| tenant.as_str()).collect();
    let heard_kinds: Vec<&str> = unheard.iter().map(|(_, kind, _)| *kind).collect();
    let heard_ids: Vec<&str> = unheard.iter().map(|(.., id)| id.as_str()).collect();
    let all: [&(dyn ToSql + Sync); 37] = [
        &tenants,
        &applications,
        &expected,
        &versions,
        &candidates,
        &jobs,
        &states,
        &bodies,
        &created,
        &updated,
        &email,
        &url,
        &job,
        &role,
        &recruiter,
        &new,
        &known,
        &known_tenants,
        &known_applications,
        &own_tenants,
        &own_applications,
        &candidacies,
        &candidacy_states,
        &live,
        &platform,
        &changed,
        &asked,
        &heard_tenants,
        &heard_kinds,
        &heard_ids,
        &begun_days,
        &begun_tenants,
        &begun_sources,
        &begun_ids,
        &owners,
        &leases,
        &begins,
    ];
    let (sql, parameters) = if begun.is_empty() { (DOSSIERS, all.get(..30)) } else { (BEGUN, all.get(..)) };
    ask(client, sql, parameters.unwrap_or_default(), sent).await?;
    Ok(())
}

/// Tries that failed. The owner of an attempt that ends lets go of its message; work that was put off before it began leaves it with
/// whoever has it.
async fn failed(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<(), Fault> {
    const SQL: &str = "insert into attempts as a (tenant, source, id, failures, last_error, next_at, updated_at, owner) \
        select * from unnest($1::text[], $2::text[], $3::text[], $4::int4[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::uuid[]) \
        as r (tenant, source, id, failures, last_error, next_at, updated_at, owner) order by tenant, source, id \
        on conflict (tenant, source, id) do update set failures = a.failures + excluded.failures, \
        last_error = excluded.last_error, next_at = excluded.next_at, updated_at = excluded.updated_at, \
        owner = case when excluded.owner is null then a.owner end, held_until = case when excluded.owner is null then a.held_until end";
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
    let owners: Vec<Option<uuid::Uuid>> = rows.iter().map(|(a, _)| a.owner).collect();
    ask(client, SQL, &[&tenants, &sources, &ids, &failures, &errors, &next, &at, &owners], sent).await?;
    Ok(())
}

/// Of which subjects something was heard, of these.
const HEARD_OF: &str = "select k.ord from unnest($1::int4[], $2::text[], $3::text[], $4::text[]) as k (ord, tenant, kind, id) \
    where (select true from heard h where h.tenant = k.tenant and h.kind = k.kind and h.id = k.id)";

/// Which of these changes something was heard meanwhile that they know nothing of.
pub(super) async fn heard_of(client: &Client, changes: &[&Rows]) -> Result<HashSet<usize>, Fault> {
    let rows: Vec<_> = changes.iter().enumerate().flat_map(|(ord, c)| c.unheard.iter().map(move |of| (ord, of))).collect();
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    let ords: Vec<i32> = rows.iter().filter_map(|(ord, _)| i32::try_from(*ord).ok()).collect();
    let tenants: Vec<&str> = rows.iter().map(|(_, (tenant, ..))| tenant.as_str()).collect();
    let kinds: Vec<&str> = rows.iter().map(|(_, (_, kind, _))| *kind).collect();
    let ids: Vec<&str> = rows.iter().map(|(_, (.., id))| id.as_str()).collect();
    let statement = client.prepare_cached(HEARD_OF).await?;
    let found = client.query(&statement, &[&ords, &tenants, &kinds, &ids]).await?;
    found.iter().map(|row| Ok(usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or_default())).collect()
}

/// A row that is new is put in, one that is known is written over the version that was read; another version is a race.
async fn heard(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<(), Fault> {
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
        expect("heard", execute(client, sql, &all).await?, rows.len())?;
    }
    drop(sent); // these were waited for
    Ok(())
}

/// Rare, so one by one.
async fn parked(client: &Client, changes: &[&Rows], sent: Sent<'_>) -> Result<(), Fault> {
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
        execute(client, SQL, &rest).await?;
    }
    drop(sent); // these were waited for
    Ok(())
}
