//! Who hears of what is committed: the relay of this process, to which rows are promised before and handed over after, and whoever waits
//! for the bell.

use crate::records::{Rows, stored};
use atshub_actors::ports::{ClaimedRow, Handover};
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Rows that are due later than this ring no bell: the relay looks again before that.
const SOON: SignedDuration = SignedDuration::from_secs(1);

/// Who hears of what is committed.
#[derive(Debug, Clone, Default)]
pub(super) struct Heralds {
    /// Rung for rows that are not handed over.
    pub bell: Arc<Notify>,
    /// The relay of this process, if it takes rows at once.
    pub relay: Arc<Mutex<Option<Handover>>>,
}

impl Heralds {
    pub(super) fn relay(&self) -> Option<Handover> {
        self.relay.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Promises rows to the relay that are due at once.
pub(super) fn promise(relay: &Handover, rows: &mut Rows) {
    let until = rows.received.checked_add(relay.lease).ok().map(stored);
    for row in rows.outbox.iter_mut().filter(|row| row.not_before.is_none()) {
        row.claimed_until = until.filter(|_| relay.takes(row.is_invitation()));
    }
}

/// Until when what was promised of a change is claimed.
pub(super) fn promised_until(rows: &Rows) -> Option<Timestamp> {
    rows.outbox.iter().find_map(|row| row.claimed_until)
}

/// Hands over what was promised of a change, or gives it up. True: somebody has to be told of the other rows.
pub(super) fn tell(relay: Option<&Handover>, rows: &Rows, numbers: Option<&[i64]>) -> bool {
    let mut others = false;
    for (place, row) in rows.outbox.iter().enumerate() {
        let number = numbers.and_then(|numbers| numbers.get(place).copied());
        match (relay.filter(|_| row.claimed_until.is_some()), number) {
            (Some(relay), Some(number)) => relay.hand(ClaimedRow {
                row: number,
                exchange: row.exchange.clone(),
                routing_key: row.routing_key.clone(),
                message_id: row.message_id.clone(),
                body: row.body.clone().into(),
                kept: true,
            }),
            (Some(relay), None) => relay.give_up(row.is_invitation()),
            (None, number) => others |= number.is_some() && row.not_before.is_none_or(|at| at <= rows.received + SOON),
        }
    }
    others
}
