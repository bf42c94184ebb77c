//! Lets go of what its time is over for: history and candidates, what was written for tenants after they were removed, and what waits for
//! tenants that have been disabled for longer than history is kept.

use super::{Directory, HubOptions, seats::inbox};
use atshub_actors::ports::{Broker, BrokerError, Standing, Store, StoreError};
use atshub_schemas::TenantName;
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};

/// How often. The partitions of the days to come are made at the same times.
const SWEEP: Duration = Duration::from_secs(3600);

/// Does so, for ever.
pub(super) async fn run(directory: Arc<Directory>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let parts = directory.parts();
        let now = parts.clock.now();
        if let Err(error) = let_go(&*parts.store, now, &parts.options).await {
            tracing::warn!(%error, "failed to drop old history; trying again");
        }
        for tenant in long_disabled(&directory, before(now, parts.options.retention)) {
            match empty(&*parts.broker, &tenant).await {
                Ok(0) => {}
                Ok(dropped) => {
                    tracing::warn!(%tenant, dropped, "the tenant has been disabled for longer than history is kept: what waited in its queue is dropped");
                }
                Err(error) => tracing::warn!(%tenant, %error, "failed to empty the queue of a disabled tenant; trying again"),
            }
        }
    }
}

/// In the store.
pub(super) async fn let_go(store: &dyn Store, now: Timestamp, options: &HubOptions) -> Result<(), StoreError> {
    let history = before(now, options.retention);
    store.sweep(now, history, before(now, options.candidates)).await?;
    let rows = store.forget_removed(history).await?;
    if rows > 0 {
        tracing::info!(rows, "what was left of tenants that are gone, or disabled for long, is deleted");
    }
    Ok(())
}

/// This process's tenants that have been disabled since then.
fn long_disabled(directory: &Directory, since: Timestamp) -> Vec<TenantName> {
    let disabled = directory.all().into_iter().filter(|seat| seat.record.standing == Standing::Disabled && seat.record.updated_at < since);
    disabled.map(|seat| seat.record.name.clone()).filter(|tenant| directory.owns(tenant)).collect()
}

/// Makes a tenant's queue anew if something waits in it; answers how much. Nobody consumes from it while its tenant is disabled.
async fn empty(broker: &dyn Broker, tenant: &TenantName) -> Result<u64, BrokerError> {
    let queue = inbox(tenant);
    let ready = broker.queues(std::slice::from_ref(&queue.name)).await?.first().map_or(0, |queue| queue.ready);
    if ready > 0 {
        broker.delete(&queue.name).await?;
        broker.declare(queue).await?;
    }
    Ok(ready)
}

fn before(now: Timestamp, retention: Duration) -> Timestamp {
    SignedDuration::try_from(retention)
        .ok()
        .and_then(|span| now.checked_sub(span).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .max(Timestamp::UNIX_EPOCH)
}
