//! What people search dossiers by: kept beside them, filled once for those that were there before, and pages of those in a state.

use super::{connection::Fault, words::Micros};
use crate::records::{DossierRow, KEYS, SearchColumn, SearchKeys, checked, from_json, page_of};
use atshub_actors::domain::{Dossier, Page};
use jiff::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

/// The statement that finds the dossiers with a key in this column.
pub(super) fn by(column: SearchColumn) -> &'static str {
    macro_rules! find {
        ($column:literal) => {
            concat!(
                "select application_id, body from dossiers where tenant = ?1 and application_id in (select application_id from searched \
                 where tenant = ?1 and ",
                $column,
                " = ?2 order by created_at desc, application_id limit ?3) order by created_at desc, application_id"
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

/// Keeps the keys of a dossier that is saved.
pub(super) fn keep(connection: &Connection, d: &DossierRow) -> Result<(), Fault> {
    kept(connection, &d.tenant, &d.application, &d.search, d.created_at)
}

fn kept(connection: &Connection, tenant: &str, application: &str, keys: &SearchKeys, created_at: Timestamp) -> Result<(), Fault> {
    let SearchKeys { email, url, job, role, recruiter } = keys;
    connection
        .prepare_cached(
            "insert into searched as s (tenant, application_id, email_key, url_key, job_id, role_id, recruiter_key, created_at) \
             values (?, ?, ?, ?, ?, ?, ?, ?) on conflict (tenant, application_id) do update set email_key = excluded.email_key, \
             url_key = excluded.url_key, job_id = excluded.job_id, role_id = excluded.role_id, recruiter_key = excluded.recruiter_key \
             where (s.email_key, s.url_key, s.job_id, s.role_id, s.recruiter_key) \
             is not (excluded.email_key, excluded.url_key, excluded.job_id, excluded.role_id, excluded.recruiter_key)",
        )?
        .execute(params![tenant, application, email, url, job, role, recruiter, Micros(created_at)])?;
    Ok(())
}

/// Fills the table for dossiers that were saved before there was one, or with keys of another making. Those that cannot be read have no keys that could be found.
pub(super) fn fill(connection: &mut Connection) -> Result<(), Fault> {
    let filled = |c: &Connection| c.query_row("select value from versions where name = 'searched'", [], |row| row.get::<_, i64>(0));
    if filled(connection)? >= KEYS {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut statement = transaction.prepare("select tenant, application_id, body, created_at from dossiers")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (tenant, application, body): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if let Ok(dossier) = from_json::<Dossier>("a dossier", &body) {
                kept(&transaction, &tenant, &application, &SearchKeys::of(&dossier), row.get::<_, Micros>(3)?.0)?;
                keep_live(&transaction, &tenant, &dossier)?;
            }
        }
        transaction.execute("update versions set value = ?1 where name = 'searched'", [KEYS])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Gives live candidacies the key that their dossier gives now. Where two have the same, the second keeps the one it had: both are live
/// already, and the next save of either finds the other.
fn keep_live(connection: &Connection, tenant: &str, dossier: &Dossier) -> Result<(), Fault> {
    let mut update =
        connection.prepare_cached("update or ignore candidacies set live_key = ?3 where tenant = ?1 and id = ?2 and live_key <> ?3")?;
    for candidacy in &dossier.candidacies {
        if let Some(key) = candidacy.live_key(&dossier.candidate) {
            update.execute(params![tenant, candidacy.id.to_string(), key])?;
        }
    }
    Ok(())
}

const PAGE: &str = "select application_id, body from dossiers where tenant = ?1 and state = ?2 and application_id > ?3 \
    order by application_id limit ?4";

/// A page of those in a state.
pub(super) fn page(connection: &Connection, tenant: &str, state: &str, after: Option<&str>, limit: u32) -> Result<Page, Fault> {
    let mut statement = connection.prepare_cached(PAGE)?;
    let rows = statement.query_map(params![tenant, state, after.unwrap_or_default(), i64::from(limit) + 1], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let mut found = Vec::new();
    for row in rows {
        let (application, body) = row?;
        found.push((checked("an application's id", application)?, body));
    }
    Ok(page_of(found, limit))
}
