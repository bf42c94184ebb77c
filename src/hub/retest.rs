//! A tenant that is paused because its ATS does not accept the credential has the credential tested again by itself: with one call, after a
//! while, then now and then, and at once when it was changed. Accepted, the tenant goes on.

use super::{Parts, directory::Directory, seats::Seat};
use atshub_actors::{
    failure::Failure,
    ports::{Connector, Standing, StoreError, TenantRecord},
};
use atshub_schemas::TenantName;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;

/// Longest wait for the ATS's answer.
const ANSWER: Duration = Duration::from_secs(30);

/// A pause that comes so soon after the configuration was changed may be for the credential before.
const LATE: Duration = Duration::from_secs(60);

/// The tests that are under way, and what changed.
#[derive(Default)]
pub(super) struct Retests(Mutex<HashMap<TenantName, Tested>>);

struct Tested {
    revision: u64,
    /// When the configuration became another one, until a test of that has begun.
    renewed: Option<Instant>,
    under_way: bool,
}

/// Whether the hub itself paused this tenant, for its credential.
pub(super) fn is_paused_for_credential(record: &TenantRecord) -> bool {
    record.standing == Standing::Paused && !record.is_stopped_by_operator()
}

impl Retests {
    /// Whether a test of this tenant's credential is to begin now. It is under way from then on.
    fn begin(&self, seat: &Seat, until: Timestamp, now: Timestamp) -> bool {
        let mut tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = tests.get_mut(&seat.record.name).filter(|known| !known.under_way) else { return false };
        let renewed = known.renewed.take().is_some_and(|at| at.elapsed() < LATE);
        known.under_way = until <= now || renewed;
        known.under_way
    }

    fn over(&self, tenant: &TenantName) {
        let mut tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tests.get_mut(tenant) {
            known.under_way = false;
        }
    }

    /// Remembers which configurations have changed, and forgets tenants that are gone.
    pub(super) fn see(&self, seats: &BTreeMap<TenantName, Arc<Seat>>) {
        let mut tests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tests.retain(|name, _| seats.contains_key(name));
        for (name, seat) in seats {
            let new = Tested { revision: seat.revision, renewed: None, under_way: false };
            let known = tests.entry(name.clone()).or_insert(new);
            if known.revision != seat.revision {
                (known.revision, known.renewed) = (seat.revision, Some(Instant::now()));
            }
        }
    }
}

impl Directory {
    /// Begins the tests that are due, of this process's tenants. They run beside: one ATS that is slow holds up no other's.
    pub(super) fn retest(self: &Arc<Self>) {
        let (seats, now) = (self.seats(), self.parts().clock.now());
        for seat in seats.values().filter(|seat| is_paused_for_credential(&seat.record) && self.owns(&seat.record.name)) {
            let Some(until) = seat.record.until else { continue };
            if let Ok(connector) = &seat.connector
                && self.retests().begin(seat, until, now)
            {
                let under_way = UnderWay { directory: Arc::clone(self), record: Arc::clone(&seat.record) };
                let connector = Arc::clone(connector);
                self.parts().io.spawn(async move {
                    let UnderWay { directory, record } = &under_way;
                    if let Err(error) = test(directory.parts(), &*connector, record, until).await {
                        tracing::warn!(tenant = %record.name, %error, "failed to store what became of a test of the credential; trying again");
                    }
                });
            }
        }
    }
}

/// A test that is under way. Over when it is dropped, however that comes.
struct UnderWay {
    directory: Arc<Directory>,
    record: Arc<TenantRecord>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.directory.retests().over(&self.record.name);
    }
}

/// Asks the ATS, once, and stores what follows, unless somebody has changed the tenant's standing meanwhile.
async fn test(parts: &Parts, connector: &dyn Connector, record: &TenantRecord, until: Timestamp) -> Result<(), StoreError> {
    let (tenant, policy) = (&record.name, parts.options.gate);
    let answer = timeout(ANSWER, connector.test()).await.unwrap_or_else(|_| Err(Failure::transient("no answer in time")));
    let wait = match answer {
        Ok(_) => {
            if parts.store.end_standing(tenant, until).await? {
                tracing::info!(%tenant, "the ATS accepts the credential; the tenant goes on");
            }
            return Ok(());
        }
        Err(Failure::Unauthorized { .. }) => policy.retest_every,
        // It says nothing of the credential.
        Err(_) => policy.first_retest,
    };
    let next = SignedDuration::try_from(wait).ok().and_then(|wait| parts.clock.now().checked_add(wait).ok()).unwrap_or(Timestamp::MAX);
    let Some(found) = parts.store.tenants().await?.into_iter().find(|found| found.name == *tenant) else { return Ok(()) };
    if found.until == Some(until) && is_paused_for_credential(&found) && found.unreadable.is_none() {
        let version = found.version;
        // False: somebody was faster, and knows better.
        parts.store.put_tenant(TenantRecord { until: Some(next), ..found }, Some(version)).await?;
    }
    Ok(())
}
