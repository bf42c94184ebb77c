//! `atshub tenant remove`: the tenant, its credentials, all that is kept of it, and its queues.

use crate::cli::{
    exit::{Ended, Exit, Stop},
    live::Live,
    queue::look,
    session::{ANSWER, Session, tenant},
};
use atshub_actors::ports::Broker;
use atshub_schemas::{TenantName, topology};
use jiff::Timestamp;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for hub processes to let go of the tenant: longer than they finish what is in hand.
const LETTING_GO: Duration = Duration::from_secs(40);
/// How long a hub process takes to hear of it at most, and some.
const HEARD: Duration = Duration::from_secs(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Arguments of `tenant remove`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Which tenant
    name: TenantName,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// Removes.
pub(super) async fn run(Args { name, yes }: Args, session: &Session) -> Ended {
    let store = session.store().await?;
    let known = tenant(store.as_ref(), &name).await;
    if !yes {
        known?;
        let candidacies: u64 = store.candidacy_counts(Some(&name)).await?.values().sum();
        let parked: u64 = store.parked_counts(Some(&name)).await?.values().sum();
        let text = format!(
            "tenant `{name}` would be removed for good, with its credentials, its queues and what waits in them, and all that is kept of it: \
             {candidacies} candidacies, {parked} parked messages, its messages and history"
        );
        return Err(Stop { exit: Exit::Cancelled, text, next: None }.next(format!("`atshub tenant remove {name} --yes`")));
    }
    // Before anything is removed: what waits for the tenant is not to be left for another one of its name.
    let broker = session.broker().await?;
    let live = Live::of(store.as_ref(), &name).await?.any();
    let removed = store.remove_tenant(&name).await?;
    if let (Err(stop), false) = (known, removed) {
        broker.close(ANSWER).await;
        return Err(stop);
    }
    let gone = queues(broker.as_ref(), &name, live, session).await;
    broker.close(ANSWER).await;
    // What was in hand has been written down since.
    store.forget_removed(Timestamp::UNIX_EPOCH).await?;
    gone.map_err(|stop| {
        stop.next(format!("the tenant is removed, and its queues may be there still; `atshub tenant add {name} …` begins with new ones"))
    })?;
    session.out.say(format!("tenant `{name}` is removed, with its credentials, its queues, and all that was kept of it"));
    Ok(Exit::Done)
}

/// Removes the tenant's queues, once no hub process consumes from them any more.
async fn queues(broker: &dyn Broker, name: &TenantName, live: bool, session: &Session) -> Result<(), Stop> {
    let inbox = [topology::tenant_queue(name)];
    let progress = session.out.progress(&format!("waiting for hub processes to let go of `{name}`"), None);
    let began = Instant::now();
    while live && began.elapsed() < LETTING_GO {
        let found = look(broker, &inbox).await?;
        if found.iter().all(|queue| queue.consumers == 0 && queue.unacked.unwrap_or(0) == 0) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    delete(broker, name).await?;
    // A hub process that has not heard of the removal yet puts a queue that is missing right: the tenant is unknown to all by then.
    if live {
        tokio::time::sleep(HEARD).await;
        delete(broker, name).await?;
    }
    drop(progress);
    Ok(())
}

/// Deletes a tenant's queues, with what is in them.
pub(super) async fn delete(broker: &dyn Broker, name: &TenantName) -> Result<(), Stop> {
    for queue in [topology::tenant_queue(name), topology::commands_queue(name)] {
        broker.delete(&queue).await?;
    }
    Ok(())
}
