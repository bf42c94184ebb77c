//! The wire contract of atshub: the envelope, every message that travels, the catalog that lists them, and the names
//! of exchanges and queues. No IO, no behaviour: what a fact *means* is decided in `atshub-actors`.
//!
//! Start at [`catalog`]: one table, a row per message type. [`Envelope::decode`] is the only way in from bytes, and
//! every refusal it gives carries a stable code and the field it is about.

mod carried;
pub mod catalog;
pub mod command;
pub mod control;
pub mod envelope;
pub mod fact;
pub mod generate;
pub mod internal;
mod json;
pub mod lifecycle;
pub mod refusal;
pub mod samples;
pub mod shape;
pub mod text;
pub mod topology;
mod unread;

pub use carried::Carried;
pub use catalog::{Entry, Family, Message};
pub use envelope::{CONTENT_TYPE, Envelope, MAX_BYTES};
pub use refusal::{Refusal, RefusalCode};
pub use text::{Email, ExternalId, Line, Link, MessageId, Prose, TenantName};
pub use unread::Unread;
