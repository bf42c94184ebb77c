//! What can be said of the hub as a whole: gathered within a short time limit, by one asker at a time, and kept for a moment, so
//! that many watchers cost the store no more than one.

use super::{Shared, answer::TenantRow};
use atshub_actors::{
    ports::{BrokerHealth, ProcessRecord, QueueInfo},
    supervision::{ThreadSnapshot, Trouble},
};
use atshub_schemas::{TenantName, topology};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Mutex, time::timeout};

/// Longest wait for one part.
const PART: Duration = Duration::from_secs(2);
/// How long a status is good for.
const FRESH: Duration = Duration::from_secs(2);
/// How long store and broker are taken to be as they were found.
const WELL: Duration = Duration::from_millis(500);
/// Tenants whose queues are looked at.
const QUEUES: usize = 200;

/// The hub, as it was a moment ago.
#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) store: Result<(), String>,
    pub(super) broker: Result<(), String>,
    pub(super) tenants: Vec<TenantRow>,
    pub(super) queues: Vec<QueueInfo>,
    pub(super) parked: BTreeMap<String, u64>,
    pub(super) candidacies: BTreeMap<String, u64>,
    pub(super) processes: Vec<ProcessRecord>,
    /// What is wrong at tenants' doors, by tenant.
    pub(super) doors: BTreeMap<TenantName, Vec<Trouble>>,
    /// When the earliest message that is to be published is or was due.
    pub(super) next_due: Option<Timestamp>,
    pub(super) restarts: BTreeMap<String, u64>,
    pub(super) threads: Vec<ThreadSnapshot>,
}

/// The last one.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(Instant, Arc<Status>)>>);

/// Whether store and broker are well, when that was last looked at.
#[derive(Debug, Default)]
pub(super) struct Parts(Mutex<Option<(Instant, Wellness)>>);

/// Of store and broker: well, or why not.
type Wellness = (Result<(), String>, Result<(), String>);

/// Whether store and broker are well, at most [`WELL`] ago: each look is a write and a publication, however many watch.
pub(super) async fn parts(shared: &Shared) -> Wellness {
    let mut last = shared.parts.0.lock().await;
    if let Some((at, found)) = &*last
        && at.elapsed() < WELL
    {
        return found.clone();
    }
    let found = tokio::join!(store(shared), broker(shared));
    *last = Some((Instant::now(), found.clone()));
    found
}

/// Whether the store takes a write; else why not.
async fn store(shared: &Shared) -> Result<(), String> {
    match timeout(PART, shared.doors.store.ping()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PART.as_secs())),
    }
}

/// Whether the broker takes publications; else why not.
async fn broker(shared: &Shared) -> Result<(), String> {
    let broker = &shared.doors.broker;
    if let BrokerHealth::Down { cause } = &*broker.health().borrow() {
        return Err(cause.clone());
    }
    match timeout(PART, broker.takes()).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer to a publication within {} s", PART.as_secs())),
    }
}

/// The status, at most [`FRESH`] old.
pub(super) async fn look(shared: &Shared) -> Arc<Status> {
    let mut last = shared.status.0.lock().await;
    if let Some((at, status)) = &*last
        && at.elapsed() < FRESH
    {
        return Arc::clone(status);
    }
    let status = Arc::new(gather(shared).await);
    *last = Some((Instant::now(), Arc::clone(&status)));
    status
}

async fn gather(shared: &Shared) -> Status {
    let doors = &shared.doors;
    let tenants = doors.directory.snapshot();
    let (store, broker) = parts(shared).await;
    let names = queue_names(&tenants);
    let counts = async {
        if store.is_err() {
            return (BTreeMap::new(), BTreeMap::new(), Vec::new(), None, Vec::new());
        }
        let parked = timeout(PART, doors.store.parked_counts(None)).await;
        let candidacies = timeout(PART, doors.store.candidacy_counts(None)).await;
        let processes = timeout(PART, doors.store.processes(doors.alive)).await.ok().and_then(Result::ok).unwrap_or_default();
        let known = |answer: Result<Result<BTreeMap<String, u64>, _>, _>| answer.ok().and_then(Result::ok).unwrap_or_default();
        let next_due = timeout(PART, doors.store.next_due()).await.ok().and_then(Result::ok).flatten();
        let callers = timeout(PART, doors.store.callers(None)).await.ok().and_then(Result::ok).unwrap_or_default();
        (known(parked), known(candidacies), processes, next_due, callers)
    };
    let queues = async {
        if broker.is_err() {
            Vec::new()
        } else {
            timeout(PART, doors.broker.queues(&names)).await.ok().and_then(Result::ok).unwrap_or_default()
        }
    };
    let ((parked, candidacies, processes, next_due, callers), queues) = tokio::join!(counts, queues);
    let (restarts, threads) = (doors.directory.restarts(), doors.directory.threads());
    let mut doors = BTreeMap::<_, Vec<_>>::new();
    for callers in callers {
        if let Some(trouble) = callers.trouble() {
            doors.entry(callers.tenant).or_default().push(trouble);
        }
    }
    Status { store, broker, tenants, queues, parked, candidacies, processes, doors, next_due, restarts, threads }
}

fn queue_names(tenants: &[TenantRow]) -> Vec<String> {
    let shared = [topology::INVITES, topology::NOTICES, topology::RESULTS, topology::DEAD, topology::UNROUTED].map(str::to_owned);
    let own = tenants.iter().filter_map(|row| TenantName::new(row.name.clone()).ok()).take(QUEUES);
    shared.into_iter().chain(own.map(|tenant| topology::tenant_queue(&tenant))).collect()
}
