//! Whether those who call tenants' doors can be known as their ATS: counted here, and told to the store now and then, where all processes
//! and the command line find it. Bounded by the tenants that there are.

use super::Shared;
use atshub_actors::ports::{Callers, Door, Store, StoreError};
use atshub_schemas::TenantName;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often what has changed is told.
const EVERY: Duration = Duration::from_secs(2);
/// How often what all processes have told of doors with refusals is looked at.
const LOOK: Duration = Duration::from_secs(10);
/// How old what is told of known callers may be, where nothing was refused: a busy door is no reason to write every time.
const OLD: SignedDuration = SignedDuration::from_secs(60);

/// What came since it was last told.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    fresh: BTreeMap<(TenantName, Door), Callers>,
    /// Up to when known callers were told.
    told: BTreeMap<(TenantName, Door), Timestamp>,
    /// Doors of which refusals stand in the store, as far as this process knows.
    refused: BTreeSet<(TenantName, Door)>,
    /// Doors of which this process has said that the secret is wrong.
    said: BTreeSet<(TenantName, Door)>,
    /// When what stands in the store was last looked at.
    looked: Option<Instant>,
}

impl Inner {
    /// Whether what stands in the store of the doors with refusals is to be looked at now.
    fn looks(&mut self) -> bool {
        let looks = !self.refused.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= LOOK);
        if looks {
            self.looked = Some(Instant::now());
        }
        looks
    }

    /// What is remembered of the doors of tenants that are gone is nothing to those of a new tenant of the name.
    fn keep(&mut self, all: &[Callers]) {
        let there: BTreeSet<_> = all.iter().map(|callers| (callers.tenant.clone(), callers.door)).collect();
        self.refused.retain(|door| there.contains(door));
        self.said.retain(|door| there.contains(door));
    }
}

impl Tally {
    /// A caller was known as the ATS.
    pub(super) fn known(&self, tenant: &TenantName, door: Door, at: Timestamp) {
        self.with(tenant, door, |callers| callers.known(at));
    }

    /// A caller gave a secret that is not the tenant's.
    pub(super) fn refused(&self, tenant: &TenantName, door: Door, at: Timestamp) {
        self.with(tenant, door, |callers| callers.refused(at));
    }

    fn with(&self, tenant: &TenantName, door: Door, change: impl FnOnce(&mut Callers)) {
        let mut inner = self.lock();
        change(inner.fresh.entry((tenant.clone(), door)).or_insert_with(|| Callers::none(tenant.clone(), door)));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be told now.
    fn due(&self) -> Vec<Callers> {
        let mut inner = self.lock();
        let Inner { fresh, told, refused, .. } = &mut *inner;
        let due = |callers: &Callers| {
            let key = (callers.tenant.clone(), callers.door);
            let old = |known: Timestamp| told.get(&key).is_none_or(|at| known.duration_since(*at).abs() >= OLD);
            callers.refused > 0 || refused.contains(&key) || callers.known_at.is_some_and(old)
        };
        let due: Vec<_> = fresh.extract_if(.., |_, callers| due(callers)).map(|(_, callers)| callers).collect();
        for callers in &due {
            if let Some(known) = callers.known_at {
                told.insert((callers.tenant.clone(), callers.door), known);
            }
        }
        due
    }

    /// It was not told: it counts for the next time, before what has come since.
    fn back(&self, due: Vec<Callers>) {
        let mut inner = self.lock();
        for before in due {
            let key = (before.tenant.clone(), before.door);
            inner.told.remove(&key);
            match inner.fresh.get_mut(&key) {
                None => {
                    inner.fresh.insert(key, before);
                }
                Some(since) if since.known_at.is_none() => {
                    since.known_at = before.known_at;
                    since.refused += before.refused;
                    since.refused_since = before.refused_since.or(since.refused_since);
                    since.refused_at = since.refused_at.or(before.refused_at);
                }
                Some(_) => {}
            }
        }
    }

    /// Tells what is due, and says once in the log what became of a door.
    async fn tell(&self, store: &dyn Store) -> Result<(), StoreError> {
        let due = self.due();
        if !due.is_empty() {
            let doors = due.iter().map(|callers| (callers.tenant.clone(), callers.door)).collect::<Vec<_>>();
            if let Err(error) = store.tell_callers(due.clone()).await {
                self.back(due);
                return Err(error);
            }
            self.lock().refused.extend(doors);
        }
        // Those that others have heard of count too: a caller that is known at another process takes the refusals here back. One look for all
        // doors, now and then: strangers decide how many doors they try.
        if self.lock().looks() {
            let all = store.callers(None).await?;
            self.lock().keep(&all);
            all.iter().for_each(|callers| self.say(callers));
        }
        Ok(())
    }

    fn say(&self, callers: &Callers) {
        let (mut inner, key) = (self.lock(), (callers.tenant.clone(), callers.door));
        if !inner.refused.contains(&key) {
            return;
        }
        match callers.trouble() {
            Some(trouble) => {
                if inner.said.insert(key) {
                    tracing::warn!(tenant = %callers.tenant, code = trouble.code, "{}", trouble.text);
                }
            }
            None => {
                if callers.refused == 0 {
                    inner.refused.remove(&key);
                }
                if inner.said.remove(&key) {
                    tracing::info!(tenant = %callers.tenant, door = callers.door.as_str(), "callers are known as the ATS again, or its secret was replaced");
                }
            }
        }
    }
}

/// Tells the store, as long as the doors are there.
pub(super) async fn tell(shared: std::sync::Weak<Shared>) {
    loop {
        sleep(EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Err(error) = shared.callers.tell(shared.doors.store.as_ref()).await {
            tracing::debug!(%error, "the store was not told who called; trying again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    fn acme() -> TenantName {
        TenantName::new("acme").unwrap()
    }

    #[test]
    fn known_callers_of_a_busy_door_are_told_once_a_minute_and_refused_ones_at_once() {
        let tally = Tally::default();
        tally.known(&acme(), Door::Hook, at(0));
        assert_eq!(tally.due().len(), 1);
        tally.known(&acme(), Door::Hook, at(59));
        assert_eq!(tally.due(), []);
        tally.known(&acme(), Door::Hook, at(60));
        assert_eq!(tally.due()[0].known_at, Some(at(60)));
        tally.refused(&acme(), Door::Hook, at(61));
        let due = tally.due();
        assert_eq!((due[0].known_at, due[0].refused, due[0].refused_since), (None, 1, Some(at(61))));
    }

    #[test]
    fn what_was_not_told_is_told_with_what_came_since() {
        let tally = Tally::default();
        tally.known(&acme(), Door::Hook, at(0));
        tally.refused(&acme(), Door::Hook, at(1));
        let due = tally.due();
        tally.refused(&acme(), Door::Hook, at(2));
        tally.back(due);
        let due = tally.due();
        let callers = &due[0];
        assert_eq!((callers.known_at, callers.refused), (Some(at(0)), 2));
        assert_eq!((callers.refused_since, callers.refused_at), (Some(at(1)), Some(at(2))));
        tally.known(&acme(), Door::Hook, at(3));
        tally.back(due);
        assert_eq!(tally.lock().fresh.values().next().unwrap().refused, 0, "a caller was known since");
    }
}
