//! The rail: what waits to be sent, messages and timers alike, as the relay sees it.
//!
//! - A row is handed out by [`Rail::claim`] when due, to one claimer at a time, oldest first; if it is not reported as sent within the
//!   lease, it is handed out again.
//! - A row with a key takes the place of the tenant's row with that key that waits; one that is taken back is not handed out any more.
//!   What is on its way to the broker then may still go out: what it asks for is looked at again by the work that gets it.

use super::{handover::Fresh, records::ClaimedRow, store::StoreError};
use async_trait::async_trait;
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// What waits to be sent: messages and timers.
#[async_trait]
pub trait Rail: Send + Sync + 'static {
    /// Hands out up to `limit` outbox rows that are due, for `lease`; up to `invites` of them for the shared queue of invitations.
    /// Those take turns: a tenant that asks for many at once does not stand before one that asks for one. A crash of the store may
    /// forget this and [`Rail::sent`]: the rows are handed out once more.
    async fn claim(&self, now: Timestamp, limit: usize, invites: usize, lease: Duration) -> Result<Vec<ClaimedRow>, StoreError>;

    /// From here on, rows that are due at once and that this process commits come to the caller without being asked for, while it
    /// [takes them](Fresh::open): claimed for `lease`, in the order of their commits. For one relay of a process; the one before gets
    /// no more. `None`: this store hands out rows only when it is asked.
    fn fresh(&self, lease: Duration) -> Option<Fresh> {
        let _ = lease;
        None
    }

    /// Rows that the broker has confirmed.
    async fn sent(&self, rows: Vec<ClaimedRow>) -> Result<(), StoreError>;

    /// A row that could not be published; it is handed out again from `not_before` on.
    async fn unsent(&self, row: ClaimedRow, not_before: Timestamp, cause: &str) -> Result<(), StoreError>;

    /// The same for many rows, in as few steps as the store can.
    async fn unsent_all(&self, rows: Vec<ClaimedRow>, not_before: Timestamp, cause: &str) -> Result<(), StoreError> {
        for row in rows {
            self.unsent(row, not_before, cause).await?;
        }
        Ok(())
    }

    /// Due time of the earliest row that nobody has claimed.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Rung whenever this process commits an outbox row that is due within a second, and that it does not hand over as
    /// [fresh](Rail::fresh).
    fn outbox_bell(&self) -> Arc<Notify>;

    /// Puts what was sent to this queue and is not handled back among what is to be sent, because the queue had to be made anew and
    /// what was in it is gone. Answers how many rows. Harmless where a message is still on its way: the inbox knows it.
    async fn send_again(&self, queue: &str) -> Result<u64, StoreError>;
}
