//! Whether this file is the one that was last worked on, or a copy of it.

use super::{connection::Fault, outbox, threads::Kept, words::Micros};
use crate::records::{new_identity, shown_identity, stored};
use atshub_actors::ports::StoreError;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::Path;

/// In a copy: puts what was sent and is not handled among what is to be sent, and answers how many rows; the copy is known then.
pub(super) fn gone_back(connection: &Connection, file: &Path, now: Timestamp) -> Result<Kept<Option<u64>>, Fault> {
    let mark = mark(file)?;
    let known: Option<String> = connection.prepare_cached("select mark from place")?.query_row([], |row| row.get(0)).optional()?;
    if known.as_ref() == Some(&mark) {
        return Ok(Kept::Nothing(None));
    }
    let (Kept::All(again) | Kept::Nothing(again)) = outbox::send_again(connection, None, now)?;
    // A new store has no past that it could have gone back to.
    let went_back = (known.is_some() || again > 0).then(|| Micros(stored(now)));
    let note = "insert into place (only_one, mark, went_back) values (1, ?, ?) \
        on conflict (only_one) do update set mark = excluded.mark, went_back = excluded.went_back";
    connection.prepare_cached(note)?.execute(params![mark, went_back])?;
    Ok(Kept::All(Some(again)))
}

/// A write that changes nothing: a full disk, or a file that may only be read, answers a question well.
pub(super) fn writes(connection: &Connection) -> Result<Kept<()>, Fault> {
    connection.prepare_cached("update place set went_back = went_back")?.execute([])?;
    Ok(Kept::All(()))
}

/// The store's own name, given when it is first asked for.
pub(super) fn identity(connection: &Connection) -> Result<Kept<String>, Fault> {
    let give = "insert into versions (name, value) values ('identity', ?) on conflict do nothing";
    connection.prepare_cached(give)?.execute([new_identity()])?;
    let asked = "select value from versions where name = 'identity'";
    Ok(Kept::All(shown_identity(connection.prepare_cached(asked)?.query_row([], |row| row.get(0))?)))
}

/// When a copy was last found.
pub(super) fn went_back(connection: &Connection) -> Result<Option<Timestamp>, Fault> {
    let found: Option<Option<Micros>> =
        connection.prepare_cached("select went_back from place")?.query_row([], |row| row.get(0)).optional()?;
    Ok(found.flatten().map(|at| at.0))
}

/// A copy has another file number, or is on another device.
fn mark(file: &Path) -> Result<String, Fault> {
    let failed = |e: std::io::Error| Fault(StoreError::Away(format!("`{}` cannot be looked at: {e}", file.display())));
    let about = std::fs::metadata(file).map_err(failed)?;
    #[cfg(unix)]
    let mark = {
        use std::os::unix::fs::MetadataExt as _;
        format!("{}/{}", about.dev(), about.ino())
    };
    #[cfg(not(unix))]
    let mark = format!("{:?}", about.created().ok());
    Ok(mark)
}
