//! An ATS that somebody else's program speaks to: the bridge publishes facts, and performs write-backs that it gets as
//! commands. So this connector calls nobody.

mod connector;
mod entry;

pub use entry::ENTRY;
