//! A delivery on its way from a child's dispatcher to the child.

use super::{intake::Work, token::Token};
use actix::Message;
use atshub_schemas::Envelope;
use std::sync::Arc;

/// A delivery on its way to a child.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver {
    /// The linear token.
    pub token: Token,
    /// The message.
    pub envelope: Arc<Envelope>,
    /// Queue it came from.
    pub queue: Arc<str>,
    /// True if this process has had it in hand before: the calls it made then have ended.
    pub known: bool,
}

impl Deliver {
    pub(super) fn new(token: Token, work: &Work, queue: &Arc<str>, known: bool) -> Self {
        Self { token, envelope: Arc::clone(&work.envelope), queue: Arc::clone(queue), known }
    }
}
