//! The registry of interview platforms. A new one is a folder here and one line in [`REGISTRY`].

pub mod karat;

use crate::{credentials::Secrets, http::Http};
use atshub_actors::ports::{Platform, PlatformAccount};
use std::sync::Arc;

/// All platforms this build knows, by kind.
pub const REGISTRY: &[&Entry] = &[&karat::ENTRY];

/// The row of a platform kind.
#[must_use]
pub fn entry(kind: &str) -> Option<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.kind == kind).copied()
}

/// Makes an adapter, or says which setting or credential it cannot use.
pub type Connect = fn(PlatformAccount, Secrets, Http) -> Result<Arc<dyn Platform>, String>;

/// One platform.
pub struct Entry {
    /// What `platform add --kind` takes.
    pub kind: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// Makes the adapter of one account; its credential is called `token`.
    pub connect: Connect,
}
