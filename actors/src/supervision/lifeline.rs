//! The lifeline: a field of every child whose drop reports the child's death, whatever the cause: a panic in a handler or a
//! future, a stop, an arbiter that is gone before the child was made.

use super::{
    arbiters::Home,
    board::Board,
    notice::{ChildName, Notice},
    pulse::Pulse,
    rehearsal::Stage,
};
use crate::shown::BreakerSnapshot;
use actix_rt::ArbiterHandle;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A child's way to speak to its supervisor.
#[derive(Debug, Clone)]
pub struct Link {
    pub(super) child: ChildName,
    pub(super) generation: u64,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    pub(super) board: Board,
}

impl Link {
    /// The child takes deliveries from now on. To be called in `started`.
    pub fn up(&self) {
        let _ = self.notices.send(Notice::Up { child: self.child.clone(), generation: self.generation });
    }

    /// The child's credential is not accepted: it is to be paused until the credential is changed, or is accepted when it is tested, at
    /// this time for the first time.
    pub fn unauthorized(&self, cause: impl Into<String>, until: Timestamp) {
        let (child, generation, cause) = (self.child.clone(), self.generation, cause.into());
        let _ = self.notices.send(Notice::Unauthorized { child, generation, cause, until });
    }

    /// Something was written into the tenant's ATS.
    pub fn wrote(&self, at: Timestamp) {
        self.board.update(&self.child.0, |row| row.last_written = Some(at));
    }

    /// How calls to a host of this child are going.
    pub fn breaker(&self, breaker: BreakerSnapshot) {
        self.board.update(&self.child.0, |row| match row.breakers.iter_mut().find(|known| known.host == breaker.host) {
            Some(known) => *known = breaker,
            None => row.breakers.push(breaker),
        });
    }

    pub(crate) fn child(&self) -> &ChildName {
        &self.child
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn crashed(&self, cause: String) {
        let _ = self.notices.send(Notice::Crashed { child: self.child.clone(), generation: self.generation, cause });
    }
}

/// Where a child's work is noted while it runs: on its thread's pulse, under its number.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) pulse: Arc<Pulse>,
    pub(super) number: u64,
    pub(super) stage: Stage,
}

/// Reports the end of a generation when it is dropped.
#[derive(Debug)]
pub struct Lifeline {
    link: Link,
    bench: Bench,
}

impl Lifeline {
    pub(super) fn new(link: Link, home: &Home, number: u64, stage: Stage) -> Self {
        Self { link, bench: Bench { pulse: Arc::clone(&home.pulse), number, stage } }
    }

    /// The child's way to speak to its supervisor.
    #[must_use]
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Which start of the child this is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.link.generation
    }

    pub(super) fn bench(&self) -> Bench {
        self.bench.clone()
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let Link { child, generation, notices, .. } = &self.link;
        let _ = notices.send(Notice::Down { child: child.clone(), generation: *generation, panicking: std::thread::panicking() });
    }
}

/// What a factory gets to make a child from.
#[derive(Debug)]
pub struct Birth {
    /// Where it is to live.
    pub arbiter: ArbiterHandle,
    /// To be kept as a field of the child.
    pub lifeline: Lifeline,
}
