//! The pure rules: what follows from a fact. No IO, no clock, no randomness; everything comes in as arguments, so that
//! every rule is a table or property test.

mod answer;
mod ask;
mod decision;
mod dossier;
mod effect;
pub mod facts;
mod heard;
mod interview;
mod invitation;
mod invite_error;
mod learn;
mod policy;
mod state;
mod tell;
#[cfg(test)]
mod tests;
mod verdict;
mod versions;

pub use answer::{invited, inviting, not_open, refused, request, resolve_role, still_open, taken_back};
pub use ask::PHONE_MIN_CHARS;
pub use decision::{Context, Decision};
pub use dossier::{Candidacy, Dossier, Ended, Lookup, Page, Snapshot};
pub use effect::{Effect, EffectKey};
pub use heard::{Heard, Subject};
pub use interview::{Interviews, Seen};
pub use invitation::{Invitation, InvitationRequest, PlatformRole};
pub use invite_error::{InviteError, Remedy, UnknownError};
pub use policy::{Policy, RecruiterSource};
pub use state::{State, TRANSITIONS, UnknownState};
pub use tell::{label, status_as_note};
pub use verdict::Verdict;
pub use versions::{Aspect, Mark, Versions};
