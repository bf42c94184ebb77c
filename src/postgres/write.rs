//! Changes as arrays: what of a change goes into which piece of a statement, for the whole group, sent without waiting for one another.
//! Decides nothing; a row that turns out to be in the way is a race, and the transaction ends.
//!
//! No statement joins an array to a table: a plan that is made while the table is small reads all of it for each row of the array, and
//! stays. Rows are found by subqueries that cannot be turned into joins (a scalar one, or one with a limit), or by `on conflict`.

use super::{
    connection::Fault,
    handled, outbox, searched,
    sending::{Sending, Sent},
    statement::{Parameter, Piece, Sql, Statement},
};
use crate::records::{CandidacyRow, DossierRow, HeardRow, Rows, last_error};
use atshub_actors::ports::{Attempt, Claim, MessageKey};
use deadpool_postgres::Client;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::collections::HashSet;
use tokio_postgres::types::ToSql;

/// The partition of a time.
pub(super) fn day(time: Timestamp) -> Date {
    time.to_zoned(TimeZone::UTC).date()
}

/// How a group of changes is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// In the hope that nothing is in the way: what is rare makes the others cost more, since a statement that deletes from a table with a
    /// partition for each day opens all of them before it begins. Whatever is in the way is a race.
    Hoping,
    /// With whatever may be in the way, after a look at it.
    Looked,
}

/// Whether it is worth while to hope.
pub(super) fn is_plain(changes: &[Rows]) -> bool {
    // A settlement counts only if its attempt has the message still, and nobody has handled it: that is to be looked at under a lock.
    let settles = changes.iter().any(|c| c.attempt.is_some() || c.own_conflict().is_some());
    let mut days = changes.iter().filter_map(|c| c.begins.as_ref()).map(|(key, _)| day(key.time));
    let first = days.next();
    !settles && changes.iter().all(|c| c.taken_back.is_empty()) && days.all(|day| Some(day) == first)
}

/// One statement that writes all of some changes but for what [`rare`] writes, in the hope that nothing stands in the way of any of them.
/// Whatever does is a race: a row that is there already or not there any more, another version than the one that was read. A live key that
/// another one holds is found at the end of the transaction. The second column of its answer may be the numbers of their outbox rows, in
/// order.
pub(super) fn hoping<'a>(changes: &[&'a Rows]) -> Statement<'a> {
    let (dossiers, unheard, begun) = (dossiers(changes), unheard(changes), begun(changes, How::Hoping));
    let (handled, ends, outbox) = (handled::handled(changes), handled::ends(changes, How::Hoping), outbox::put_in(changes, How::Hoping));
    // Every one that is different has to be planned by each connection, so there are few: an answer, a beginning, a step of a candidacy,
    // and all of it together.
    let are_empty = |pieces: &[&Piece<'_>]| pieces.iter().all(|piece| piece.is_empty);
    if are_empty(&[&dossiers, &unheard, &begun, &outbox]) {
        Statement::of([handled, ends])
    } else if are_empty(&[&handled, &ends, &outbox]) {
        Statement::of([dossiers, unheard, begun])
    } else if are_empty(&[&begun, &ends]) {
        Statement::of([dossiers, unheard, handled, outbox])
    } else {
        Statement::of([dossiers, unheard, begun, handled, ends, outbox])
    }
}

/// The same in two statements after a look; the answer is that of the second. What is taken back makes room for what is asked for anew by
/// its key.
pub(super) fn looked<'a>(changes: &[&'a Rows]) -> [Statement<'a>; 2] {
    let (begun, ends) = (begun(changes, How::Looked), handled::ends(changes, How::Looked));
    let first = Statement::of([dossiers(changes), unheard(changes), begun, handled::handled(changes), ends]);
    [first, Statement::of([outbox::put_in(changes, How::Looked)])]
}

/// Whether there is anything that statements of its own write.
pub(super) fn is_rare(changes: &[&Rows]) -> bool {
    changes.iter().any(|c| c.attempt.is_some() || !c.heard.is_empty() || c.parked.is_some())
}

/// Writes what few changes have.
pub(super) async fn rare(client: &Client, changes: &[&Rows], sending: &Sending) -> Result<(), Fault> {
    futures_util::try_join!(
        failed(client, changes, sending.one()),
        heard(client, changes, sending.one()),
        parked(client, changes, sending.one()),
    )?;
    Ok(())
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
const DOSSIERS: Sql = Sql {
    with: "said as materialized (select * from unnest($1::text[], $2::text[], $3::int8[], $4::int8[], $5::text[], $6::text[], \
        $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[]) \
        as r (tenant, application_id, expected, version, candidate_id, job_id, state, body, created_at, updated_at, email_key, url_key, \
        job_key, role_id, recruiter_key) order by tenant, application_id), \
    searched_by as (insert into searched (tenant, application_id, email_key, url_key, job_id, role_id, recruiter_key, created_at) \
        select r.tenant, r.application_id, r.email_key, r.url_key, r.job_key, r.role_id, r.recruiter_key, r.created_at from said r \
        where (select (s.email_key, s.url_key, s.job_id, s.role_id, s.recruiter_key) \
        is not distinct from (r.email_key, r.url_key, r.job_key, r.role_id, r.recruiter_key) \
        from searched s where s.tenant = r.tenant and s.application_id = r.application_id) is not true \
        order by r.tenant, r.application_id on conflict (tenant, application_id) do update set email_key = excluded.email_key, \
        url_key = excluded.url_key, job_id = excluded.job_id, role_id = excluded.role_id, recruiter_key = excluded.recruiter_key), \
    saved as (insert into dossiers as d (tenant, application_id, version, candidate_id, job_id, state, body, created_at, updated_at) \
        select tenant, application_id, version, candidate_id, job_id, state, body::json, created_at, updated_at from said \
        on conflict (tenant, application_id) do update set version = excluded.version, candidate_id = excluded.candidate_id, \
        job_id = excluded.job_id, state = excluded.state, body = excluded.body, created_at = excluded.created_at, \
        updated_at = excluded.updated_at where d.version = \
        (select k.expected from said k where k.tenant = excluded.tenant and k.application_id = excluded.application_id) \
        returning d.xmax = 0 as new), \
    dropped as (delete from candidacies where ctid = any (array(\
        select c.ctid from unnest($18::text[], $19::text[]) as d (tenant, application_id), lateral (select ctid from candidacies c \
        where c.tenant = d.tenant and c.application_id = d.application_id and not c.id = any ($22::uuid[]) offset 0) c))), \
    standing as (insert into candidacies as c (tenant, application_id, id, state, live_key, platform_candidacy, changed_at, asked_at, \
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
        excluded.asked_at))",
    holds: "(select count(*) filter (where new) = $16 and count(*) filter (where not new) = $17 from saved)",
    answer: None,
};

/// Dossiers with their candidacies.
fn dossiers<'a>(changes: &[&'a Rows]) -> Piece<'a> {
    let rows: Vec<&DossierRow> = changes.iter().flat_map(|c| &c.dossiers).collect();
    let [email, url, job, role, recruiter] = searched::columns(&rows.iter().map(|d| &d.search).collect::<Vec<_>>());
    let new = rows.iter().filter(|d| d.expected.is_none()).count();
    let (known_tenants, known_applications): (Vec<&str>, Vec<&str>) =
        rows.iter().filter(|d| d.expected.is_some()).map(|d| (d.tenant.as_str(), d.application.as_str())).unzip();
    let own: Vec<(&DossierRow, &CandidacyRow)> = rows.iter().flat_map(|d| d.candidacies.iter().map(|c| (*d, c))).collect();
    let parameters: Vec<Parameter<'a>> = vec![
        each(&rows, |d| d.tenant.as_str()),
        each(&rows, |d| d.application.as_str()),
        each(&rows, |d| d.expected),
        each(&rows, |d| d.version),
        each(&rows, |d| d.candidate.as_deref()),
        each(&rows, |d| d.job.as_deref()),
        each(&rows, |d| d.state.as_deref()),
        each(&rows, |d| d.body.as_str()),
        each(&rows, |d| d.created_at),
        each(&rows, |d| d.updated_at),
        Box::new(email),
        Box::new(url),
        Box::new(job),
        Box::new(role),
        Box::new(recruiter),
        Box::new(number_of(new)),
        Box::new(number_of(rows.len() - new)),
        Box::new(known_tenants),
        Box::new(known_applications),
        each(&own, |(d, _)| d.tenant.as_str()),
        each(&own, |(d, _)| d.application.as_str()),
        each(&own, |(_, c)| c.id),
        each(&own, |(_, c)| c.state.as_str()),
        each(&own, |(_, c)| c.live_key.as_deref()),
        each(&own, |(_, c)| c.platform_candidacy.as_deref()),
        each(&own, |(_, c)| c.changed_at),
        each(&own, |(_, c)| c.asked_at),
    ];
    Piece { sql: &DOSSIERS, parameters, is_empty: rows.is_empty() }
}

/// One column of some rows.
pub(super) fn each<'a, R: Copy + 'a, T>(rows: &[R], column: impl Fn(R) -> T) -> Parameter<'a>
where
    Vec<T>: ToSql + Sync + Send + 'a,
{
    Box::new(rows.iter().map(|row| column(*row)).collect::<Vec<T>>())
}

const UNHEARD: Sql = Sql {
    with: "known as materialized (select count(*) as subjects from unnest($1::text[], $2::text[], $3::text[]) as k (tenant, kind, id) \
        where (select true from heard h where h.tenant = k.tenant and h.kind = k.kind and h.id = k.id))",
    holds: "(select subjects = 0 from known)",
    answer: None,
};

/// Subjects of which nothing may have been heard.
fn unheard<'a>(changes: &[&'a Rows]) -> Piece<'a> {
    let rows: Vec<&(String, &str, String)> = changes.iter().flat_map(|c| &c.unheard).collect();
    let parameters =
        vec![each(&rows, |(tenant, ..)| tenant.as_str()), each(&rows, |(_, kind, _)| *kind), each(&rows, |(.., id)| id.as_str())];
    Piece { sql: &UNHEARD, parameters, is_empty: rows.is_empty() }
}

macro_rules! begun {
    ($day:literal) => {
        Sql {
            with: concat!(
                "begun as (insert into attempts (tenant, source, id, begun, begun_at, updated_at, owner, held_until) \
                select tenant, source, id, 1, now(), now(), owner, clock_timestamp() + make_interval(secs => lease) \
                from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::float8[]",
                $day,
                " and i.tenant = k.tenant and i.source = k.source and i.id = k.id) \
                order by tenant, source, id on conflict do nothing returning 1)"
            ),
            holds: "(select count(*) = $6 from begun)",
            answer: None,
        }
    };
}

/// Messages that are taken for the first attempt at their work.
const BEGUN: Sql =
    begun!(", $7::date[]) as k (tenant, source, id, owner, lease, day) where not exists (select from inbox i where i.day = k.day");
/// The same where all are of one day: only that partition is opened.
const BEGUN_OF_A_DAY: Sql =
    begun!(") as k (tenant, source, id, owner, lease) where not exists (select from inbox i where i.day = $7::date");

fn begun<'a>(changes: &[&'a Rows], how: How) -> Piece<'a> {
    let rows: Vec<&(MessageKey, Claim)> = changes.iter().filter_map(|c| c.begins.as_ref()).collect();
    let (sql, days): (_, Parameter<'a>) = match how {
        How::Hoping => (&BEGUN_OF_A_DAY, Box::new(rows.first().map(|(k, _)| day(k.time)))),
        How::Looked => (&BEGUN, each(&rows, |(k, _)| day(k.time))),
    };
    let parameters = vec![
        each(&rows, |(k, _)| k.tenant.as_str()),
        each(&rows, |(k, _)| k.source.as_str()),
        each(&rows, |(k, _)| k.id.as_str()),
        each(&rows, |(_, claim)| claim.owner),
        each(&rows, |(_, claim)| claim.lease.as_secs_f64()),
        Box::new(number_of(rows.len())),
        days,
    ];
    Piece { sql, parameters, is_empty: rows.is_empty() }
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
    let statement = client.prepare_cached(SQL).await?;
    sent.after(client.execute(&statement, &[&tenants, &sources, &ids, &failures, &errors, &next, &at, &owners])).await?;
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
