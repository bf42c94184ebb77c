//! Faults made on purpose, to see how the hub copes: a child is told to go wrong at its next message. Nothing here is reached
//! unless an operator asks for a drill, and the hub allows them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A fault made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// Panic.
    Panic,
    /// Block the thread for so long.
    Freeze(Duration),
}

/// Where a child finds what it is to do wrong. Outlives its generations; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage(Arc<Mutex<Option<Rehearsal>>>);

impl Stage {
    pub(super) fn set(&self, rehearsal: Rehearsal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(rehearsal);
    }

    /// Goes wrong, once, if that was asked for.
    pub(super) fn perform(&self) {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match asked {
            None => {}
            Some(Rehearsal::Panic) => {
                #[expect(clippy::panic, reason = "asked for by an operator, to see what happens")]
                {
                    panic!("a drill: told to panic");
                }
            }
            Some(Rehearsal::Freeze(time)) => {
                #[expect(clippy::disallowed_methods, reason = "asked for by an operator: the arbiter is to stand still")]
                std::thread::sleep(time);
            }
        }
    }
}
