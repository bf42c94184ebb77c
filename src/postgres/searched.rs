//! What people search dossiers by: found by it, filled once for those that were there before, and pages of those in a state. It is
//! written with the dossier, in `write.rs`.

use super::connection::{Database, Fault};
use crate::records::{KEYS, SearchColumn, SearchKeys, checked, from_json, page_of};
use atshub_actors::domain::{Dossier, Page};
use atshub_schemas::{ExternalId, TenantName};
use deadpool_postgres::Object;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::time::Duration;
use tokio_postgres::Row;
use uuid::Uuid;

/// All dossiers may have to be looked through.
const FILL_LIMIT: Duration = Duration::from_secs(600);
/// Dossiers that are looked at in one step.
const STEP: i64 = 500;

/// The statement that finds the dossiers with a key in this column. No join: see `reading.rs`.
pub(super) fn by(column: SearchColumn) -> &'static str {
    macro_rules! find {
        ($column:literal) => {
            concat!(
                "select application_id, body::text from dossiers where tenant = $1 and application_id = any (array(select application_id \
                 from searched where tenant = $1 and ",
                $column,
                " = $2 order by created_at desc, application_id limit $3)) order by created_at desc, application_id"
            )
        };
    }
    match column {
        SearchColumn::Email => find!("email_key"),
        SearchColumn::Url => find!("url_key"),
        SearchColumn::Job => find!("job_id"),
        SearchColumn::Role => find!("role_id"),
        SearchColumn::Recruiter => find!("recruiter_key"),
    }
}

const PAGE: &str = "select application_id, body::text from dossiers where tenant = $1 and state = $2 and application_id > $3 \
    order by application_id limit $4";

/// A page of those in a state.
pub(super) async fn page(
    database: &Database,
    tenant: TenantName,
    state: String,
    after: Option<ExternalId>,
    limit: u32,
) -> Result<Page, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(PAGE).await?;
                let after = after.as_ref().map_or("", ExternalId::as_str);
                let rows = connection.query(&statement, &[&tenant.as_str(), &state, &after, &(i64::from(limit) + 1)]).await?;
                let row = |row: &Row| Ok::<_, Fault>((checked("an application's id", row.try_get(0)?)?, row.try_get(1)?));
                Ok(page_of(rows.iter().map(row).collect::<Result<_, _>>()?, limit))
            }
            .boxed()
        })
        .await
}

const FILLED: &str = "select value >= $1 from versions where name = 'searched'";
const UNFILLED: &str = "select d.tenant, d.application_id, d.body::text, d.created_at, d.version from dossiers d \
    where (d.tenant, d.application_id) > ($1, $2) order by d.tenant, d.application_id limit $3";
const FILL: &str = "insert into searched as s (tenant, application_id, email_key, url_key, job_id, role_id, recruiter_key, created_at) \
    select k.tenant, k.application_id, k.email_key, k.url_key, k.job_id, k.role_id, k.recruiter_key, k.created_at \
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::int8[]) \
    as k (tenant, application_id, email_key, url_key, job_id, role_id, recruiter_key, created_at, version) \
    join dossiers d on d.tenant = k.tenant and d.application_id = k.application_id and d.version = k.version \
    order by 1, 2 for share of d on conflict (tenant, application_id) do update set email_key = excluded.email_key, \
    url_key = excluded.url_key, job_id = excluded.job_id, role_id = excluded.role_id, recruiter_key = excluded.recruiter_key \
    where (s.email_key, s.url_key, s.job_id, s.role_id, s.recruiter_key) \
    is distinct from (excluded.email_key, excluded.url_key, excluded.job_id, excluded.role_id, excluded.recruiter_key)";

const OTHERWISE_LIVE: &str = "select c.tenant, c.id, c.live_key, k.live_key from candidacies c \
    join unnest($1::text[], $2::uuid[], $3::text[]) as k (tenant, id, live_key) on c.tenant = k.tenant and c.id = k.id \
    where c.live_key <> k.live_key";
const LIVE: &str = "update candidacies c set live_key = $4 where c.tenant = $1 and c.id = $2 and c.live_key = $3 \
    and not exists (select from candidacies o where o.tenant = $1 and o.live_key = $4)";

/// Fills the table for dossiers that were saved before there was one, or with keys of another making. Ended in the middle, it begins anew the next time. Those that cannot
/// be read have no keys that could be found.
pub(super) async fn fill(database: &Database) -> Result<(), Fault> {
    database.run_within(FILL_LIMIT, |connection| fill_all(connection).boxed()).await
}

async fn fill_all(connection: &mut Object) -> Result<(), Fault> {
    if connection.query_one(FILLED, &[&KEYS]).await?.try_get(0)? {
        return Ok(());
    }
    let (mut tenant, mut application) = (String::new(), String::new());
    loop {
        let rows = connection.query(UNFILLED, &[&tenant, &application, &STEP]).await?;
        let Some(last) = rows.last() else { break };
        (tenant, application) = (last.try_get(0)?, last.try_get(1)?);
        let mut found: Vec<(&str, &str, SearchKeys, (Timestamp, i64))> = Vec::with_capacity(rows.len());
        let mut live: Vec<(&str, Uuid, String)> = Vec::new();
        for row in &rows {
            if let Ok(dossier) = from_json::<Dossier>("a dossier", row.try_get(2)?) {
                found.push((row.try_get(0)?, row.try_get(1)?, SearchKeys::of(&dossier), (row.try_get(3)?, row.try_get(4)?)));
                let tenant = row.try_get(0)?;
                let keys = dossier.candidacies.iter().filter_map(|c| Some((tenant, c.id, c.live_key(&dossier.candidate)?)));
                live.extend(keys);
            }
        }
        let keys: Vec<&SearchKeys> = found.iter().map(|(.., keys, _)| keys).collect();
        let [emails, urls, jobs, roles, recruiters] = columns(&keys);
        let (tenants, applications): (Vec<&str>, Vec<&str>) = found.iter().map(|(t, a, ..)| (*t, *a)).unzip();
        let (created, versions): (Vec<Timestamp>, Vec<i64>) = found.iter().map(|(.., read)| *read).unzip();
        connection.execute(FILL, &[&tenants, &applications, &emails, &urls, &jobs, &roles, &recruiters, &created, &versions]).await?;
        keep_live(connection, &live).await?;
    }
    connection.execute("update versions set value = $1 where name = 'searched'", &[&KEYS]).await?;
    Ok(())
}

/// Gives live candidacies the key that their dossier gives now. Where two have the same, the second keeps the one it had: both are live
/// already, and the next save of either finds the other.
async fn keep_live(connection: &Object, live: &[(&str, Uuid, String)]) -> Result<(), Fault> {
    let tenants: Vec<&str> = live.iter().map(|(tenant, ..)| *tenant).collect();
    let (ids, keys): (Vec<Uuid>, Vec<&str>) = live.iter().map(|(_, id, key)| (*id, key.as_str())).unzip();
    for row in connection.query(OTHERWISE_LIVE, &[&tenants, &ids, &keys]).await? {
        let (tenant, id, kept, key): (&str, Uuid, &str, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        match connection.execute(LIVE, &[&tenant, &id, &kept, &key]).await.map_err(Fault::from) {
            // Another process took the key in the meantime.
            Ok(_) | Err(Fault::Race(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

/// The keys of many dossiers, column by column: address, page, job, role, recruiter.
pub(super) fn columns<'k>(keys: &[&'k SearchKeys]) -> [Vec<Option<&'k str>>; 5] {
    let column = |of: fn(&SearchKeys) -> Option<&str>| keys.iter().map(|keys| of(keys)).collect();
    [
        column(|k| k.email.as_deref()),
        column(|k| k.url.as_deref()),
        column(|k| k.job.as_deref()),
        column(|k| k.role.as_deref()),
        column(|k| k.recruiter.as_deref()),
    ]
}
