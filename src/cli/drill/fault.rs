//! The faults that can be asked for: their words, how long they last, and how long the hub may take over them.

use atshub_schemas::control::DrillFault;
use clap::ValueEnum;
use std::time::Duration;

/// A fault, as the command line has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Fault {
    /// The tenant's actor panics at its next message; with `--seconds`, at every one for so long
    TenantPanic,
    /// The tenant's actor blocks its thread at its next message
    TenantFreeze,
    /// The tenant gets 2,000 facts at once
    TenantFlood,
    /// The tenant's ATS does not answer
    AtsDown,
    /// The tenant's ATS asks for a pause
    #[value(name = "ats-429")]
    AtsLimited,
    /// The tenant's ATS does not accept the credential
    KeyRevoked,
    /// The hub's connections to the broker are cut
    BrokerDrop,
    /// The store does not answer the hub
    StoreDrop,
}

impl Fault {
    /// Its word.
    pub(super) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// How long it lasts, unless somebody says otherwise; 0 for those that are over at once.
    pub(super) fn usual_seconds(self) -> u32 {
        match self {
            Self::TenantPanic | Self::TenantFlood | Self::BrokerDrop => 0,
            Self::TenantFreeze | Self::KeyRevoked => 5,
            Self::AtsDown | Self::AtsLimited | Self::StoreDrop => 10,
        }
    }

    /// How long the hub may take to be well again, once the fault is over. An ATS that was away is asked again every half
    /// minute, and what failed before that was noticed is tried again after up to a minute, each time.
    pub(super) fn allowance(self) -> Duration {
        Duration::from_secs(match self {
            Self::TenantPanic | Self::TenantFreeze | Self::BrokerDrop | Self::StoreDrop => 60,
            Self::TenantFlood | Self::KeyRevoked => 120,
            Self::AtsDown | Self::AtsLimited => 180,
        })
    }

    /// The same as a request; `None` for the flood, which needs nobody's help.
    pub(super) fn asked_of_the_hub(self) -> Option<DrillFault> {
        Some(match self {
            Self::TenantFlood => return None,
            Self::TenantPanic => DrillFault::TenantPanic,
            Self::TenantFreeze => DrillFault::TenantFreeze,
            Self::AtsDown => DrillFault::AtsDown,
            Self::AtsLimited => DrillFault::AtsLimited,
            Self::KeyRevoked => DrillFault::KeyRevoked,
            Self::BrokerDrop => DrillFault::BrokerDrop,
            Self::StoreDrop => DrillFault::StoreDrop,
        })
    }

    /// Whether it shows only when something is written into the ATS.
    pub(super) fn is_at_the_ats(self) -> bool {
        matches!(self, Self::AtsDown | Self::AtsLimited | Self::KeyRevoked)
    }
}
