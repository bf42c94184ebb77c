//! What children are doing, told to the store for the command line and the other processes: every second, the rows of the board
//! that have changed. Children at rest are not told of again.

use super::{ownership::View, processes::TENANTS};
use atshub_actors::{
    lease::Lease,
    ports::{Store, StoreError},
    supervision::{Board, ChildSnapshot},
};
use atshub_schemas::TenantName;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use uuid::Uuid;

/// How often changes are told.
const EVERY: Duration = Duration::from_secs(1);
/// Rows told at a time: a busy hub changes thousands a second, and its store has other work.
const ROWS: usize = 500;
/// After the tenants were shared out anew everything is told once more, when the last process has noticed: until then one that
/// has just lost a tenant may still have spoken of it.
const ONCE_MORE: Duration = Duration::from_secs(6);

pub(super) struct Showing {
    pub(super) store: Arc<dyn Store>,
    pub(super) board: Board,
    pub(super) views: watch::Receiver<View>,
    /// What children did before their process stood still is not told afterwards: others may run them.
    pub(super) lease: Lease,
    pub(super) process: Uuid,
    /// Where this process runs. Children that every process has are told of under their name and this.
    pub(super) place: String,
}

impl Showing {
    /// Runs until it is dropped.
    pub(super) async fn run(mut self) {
        let (mut version, mut known, mut again) = (0, BTreeSet::new(), None::<Instant>);
        loop {
            sleep(EVERY).await;
            self.lease.held().await;
            if self.views.has_changed().unwrap_or(false) {
                self.views.mark_unchanged();
                again = Some(Instant::now() + ONCE_MORE);
            }
            if again.is_some_and(|at| Instant::now() >= at) {
                (version, again) = (0, None);
            }
            match self.tell(version, &mut known).await {
                Ok(told) => version = told,
                Err(error) => tracing::debug!(%error, "the store was not told what the children are doing; trying again"),
            }
        }
    }

    /// Tells what has changed after this version of the board; answers with the version that the store knows now.
    async fn tell(&self, version: u64, known: &mut BTreeSet<String>) -> Result<u64, StoreError> {
        let changes = self.board.changes(version, known, ROWS);
        if !changes.gone.is_empty() {
            let names = changes.gone.iter().map(|name| self.shown(name)).collect();
            self.store.hide_children(self.process, names).await?;
            known.retain(|name| !changes.gone.contains(name));
        }
        let view = self.views.borrow().clone();
        let ours = |row: &ChildSnapshot| match row.name.strip_prefix(TENANTS) {
            // One that is only being finished here belongs to whoever has it now.
            Some(tenant) => TenantName::new(tenant).is_ok_and(|tenant| view.owns(&tenant)),
            None => true,
        };
        let rows: Vec<ChildSnapshot> = changes.rows.into_iter().filter(ours).collect();
        if !rows.is_empty() {
            known.extend(rows.iter().map(|row| row.name.clone()));
            let rows = rows.into_iter().map(|row| ChildSnapshot { name: self.shown(&row.name), ..row }).collect();
            self.store.show_children(self.process, rows).await?;
        }
        Ok(changes.version)
    }

    fn shown(&self, name: &str) -> String {
        if name.starts_with(TENANTS) { name.to_owned() } else { format!("{name}@{}", self.place) }
    }
}
