//! The journal: state, inbox, outbox and history, changed together or not at all; and how far the work on a message has come.
//!
//! - [`Journal::commit`] is atomic and durable when it answers: after a kill, all of a change is there or none of it.
//! - A change whose `handled` key is in the inbox already is not applied: [`CommitOutcome::Duplicate`].
//! - A dossier is saved only over the version it was read at, and a live key is held by one candidacy of the tenant:
//!   else [`CommitOutcome::Conflict`], and nothing of the change is applied. Neighbours in the same group are not
//!   affected.
//! - What [`Journal::begin`] counted survives a kill; a message that was handled is not counted as begun again. Of any number of owners
//!   one has a message at a time, until its lease is over; a settlement by an owner that has it no more changes nothing, nor does one
//!   of a message that was handled.

use super::{
    records::{Change, Claim, CommitOutcome, MessageKey, Progress},
    store::StoreError,
};
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

/// What working actors write: changes, and how far the work on a message has come.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Applies a change, atomically and durably.
    async fn commit(&self, change: Change) -> Result<CommitOutcome, StoreError>;

    /// Takes a message for one attempt at its work, durably, and says how far it had come. While an attempt of another owner holds it
    /// under its lease, it is not taken, and not counted. The same claim twice is taken once: its answer may have been lost.
    async fn begin(&self, key: &MessageKey, claim: Claim) -> Result<Progress, StoreError>;

    /// The attempt goes on: its lease begins anew. False: it has the message no more.
    async fn renew(&self, key: &MessageKey, claim: Claim) -> Result<bool, StoreError>;

    /// A hub process begins to work. Of a store that only one process works on, every attempt that is still held is one of a process that
    /// is gone: it is free after `landing`, in which a call that was on its way has ended. Elsewhere each lease ends by itself.
    async fn only_process_begins(&self, landing: Duration) -> Result<(), StoreError> {
        let _ = landing;
        Ok(())
    }

    /// Notes that an actor crashed with this message in hand, which ends the attempt of this owner; answers how often that has happened.
    /// An attempt of another owner, at another copy of the message, goes on.
    async fn crashed(&self, key: &MessageKey, owner: Option<Uuid>, cause: &str) -> Result<u32, StoreError>;
}
