//! A request's body that asks at the last moment whether it may still be sent: when the connection takes it, right before it is
//! written. Between the decision to call and that moment a whole process may stand still (SIGSTOP, a hanging machine) while
//! another one does its work. A request of which only the head went out is none: its length says that something is missing.

use atshub_actors::lease::Lease;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// Why a body was not sent.
#[derive(Debug, thiserror::Error)]
#[error("it was not sent: this process may not act any more")]
pub(super) struct Lapsed;

/// The bytes, as long as the lease holds.
pub(super) struct LeasedBody {
    pub(super) bytes: Bytes,
    pub(super) lease: Lease,
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = Lapsed;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Lapsed>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.lease.holds() {
            return Poll::Ready(Some(Err(Lapsed)));
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
