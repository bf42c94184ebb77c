//! The hub's one HTTP client: time limits, size limits, TLS provider, its own threads, and the first translation of what
//! can go wrong into a [`Failure`](atshub_actors::failure::Failure).

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http;
