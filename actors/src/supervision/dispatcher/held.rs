//! A delivery in the dispatcher's hands, and how it stands.

use crate::{
    flight::Flights,
    supervision::{
        intake::Work,
        token::{Fenced, Revoke},
    },
};

/// How a held delivery stands.
#[derive(Debug)]
pub(super) enum State {
    /// It waits for a child to give it to.
    Pending,
    /// A generation has it.
    Given { generation: u64, revoke: Revoke },
    /// It was interrupted, and a call of it is still under way: it waits for that.
    Resting,
    /// It crashed its child: that is being counted, or it is being parked.
    Counting,
}

/// A held delivery.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) work: Work,
    pub(super) at: jiff::Timestamp,
    pub(super) lane: String,
    pub(super) state: State,
    /// Deaths of a child with this begun that nothing else was blamed for.
    pub(super) abandoned: u32,
    pub(super) flights: Flights,
    /// It has been given to a child before.
    pub(super) known: bool,
}

impl Held {
    pub(super) fn new(work: Work, at: jiff::Timestamp, lane: String) -> Self {
        Self { work, at, lane, state: State::Pending, abandoned: 0, flights: Flights::default(), known: false }
    }

    pub(super) fn is_given_to(&self, generation: u64) -> bool {
        matches!(self.state, State::Given { generation: given, .. } if given == generation)
    }

    /// Takes it back from a child that has not begun it.
    pub(super) fn take_back_if_waiting(&mut self) {
        if let State::Given { revoke, .. } = &self.state
            && revoke.revoke()
        {
            self.state = State::Pending;
        }
    }

    /// Takes it back from this generation, however far it is. One whose token has ended stays given until its report is here.
    pub(super) fn take_back(&mut self, generation: u64) -> Option<Fenced> {
        match &self.state {
            State::Given { generation: given, revoke } if *given == generation => {
                let fenced = revoke.fence()?;
                self.state = State::Pending;
                Some(fenced)
            }
            _ => None,
        }
    }

    /// Takes it back from whoever has it, for good.
    pub(super) fn let_go(&mut self) {
        if let State::Given { revoke, .. } = &self.state {
            let _ = revoke.fence();
        }
    }
}
