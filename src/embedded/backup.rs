//! Copies of the embedded files, taken while a hub works on them: both as they were at one moment, so that they fit together. A copy says
//! of itself that it is one, so that the hub that starts on it looks for what happened since. The sealing key is not copied: whoever
//! has the store and the key has the credentials.

use rusqlite::{Connection, OpenFlags, backup::Backup};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The store's file in its folder, and the broker's.
pub(crate) const STORE: &str = "hub.db";
pub(crate) const BROKER: &str = "broker.db";
/// How long a hub may take over what it is writing.
const BUSY: Duration = Duration::from_secs(8);

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What is there is not written over.
    #[error("`{}` exists, and nothing is written over", .0.display())]
    Exists(PathBuf),
    /// There is nothing to copy.
    #[error("there is no `{}`", .0.display())]
    NotThere(PathBuf),
    /// A file could not be read.
    #[error("failed to copy `{}`: {source}", file.display())]
    Copy {
        /// Which.
        file: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The folder could not be made.
    #[error("failed to make `{}`: {source}", folder.display())]
    Make {
        /// Which.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Copies the store of this folder, and the broker of this one, into a new folder. Answers with the copies and their sizes.
///
/// # Errors
/// [`BackupError`]; nothing is left behind then.
pub fn backup(store: &Path, broker: Option<&Path>, to: &Path) -> Result<Vec<(PathBuf, u64)>, BackupError> {
    let make = |source| BackupError::Make { folder: to.to_owned(), source };
    if fs::symlink_metadata(to).is_ok() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let files: Vec<(PathBuf, &str)> =
        [Some((store.join(STORE), STORE)), broker.map(|folder| (folder.join(BROKER), BROKER))].into_iter().flatten().collect();
    if let Some((file, _)) = files.iter().find(|(file, _)| !file.is_file()) {
        return Err(BackupError::NotThere(file.clone()));
    }
    let beside = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(beside).map_err(make)?;
    // Closed to others; under its own name only when it is whole.
    let partial = tempfile::Builder::new().prefix(".atshub-backup-").tempdir_in(beside).map_err(make)?;
    for (moment, (file, name)) in at_one_moment(&files)?.iter().zip(&files) {
        let failed = |source| BackupError::Copy { file: file.clone(), source };
        copy(moment, &partial.path().join(name), *name == STORE).map_err(failed)?;
    }
    fs::rename(partial.path(), to).map_err(make)?;
    // Its name is gone: there is nothing left to tidy up.
    let _moved = partial.keep();
    fs::File::open(beside).and_then(|folder| folder.sync_all()).map_err(make)?;
    files
        .iter()
        .map(|(_, name)| {
            let copy = to.join(name);
            let size = fs::metadata(&copy).map_err(make)?.len();
            Ok((copy, size))
        })
        .collect()
}

/// A connection to each of the files that reads it as it is at one moment, at which nobody writes to any of them.
fn at_one_moment(files: &[(PathBuf, &str)]) -> Result<Vec<Connection>, BackupError> {
    let open = |file: &Path| -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    let each = |work: &dyn Fn(&Path) -> rusqlite::Result<Connection>| -> Result<Vec<Connection>, BackupError> {
        files.iter().map(|(file, _)| work(file).map_err(|source| BackupError::Copy { file: file.clone(), source })).collect()
    };
    let writers = each(&|file| {
        let writer = open(file)?;
        writer.execute_batch("begin immediate")?;
        Ok(writer)
    })?;
    let readers = each(&|file| {
        let reader = open(file)?;
        reader.execute_batch("begin; select count(*) from sqlite_schema")?;
        Ok(reader)
    })?;
    // Nothing was written; whoever waited goes on, and the readers do not see it.
    drop(writers);
    Ok(readers)
}

fn copy(from: &Connection, to: &Path, is_store: bool) -> rusqlite::Result<()> {
    own(to).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(Box::new(cause)))?;
    let mut copy = Connection::open(to)?;
    Backup::new(from, &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    let marked = "select exists (select 1 from sqlite_schema where name = 'place')";
    if is_store && copy.query_row(marked, [], |row| row.get(0))? {
        copy.execute_batch("update place set mark = 'a copy'")?;
    }
    // One file each, whole by itself.
    copy.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    copy.close().map_err(|(_, cause)| cause)
}

/// Readable by its owner alone: it holds names and addresses of candidates.
fn own(file: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}
