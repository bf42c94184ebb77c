//! What follows from a death, from a child that gets nothing done, and from a thread that stands still.

use super::{Child, Supervisor};
use crate::phase::{Phase, Step};
use crate::shown::Restart;
use crate::supervision::{
    arbiters::Home,
    backoff::Verdict,
    dispatcher::{Abandoned, Order},
    notice::{ChildName, ThreadNumber},
    pulse::NOBODY,
};
use actix::{AsyncContext, Context};
use jiff::SignedDuration;
use std::time::{Duration, Instant};

/// Times a child may make its thread stand still; at the next it is quarantined.
pub(super) const FREEZES: u32 = 1;
/// Threads that stand still and were given up, past which the process ends: it can only lose more of them.
const LOST_THREADS: usize = 8;
/// Deaths and restarts that are shown of a child.
const HISTORY: usize = 10;

impl Supervisor {
    pub(super) fn up(&mut self, name: &ChildName, generation: u64) {
        if let Some(child) = self.children.get_mut(name).filter(|c| c.generation == generation) {
            child.intensity.came_up(Instant::now());
            self.step(name, Step::Started, None);
        }
    }

    /// A generation is gone.
    pub(super) fn down(&mut self, name: &ChildName, generation: u64, panicking: bool, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(name).filter(|c| c.generation == generation && c.alive) else { return };
        child.alive = false;
        let _ = child.orders.send(Order::Down { generation });
        let thread = child.home.as_ref().filter(|home| !home.arbiter.alive()).map(Home::thread);
        let shared = child.spec.tenant.is_none();
        let (code, cause) = match child.crash.take() {
            // Its thread has ended, and every child on it: none of them died of itself.
            _ if thread.is_some_and(|thread| self.arbiters.replace(thread) || !self.arbiters.has(thread)) => {
                if self.step(name, Step::Moved, None).is_some() {
                    self.start(name);
                }
                return;
            }
            Some(cause) if shared => return self.again_at_once(name, "panic", cause, ctx),
            Some(cause) => ("panic", cause),
            None if panicking => ("panic", "a panic outside any message".into()),
            None => ("stopped", "its actor stopped".into()),
        };
        self.died(name, code, cause, ctx);
    }

    /// A generation had work in hand for too long: it is given up, and made anew like one that died.
    pub(super) fn no_progress(&mut self, name: &ChildName, generation: u64, cause: String, ctx: &mut Context<Self>) {
        if self.give_up(name, generation, Abandoned::NoProgress) {
            self.died(name, "no_progress", cause, ctx);
        }
    }

    /// Takes everything back from a generation. False if it was gone before.
    fn give_up(&mut self, name: &ChildName, generation: u64, why: Abandoned) -> bool {
        let Some(child) = self.children.get_mut(name).filter(|c| c.generation == generation && c.alive) else { return false };
        child.alive = false;
        child.orders.send(Order::Abandon { generation, why }).is_ok()
    }

    /// A closed child has nothing in hand any more: a drained one is paused from now on.
    pub(super) fn closed(&mut self, name: &ChildName) {
        // One that was let go on meanwhile has another generation.
        let Some(child) = self.children.get_mut(name).filter(|c| !c.phase.wants_actor()) else { return };
        child.alive = false;
        if child.phase == Phase::Draining && !child.leaving {
            let cause = child.spec.cause.clone();
            if let Some(phase) = self.step(name, Step::Drained, cause.clone()) {
                self.remember(name, phase, cause, None);
            }
        }
    }

    fn died(&mut self, name: &ChildName, code: &str, cause: String, ctx: &mut Context<Self>) {
        let Some(child) = self.children.get_mut(name).filter(|c| !c.leaving) else { return };
        if !child.phase.wants_actor() {
            return;
        }
        let (generation, shared) = (child.generation, child.spec.tenant.is_none());
        let verdict = child.intensity.died(&self.options.restarts, Instant::now(), rand::random_range(0.0..=1.0));
        self.note(name, code, &cause);
        match verdict {
            Verdict::RestartAfter(wait) => self.back_off(name, generation, wait, cause, ctx),
            Verdict::Quarantine if shared => self.back_off(name, generation, self.options.restarts.longest, cause, ctx),
            Verdict::Quarantine => {
                tracing::error!(child = %name, generation, cause, "an actor died once too often and is quarantined");
                let cause = format!("{} restarts did not bring health, last: {cause}", self.options.restarts.restarts);
                self.set_aside(name, Step::GaveUp, cause, None);
            }
        }
    }

    pub(super) fn back_off(&mut self, name: &ChildName, generation: u64, wait: Duration, cause: String, ctx: &mut Context<Self>) {
        tracing::warn!(child = %name, generation, cause, wait_ms = wait.as_millis() as u64, "an actor died; the next generation waits");
        let waiting = name.clone();
        ctx.run_later(wait, move |this, _| this.wait_over(&waiting, generation));
        self.step(name, Step::Died, Some(cause));
        let at = self.options.clock.now() + SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
        self.options.board.update(&name.0, |row| row.next_start = Some(at));
    }

    /// The wait of a generation that died is over; if another has been started since, that wait is nobody's.
    fn wait_over(&mut self, name: &ChildName, generation: u64) {
        if self.children.get(name).is_some_and(|child| child.generation == generation) && self.step(name, Step::WaitOver, None).is_some() {
            self.start(name);
        }
    }

    /// Notes a death or a restart for whoever looks.
    pub(super) fn note(&self, name: &ChildName, code: &str, cause: &str) {
        let Some(child) = self.children.get(name) else { return };
        let restart =
            Restart { at: self.options.clock.now(), generation: child.generation, code: code.to_owned(), cause: cause.to_owned() };
        self.options.board.note(&name.0, restart, HISTORY);
    }

    /// A thread stands still. Its children go on on a fresh one at once; the one that it stands still for gets a thread of its
    /// own, and is set aside if it does it again.
    pub(super) fn stuck(&mut self, thread: ThreadNumber, number: u64, age: Duration, ctx: &mut Context<Self>) {
        if !self.arbiters.replace(thread) {
            return;
        }
        let lives_there = |child: &Child| child.alive && child.home.as_ref().is_some_and(|home| home.thread() == thread);
        let there: Vec<(ChildName, u64)> =
            self.children.iter().filter(|(_, c)| lives_there(c)).map(|(name, child)| (name.clone(), child.generation)).collect();
        // Where nobody was being worked for, it can only be one that is being made.
        let culprit = |child: &Child| if number == NOBODY { child.phase == Phase::Starting } else { child.number == number };
        let (culprits, others): (Vec<_>, Vec<_>) = there.into_iter().partition(|(name, _)| self.children.get(name).is_some_and(culprit));
        tracing::error!(
            thread,
            age_ms = age.as_millis() as u64,
            culprit = culprits.first().map_or("", |(name, _)| &name.0),
            moved = others.len(),
            "a thread stands still; its children go on on a fresh one"
        );
        for (name, generation) in others {
            if self.give_up(&name, generation, Abandoned::Moved) && self.step(&name, Step::Moved, None).is_some() {
                self.start(&name);
            }
        }
        for (name, generation) in culprits {
            self.froze(&name, generation, age, ctx);
        }
        if self.arbiters.lost() > LOST_THREADS {
            let sentence = format!("{} threads stand still for good; this process has to be started anew", self.arbiters.lost());
            tracing::error!(sentence);
            self.options.fatal.send_replace(Some(sentence));
        }
    }

    fn froze(&mut self, name: &ChildName, generation: u64, age: Duration, ctx: &mut Context<Self>) {
        let cause = format!("it made its thread stand still for {} ms", age.as_millis());
        if !self.give_up(name, generation, Abandoned::Froze(cause.clone())) {
            return;
        }
        let Some(child) = self.children.get_mut(name) else { return };
        if child.spec.tenant.is_none() && child.phase == Phase::Running {
            self.arbiters.separate(name);
            return self.again_at_once(name, "frozen", cause, ctx);
        }
        child.frozen += 1;
        if child.frozen > FREEZES && child.spec.tenant.is_some() && child.phase.wants_actor() && !child.leaving {
            self.note(name, "frozen", &cause);
            self.set_aside(name, Step::GaveUp, format!("{cause}, and not for the first time"), None);
            return;
        }
        self.arbiters.separate(name);
        self.died(name, "frozen", cause, ctx);
    }

    /// A thread that stood still goes on: nobody lives there any more.
    pub(super) fn returned(&mut self, thread: ThreadNumber) {
        if self.arbiters.returned(thread) {
            tracing::info!(thread, lost = self.arbiters.lost(), "a thread that stood still goes on, and ends");
        }
    }
}
