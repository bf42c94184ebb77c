//! The relay: the only publisher. Takes due rows from the outbox, publishes them with confirms, reports them as sent. A row
//! may be published twice (a crash between the two); the inbox on the other side takes it once.
//!
//! The queue of invitations is shared by all tenants, and a queue is first come, first served: only as much is put into it as
//! will soon be taken. The others wait in the store, which hands them out by turns, so that one tenant's thousands are not
//! in front of another's one.

use atshub_actors::ports::{Broker, BrokerHealth, ClaimedRow, Clock, Publication, PublishError, Store, StoreError};
use atshub_schemas::{CONTENT_TYPE, topology};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture, try_join_all},
    stream::FuturesUnordered,
};
use jiff::SignedDuration;
use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Rows in one window of outstanding confirms.
const WINDOW: usize = 512;
/// Windows on their way at once: what is due does not wait for the broker's word on what went before it.
const WINDOWS: usize = 4;
/// How long a row is ours before another relay may take it. Longer than a confirm may take; one that has to wait behind others
/// that long goes twice.
const LEASE: Duration = Duration::from_secs(20);
/// Longest sleep: another process may have written a row, and its bell does not ring here.
const NAP: Duration = Duration::from_millis(500);
/// Invitations that wait in their shared queue at most, per relay: enough to keep those busy who take them until the next look,
/// few enough that whoever comes next hardly waits.
pub const AHEAD: usize = 16;
/// Between two looks: at a full queue of invitations, or for what a round may have left.
const LOOK: Duration = Duration::from_millis(20);
/// Wait for a row that no queue takes, or that the broker refused.
const UNROUTABLE_WAIT: SignedDuration = SignedDuration::from_secs(30);
/// Wait for a row while the broker is away.
const AWAY_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// Runs until it is told to stop: then it publishes one more window, and ends when the broker has answered.
pub async fn run(store: Arc<dyn Store>, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
    let (store, broker, clock) = (&*store, &*broker, &*clock);
    let bell = store.outbox_bell();
    let mut health = broker.health();
    let mut windows = Windows::default();
    let (mut room, mut looked, mut look) = (0, None::<Instant>, None::<BoxFuture<'_, usize>>);
    'until_told: loop {
        // While the broker is away nothing is claimed: the rows wait where they are, and cost nobody a lease.
        while matches!(&*health.borrow_and_update(), BrokerHealth::Down { .. }) {
            let up = async {
                tokio::select! {
                    changed = health.changed() => changed.is_ok(),
                    () = told(&mut stop) => false,
                }
            };
            if !windows.beside(up).await {
                break 'until_told;
            }
        }
        let stopping = *stop.borrow() || stop.has_changed().is_err();
        windows.room_for_one_more().await;
        // Only invitations wait for a broker that takes its time to say how many there are; and it knows of none that is on its way.
        if room == 0 && look.is_none() && !windows.carry_invites() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            look = Some(room_for_invites(broker).boxed());
        }
        if let Some(found) = look.as_mut().and_then(FutureExt::now_or_never) {
            (room, looked, look) = (found, Some(Instant::now()), None);
        }
        let rung = bell.notified();
        let claimed = windows.beside(store.claim(clock.now(), WINDOW, room, LEASE)).await;
        let nap = match claimed {
            Ok(rows) if rows.is_empty() && (room == 0 || stopping) => LOOK,
            Ok(rows) if rows.is_empty() => windows.beside(nap(store, clock)).await,
            Ok(rows) => {
                let (all, invites) = (rows.len(), rows.iter().filter(|row| row.routing_key == topology::INVITES).count());
                room = room.saturating_sub(invites);
                windows.begin(invites, window(store, broker, clock, rows).boxed());
                // One that is not full has left nothing that is due, but for what another process's end set free.
                if all < WINDOW { LOOK } else { Duration::ZERO }
            }
            Err(error) => {
                tracing::warn!(%error, "the relay waits for the store");
                NAP
            }
        };
        if stopping {
            break;
        }
        if !nap.is_zero() {
            let looking = OptionFuture::from(look.as_mut());
            let waiting = async {
                tokio::select! {
                    Some(found) = looking => Some(found),
                    _ = tokio::time::timeout(nap, rung) => None,
                    () = told(&mut stop) => None,
                }
            };
            if let Some(found) = windows.beside(waiting).await {
                (room, looked, look) = (found, Some(Instant::now()), None);
            }
        }
    }
    drop(stop); // it was heard
    windows.end().await;
}

/// Waits until it is to stop: told so, or left alone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Windows on their way: published, not yet answered and written down.
#[derive(Default)]
struct Windows<'a> {
    on_their_way: FuturesUnordered<BoxFuture<'a, (usize, Result<(), StoreError>)>>,
    invites: usize,
}

impl<'a> Windows<'a> {
    /// Does something while they go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(ended) = self.on_their_way.next() => self.ended(ended),
            }
        }
    }

    async fn room_for_one_more(&mut self) {
        while self.on_their_way.len() >= WINDOWS
            && let Some(ended) = self.on_their_way.next().await
        {
            self.ended(ended);
        }
    }

    async fn end(mut self) {
        while let Some(ended) = self.on_their_way.next().await {
            self.ended(ended);
        }
    }

    fn carry_invites(&self) -> bool {
        self.invites > 0
    }

    /// Begins at once, so that what was claimed first is handed to the broker first.
    fn begin(&mut self, invites: usize, window: BoxFuture<'a, Result<(), StoreError>>) {
        self.invites += invites;
        let mut window = async move { (invites, window.await) }.boxed();
        match window.as_mut().now_or_never() {
            Some(ended) => self.ended(ended),
            None => self.on_their_way.push(window),
        }
    }

    fn ended(&mut self, (invites, outcome): (usize, Result<(), StoreError>)) {
        self.invites -= invites;
        // Its rows come again when their lease is over; whoever takes them knows them.
        if let Err(error) = outcome {
            tracing::warn!(%error, "the store does not take down what was published");
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

/// Publishes these rows, and writes down what became of them.
async fn window(store: &dyn Store, broker: &dyn Broker, clock: &dyn Clock, rows: Vec<ClaimedRow>) -> Result<(), StoreError> {
    let answers = broker.publish(rows.iter().map(publication).collect()).await;
    let (mut sent, mut unsent, mut away) = (Vec::with_capacity(rows.len()), Vec::new(), 0usize);
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
    Ok(())
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
