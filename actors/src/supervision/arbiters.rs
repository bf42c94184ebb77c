//! The threads that children live on: a fixed number, children spread over them by name.

use actix_rt::{Arbiter, ArbiterHandle};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A fixed set of arbiters.
#[derive(Debug)]
pub struct Arbiters {
    arbiters: Vec<Arbiter>,
}

impl Arbiters {
    /// Starts so many threads, at least one.
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self { arbiters: (0..count.max(1)).map(|_| Arbiter::new()).collect() }
    }

    /// The arbiter of a child; the same name always gets the same one.
    #[must_use]
    pub fn of(&self, name: &str) -> ArbiterHandle {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let index = (hasher.finish() % self.arbiters.len() as u64) as usize;
        self.arbiters[index].handle()
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
    }
}
