//! What can happen to the rail, and how much of it there is in the model.

use std::ops::RangeInclusive;

/// Pieces of work, each asked for by the fact of the same number.
pub(super) const WORKS: usize = 3;
/// Keys of effects; works of the same key take each other's place while they wait.
pub(super) const KEYS: usize = 2;
/// Actors that work, each in a process of its own; and relays.
pub(super) const ACTORS: usize = 2;
/// How long a relay has a row, and how long work waits that failed or was put off, in seconds of the model's clock.
pub(super) const RELAY_LEASE: u64 = 30;
pub(super) const RETRY: u64 = 10;
/// How far the clock goes at once.
pub(super) const TICKS: RangeInclusive<u64> = 1..=40;
/// Crashes with a message in hand after which it is set aside.
pub(super) const POISON: u32 = 2;

/// What becomes of an answer of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is heard.
    Heard,
    /// It is lost, and the same is asked again.
    Lost,
    /// Nobody waits for it: the same is asked twice at once.
    Twice,
}

/// What a broker says of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It has it, and the relay writes that down.
    Confirmed,
    /// It has it, and the relay hears nothing, or dies before it writes that down.
    Lost,
    /// It does not have it, and the relay writes that down.
    Refused,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Its work is done.
    Done,
    /// It failed, and is tried again.
    Retry,
    /// It waits through no fault of its own.
    PutOff,
    /// It is set aside.
    Park,
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A fact comes, perhaps once more.
    Fact { work: usize, answer: Answer },
    /// What is asked for under a key and not sent is taken back.
    TakeBack { key: usize, answer: Answer },
    /// Time passes.
    Wait { seconds: u64 },
    /// A relay takes all that is due.
    Claim { relay: usize },
    /// It publishes one of those.
    Publish { relay: usize, row: u32, word: Word },
    /// An actor gets a copy, and begins.
    Take { actor: usize, work: usize, answer: Answer },
    /// Two actors get two copies at once.
    TakeBoth { work: usize },
    /// The lease of the attempt that has a message is over, without a word of its owner.
    Lapse { work: usize },
    /// An actor renews its lease.
    Renew { actor: usize },
    /// An actor does what it is for: looks if that was done before, and does it if not.
    Act { actor: usize },
    /// An actor ends its attempt, and acknowledges, which may be lost.
    Settle { actor: usize, end: End, answer: Answer, acknowledged: bool },
    /// An actor dies with a copy in hand: of that message, which is counted, or of something else.
    Die { actor: usize, counted: bool },
    /// All processes are killed, and a new one begins, the only one on its store.
    Restart,
    /// The broker loses a queue: that of invitations or the tenant's own.
    LoseQueue { invitations: bool },
}

/// Invitations have a queue of their own.
pub(super) fn is_invitation(work: usize) -> bool {
    work % 2 == 1
}
