//! The relay: the only publisher. Takes due rows from the outbox, publishes them with confirms, reports them as sent. A row
//! may be published twice (a crash between the two); the inbox on the other side takes it once.
//!
//! The queue of invitations is shared by all tenants, and a queue is first come, first served: only as much is put into it as
//! will soon be taken. The others wait in the store, which hands them out by turns, so that one tenant's thousands are not
//! in front of another's one.

use atshub_actors::ports::{Broker, BrokerHealth, ClaimedRow, Clock, Publication, PublishError, Store};
use atshub_schemas::{CONTENT_TYPE, topology};
use futures_util::{
    FutureExt,
    future::{BoxFuture, OptionFuture, try_join_all},
};
use jiff::SignedDuration;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Rows in one window of outstanding confirms.
const WINDOW: usize = 512;
/// How long a row is ours before another relay may take it. Longer than a confirm may take.
const LEASE: Duration = Duration::from_secs(20);
/// Longest sleep: another process may have written a row, and its bell does not ring here.
const NAP: Duration = Duration::from_millis(500);
/// Invitations that wait in their shared queue at most, per relay: enough to keep those busy who take them until the next look,
/// few enough that whoever comes next hardly waits.
pub const AHEAD: usize = 16;
/// Between two looks at a full queue of invitations.
const LOOK: Duration = Duration::from_millis(20);
/// Wait for a row that no queue takes, or that the broker refused.
const UNROUTABLE_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// Wait for a row while the broker is away.
const AWAY_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// Runs until it is dropped.
pub async fn run(store: Arc<dyn Store>, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>) {
    let bell = store.outbox_bell();
    let mut health = broker.health();
    let (mut room, mut looked, mut look) = (0, None::<Instant>, None::<BoxFuture<'_, usize>>);
    loop {
        // While the broker is away nothing is claimed: the rows wait where they are, and cost nobody a lease.
        while matches!(&*health.borrow_and_update(), BrokerHealth::Down { .. }) {
            if health.changed().await.is_err() {
                return;
            }
        }
        let rung = bell.notified();
        // Only invitations wait for a broker that takes its time to say how many there are.
        if room == 0 && look.is_none() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            look = Some(room_for_invites(&*broker).boxed());
        }
        if let Some(found) = look.as_mut().and_then(FutureExt::now_or_never) {
            (room, looked, look) = (found, Some(Instant::now()), None);
        }
        match round(&*store, &*broker, &*clock, &mut room).await {
            Ok(0) => {
                let nap = if room == 0 && look.is_none() { LOOK } else { nap(&*store, &*clock).await };
                let looking = OptionFuture::from(look.as_mut());
                tokio::select! {
                    Some(found) = looking => (room, looked, look) = (found, Some(Instant::now()), None),
                    _ = tokio::time::timeout(nap, rung) => {}
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the relay waits for the store");
                tokio::time::sleep(NAP).await;
            }
        }
    }
}

/// How long nothing can be due, as far as this process knows.
async fn nap(store: &dyn Store, clock: &dyn Clock) -> Duration {
    match store.next_due().await {
        Ok(Some(due)) => Duration::try_from(due.duration_since(clock.now())).unwrap_or(Duration::from_millis(1)).min(NAP),
        _ => NAP,
    }
}

/// How many more invitations the shared queue is to hold. A broker that does not say is asked again: nothing is lost by waiting.
async fn room_for_invites(broker: &dyn Broker) -> usize {
    match broker.queues(&[topology::INVITES.to_owned()]).await {
        Ok(found) => AHEAD.saturating_sub(found.iter().map(|queue| usize::try_from(queue.ready).unwrap_or(usize::MAX)).sum()),
        Err(error) => {
            tracing::debug!(%error, "the broker does not say how many invitations wait");
            0
        }
    }
}

async fn round(
    store: &dyn Store,
    broker: &dyn Broker,
    clock: &dyn Clock,
    room: &mut usize,
) -> Result<usize, atshub_actors::ports::StoreError> {
    let rows = store.claim(clock.now(), WINDOW, *room, LEASE).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let count = rows.len();
    *room = room.saturating_sub(rows.iter().filter(|row| row.routing_key == topology::INVITES).count());
    let answers = broker.publish(rows.iter().map(publication).collect()).await;
    let (mut sent, mut unsent, mut away) = (Vec::with_capacity(count), Vec::new(), 0usize);
    for (row, answer) in rows.into_iter().zip(answers) {
        match answer {
            Ok(()) => sent.push(row),
            // The hub's own events are for whoever listens; nobody has to.
            Err(PublishError::Unroutable { .. }) if row.exchange == topology::LIFECYCLE => sent.push(row),
            Err(error) => {
                let wait = match &error {
                    PublishError::Away(_) => AWAY_WAIT,
                    PublishError::Unroutable { .. } | PublishError::Refused(_) => UNROUTABLE_WAIT,
                };
                away += usize::from(matches!(error, PublishError::Away(_)));
                if !matches!(error, PublishError::Away(_)) {
                    tracing::warn!(exchange = row.exchange, routing_key = row.routing_key, %error, "a message could not be published; trying again later");
                }
                let (not_before, cause) = (clock.now() + wait, error.to_string());
                unsent.push(async move { store.unsent(row, not_before, &cause).await });
            }
        }
    }
    if away > 0 {
        tracing::warn!(rows = away, "the broker is away; the rows wait in the outbox");
    }
    if !sent.is_empty() {
        store.sent(sent).await?;
    }
    try_join_all(unsent).await?;
    Ok(count)
}

fn publication(row: &ClaimedRow) -> Publication {
    Publication {
        exchange: row.exchange.clone(),
        routing_key: row.routing_key.clone(),
        message_id: row.message_id.clone(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: row.body.clone(),
    }
}
