//! The hub's own events, for dashboards and alerts: outbox rows on `atshub.lifecycle`, written in the change that they tell of
//! where there is one. No candidate data; nobody has to listen.

use crate::{
    phase::Phase,
    ports::{OutboxRow, Parked},
};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message, MessageId, TenantName,
    lifecycle::{MessageParked, PhaseChange},
    topology,
};
use jiff::Timestamp;
use std::sync::Arc;

/// `source` of the hub's own messages.
pub(crate) const SOURCE: &str = "/atshub";

/// A tenant's actor changed phase.
pub(crate) fn phase(tenant: &TenantName, from: Phase, to: Phase, generation: u64, cause: &str, at: Timestamp) -> Option<OutboxRow> {
    let change = PhaseChange { from: line(from.as_str())?, to: line(to.as_str())?, generation, cause: line(cause)? };
    row(tenant, Message::PhaseChanged(change), at)
}

/// A message was parked. `None` if its tenant or its id could not be read: then nobody could do anything with the event.
#[must_use]
pub fn parked(parked: &Parked) -> Option<OutboxRow> {
    let tenant = TenantName::new(parked.tenant.clone()?).ok()?;
    let event = MessageParked { message_id: MessageId::new(parked.message_id.clone()?).ok()?, code: line(&parked.code)? };
    row(&tenant, Message::MessageParked(event), parked.at)
}

fn row(tenant: &TenantName, message: Message, at: Timestamp) -> Option<OutboxRow> {
    let mut envelope = Envelope::new(line(SOURCE)?, tenant.clone(), at, message);
    envelope.subject = ExternalId::new(format!("tenant/{tenant}")).ok();
    let routing_key = envelope.routing_key();
    Some(OutboxRow { exchange: topology::LIFECYCLE.into(), routing_key, envelope: Arc::new(envelope), not_before: None, key: None })
}

/// A sentence as a line: what no line takes is left out, and the rest of a long one.
fn line(text: &str) -> Option<Line> {
    Line::tamed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_no_line_is_told_as_far_as_it_can_be() {
        let acme = TenantName::new("acme").unwrap();
        let cause = format!("told\nto panic {}", "x".repeat(5_000));
        let row = phase(&acme, Phase::Running, Phase::BackingOff, 3, &cause, Timestamp::UNIX_EPOCH).unwrap();
        let Message::PhaseChanged(change) = &row.envelope.message else { panic!("{row:?}") };
        assert!(change.cause.as_str().starts_with("told to panic xxx"));
        assert_eq!(row.routing_key, "acme.tenant.phase_changed.v1");
    }
}
