//! Tenants, platform accounts and sealed credentials. Every change raises one counter in the same transaction, which is
//! how other processes notice it.

use super::connection::{Database, Fault};
use crate::records::{checked, policy_of, policy_to_store, signed, storable, stored, unsigned};
use atshub_actors::ports::{PlatformAccount, SealedSecret, Standing, StoreError, TenantRecord};
use bytes::Bytes;
use deadpool_postgres::{Object, Transaction};
use futures_util::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
use tokio_postgres::{Row, types::ToSql};

const RAISE: &str = "update versions set value = value + 1 where name = 'tenants' returning value";

/// Does the work with the next version of the registry; keeps both only if the work says that something changed.
async fn changed<W>(database: &Database, work: W) -> Result<bool, Fault>
where
    W: for<'t> FnOnce(&'t Transaction<'_>, i64) -> BoxFuture<'t, Result<bool, Fault>> + Send + 'static,
{
    database
        .run(move |connection: &mut Object| {
            async move {
                let transaction = connection.transaction().await?;
                let raise = transaction.prepare_cached(RAISE).await?;
                let version: i64 = transaction.query_one(&raise, &[]).await?.try_get(0)?;
                let changed = work(&transaction, version).await?;
                if changed {
                    transaction.commit().await?;
                } else {
                    transaction.rollback().await?;
                }
                Ok(changed)
            }
            .boxed()
        })
        .await
}

async fn execute(transaction: &Transaction<'_>, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<bool, Fault> {
    let statement = transaction.prepare_cached(sql).await?;
    Ok(transaction.execute(&statement, parameters).await? > 0)
}

async fn rows(database: &Database, sql: &'static str, owner: Option<String>) -> Result<Vec<Row>, Fault> {
    database
        .run(move |connection| {
            async move {
                let statement = connection.prepare_cached(sql).await?;
                let parameters: Vec<&(dyn ToSql + Sync)> = owner.iter().map(|o| o as &(dyn ToSql + Sync)).collect();
                Ok(connection.query(&statement, &parameters).await?)
            }
            .boxed()
        })
        .await
}

pub(super) async fn tenants(database: &Database) -> Result<Vec<TenantRecord>, Fault> {
    const SQL: &str = "select name, ats, platform, policy::text, standing, cause, version, created_at, updated_at, until, stood from tenants \
        order by name collate \"C\"";
    let tenant = |row: &Row| {
        let (policy, unreadable) = policy_of(row.try_get(3)?);
        Ok(TenantRecord {
            name: checked("a tenant's name", row.try_get(0)?)?,
            ats: row.try_get(1)?,
            platform: row.try_get(2)?,
            policy,
            unreadable,
            standing: row.try_get::<_, String>(4)?.into(),
            cause: row.try_get(5)?,
            version: unsigned(row.try_get(6)?),
            created_at: row.try_get(7)?,
            updated_at: row.try_get(8)?,
            until: row.try_get(9)?,
            stood: unsigned(row.try_get(10)?),
        })
    };
    rows(database, SQL, None).await?.iter().map(tenant).collect()
}

pub(super) async fn put_tenant(database: &Database, tenant: TenantRecord, expected: Option<u64>) -> Result<bool, Fault> {
    const NEW: &str = "insert into tenants (name, ats, platform, policy, standing, cause, version, created_at, updated_at, until, stood) \
        values ($1, $2, $3, $4::text::json, $5, $6, $7, $8, $9, $10, $7) on conflict (name) do nothing";
    const KNOWN: &str = "update tenants set ats = $2, platform = $3, policy = $4::text::json, standing = $5, cause = $6, version = $7, \
        created_at = $8, updated_at = $9, until = $10, \
        stood = case when (standing, cause, until) is distinct from ($5, $6, $10) then $7 else stood end where name = $1 and version = $11";
    let policy = policy_to_store(&tenant)?;
    let expected = expected.map(signed).transpose()?;
    changed(database, move |transaction, version| {
        async move {
            let (name, standing, cause) = (tenant.name.as_str(), tenant.standing.as_str(), tenant.cause.as_deref().map(storable));
            let (created, updated, until) = (stored(tenant.created_at), stored(tenant.updated_at), tenant.until.map(stored));
            let mut parameters: Vec<&(dyn ToSql + Sync)> =
                vec![&name, &tenant.ats, &tenant.platform, &policy, &standing, &cause, &version, &created, &updated, &until];
            match &expected {
                None => execute(transaction, NEW, &parameters).await,
                Some(expected) => {
                    parameters.push(expected);
                    execute(transaction, KNOWN, &parameters).await
                }
            }
        }
        .boxed()
    })
    .await
}

pub(super) async fn remove_tenant(database: &Database, name: String) -> Result<bool, Fault> {
    let removed = changed(database, move |transaction, _| {
        async move {
            let removed = execute(transaction, "delete from tenants where name = $1", &[&name]).await?;
            let secrets = execute(transaction, "delete from secrets where owner = $1", &[&format!("tenant/{name}")]).await?;
            Ok(removed || secrets)
        }
        .boxed()
    });
    wiped(database, removed.await?).await
}

pub(super) async fn set_standing(
    database: &Database,
    name: String,
    (standing, cause, until): (Standing, Option<String>, Option<Timestamp>),
    over: Option<u64>,
    now: Timestamp,
) -> Result<Option<u64>, Fault> {
    const SQL: &str = "update tenants set standing = $2, cause = $3, version = $4, stood = $4, updated_at = $5, until = $6 \
        where name = $1 and coalesce(stood = $7, true)";
    let over = over.map(signed).transpose()?;
    let stands = Arc::new(AtomicI64::new(0));
    let told = Arc::clone(&stands);
    let set = changed(database, move |transaction, version| {
        async move {
            told.store(version, Ordering::Relaxed);
            let (standing, cause) = (standing.as_str(), cause.as_deref().map(storable));
            execute(transaction, SQL, &[&name, &standing, &cause, &version, &stored(now), &until.map(stored), &over]).await
        }
        .boxed()
    });
    Ok(set.await?.then(|| unsigned(stands.load(Ordering::Relaxed))))
}

pub(super) async fn end_standing(database: &Database, name: String, until: Timestamp, now: Timestamp) -> Result<bool, Fault> {
    const SQL: &str = "update tenants set standing = 'active', cause = null, version = $3, stood = $3, updated_at = $4, until = null \
        where name = $1 and until = $2";
    changed(database, move |transaction, version| {
        async move { execute(transaction, SQL, &[&name, &stored(until), &version, &stored(now)]).await }.boxed()
    })
    .await
}

/// A standing that was set later than now was set by a wrong clock: it keeps its length, from now on.
pub(super) async fn pull_back(database: &Database, tolerance: SignedDuration) -> Result<u64, Fault> {
    const SQL: &str = "update tenants set version = $1, stood = $1, updated_at = clock_timestamp(), \
        until = clock_timestamp() + greatest(until - updated_at, interval '0') \
        where until is not null and updated_at > clock_timestamp() + make_interval(secs => $2)";
    const ANY: &str = "select 1 from tenants where until is not null and updated_at > clock_timestamp() + interval '1 minute' limit 1";
    if rows(database, ANY, None).await?.is_empty() {
        return Ok(0);
    }
    let tolerance = tolerance.as_secs_f64();
    Ok(changed(database, move |transaction, version| async move { execute(transaction, SQL, &[&version, &tolerance]).await }.boxed())
        .await?
        .into())
}

pub(super) async fn version(database: &Database) -> Result<u64, Fault> {
    let found = rows(database, "select value from versions where name = 'tenants'", None).await?;
    found.first().map_or(Ok(0), |row| Ok(unsigned(row.try_get(0)?)))
}

pub(super) async fn platforms(database: &Database) -> Result<Vec<PlatformAccount>, Fault> {
    let found = rows(database, "select name, kind, url, updated_at from platforms order by name collate \"C\"", None).await?;
    let account =
        |row: &Row| Ok(PlatformAccount { name: row.try_get(0)?, kind: row.try_get(1)?, url: row.try_get(2)?, updated_at: row.try_get(3)? });
    found.iter().map(account).collect()
}

pub(super) async fn put_platform(database: &Database, account: PlatformAccount) -> Result<(), Fault> {
    const SQL: &str = "insert into platforms (name, kind, url, updated_at) values ($1, $2, $3, $4) \
        on conflict (name) do update set kind = excluded.kind, url = excluded.url, updated_at = excluded.updated_at";
    changed(database, move |transaction, _| {
        async move { execute(transaction, SQL, &[&account.name, &account.kind, &account.url, &stored(account.updated_at)]).await }.boxed()
    })
    .await?;
    Ok(())
}

pub(super) async fn remove_platform(database: &Database, name: String) -> Result<bool, Fault> {
    let removed = changed(database, move |transaction, _| {
        async move {
            let removed = execute(transaction, "delete from platforms where name = $1", &[&name]).await?;
            let secrets = execute(transaction, "delete from secrets where owner = $1", &[&format!("platform/{name}")]).await?;
            Ok(removed || secrets)
        }
        .boxed()
    });
    wiped(database, removed.await?).await
}

pub(super) async fn put_secret(database: &Database, secret: SealedSecret) -> Result<(), Fault> {
    const SQL: &str = "insert into secrets (owner, name, sealed, fingerprint, set_at) values ($1, $2, $3, $4, $5) \
        on conflict (owner, name) do update set sealed = excluded.sealed, fingerprint = excluded.fingerprint, set_at = excluded.set_at";
    changed(database, move |transaction, _| {
        async move {
            let sealed = secret.sealed.as_ref();
            execute(transaction, SQL, &[&secret.owner, &secret.name, &sealed, &secret.fingerprint, &stored(secret.set_at)]).await
        }
        .boxed()
    })
    .await?;
    wiped(database, true).await?;
    Ok(())
}

pub(super) async fn keep_secret(database: &Database, secret: SealedSecret) -> Result<SealedSecret, Fault> {
    const SQL: &str = "insert into secrets (owner, name, sealed, fingerprint, set_at) values ($1, $2, $3, $4, $5) \
        on conflict (owner, name) do nothing";
    let kept = secret.clone();
    let new = changed(database, move |transaction, _| {
        async move {
            let sealed = secret.sealed.as_ref();
            execute(transaction, SQL, &[&secret.owner, &secret.name, &sealed, &secret.fingerprint, &stored(secret.set_at)]).await
        }
        .boxed()
    });
    if new.await? {
        return Ok(kept);
    }
    let there = secrets(database, kept.owner.clone()).await?;
    // Deleted again between the two: whoever asks does so again.
    let away = || Fault::Lasting(StoreError::Away(format!("`{}` of `{}` was there, and is gone", kept.name, kept.owner)));
    there.into_iter().find(|other| other.name == kept.name).ok_or_else(away)
}

/// The counter is not raised: what the credential is has not changed.
pub(super) async fn reseal(database: &Database, before: SealedSecret, after: SealedSecret) -> Result<bool, Fault> {
    const SQL: &str = "update secrets set sealed = $4, fingerprint = $5 where owner = $1 and name = $2 and sealed = $3";
    let resealed = database.run(move |connection| {
        async move {
            let statement = connection.prepare_cached(SQL).await?;
            let (old, new) = (before.sealed.as_ref(), after.sealed.as_ref());
            Ok(connection.execute(&statement, &[&before.owner, &before.name, &old, &new, &after.fingerprint]).await? > 0)
        }
        .boxed()
    });
    wiped(database, resealed.await?).await
}

pub(super) async fn secrets(database: &Database, owner: String) -> Result<Vec<SealedSecret>, Fault> {
    const SQL: &str = "select owner, name, sealed, fingerprint, set_at from secrets where owner = $1 order by name collate \"C\"";
    rows(database, SQL, Some(owner)).await?.iter().map(secret).collect()
}

pub(super) async fn all_secrets(database: &Database) -> Result<Vec<SealedSecret>, Fault> {
    const SQL: &str = "select owner, name, sealed, fingerprint, set_at from secrets order by owner collate \"C\", name collate \"C\"";
    rows(database, SQL, None).await?.iter().map(secret).collect()
}

fn secret(row: &Row) -> Result<SealedSecret, Fault> {
    Ok(SealedSecret {
        owner: row.try_get(0)?,
        name: row.try_get(1)?,
        sealed: Bytes::from(row.try_get::<_, Vec<u8>>(2)?),
        fingerprint: row.try_get(3)?,
        set_at: row.try_get(4)?,
    })
}

pub(super) async fn delete_secret(database: &Database, owner: String, name: String) -> Result<bool, Fault> {
    let deleted = changed(database, move |transaction, _| {
        async move { execute(transaction, "delete from secrets where owner = $1 and name = $2", &[&owner, &name]).await }.boxed()
    });
    wiped(database, deleted.await?).await
}

/// A deleted row stays in its page until the table is vacuumed; a credential is to be gone. Should that fail, the
/// database's own vacuum does it later.
async fn wiped(database: &Database, changed: bool) -> Result<bool, Fault> {
    if changed {
        let vacuum = database.run(|connection| async move { Ok(connection.batch_execute("vacuum secrets").await?) }.boxed());
        if let Err(fault) = vacuum.await {
            tracing::warn!(?fault, "the credentials' table was not vacuumed");
        }
    }
    Ok(changed)
}
