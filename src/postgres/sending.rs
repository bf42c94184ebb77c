//! Statements of one transaction that are sent without waiting for one another, and `commit` behind them: one way to the database and
//! back for the whole. Decides nothing: what stands in the way has to fail within the database, or it is committed.

use super::connection::Fault;
use deadpool_postgres::Client;
use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    task::Poll,
};
use tokio::sync::Notify;

/// What is still to be sent before `commit`.
#[derive(Debug, Default)]
pub(super) struct Sending {
    left: AtomicUsize,
    none_left: Notify,
    committing: AtomicBool,
}

/// One statement that is to be sent. Dropped, it is sent, or is not to be.
#[derive(Debug)]
pub(super) struct Sent<'a>(&'a Sending);

impl Sending {
    /// One more.
    pub(super) fn one(&self) -> Sent<'_> {
        self.left.fetch_add(1, Ordering::AcqRel);
        Sent(self)
    }

    async fn all_sent(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            self.none_left.notified().await;
        }
    }

    /// Commits when everything is sent.
    ///
    /// # Errors
    /// [`Fault::Away`] where it is unclear whether it was committed.
    pub(super) async fn commit(&self, client: &Client) -> Result<(), Fault> {
        self.all_sent().await;
        self.committing.store(true, Ordering::Release);
        // An answer from the database is clear; anything else leaves open whether it has committed.
        client
            .batch_execute("commit")
            .await
            .map_err(|e| if e.as_db_error().is_some() { Fault::from(e) } else { Fault::Away(e.to_string()) })
    }

    /// One statement, which is a transaction of its own.
    pub(super) async fn at_once<T>(&self, statement: impl Future<Output = T>) -> T {
        self.committing.store(true, Ordering::Release);
        statement.await
    }

    /// After a fault: whether `commit` was sent. Then the transaction is over, one way or the other.
    pub(super) fn is_committing(&self) -> bool {
        self.committing.load(Ordering::Acquire)
    }
}

impl Sent<'_> {
    /// Waits for an answer to what is sent with the first poll.
    pub(super) async fn after<T>(self, statement: impl Future<Output = T>) -> T {
        let mut statement = pin!(statement);
        let first = poll_fn(|context| Poll::Ready(statement.as_mut().poll(context))).await;
        drop(self);
        match first {
            Poll::Ready(answer) => answer,
            Poll::Pending => statement.await,
        }
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.0.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::pending;

    #[tokio::test]
    async fn commit_follows_the_last_statement_that_is_sent_and_waits_for_no_answer() {
        let sending = Sending::default();
        let (first, second, none) = (sending.one(), sending.one(), sending.one());
        let mut all_sent = Box::pin(sending.all_sent());
        assert!(all_sent.as_mut().now_or_never().is_none());
        let mut unanswered = Box::pin(first.after(pending::<()>()));
        assert!(unanswered.as_mut().now_or_never().is_none());
        drop(none);
        assert!(all_sent.as_mut().now_or_never().is_none(), "one statement is still being prepared");
        let mut unanswered = Box::pin(second.after(pending::<()>()));
        assert!(unanswered.as_mut().now_or_never().is_none());
        assert!(all_sent.now_or_never().is_some());
    }
}
