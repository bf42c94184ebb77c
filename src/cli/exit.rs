//! How a command ends: the exit codes that scripts rely on, and the sentence that goes with a bad one.

use crate::{app, config::ConfigError, hub::HubError};
use atshub_actors::ports::{BrokerError, StoreError};
use std::{fmt::Display, process::ExitCode};

/// Exit codes. Part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All of it is done.
    Done = 0,
    /// It was tried and did not succeed.
    Failed = 1,
    /// It was called off: interrupted, or not confirmed.
    Cancelled = 2,
    /// Some of it is done; what is not was said, with the reason of each.
    Partly = 3,
    /// A credential or role does not allow it.
    NotAllowed = 4,
    /// What it is about does not exist.
    NotFound = 5,
    /// It was asked for wrongly: an unknown command, option, setting or value. Nothing was tried.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Its exit code.
    pub exit: Exit,
    /// What went wrong.
    pub text: String,
    /// What to do next.
    pub next: Option<String>,
}

/// How a command ended.
pub type Ended = Result<Exit, Stop>;

impl Stop {
    /// It did not succeed.
    pub fn failed(text: impl Display) -> Self {
        Self { exit: Exit::Failed, text: text.to_string(), next: None }
    }

    /// It was asked for wrongly.
    pub fn usage(text: impl Display) -> Self {
        Self { exit: Exit::Usage, text: text.to_string(), next: None }
    }

    /// It does not exist.
    pub fn not_found(text: impl Display) -> Self {
        Self { exit: Exit::NotFound, text: text.to_string(), next: None }
    }

    /// It is not allowed.
    pub fn not_allowed(text: impl Display) -> Self {
        Self { exit: Exit::NotAllowed, text: text.to_string(), next: None }
    }

    /// With what to do next.
    #[must_use]
    pub fn next(mut self, text: impl Display) -> Self {
        self.next = Some(text.to_string());
        self
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        let next = matches!(error, StoreError::Away(_)).then(|| "`atshub check store` says what is wrong with the way there".to_owned());
        Self { next, ..Self::failed(error) }
    }
}

impl From<BrokerError> for Stop {
    fn from(error: BrokerError) -> Self {
        let next = matches!(error, BrokerError::Away(_)).then(|| "`atshub check broker` says what is wrong with the way there".to_owned());
        Self { next, ..Self::failed(error) }
    }
}

impl From<app::AppError> for Stop {
    fn from(error: app::AppError) -> Self {
        match error {
            app::AppError::Address(error) => Self::usage(error),
            app::AppError::SealKey(error) => Self::usage(error),
            app::AppError::OtherKey(error) => Self::usage(error),
            app::AppError::Hub(error @ HubError::OtherStore(_)) => Self::usage(error),
            error @ app::AppError::Setting { .. } => {
                Self::usage(error).next("`atshub config check` prints the settings in force, and where they come from")
            }
            other => Self::failed(other).next("`atshub config check` prints the settings in force, and where they come from"),
        }
    }
}

impl From<ConfigError> for Stop {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}
