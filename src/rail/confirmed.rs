//! What the broker has confirmed, until the store has been told. Nobody waits for that, so that it is told of many at once: a crash before
//! it publishes them twice, as one between publishing and confirming does.

use super::windows::written;
use atshub_actors::ports::{ClaimedRow, StoreError};
use std::{
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// For how long confirmed rows are gathered.
const GATHER: Duration = Duration::from_millis(200);
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

    /// Tells the store, by `sent`, until the end.
    pub(super) async fn tell<F: Future<Output = Result<(), StoreError>>>(&self, sent: impl Fn(Vec<ClaimedRow>) -> F) {
        loop {
            let (rows, ended) = self.take();
            if !rows.is_empty() {
                written(sent(rows).await);
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

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::cell::RefCell;

    fn row(number: i64) -> ClaimedRow {
        let empty = String::new;
        ClaimedRow { row: number, exchange: empty(), routing_key: empty(), message_id: empty(), body: Vec::new().into(), kept: true }
    }

    #[tokio::test]
    async fn what_is_confirmed_within_a_moment_is_told_at_once_and_what_is_left_at_the_end_too() {
        let (confirmed, told, heard) = (Confirmed::default(), RefCell::new(Vec::new()), Notify::new());
        let mut telling = Box::pin(confirmed.tell(|rows| {
            heard.notify_one();
            told.borrow_mut().push(rows.iter().map(|row| row.row).collect::<Vec<_>>());
            std::future::ready(Err(StoreError::Away("for now".into())))
        }));
        assert!(telling.as_mut().now_or_never().is_none(), "nothing yet");
        confirmed.add(vec![row(1)]);
        confirmed.add(vec![row(2), row(3)]);
        assert!(telling.as_mut().now_or_never().is_none());
        assert!(told.borrow().is_empty(), "more may come");
        tokio::select! {
            () = &mut telling => panic!("it has not been told to end"),
            () = heard.notified() => {}
        }
        assert_eq!(*told.borrow(), [[1, 2, 3]]);
        confirmed.add(vec![row(4)]);
        assert!(telling.as_mut().now_or_never().is_none());
        confirmed.end();
        assert!(telling.as_mut().now_or_never().is_some(), "it ends without waiting");
        assert_eq!(*told.borrow(), [vec![1, 2, 3], vec![4]]);
    }

    #[tokio::test]
    async fn many_are_not_gathered_any_longer() {
        let (confirmed, told) = (Confirmed::default(), RefCell::new(0));
        let mut telling = Box::pin(confirmed.tell(|rows| {
            *told.borrow_mut() += rows.len();
            std::future::ready(Ok(()))
        }));
        assert!(telling.as_mut().now_or_never().is_none());
        confirmed.add((0..).map(row).take(ENOUGH).collect());
        assert!(telling.as_mut().now_or_never().is_none());
        assert_eq!(*told.borrow(), ENOUGH);
    }
}
