//! What operators ask of the running hub, on `atshub.control`: every hub process hears it, and the one that runs the tenant does
//! it. What is to outlive the moment stands in the store before it is said here.

use crate::text::Line;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody asks something of a tenant's actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ControlRequest {
    /// What is asked.
    pub action: ControlAction,
    /// Why, in the operator's words.
    pub reason: Line,
    /// Who asks.
    pub by: Line,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::shape::deserialize_optional_time")]
    pub until: Option<Timestamp>,
}

/// What can be asked of a tenant's actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlAction {
    /// Make it anew.
    Restart,
    /// Stop it; its messages stay at the broker.
    Pause,
    /// Let a paused one go on.
    Resume,
    /// Set it aside.
    Quarantine,
    /// Let a quarantined one go on.
    Release,
    /// Finish what is in hand, then pause.
    Drain,
}

/// Somebody wants to see how the hub copes: a fault is to be made on purpose. Done only by processes that allow drills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrillRequest {
    /// Which fault.
    pub fault: DrillFault,
    /// How long it lasts, for faults that last, in seconds.
    #[schemars(range(max = 600))]
    pub seconds: u32,
    /// Who asks.
    pub by: Line,
}

/// A fault made on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillFault {
    /// The tenant's actor panics at its next message, and at every one while the fault lasts.
    TenantPanic,
    /// The tenant's actor blocks its thread at its next message.
    TenantFreeze,
    /// The tenant's ATS does not answer.
    AtsDown,
    /// The tenant's ATS asks for a pause.
    AtsLimited,
    /// The tenant's ATS does not accept the credential.
    KeyRevoked,
    /// The connections to the broker are cut.
    BrokerDrop,
    /// The store does not answer.
    StoreDrop,
}
