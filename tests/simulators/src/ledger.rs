//! What really happened at the simulated outside: an ordered record of effects, for counting from outside the hub. It
//! records what the hub caused, never what a test did through a control handle.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// One effect, as `GET /ledger` shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// What was done: `invitation`, `candidacy_status`, `status`, `note`, `tag`, `field`, `stage`, `assessment`.
    pub kind: String,
    /// To whom: the candidate's e-mail (platform) or the application's id (ATS).
    pub subject: String,
    /// The platform role, where there is one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// What it was set to.
    pub value: Value,
    /// When, by this machine's clock (also on a platform that was aged).
    pub at: Timestamp,
}

/// A shared, ordered record of effects. Clones are the same ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    effects: Arc<Mutex<Vec<Effect>>>,
    grown: Arc<watch::Sender<usize>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { effects: Arc::default(), grown: Arc::new(watch::Sender::new(0)) }
    }
}

impl Ledger {
    /// Notes an effect. For simulators, also those that live elsewhere.
    pub fn record(&self, kind: &str, subject: &str, role: Option<&str>, value: Value) {
        let effect =
            Effect { kind: kind.to_owned(), subject: subject.to_owned(), role: role.map(str::to_owned), value, at: Timestamp::now() };
        let length = {
            let mut effects = self.lock();
            effects.push(effect);
            effects.len()
        };
        self.grown.send_replace(length);
    }

    /// Everything so far, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<Effect> {
        self.lock().clone()
    }

    /// How many effects of one kind there are.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.lock().iter().filter(|effect| effect.kind == kind).count()
    }

    /// Waits until `enough` says so; it is asked at once and after every new effect.
    ///
    /// # Errors
    /// What there was when `limit` ran out.
    pub async fn wait_for(&self, mut enough: impl FnMut(&[Effect]) -> bool, limit: Duration) -> Result<(), Vec<Effect>> {
        let mut grown = self.grown.subscribe();
        let waiting = async {
            loop {
                grown.borrow_and_update();
                if enough(&self.lock()) {
                    return;
                }
                if grown.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        tokio::time::timeout(limit, waiting).await.map_err(|_| self.effects())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Effect>> {
        self.effects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_waiter_is_woken_by_the_effect_it_waits_for() {
        let ledger = Ledger::default();
        let writer = ledger.clone();
        let waiting = tokio::spawn(async move { ledger.wait_for(|effects| effects.len() == 2, Duration::from_secs(30)).await });
        writer.record("note", "a-1", None, json!("one"));
        writer.record("note", "a-1", None, json!("two"));
        assert_eq!(waiting.await.unwrap(), Ok(()));
        assert_eq!(writer.count("note"), 2);
    }

    #[tokio::test]
    async fn a_waiter_that_waits_in_vain_gets_what_there_was() {
        let ledger = Ledger::default();
        ledger.record("invitation", "ada@example.org", Some("1201"), json!({}));
        let left = ledger.wait_for(|effects| effects.len() > 1, Duration::from_millis(5)).await.unwrap_err();
        assert_eq!(left.len(), 1);
        assert_eq!(serde_json::to_value(&left[0]).unwrap()["role"], "1201");
    }
}
