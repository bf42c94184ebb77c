//! Tenants, platform accounts and sealed credentials. Every change raises one counter in the same transaction, which is
//! how another process on the same file notices it.

use super::{connection::Fault, forget, threads::Kept, words::Micros};
use crate::records::{checked, policy_of, policy_to_store, signed, storable, stored, unsigned};
use atshub_actors::ports::{PlatformAccount, SealedSecret, Standing, TenantRecord};
use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, Params, params};

pub(super) fn raise(connection: &Connection) -> Result<i64, Fault> {
    let mut statement = connection.prepare_cached("update versions set value = value + 1 where name = 'tenants' returning value")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Keeps what was written only if something changed, so that the counter rises with changes alone.
fn kept(changed: usize) -> Kept<bool> {
    if changed > 0 { Kept::All(true) } else { Kept::Nothing(false) }
}

fn execute(connection: &Connection, sql: &str, parameters: impl Params) -> Result<usize, Fault> {
    Ok(connection.prepare_cached(sql)?.execute(parameters)?)
}

pub(super) fn tenants(connection: &Connection) -> Result<Vec<TenantRecord>, Fault> {
    let mut statement = connection.prepare_cached(
        "select name, ats, platform, policy, standing, cause, version, created_at, updated_at, until, stood from tenants order by name",
    )?;
    let mut found = statement.query([])?;
    let mut tenants = Vec::new();
    while let Some(row) = found.next()? {
        let (policy, unreadable) = policy_of(&row.get::<_, String>(3)?);
        tenants.push(TenantRecord {
            name: checked("a tenant's name", row.get(0)?)?,
            ats: row.get(1)?,
            platform: row.get(2)?,
            policy,
            unreadable,
            standing: row.get::<_, String>(4)?.into(),
            cause: row.get(5)?,
            until: row.get::<_, Option<Micros>>(9)?.map(|until| until.0),
            version: unsigned(row.get(6)?),
            stood: unsigned(row.get(10)?),
            created_at: row.get::<_, Micros>(7)?.0,
            updated_at: row.get::<_, Micros>(8)?.0,
        });
    }
    Ok(tenants)
}

pub(super) fn put_tenant(connection: &Connection, tenant: &TenantRecord, expected: Option<u64>) -> Result<Kept<bool>, Fault> {
    let policy = policy_to_store(tenant)?;
    let version = raise(connection)?;
    let cause = tenant.cause.as_deref().map(storable);
    let (created, updated) = (Micros(stored(tenant.created_at)), Micros(stored(tenant.updated_at)));
    let until = tenant.until.map(|until| Micros(stored(until)));
    let (name, ats, platform, standing) = (tenant.name.as_str(), &tenant.ats, &tenant.platform, tenant.standing.as_str());
    let changed = match expected {
        None => execute(
            connection,
            "insert into tenants (name, ats, platform, policy, standing, cause, version, created_at, updated_at, until, stood) \
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?7) on conflict do nothing",
            params![name, ats, platform, policy, standing, cause, version, created, updated, until],
        ),
        Some(expected) => execute(
            connection,
            "update tenants set ats = ?2, platform = ?3, policy = ?4, standing = ?5, cause = ?6, version = ?7, created_at = ?8, \
             updated_at = ?9, until = ?10, \
             stood = case when standing is not ?5 or cause is not ?6 or until is not ?10 then ?7 else stood end \
             where name = ?1 and version = ?11",
            params![name, ats, platform, policy, standing, cause, version, created, updated, until, signed(expected)?],
        ),
    }?;
    if changed > 0 && expected.is_none() {
        forget::before(connection, name)?;
    }
    Ok(kept(changed))
}

pub(super) fn remove_tenant(connection: &Connection, name: &str) -> Result<Kept<bool>, Fault> {
    raise(connection)?;
    let removed = execute(connection, "delete from tenants where name = ?", [name])?;
    Ok(kept(removed + forget::tenant(connection, name)?))
}

pub(super) fn set_standing(
    connection: &Connection,
    name: &str,
    (standing, cause, until): (&Standing, Option<&str>, Option<Timestamp>),
    over: Option<u64>,
    now: Timestamp,
) -> Result<Kept<Option<u64>>, Fault> {
    let version = raise(connection)?;
    let (now, until, over) = (Micros(stored(now)), until.map(|until| Micros(stored(until))), over.map(signed).transpose()?);
    let sql = "update tenants set standing = ?1, cause = ?2, version = ?3, stood = ?3, updated_at = ?4, until = ?5 \
        where name = ?6 and coalesce(stood = ?7, true)";
    let set = execute(connection, sql, params![standing.as_str(), cause.map(storable), version, now, until, name, over])?;
    Ok(if set > 0 { Kept::All(Some(unsigned(version))) } else { Kept::Nothing(None) })
}

pub(super) fn end_standing(connection: &Connection, name: &str, until: Timestamp, now: Timestamp) -> Result<Kept<bool>, Fault> {
    let version = raise(connection)?;
    let (now, until) = (Micros(stored(now)), Micros(stored(until)));
    let sql = "update tenants set standing = 'active', cause = null, version = ?1, stood = ?1, updated_at = ?2, until = null \
         where name = ?3 and until = ?4";
    Ok(kept(execute(connection, sql, params![version, now, name, until])?))
}

pub(super) fn version(connection: &Connection) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached("select value from versions where name = 'tenants'")?;
    Ok(unsigned(statement.query_row([], |row| row.get(0))?))
}

pub(super) fn platforms(connection: &Connection) -> Result<Vec<PlatformAccount>, Fault> {
    let mut statement = connection.prepare_cached("select name, kind, url, updated_at from platforms order by name")?;
    let found = statement.query_map([], |row| {
        Ok(PlatformAccount { name: row.get(0)?, kind: row.get(1)?, url: row.get(2)?, updated_at: row.get::<_, Micros>(3)?.0 })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn put_platform(connection: &Connection, account: &PlatformAccount) -> Result<Kept<()>, Fault> {
    raise(connection)?;
    execute(
        connection,
        "insert into platforms (name, kind, url, updated_at) values (?, ?, ?, ?) \
         on conflict (name) do update set kind = excluded.kind, url = excluded.url, updated_at = excluded.updated_at",
        params![account.name, account.kind, account.url, Micros(stored(account.updated_at))],
    )?;
    Ok(Kept::All(()))
}

pub(super) fn remove_platform(connection: &Connection, name: &str) -> Result<Kept<bool>, Fault> {
    raise(connection)?;
    let removed = execute(connection, "delete from platforms where name = ?", [name])?;
    Ok(kept(removed + execute(connection, "delete from secrets where owner = ?", [format!("platform/{name}")])?))
}

pub(super) fn put_secret(connection: &Connection, secret: &SealedSecret) -> Result<Kept<()>, Fault> {
    raise(connection)?;
    execute(
        connection,
        "insert into secrets (owner, name, sealed, fingerprint, set_at) values (?, ?, ?, ?, ?) on conflict (owner, name) do update set \
         sealed = excluded.sealed, fingerprint = excluded.fingerprint, set_at = excluded.set_at",
        params![secret.owner, secret.name, secret.sealed.as_ref(), secret.fingerprint, Micros(stored(secret.set_at))],
    )?;
    Ok(Kept::All(()))
}

pub(super) fn keep_secret(connection: &Connection, secret: &SealedSecret) -> Result<Kept<SealedSecret>, Fault> {
    let there = secrets(connection, &secret.owner)?.into_iter().find(|other| other.name == secret.name);
    match there {
        Some(other) => Ok(Kept::Nothing(other)),
        None => put_secret(connection, secret).map(|_| Kept::All(secret.clone())),
    }
}

/// The counter is not raised: what the credential is has not changed.
pub(super) fn reseal(connection: &Connection, before: &SealedSecret, after: &SealedSecret) -> Result<Kept<bool>, Fault> {
    let sql = "update secrets set sealed = ?4, fingerprint = ?5 where owner = ?1 and name = ?2 and sealed = ?3";
    let parameters = params![before.owner, before.name, before.sealed.as_ref(), after.sealed.as_ref(), after.fingerprint];
    Ok(kept(execute(connection, sql, parameters)?))
}

pub(super) fn secrets(connection: &Connection, owner: &str) -> Result<Vec<SealedSecret>, Fault> {
    let mut statement =
        connection.prepare_cached("select owner, name, sealed, fingerprint, set_at from secrets where owner = ? order by name")?;
    let found = statement.query_map([owner], secret)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn all_secrets(connection: &Connection) -> Result<Vec<SealedSecret>, Fault> {
    let mut statement = connection.prepare_cached("select owner, name, sealed, fingerprint, set_at from secrets order by owner, name")?;
    let found = statement.query_map([], secret)?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn secret(row: &rusqlite::Row<'_>) -> rusqlite::Result<SealedSecret> {
    Ok(SealedSecret {
        owner: row.get(0)?,
        name: row.get(1)?,
        sealed: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        fingerprint: row.get(3)?,
        set_at: row.get::<_, Micros>(4)?.0,
    })
}

pub(super) fn delete_secret(connection: &Connection, owner: &str, name: &str) -> Result<Kept<bool>, Fault> {
    raise(connection)?;
    Ok(kept(execute(connection, "delete from secrets where owner = ? and name = ?", [owner, name])?))
}
