//! What is shown of a child and of the hosts that it calls: values that the supervisor makes, the store keeps, and everybody reads.

use crate::phase::Phase;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How calls to one host are going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// The host is taken to be away: no calls are made, what waits goes back to the schedule.
    Open,
    /// One call is made, to see.
    HalfOpen,
    /// The host asked for a pause, or does not accept the credential; it is left alone for a while.
    Limited,
}

impl BreakerState {
    /// The word, as shown to people and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Limited => "limited",
        }
    }
}

/// A breaker, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerSnapshot {
    /// What it guards: `ats`, or `platform/` and the account's name.
    pub host: String,
    /// How calls are going.
    pub state: BreakerState,
    /// Since when.
    pub since: Timestamp,
    /// When the next call may be made, unless calls are made.
    pub next_call: Option<Timestamp>,
    /// Calls in the window, and those that failed.
    pub calls: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// What the last failed one said.
    pub last_error: Option<String>,
    /// Why no calls are made, as a stable code: `host_away`, `rate_limited` or `unauthorized`. `None` while calls are made.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What keeps a tenant's work from being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Stable code: `credential_refused`, `platform_credential_refused`, `ats_down`, `platform_down` or `rate_limited_until`.
    pub code: &'static str,
    /// One sentence: the cause, and what to do next.
    pub text: String,
}

impl BreakerSnapshot {
    /// What it means for a tenant that no calls are made. `None` while they are, or for a while that nobody has to care about.
    #[must_use]
    pub fn trouble(&self, tenant: &str) -> Option<Trouble> {
        let error = self.last_error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let next = self.next_call.map(|at| format!("; next call at {at:.0}")).unwrap_or_default();
        let account = self.host.strip_prefix("platform/");
        let host = account.map_or_else(|| "the ATS".to_owned(), |account| format!("the platform (account `{account}`)"));
        let (code, text) = match (self.reason.as_deref()?, account) {
            ("unauthorized", Some(account)) => (
                "platform_credential_refused",
                format!(
                    "{host} does not accept the token{error}: nobody is invited; `atshub platform add {account} … --token-file <file>` sets another one, and what waits is done"
                ),
            ),
            ("unauthorized", None) => (
                "credential_refused",
                format!(
                    "{host} does not accept the credential{error}; `atshub tenant set-key {tenant} --key-file <file>` replaces it{next}"
                ),
            ),
            ("rate_limited", _) => ("rate_limited_until", format!("{host} asked for a pause{next}; what waits is done then")),
            (_, account) => (
                if account.is_some() { "platform_down" } else { "ats_down" },
                format!("{host} is taken to be away{error}{next}; what waits is done when it answers"),
            ),
        };
        Some(Trouble { code, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_work_from_being_done_is_one_sentence_with_its_next_step() {
        let at: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
        let shown = |host: &str, reason: Option<&str>| BreakerSnapshot {
            host: host.into(),
            state: BreakerState::Limited,
            since: at,
            next_call: Some(at),
            calls: 1,
            failed: 1,
            last_error: Some("answered with 401".into()),
            reason: reason.map(str::to_owned),
        };
        for (host, reason, code, words) in [
            ("platform/main", "unauthorized", "platform_credential_refused", "`atshub platform add main … --token-file <file>`"),
            ("ats", "unauthorized", "credential_refused", "`atshub tenant set-key acme --key-file <file>`"),
            ("platform/main", "host_away", "platform_down", "(account `main`) is taken to be away (answered with 401); next call at 2026"),
            ("ats", "host_away", "ats_down", "the ATS is taken to be away"),
            ("ats", "rate_limited", "rate_limited_until", "asked for a pause; next call at 2026-11-30T10:00:00Z"),
        ] {
            let trouble = shown(host, Some(reason)).trouble("acme").unwrap();
            assert!(trouble.code == code && trouble.text.contains(words), "{trouble:?}");
        }
        assert_eq!(shown("ats", None).trouble("acme"), None);
    }
}

/// A death or a restart of a child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// When.
    pub at: Timestamp,
    /// The generation that ended.
    pub generation: u64,
    /// Stable code: `panic`, `stopped`, `frozen`, `no_progress`, `operator`.
    pub code: String,
    /// The cause, as a sentence.
    pub cause: String,
}

/// One child, as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildSnapshot {
    /// Its name, for example `tenant/acme`.
    pub name: String,
    /// What it is doing.
    pub phase: Phase,
    /// Why, unless it is running.
    pub cause: Option<String>,
    /// Which start this is, from 1.
    pub generation: u64,
    /// Restarts since it was last healthy.
    pub restarts: u32,
    /// The newest deaths and restarts, oldest first.
    pub history: Vec<Restart>,
    /// When it is started again, while it backs off.
    pub next_start: Option<Timestamp>,
    /// Deliveries in hand.
    pub in_hand: usize,
    /// When the oldest of them came.
    pub oldest: Option<Timestamp>,
    /// When the last delivery came.
    pub last_in: Option<Timestamp>,
    /// When the last delivery was done.
    pub last_done: Option<Timestamp>,
    /// When the last write into its ATS was done.
    pub last_written: Option<Timestamp>,
    /// The breakers before its hosts.
    pub breakers: Vec<BreakerSnapshot>,
    /// Deliveries done since the hub started.
    pub done: u64,
    /// Messages parked because they crashed the child.
    pub poisoned: u64,
    /// Since when it is held to its share: it would take more, and others are at work.
    #[serde(default)]
    pub held_since: Option<Timestamp>,
}

impl ChildSnapshot {
    /// A child that is about to start: nothing has come to it yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            phase: Phase::Starting,
            cause: None,
            generation: 0,
            restarts: 0,
            history: Vec::new(),
            next_start: None,
            in_hand: 0,
            oldest: None,
            last_in: None,
            last_done: None,
            last_written: None,
            breakers: Vec::new(),
            done: 0,
            poisoned: 0,
            held_since: None,
        }
    }
}
