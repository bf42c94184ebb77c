//! What atshub does: supervised tenant actors, invitations, and the pure rules they follow.
//!
//! Knows actix and the schemas. Knows nothing of brokers, databases, HTTP or JSON: those are behind [`ports`], and are
//! joined to this crate in one place, the root package's `app.rs`.

pub mod desk;
pub mod domain;
pub mod failure;
pub mod flight;
pub mod gate;
mod interleaving;
pub mod invite;
pub mod lag;
pub mod lease;
pub mod lifecycle;
pub mod meters;
pub mod phase;
pub mod ports;
pub mod settlement;
pub mod shown;
pub mod spans;
pub mod supervision;
pub mod tenant;
mod turns;
