//! The threads that children live on: a fixed number that children share, spread by name; and one of its own for each child that
//! made its thread stand still. A thread that stands still is replaced at once; it cannot be ended, only waited for.

use super::{
    notice::{ChildName, ThreadNumber},
    pulse::Pulse,
    watchdog::Watchdog,
};
use actix_rt::{Arbiter, ArbiterHandle};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// A thread that children live on, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSnapshot {
    /// Its number, from 1; one that takes another's place has another number.
    pub number: u64,
    /// Which it is: `shared/1`, or the child that has it for itself.
    pub name: String,
    /// Milliseconds since it last said that it lives.
    pub beat_age_ms: u64,
}

/// The pulses of all threads, for whoever shows them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulses(Arc<Mutex<Vec<Weak<Pulse>>>>);

impl Pulses {
    fn add(&self, pulse: &Arc<Pulse>) {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|known| known.strong_count() > 0);
        pulses.push(Arc::downgrade(pulse));
    }

    pub(super) fn snapshot(&self) -> Vec<ThreadSnapshot> {
        let pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |pulse: Arc<Pulse>| ThreadSnapshot {
            number: pulse.number,
            name: pulse.name.clone(),
            beat_age_ms: u64::try_from(pulse.age().as_millis()).unwrap_or(u64::MAX),
        };
        pulses.iter().filter_map(Weak::upgrade).map(shown).collect()
    }
}

/// A child's place to live.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) arbiter: ArbiterHandle,
    pub(super) pulse: Arc<Pulse>,
}

impl Home {
    pub(super) fn thread(&self) -> ThreadNumber {
        self.pulse.number
    }
}

struct Thread {
    arbiter: Arbiter,
    home: Home,
}

/// All threads.
pub(super) struct Arbiters {
    watchdog: Watchdog,
    pulses: Pulses,
    shared: Vec<Thread>,
    own: HashMap<ChildName, Thread>,
    /// Those that stand still, until they go on.
    lost: Vec<Thread>,
    next: ThreadNumber,
}

impl Arbiters {
    /// Starts so many shared threads, at least one.
    pub(super) fn start(count: usize, watchdog: Watchdog, pulses: Pulses) -> Self {
        let mut arbiters = Self { watchdog, pulses, shared: Vec::new(), own: HashMap::new(), lost: Vec::new(), next: 1 };
        for n in 1..=count.max(1) {
            let thread = arbiters.thread(format!("shared/{n}"));
            arbiters.shared.push(thread);
        }
        arbiters
    }

    fn thread(&mut self, name: String) -> Thread {
        let (arbiter, pulse) = (Arbiter::new(), Arc::new(Pulse::new(self.next, name)));
        self.next += 1;
        arbiter.spawn(Pulse::run(Arc::clone(&pulse)));
        self.watchdog.watch(&pulse);
        self.pulses.add(&pulse);
        let home = Home { arbiter: arbiter.handle(), pulse };
        Thread { arbiter, home }
    }

    /// Where a child lives; the same name always gets the same shared thread.
    pub(super) fn of(&self, child: &ChildName) -> Home {
        if let Some(own) = self.own.get(child) {
            return own.home.clone();
        }
        let mut hasher = DefaultHasher::new();
        child.0.hash(&mut hasher);
        let index = (hasher.finish() % self.shared.len() as u64) as usize;
        self.shared[index].home.clone()
    }

    /// Gives a child a thread of its own.
    pub(super) fn separate(&mut self, child: &ChildName) {
        if !self.own.contains_key(child) {
            let thread = self.thread(child.to_string());
            self.own.insert(child.clone(), thread);
        }
    }

    /// Lets a child live with the others again.
    pub(super) fn rejoin(&mut self, child: &ChildName) {
        if let Some(thread) = self.own.remove(child) {
            thread.arbiter.stop();
        }
    }

    /// A thread stands still, or has ended: a fresh one takes its place. False if it was replaced before.
    pub(super) fn replace(&mut self, number: ThreadNumber) -> bool {
        if let Some(index) = self.shared.iter().position(|thread| thread.home.thread() == number) {
            let fresh = self.thread(self.shared[index].home.pulse.name.clone());
            let old = std::mem::replace(&mut self.shared[index], fresh);
            self.lose(old);
            return true;
        }
        let child = self.own.iter().find(|(_, thread)| thread.home.thread() == number).map(|(child, _)| child.clone());
        let Some(child) = child else { return false };
        let fresh = self.thread(child.to_string());
        if let Some(old) = self.own.insert(child, fresh) {
            self.lose(old);
        }
        true
    }

    /// One that has ended is not lost: there is nothing left of it.
    fn lose(&mut self, thread: Thread) {
        if thread.home.arbiter.alive() {
            self.lost.push(thread);
        }
    }

    /// Whether children are still given to this thread.
    pub(super) fn has(&self, number: ThreadNumber) -> bool {
        self.shared.iter().chain(self.own.values()).any(|thread| thread.home.thread() == number)
    }

    /// A thread that stood still goes on: it ends, because nobody lives there any more. False if it was not lost.
    pub(super) fn returned(&mut self, number: ThreadNumber) -> bool {
        let found = self.lost.iter().position(|thread| thread.home.thread() == number);
        found.map(|index| self.lost.swap_remove(index)).is_some_and(|thread| thread.arbiter.stop())
    }

    /// How many stand still.
    pub(super) fn lost(&self) -> usize {
        self.lost.len()
    }
}

impl Drop for Arbiters {
    fn drop(&mut self) {
        for thread in self.shared.iter().chain(self.own.values()).chain(&self.lost) {
            thread.arbiter.stop();
        }
    }
}
