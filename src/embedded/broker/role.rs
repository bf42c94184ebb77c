//! The right to consume from a folder, which one process has at a time: a lock on a file, that the system gives up with
//! the process, however it ends. Publishing needs no role.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

/// The role of one folder; without a folder (memory) there is nobody to share it with.
pub(super) struct Role {
    path: Option<PathBuf>,
    held: Option<File>,
}

impl Role {
    pub(super) fn of(folder: Option<&Path>) -> Self {
        Self { path: folder.map(|folder| folder.join("broker.lock")), held: None }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.held.is_some() || self.path.is_none()
    }

    /// Takes it if nobody has it.
    pub(super) fn take(&mut self) -> bool {
        let Some(path) = &self.path else { return true };
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        self.held = file.ok().filter(|file| file.try_lock().is_ok());
        self.held.is_some()
    }

    pub(super) fn release(&mut self) {
        // Closing the file gives up the lock.
        self.held = None;
    }
}
