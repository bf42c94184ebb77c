//! Opening the file, and what its errors mean. Knows the schema's versions, and none of its tables.

use super::searched;
use crate::{
    embedded::{backup::STORE, damage::told},
    records::{LEAST_SCHEMA, Schema},
};
use atshub_actors::ports::StoreError;
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use rusqlite_migration::{M, Migrations};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long to wait for another process that writes: the command line beside the running hub.
pub(super) const BUSY: Duration = Duration::from_secs(8);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 128;

const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("migrations/1_rail.sql")),
    M::up(include_str!("migrations/2_processes.sql")),
    M::up(include_str!("migrations/3_turns.sql")),
    M::up(include_str!("migrations/4_waiting.sql")),
    M::up(include_str!("migrations/5_reports.sql")),
    M::up(include_str!("migrations/6_search.sql")),
    M::up(include_str!("migrations/7_clocks.sql")),
    M::up(include_str!("migrations/8_callers.sql")),
    M::up(include_str!("migrations/9_stood.sql")),
];

/// Why a piece of work failed.
#[derive(Debug)]
pub(super) struct Fault(pub StoreError);

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        // A constraint's message names columns, never values.
        let text = told(&error);
        Self(match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory,
            ) => StoreError::Away(text),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => StoreError::Refused(text),
            Some(_) => StoreError::Broken(text),
            None => match error {
                // Of a value that is not what its column holds only the column is told.
                rusqlite::Error::FromSqlConversionFailure(column, ..)
                | rusqlite::Error::IntegralValueOutOfRange(column, _)
                | rusqlite::Error::InvalidColumnType(column, ..)
                | rusqlite::Error::Utf8Error(column, _) => {
                    StoreError::Unreadable(format!("column {column} of a row does not hold what it should"))
                }
                _ => StoreError::Broken(text),
            },
        })
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        fault.0
    }
}

/// The file of a folder, made if it is not there, readable by its owner alone.
pub(super) fn file(folder: &Path) -> Result<PathBuf, StoreError> {
    let failed = |e: std::io::Error| StoreError::Broken(format!("`{}` cannot be used: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let path = folder.join(STORE);
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&path).map_err(failed)?;
    Ok(path)
}

/// A connection that writes, with the schema brought up to date; without a path, in memory.
pub(super) fn writing(path: Option<&Path>) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, Fault> {
        let mut connection = path.map_or_else(Connection::open_in_memory, Connection::open)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        if path.is_some() {
            pragma(&connection, "journal_mode", "wal")?;
        }
        // A commit is on the disk when it answers, and what was deleted is overwritten: credentials are among it.
        pragma(&connection, "synchronous", "full")?;
        pragma(&connection, "secure_delete", "on")?;
        // Taken first, so that of two processes one migrates and the other finds it done.
        migrate(&mut connection)?;
        searched::fill(&mut connection)?;
        Ok(connection)
    };
    open().map_err(StoreError::from)
}

/// A connection that only reads.
pub(super) fn reading(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, Fault> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        pragma(&connection, "query_only", "on")?;
        Ok(connection)
    };
    open().map_err(StoreError::from)
}

fn pragma(connection: &Connection, name: &str, value: &str) -> Result<(), Fault> {
    // Some pragmas answer with a row, some with none.
    connection.pragma_update_and_check(None, name, value, |_| Ok(())).or_else(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        other => Err(Fault::from(other)),
    })
}

fn migrate(connection: &mut Connection) -> Result<(), Fault> {
    let migrations = Migrations::from_slice(MIGRATIONS);
    let failed = |e: rusqlite_migration::Error| Fault(StoreError::Broken(format!("the schema cannot be brought up to date: {e}")));
    let pending = migrations.pending_migrations(connection).map_err(failed)?;
    if pending < 0 {
        let known = i64::try_from(MIGRATIONS.len()).ok();
        let least: Option<i64> = connection.query_row(LEAST_SCHEMA, [], |row| row.get(0)).optional()?;
        return match Schema::of(known.map(|known| known - i64::from(pending)), known, least) {
            Schema::TooNew => Err(Fault(StoreError::Broken(Schema::TOO_NEW.into()))),
            _ => Ok(()),
        };
    }
    if pending == 0 {
        return Ok(());
    }
    if let Err(error) = migrations.to_latest(connection) {
        // Another process may have been faster.
        if migrations.pending_migrations(connection).map_err(failed)? != 0 {
            return Err(failed(error));
        }
    }
    Ok(())
}
