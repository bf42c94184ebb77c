//! What the broker has confirmed, until the store has been told. Nobody waits for that, so that it is told of many at once: a crash before
//! it publishes them twice, as one between publishing and confirming does.

use super::windows::written;
use atshub_actors::ports::{ClaimedRow, Rail};
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// For how long confirmed rows are gathered.
const GATHER: Duration = Duration::from_millis(20);
/// At this number they are not.
const ENOUGH: usize = 512;

/// Confirmed rows.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    inner: Mutex<Inner>,
    some: Notify,
    enough: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    rows: Vec<ClaimedRow>,
    ended: bool,
}

impl Confirmed {
    /// These as well.
    pub(super) fn add(&self, rows: Vec<ClaimedRow>) {
        let mut inner = self.inner();
        inner.rows.extend(rows);
        if inner.rows.len() >= ENOUGH {
            self.enough.notify_one();
        }
        if !inner.rows.is_empty() {
            self.some.notify_one();
        }
    }

    /// There will be no more: what is left is told at once.
    pub(super) fn end(&self) {
        self.inner().ended = true;
        self.some.notify_one();
        self.enough.notify_one();
    }

    /// Tells the store until the end.
    pub(super) async fn tell(&self, store: &dyn Rail) {
        loop {
            let (rows, ended) = self.take();
            if !rows.is_empty() {
                written(store.sent(rows).await);
            } else if ended {
                return;
            }
            if ended {
                continue;
            }
            self.some.notified().await;
            let _enough = tokio::time::timeout(GATHER, self.enough.notified()).await;
        }
    }

    fn take(&self) -> (Vec<ClaimedRow>, bool) {
        let mut inner = self.inner();
        (std::mem::take(&mut inner.rows), inner.ended)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
