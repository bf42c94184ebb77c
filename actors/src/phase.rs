//! The phases of a child, and the steps between them: one table, from which the diagram in the README is printed.

use serde::{Deserialize, Serialize};

/// What a child is doing, or why it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A generation is being made; deliveries are not handed out yet.
    Starting,
    /// Deliveries are handed out.
    Running,
    /// An operator, or a credential that is not accepted, has stopped it. Its messages stay at the broker.
    Paused,
    /// It died; the next generation waits for its time. What it did not begin is held.
    BackingOff,
    /// It died too often. It needs a person. Its messages stay at the broker. Survives a restart of the hub.
    Quarantined,
    /// No new work is taken; what is in hand is being finished.
    Draining,
    /// Its tenant is switched off.
    Disabled,
}

/// What can happen to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The generation is up.
    Started,
    /// It died, and may be started again.
    Died,
    /// It died once too often.
    GaveUp,
    /// Its wait is over.
    WaitOver,
    /// Somebody, or a refused credential, wants it stopped.
    Pause,
    /// Somebody wants it to go on.
    Resume,
    /// Somebody wants it set aside.
    Quarantine,
    /// Somebody releases it from quarantine.
    Release,
    /// Somebody wants a fresh generation.
    Restart,
    /// No new work, please.
    Drain,
    /// Its tenant was switched off.
    Disable,
    /// Its tenant was switched on.
    Enable,
    /// Nothing is in hand any more.
    Drained,
    /// Its thread stands still, through another child.
    Moved,
}

impl Phase {
    /// The word, as shown to people and stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::BackingOff => "backing_off",
            Self::Quarantined => "quarantined",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }

    /// The phase after a step; `None` if the step means nothing here.
    #[must_use]
    pub fn after(self, step: Step) -> Option<Self> {
        PHASES.iter().find(|(from, by, _)| *from == self && *by == step).map(|(_, _, to)| *to)
    }

    /// Whether a generation is to be there: one that is gone is made anew.
    #[must_use]
    pub fn wants_actor(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }
}

impl Step {
    /// What happened, for whoever gets no better cause.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Started => "it is up",
            Self::Died => "it died",
            Self::GaveUp => "it died once too often",
            Self::WaitOver => "its wait is over",
            Self::Pause => "paused",
            Self::Resume => "somebody let it go on",
            Self::Quarantine => "somebody set it aside",
            Self::Release => "somebody released it",
            Self::Restart => "somebody wants a fresh start",
            Self::Drain => "somebody wants it drained",
            Self::Disable => "its tenant was switched off",
            Self::Enable => "its tenant was switched on",
            Self::Drained => "nothing is in hand any more",
            Self::Moved => "its thread stood still through another tenant",
        }
    }
}

/// Every step there is.
pub const PHASES: &[(Phase, Step, Phase)] = {
    use Phase::{BackingOff, Disabled, Draining, Paused, Quarantined, Running, Starting};
    &[
        (Starting, Step::Started, Running),
        (Starting, Step::Died, BackingOff),
        (Starting, Step::GaveUp, Quarantined),
        (Starting, Step::Pause, Paused),
        (Starting, Step::Quarantine, Quarantined),
        (Starting, Step::Restart, Starting),
        (Starting, Step::Moved, Starting),
        (Starting, Step::Drain, Draining),
        (Starting, Step::Disable, Disabled),
        (Running, Step::Died, BackingOff),
        (Running, Step::GaveUp, Quarantined),
        (Running, Step::Pause, Paused),
        (Running, Step::Quarantine, Quarantined),
        (Running, Step::Restart, Starting),
        (Running, Step::Moved, Starting),
        (Running, Step::Drain, Draining),
        (Running, Step::Disable, Disabled),
        (BackingOff, Step::WaitOver, Starting),
        (BackingOff, Step::Restart, Starting),
        (BackingOff, Step::Pause, Paused),
        (BackingOff, Step::Quarantine, Quarantined),
        (BackingOff, Step::Drain, Draining),
        (BackingOff, Step::Disable, Disabled),
        (Paused, Step::Resume, Starting),
        (Paused, Step::Quarantine, Quarantined),
        (Paused, Step::Disable, Disabled),
        (Quarantined, Step::Release, Starting),
        (Quarantined, Step::Disable, Disabled),
        (Draining, Step::Drained, Paused),
        (Draining, Step::Resume, Starting),
        (Draining, Step::Pause, Paused),
        (Draining, Step::Disable, Disabled),
        (Disabled, Step::Enable, Starting),
    ]
};
