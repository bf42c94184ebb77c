//! The schema: brought up to date under a lock, so that many processes may try at once. A migration lets the release before work on; one that
//! does not raises `least_schema` (see [`Schema`]) in the same file.

use super::connection::{Database, Fault};
use crate::records::{LEAST_SCHEMA, Schema};
use atshub_actors::ports::StoreError;
use futures_util::FutureExt;
use std::time::Duration;

mod embedded {
    refinery::embed_migrations!("src/postgres/migrations");
}

/// A migration may rewrite tables.
const PATIENCE: Duration = Duration::from_secs(600);
/// Only one process at a time migrates.
const LOCK: i64 = 0x6174_7368_7562_0001;

/// Applies what is missing; answers with the names of what was applied. What a newer release has laid out stays.
pub(super) async fn migrate(database: &Database) -> Result<Vec<String>, Fault> {
    match state(database).await? {
        Schema::Current | Schema::Newer => return Ok(Vec::new()),
        Schema::TooNew => return Err(Fault::Lasting(StoreError::Broken(Schema::TOO_NEW.into()))),
        Schema::Older => {}
    }
    database
        .run_within(PATIENCE, |connection| {
            async move {
                let patience = PATIENCE.as_millis();
                let limits = |limit: u128| {
                    format!(
                        "set statement_timeout = {limit}; set lock_timeout = {limit}; set idle_in_transaction_session_timeout = {limit}"
                    )
                };
                connection.batch_execute(&limits(patience)).await?;
                connection.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
                let client: &mut tokio_postgres::Client = connection;
                let report = embedded::migrations::runner().run_async(client).await;
                connection.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
                connection.batch_execute("reset statement_timeout; reset lock_timeout; reset idle_in_transaction_session_timeout").await?;
                let report = report.map_err(|e| Fault::Lasting(StoreError::Broken(format!("a migration failed: {e}"))))?;
                Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
            }
            .boxed()
        })
        .await
}

/// How the schema stands to the one that this program was made for.
pub(super) async fn state(database: &Database) -> Result<Schema, Fault> {
    database
        .run(|connection| {
            async move {
                let made: bool =
                    connection.query_one("select to_regclass('refinery_schema_history') is not null", &[]).await?.try_get(0)?;
                if !made {
                    return Ok(Schema::Older);
                }
                let found: Option<i64> =
                    connection.query_one("select max(version)::int8 from refinery_schema_history", &[]).await?.try_get(0)?;
                let known = embedded::migrations::runner().get_migrations().iter().map(|m| i64::from(m.version())).max();
                let least = match found > known {
                    true => connection.query_opt(LEAST_SCHEMA, &[]).await?.map(|row| row.try_get(0)).transpose()?,
                    false => None,
                };
                Ok(Schema::of(found, known, least))
            }
            .boxed()
        })
        .await
}
