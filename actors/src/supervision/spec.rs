//! What the supervisor is told: which children there should be, and what is asked of one.

use super::{deliver::Deliver, lifeline::Birth, notice::ChildName, rehearsal::Rehearsal};
use crate::{
    phase::Phase,
    ports::{Change, QueueSpec},
};
use actix::{Message, Recipient};
use atshub_schemas::{Envelope, TenantName};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Makes a generation of a child. Called for every start; state comes from the store, never from the generation before.
pub type Factory = Arc<dyn Fn(Birth) -> Recipient<Deliver> + Send + Sync>;

/// Tells which messages are to be worked on one after the other: those with the same lane.
pub type LaneOf = fn(&Envelope) -> String;

/// What else is to be stored when a message is parked because it crashed its actor twice, so that whoever waits for what it was to
/// bring about is told. It runs on a thread of its own: should it panic or stand still too, the message is parked alone. Asked
/// again if what it wants to store has changed meanwhile.
pub type LastWords = Arc<dyn Fn(Arc<Envelope>) -> BoxFuture<'static, Change> + Send + Sync>;

/// What the supervisor needs to run a child.
#[derive(Clone)]
pub struct ChildSpec {
    /// Its name.
    pub name: ChildName,
    /// The tenant it runs, if it runs one: its standing is stored.
    pub tenant: Option<TenantName>,
    /// Another number means another configuration: the child is made anew.
    pub revision: u64,
    /// The queue it works on.
    pub queue: QueueSpec,
    /// Most deliveries in hand.
    pub prefetch: u16,
    /// Which of its messages are worked on one after the other.
    pub lane: LaneOf,
    /// What is stored with a message of its that is parked as poison.
    pub last_words: Option<LastWords>,
    /// The phase it is stored in: [`Phase::Starting`] unless somebody set it aside.
    pub standing: Phase,
    /// The version with which that was stored: what the supervisor stores in its place says so.
    pub stood: u64,
    /// Why, unless it is to run.
    pub cause: Option<String>,
    /// Makes it.
    pub factory: Factory,
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec").field("name", &self.name).field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The children there should be. Those that are not named are drained and let go.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Roster {
    /// The children.
    pub children: Vec<ChildSpec>,
    /// Before their standings were read. What the supervisor has stored since is not undone by them.
    pub read_at: Instant,
}

/// All children are let go at once: what they have begun is dropped where it stands and acknowledged to nobody, because it is
/// not theirs any more. Once this is answered, none of it takes a further step, but for one that is running.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Relinquish;

/// What can be asked of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make it anew.
    Restart,
    /// Stop it; its messages stay at the broker.
    Pause,
    /// Let a paused one go on.
    Resume,
    /// Set it aside.
    Quarantine,
    /// Let a quarantined one go on.
    Release,
    /// Finish what is in hand, then pause.
    Drain,
    /// Go wrong on purpose, at the next message.
    Rehearse(Rehearsal),
}

/// Asks something of a child. The answer is its phase, or why not.
#[derive(Debug, Message)]
#[rtype(result = "Result<Phase, String>")]
pub struct Control {
    /// Which child.
    pub child: ChildName,
    /// What.
    pub action: Action,
    /// Why, in the operator's words.
    pub reason: String,
}

/// Stop intake, finish what is in hand, settle, close; then answer, at the latest after the deadline.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// How long what is in hand may take.
    pub deadline: Duration,
}
