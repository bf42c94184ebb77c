//! The lifeline: a field of every child whose drop reports the child's death, whatever the cause: a panic in a handler or a
//! future, a stop, an arbiter that is gone before the child was made.

use super::{
    board::{Board, BreakerSnapshot},
    spec::ChildName,
};
use actix_rt::ArbiterHandle;
use tokio::sync::{mpsc, watch};

/// What children tell their supervisor.
#[derive(Debug)]
pub(super) enum Notice {
    /// The generation is up and takes deliveries.
    Up { child: ChildName, generation: u64 },
    /// The generation is gone.
    Down { child: ChildName, generation: u64, panicking: bool },
    /// A future of the generation panicked; its death follows.
    Crashed { child: ChildName, generation: u64, cause: String },
    /// The credential was refused twice: pause the child, with this cause.
    Unauthorized { child: ChildName, generation: u64, cause: String },
}

/// A child's way to speak to its supervisor.
#[derive(Debug, Clone)]
pub struct Link {
    pub(super) child: ChildName,
    pub(super) generation: u64,
    pub(super) notices: mpsc::UnboundedSender<Notice>,
    pub(super) board: Board,
    /// Closed when the child is let go.
    pub(super) kept: watch::Receiver<()>,
}

impl Link {
    /// Resolves when the child is let go: what it has begun is to be dropped.
    pub(super) async fn let_go(&self) {
        let mut kept = self.kept.clone();
        while kept.changed().await.is_ok() {}
    }

    /// The child takes deliveries from now on. To be called in `started`.
    pub fn up(&self) {
        let _ = self.notices.send(Notice::Up { child: self.child.clone(), generation: self.generation });
    }

    /// The child's credential is not accepted: it is to be paused until somebody changes it.
    pub fn unauthorized(&self, cause: impl Into<String>) {
        let _ = self.notices.send(Notice::Unauthorized { child: self.child.clone(), generation: self.generation, cause: cause.into() });
    }

    /// Something was written into the tenant's ATS.
    pub fn wrote(&self, at: jiff::Timestamp) {
        self.board.update(&self.child.0, |row| row.last_written = Some(at));
    }

    /// How calls to a host of this child are going.
    pub fn breaker(&self, breaker: BreakerSnapshot) {
        self.board.update(&self.child.0, |row| match row.breakers.iter_mut().find(|known| known.host == breaker.host) {
            Some(known) => *known = breaker,
            None => row.breakers.push(breaker),
        });
    }

    pub(super) fn crashed(&self, cause: String) {
        let _ = self.notices.send(Notice::Crashed { child: self.child.clone(), generation: self.generation, cause });
    }
}

/// Reports the end of a generation when it is dropped.
#[derive(Debug)]
pub struct Lifeline(Link);

impl Lifeline {
    pub(super) fn new(link: Link) -> Self {
        Self(link)
    }

    /// The child's way to speak to its supervisor.
    #[must_use]
    pub fn link(&self) -> Link {
        self.0.clone()
    }

    /// Which start of the child this is.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        let Link { child, generation, notices, .. } = &self.0;
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
