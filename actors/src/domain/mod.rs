//! The pure rules: what follows from a fact. No IO, no clock, no randomness; everything comes in as arguments, so that
//! every rule is a table or property test.

mod dossier;
mod invite_error;
mod policy;
mod state;

pub use dossier::{Candidacy, Dossier, Lookup, Snapshot};
pub use invite_error::{InviteError, Remedy};
pub use policy::{Policy, RecruiterSource};
pub use state::State;
