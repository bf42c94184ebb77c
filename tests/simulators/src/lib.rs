//! The outside world, for the demonstration and the tests: the interview platform and the ATSs as real HTTP servers that
//! keep state, enforce their own rules and can be told to misbehave.
//!
//! This crate knows nothing of the hub: it depends on no other crate of this workspace, so that what it counts is counted
//! by somebody else. Everything it knows is from `reference/` (the vendors' public documents); what those leave open is a
//! choice, and says so where it is made.

pub mod ashby;
mod faults;
mod ledger;
pub mod platform;
mod server;
mod simulate;

pub use faults::{Fault, Faults};
pub use ledger::{Effect, Ledger};
pub use server::loopback_client;
pub use simulate::{SimulateError, Simulation, simulate};
