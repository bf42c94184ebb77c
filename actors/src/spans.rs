//! Spans: one for each try at a message, each call, each request at a door, joined by the messages' `traceparent` (W3C Trace Context). They
//! are made only where the program sends them somewhere; else each is nothing, and costs a look at whether it is.

use atshub_schemas::{Envelope, Line};
use std::sync::OnceLock;
use tracing::{Span, field::Empty};

/// What spans are told by, from events.
pub const TARGET: &str = "atshub::span";

/// How a span is joined to others; the program that sends spans knows.
#[derive(Debug, Clone, Copy)]
pub struct Joints {
    /// The span goes on from this `traceparent`.
    pub adopt: fn(&Span, &str),
    /// The `traceparent` of what follows from the span that is entered now.
    pub current: fn() -> Option<String>,
}

static JOINTS: OnceLock<Joints> = OnceLock::new();

/// Spans are made from now on. A second call changes nothing.
pub fn begin(joints: Joints) {
    // Whoever was first stays: one program sends to one place.
    let _ = JOINTS.set(joints);
}

/// A try at a message.
pub(crate) fn of_message(envelope: &Envelope, queue: &str) -> Span {
    let Some(joints) = JOINTS.get() else { return Span::none() };
    let span = tracing::trace_span!(
        target: TARGET,
        "message",
        otel.name = envelope.message.kind(),
        otel.kind = "consumer",
        messaging.system = "rabbitmq",
        messaging.destination.name = queue,
        messaging.message.id = %envelope.id,
        tenant = %envelope.tenant,
        code = Empty,
        error.type = Empty
    );
    if let Some(trace) = &envelope.traceparent {
        (joints.adopt)(&span, trace.as_str());
    }
    span
}

/// A call to an ATS or a platform, by its name.
#[must_use]
pub fn of_call(name: &'static str) -> Span {
    let span = |_| tracing::trace_span!(target: TARGET, "call", otel.name = name, otel.kind = "client", outcome = Empty);
    JOINTS.get().map_or_else(Span::none, span)
}

/// A request at a door: `hook` or `partner`.
#[must_use]
pub fn of_request(door: &'static str, tenant: &str) -> Span {
    let span = |_| tracing::trace_span!(target: TARGET, "request", otel.name = door, otel.kind = "server", tenant, outcome = Empty);
    JOINTS.get().map_or_else(Span::none, span)
}

/// The `traceparent` of what follows from the work that goes on; `None` where no spans are made.
#[must_use]
pub fn traceparent() -> Option<Line> {
    (JOINTS.get()?.current)().and_then(|text| Line::new(text).ok())
}

/// Notes on the span of the work that goes on what became of it.
pub(crate) fn note(code: &str) {
    Span::current().record("code", code);
}

/// Notes on it that the try failed.
pub(crate) fn failed(code: &str) {
    Span::current().record("error.type", code);
}
