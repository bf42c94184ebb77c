//! Supervision of actors that work on deliveries. `actix::Supervisor` is not used: it does not survive a panic, restarts the
//! same broken value, and does so in a tight loop.
//!
//! - [`Supervisor`] is an actor. It makes children from factories, learns of every death, waits, starts the next
//!   generation, or sets the child aside.
//! - [`Lifeline`] is a field of each child; its drop is the report of the death, so that no way of dying is missed.
//! - [`Token`] travels with each delivery; using it up is the acknowledgement, dropping it is "not done".
//! - A dispatcher per child stands between broker and child and outlives the child's generations: it holds what a dead
//!   child did not begin, and hands it to the next.
//! - [`Lanes`] run a child's work: one message per application at a time, each inside a guard that ties a panic to it.
//! - [`WorkActor`] is a child: lanes and a [`Workload`], whatever the work is.

mod arbiters;
mod backoff;
mod board;
mod deliver;
mod dispatcher;
mod fairness;
mod guard;
mod intake;
mod lanes;
mod lifeline;
mod notice;
mod pulse;
#[cfg(test)]
mod races;
mod rehearsal;
mod spec;
mod supervisor;
#[cfg(test)]
mod tests;
mod token;
mod watchdog;
mod worker;

pub use crate::{
    phase::{PHASES, Phase, Step},
    shown::{BreakerSnapshot, BreakerState, ChildSnapshot, Restart, Trouble},
};
pub use arbiters::ThreadSnapshot;
pub use backoff::{Intensity, RestartPolicy, Verdict as RestartVerdict, delay};
pub use board::{Board, Changes};
pub use deliver::Deliver;
pub use fairness::Share;
pub use intake::{Intake, Work, Works};
pub use lanes::{Lanes, Workload};
pub use lifeline::{Birth, Lifeline, Link};
pub use notice::ChildName;
pub use rehearsal::Rehearsal;
pub use spec::{Action, ChildSpec, Control, Factory, LaneOf, LastWords, Relinquish, Roster, Shutdown};
pub use supervisor::{Supervisor, SupervisorOptions};
pub use token::Token;
pub use worker::WorkActor;
