//! Whether this database is the one that was last worked on, or one that was restored from a dump or a base backup, or a copy that
//! took over: then it may be older than what the broker, the ATSs and the platform know.

use super::{
    connection::{Database, Fault},
    outbox::send_again_within,
};
use crate::records::{new_identity, shown_identity, stored};
use deadpool_postgres::Object;
use futures_util::FutureExt;
use jiff::Timestamp;
use std::time::Duration;

/// All of what was sent within the retention may have to be looked through.
const PATIENCE: Duration = Duration::from_secs(300);
/// Another server, another table (a dump makes it anew), another history of the same server (a restored base backup, a copy that took
/// over).
const HERE: &str = "select (select system_identifier from pg_control_system()) || '/' || 'outbox'::regclass::oid || '/' || \
    left(pg_walfile_name(pg_current_wal_lsn()), 8)";
const TABLE: &str = "select 'outbox'::regclass::oid::text";
const KNOWN: &str = "select mark from place for update";
const NOTE: &str = "insert into place (only_one, mark, went_back) values (true, $1, $2) \
    on conflict (only_one) do update set mark = excluded.mark, went_back = excluded.went_back";

/// A write that changes nothing, of one row that nobody waits for: a database that is read-only, full, or held up by its copies answers a
/// question well, and takes nothing.
pub(super) const WRITES: &str = "update place set went_back = went_back";

/// In a store that has gone back: puts what was sent and is not handled among what is to be sent, and answers how many rows; the place
/// is known then.
pub(super) async fn gone_back(database: &Database, now: Timestamp) -> Result<Option<u64>, Fault> {
    database.run_within(PATIENCE, move |connection| look(connection, now).boxed()).await
}

async fn asked(connection: &Object, sql: &str) -> Result<String, Fault> {
    Ok(connection.query_one(&connection.prepare_cached(sql).await?, &[]).await?.try_get(0)?)
}

async fn look(connection: &mut Object, now: Timestamp) -> Result<Option<u64>, Fault> {
    let here: String = match asked(connection, HERE).await {
        // Not every server lets everybody ask for all of that.
        Err(Fault::Lasting(_)) => asked(connection, TABLE).await?,
        here => here?,
    };
    let same = "select exists (select from place where mark = $1)";
    if connection.query_one(&connection.prepare_cached(same).await?, &[&here]).await?.try_get(0)? {
        return Ok(None);
    }
    let transaction = connection.transaction().await?;
    transaction.batch_execute(&format!("set local statement_timeout = {}", PATIENCE.as_millis())).await?;
    // Of two processes one does it.
    let known: Option<String> = transaction.query_opt(KNOWN, &[]).await?.map(|row| row.try_get(0)).transpose()?;
    if known.as_ref() == Some(&here) {
        transaction.rollback().await?;
        return Ok(None);
    }
    let again = send_again_within(&transaction, None, stored(now)).await?;
    // A new store has no past that it could have gone back to.
    let went_back = (known.is_some() || again > 0).then(|| stored(now));
    transaction.execute(NOTE, &[&here, &went_back]).await?;
    transaction.commit().await?;
    Ok(Some(again))
}

/// The store's own name, given when it is first asked for. It is a row, so that a dump keeps it.
pub(super) async fn identity(database: &Database) -> Result<String, Fault> {
    const GIVE: &str = "insert into versions (name, value) values ('identity', $1) on conflict (name) do nothing";
    database
        .run(|connection| {
            async move {
                connection.execute(&connection.prepare_cached(GIVE).await?, &[&new_identity()]).await?;
                let asked = connection.prepare_cached("select value from versions where name = 'identity'").await?;
                Ok(shown_identity(connection.query_one(&asked, &[]).await?.try_get(0)?))
            }
            .boxed()
        })
        .await
}

/// When a store was last found to have gone back.
pub(super) async fn went_back(database: &Database) -> Result<Option<Timestamp>, Fault> {
    database
        .run(|connection| {
            async move {
                let found = connection.query_opt(&connection.prepare_cached("select went_back from place").await?, &[]).await?;
                Ok(found.map(|row| row.try_get(0)).transpose()?.flatten())
            }
            .boxed()
        })
        .await
}
