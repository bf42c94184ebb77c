//! Counts of what came to the doors and how it ended. Labels are codes of the program, never what somebody sent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Door and outcome → count.
#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl Counters {
    /// One more.
    pub(super) fn count(&self, door: &'static str, outcome: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((door, outcome)).or_default() += 1;
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
