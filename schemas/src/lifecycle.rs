//! The hub's own events, on `atshub.lifecycle`: for dashboards and alerts. No candidate data.

use crate::text::{Line, MessageId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tenant's actor changed phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseChange {
    /// The phase it left.
    pub from: Line,
    /// The phase it is in.
    pub to: Line,
    /// Which start of the actor this is, from 1.
    pub generation: u64,
    /// Why, in a sentence.
    pub cause: Line,
}

/// A message was parked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageParked {
    /// The message.
    pub message_id: MessageId,
    /// The stable code of the reason.
    pub code: Line,
}
