//! Faults made on purpose, to see how the hub copes: a child is told to go wrong at its next message, or at every one for a
//! while. Nothing here is reached unless an operator asks for a drill, and the hub allows them.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A fault made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rehearsal {
    /// Panic, and panic again at every message within so long.
    Panic(Duration),
    /// Block the thread for so long.
    Freeze(Duration),
}

/// Where a child finds what it is to do wrong. Outlives its generations; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage(Arc<Mutex<Option<Asked>>>);

#[derive(Debug)]
struct Asked {
    rehearsal: Rehearsal,
    at: Instant,
    /// It has gone wrong already.
    done: bool,
}

impl Stage {
    pub(super) fn set(&self, rehearsal: Rehearsal) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Asked { rehearsal, at: Instant::now(), done: false });
    }

    /// What is to go wrong now.
    fn next(&self) -> Option<Rehearsal> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Asked { rehearsal, at, done } = kept.take()?;
        let Rehearsal::Panic(time) = rehearsal else { return Some(rehearsal) };
        let goes_on = at.elapsed() < time;
        if goes_on {
            *kept = Some(Asked { rehearsal, at, done: true });
        }
        (goes_on || !done).then_some(rehearsal)
    }

    /// Goes wrong, if that was asked for.
    pub(super) fn perform(&self) {
        match self.next() {
            None => {}
            Some(Rehearsal::Panic(_)) => {
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
