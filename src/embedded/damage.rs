//! What is said of a file that SQLite cannot make sense of, and the way out.

use rusqlite::{Error, ErrorCode};

/// The words of an error; of a damaged file, with what to do.
pub(super) fn told(error: &Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => format!(
            "{error}: its file is damaged. Stop the hub, keep a copy of the folder as it is, and put the last back-up in its place; \
             `atshub backup` makes them (deploy/README.md, Back-up, and going back)"
        ),
        _ => error.to_string(),
    }
}
