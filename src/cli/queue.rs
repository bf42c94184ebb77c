//! `atshub queue`: the hub's queues at the broker.

use super::{
    exit::{Ended, Exit, Stop},
    out::Listing,
    session::{ANSWER, Session},
};
use crate::ats;
use atshub_actors::ports::{Broker, QueueInfo, TenantRecord};
use atshub_schemas::topology;
use clap::Subcommand;
use tokio::time::timeout;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the queues, with what waits in them
    List,
}

/// Lists.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let Verb::List = verb;
    let tenants = session.store().await?.tenants().await?;
    let broker = session.broker().await?;
    let queues = look(broker.as_ref(), &names(&tenants)).await?;
    let mut listing =
        Listing::new(&["queue", "ready", "unacked", "consumers"], "no queues yet; they are declared when the hub starts (`atshub serve`)");
    for queue in queues {
        listing.row(vec![queue.name.into(), queue.ready.into(), queue.unacked.into(), queue.consumers.into()]);
    }
    session.out.list(&listing)?;
    Ok(Exit::Done)
}

/// Asks the broker, within a limit.
pub(super) async fn look(broker: &dyn Broker, names: &[String]) -> Result<Vec<QueueInfo>, Stop> {
    match timeout(ANSWER, broker.queues(names)).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(Stop::failed(format!("the broker did not answer within {} s", ANSWER.as_secs()))),
    }
}

/// The queues that there should be.
fn names(tenants: &[TenantRecord]) -> Vec<String> {
    let shared = [topology::INVITES, topology::NOTICES, topology::RESULTS, topology::DEAD, topology::UNROUTED].map(str::to_owned);
    let own = tenants.iter().flat_map(|tenant| {
        let commands = ats::entry(&tenant.ats).is_some_and(|entry| entry.delegates).then(|| topology::commands_queue(&tenant.name));
        [Some(topology::tenant_queue(&tenant.name)), commands].into_iter().flatten()
    });
    shared.into_iter().chain(own).collect()
}
