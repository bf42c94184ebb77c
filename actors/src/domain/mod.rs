//! The pure rules: what follows from a fact. No IO, no clock, no randomness; everything comes in as arguments, so that
//! every rule is a table or property test.

mod answer;
mod ask;
mod decide;
mod dossier;
mod effect;
mod heard;
mod invite_error;
mod policy;
mod state;
#[cfg(test)]
mod tests;
mod verdict;

pub use answer::{interview_changed, invited, inviting, refused, request, resolve_role};
pub use ask::{PHONE_MIN_CHARS, status_as_note};
pub use decide::{Context, Decision, Wanted, correct, decide, wants};
pub use dossier::{Candidacy, Dossier, Lookup, Snapshot};
pub use effect::{Effect, EffectKey};
pub use heard::{Heard, Subject};
pub use invite_error::{InviteError, Remedy};
pub use policy::{Policy, RecruiterSource};
pub use state::{State, TRANSITIONS};
pub use verdict::Verdict;
