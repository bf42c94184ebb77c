//! That one hub runs on a folder, and no second: a lock on a file, that the system gives up with the process, however it ends. The
//! command line opens the same folder beside a hub and takes no such lock.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// The lock's file.
const LOCK: &str = "hub.lock";

/// The lock, for as long as this is kept.
#[derive(Debug)]
pub struct Alone {
    _held: File,
}

impl Alone {
    /// Takes it; `None` if another process has it. The folder is made if it is not there.
    ///
    /// # Errors
    /// If the folder or the file cannot be made.
    pub fn in_folder(folder: &Path) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(folder)?;
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(folder.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _held: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}
