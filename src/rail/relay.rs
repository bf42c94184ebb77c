//! The relay: the only publisher. Takes due rows from the outbox, publishes them with confirms, reports them as sent. A row
//! may be published twice (a crash between the two); the inbox on the other side takes it once.
//!
//! The queue of invitations is shared by all tenants, and a queue is first come, first served: only as much is put into it as
//! will soon be taken. The others wait in the store, which hands them out by turns, so that one tenant's thousands are not
//! in front of another's one.

use super::{
    ahead::Ahead,
    confirmed::Confirmed,
    lines::{FIRST_WAIT, LineOf, Lines, Turn, line_of},
    windows::{Ended, Windows},
};
use atshub_actors::{
    meters::meters,
    ports::{Broker, BrokerHealth, ClaimedRow, Clock, Publication, PublishError, Rail, StoreError, handover},
};
use atshub_schemas::{CONTENT_TYPE, topology};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, OptionFuture},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Rows in one window of outstanding confirms.
const WINDOW: usize = 512;
/// How long a row is ours before another relay may take it. Longer than a confirm may take; one that has to wait behind others
/// that long goes twice.
const LEASE: Duration = Duration::from_secs(20);
/// Longest sleep: another process may have written a row, and its bell does not ring here.
const NAP: Duration = Duration::from_millis(500);
/// Between two looks: at a full queue of invitations, or for what a round may have left.
const LOOK: Duration = Duration::from_millis(20);
/// How long a relay that is told to stop waits for a row that it was promised.
const OWED: Duration = Duration::from_millis(200);
/// What has no answer after this long holds up no other window.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until it is told to stop: then it publishes what is due once more, and ends when the broker has answered.
pub async fn run(store: Arc<dyn Rail>, broker: Arc<dyn Broker>, clock: Arc<dyn Clock>, mut stop: watch::Receiver<bool>) {
    let (store, broker, clock) = (&*store, &*broker, &*clock);
    // A store that hands out rows only when it is asked: nobody sends on this one.
    let (_nobody, closed) = handover(LEASE);
    let mut fresh = store.fresh(LEASE).unwrap_or(closed);
    let lines = &Lines::default();
    let bell = store.outbox_bell();
    let mut health = broker.health();
    let confirmed = &Confirmed::default();
    let ground = Ground { store, broker, clock, lines, confirmed };
    let mut windows = Windows::new(store, confirmed);
    // Invitations may wait in the store: those go first, with the places that are found.
    let (mut invites_wait, mut places) = (true, 0);
    let (mut looked, mut look) = (None::<Instant>, None::<BoxFuture<'_, Option<usize>>>);
    let (mut ahead, mut found) = (Ahead::default(), None);
    // Rows that came at once; and when the store is to be asked for others.
    let (mut at_once, mut ask_at) = (Vec::new(), Instant::now());
    'until_told: loop {
        // While the broker is away nothing is claimed: the rows wait where they are, and cost nobody a lease.
        while matches!(&*health.borrow_and_update(), BrokerHealth::Down { .. }) {
            fresh.open(false);
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
        // Only invitations wait for a broker that takes its time to say how many there are.
        if places + fresh.room() <= ahead.size() / 2 && look.is_none() && looked.is_none_or(|at| at.elapsed() >= LOOK) {
            look = Some(ready_invites(broker).boxed());
        }
        if let Some(found) = look.as_mut().and_then(FutureExt::now_or_never).or(found.take()) {
            (looked, look) = (Some(Instant::now()), None);
            // It may not know yet of those that are on their way.
            let room = found.map_or(0, |ready| ahead.found(ready, Instant::now(), invites_wait));
            let left = room.saturating_sub(windows.invites());
            if invites_wait {
                (places, ask_at) = (left, Instant::now());
            } else {
                fresh.set_room(left);
            }
        }
        // The bell first: rows that were committed before this way was opened are older than those that came by it. Where it was closed
        // because too many came, those are older.
        if bell.notified().now_or_never().is_some() || stopping {
            ask_at = Instant::now();
        }
        if stopping {
            fresh.open(false);
            // Else nobody would have them until their lease is over.
            while fresh.is_owed()
                && let Ok(Some(row)) = tokio::time::timeout(OWED, windows.beside(fresh.next())).await
            {
                at_once.push(row);
            }
        }
        let open = fresh.is_open();
        if !open {
            fresh.drain(&mut at_once, WINDOW);
        }
        if (open || at_once.is_empty()) && ask_at <= Instant::now() {
            let room = std::mem::take(&mut places) + fresh.take_room();
            match windows.beside(store.claim(clock.now(), WINDOW, room, LEASE)).await {
                Ok(rows) => {
                    let invites = invites_of(&rows);
                    let nap = match rows.len() {
                        0 if room == 0 => LOOK,
                        0 => windows.beside(nap(store, clock)).await,
                        // One that is not full has left nothing that is due, but for what another process's end set free.
                        1..WINDOW if open => LOOK,
                        _ => Duration::ZERO,
                    };
                    ask_at = Instant::now() + nap;
                    invites_wait = invites == room;
                    fresh.set_room(room - invites);
                    fresh.open(!stopping && (open || rows.is_empty()));
                    ahead.put(invites);
                    if !rows.is_empty() {
                        windows.begin(invites, window(ground, rows).boxed());
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the relay waits for the store");
                    places = room;
                    ask_at = Instant::now() + NAP;
                }
            }
        }
        if !at_once.is_empty() {
            fresh.drain(&mut at_once, WINDOW);
            let rows = std::mem::take(&mut at_once);
            let invites = invites_of(&rows);
            ahead.put(invites);
            windows.begin(invites, window(ground, rows).boxed());
        } else if stopping {
            break;
        }
        if stopping {
            continue;
        }
        let looking = OptionFuture::from(look.as_mut());
        let waiting = async {
            tokio::select! {
                biased;
                () = told(&mut stop) => Woken::Told,
                Some(row) = fresh.next() => Woken::Row(row),
                () = bell.notified() => Woken::Rung,
                Some(found) = looking => Woken::Looked(found),
                () = tokio::time::sleep_until(ask_at.into()) => Woken::Rung,
            }
        };
        match windows.beside(waiting).await {
            Woken::Told => {}
            Woken::Row(row) => at_once.push(row),
            Woken::Rung => ask_at = Instant::now(),
            Woken::Looked(ready) => (look, found) = (None, Some(ready)),
        }
    }
    drop(stop); // it was heard
    windows.end().await;
}

/// What the relay was woken by.
enum Woken {
    Told,
    Row(ClaimedRow),
    Rung,
    Looked(Option<usize>),
}

fn invites_of(rows: &[ClaimedRow]) -> usize {
    rows.iter().filter(|row| row.routing_key == topology::INVITES).count()
}

/// Waits until it is to stop: told so, or left alone.
async fn told(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// How long nothing can be due, as far as this process knows.
async fn nap(store: &dyn Rail, clock: &dyn Clock) -> Duration {
    match store.next_due().await {
        Ok(Some(due)) => Duration::try_from(due.duration_since(clock.now())).unwrap_or(Duration::from_millis(1)).min(NAP),
        _ => NAP,
    }
}

/// How many invitations wait in the shared queue. A broker that does not say is asked again: nothing is lost by waiting.
async fn ready_invites(broker: &dyn Broker) -> Option<usize> {
    match broker.queues(&[topology::INVITES.to_owned()]).await {
        Ok(found) => Some(found.iter().map(|queue| usize::try_from(queue.ready).unwrap_or(usize::MAX)).sum()),
        Err(error) => {
            tracing::debug!(%error, "the broker does not say how many invitations wait");
            None
        }
    }
}

/// What the relay stands on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    store: &'a dyn Rail,
    broker: &'a dyn Broker,
    clock: &'a dyn Clock,
    lines: &'a Lines,
    confirmed: &'a Confirmed,
}

/// Rows of one line, and the broker's answers.
type Answered = (LineOf, Vec<ClaimedRow>, Vec<Result<(), PublishError>>);

/// Publishes these rows, line by line at the same time, and writes down what became of each as its line is answered.
async fn window<'a>(ground: Ground<'a>, rows: Vec<ClaimedRow>) -> Ended<'a> {
    let Ground { store, broker, clock, lines, .. } = ground;
    let mut by_line: BTreeMap<LineOf, Vec<ClaimedRow>> = BTreeMap::new();
    for row in rows {
        by_line.entry(line_of(&row)).or_default().push(row);
    }
    let (publishing, mut answered, mut waiting) = (FuturesUnordered::<BoxFuture<'a, Answered>>::new(), Vec::new(), Vec::new());
    for (line, mut rows) in by_line {
        let later = match lines.turn(&line, clock.now()) {
            Turn::Publish => None,
            Turn::Try => Some((rows.split_off(1), clock.now() + FIRST_WAIT)),
            Turn::Wait(until) => Some((std::mem::take(&mut rows), until)),
        };
        waiting.extend(later.filter(|(rows, _)| !rows.is_empty()));
        if rows.is_empty() {
            continue;
        }
        let mut one = async move {
            let began = Instant::now();
            let answers = broker.publish(rows.iter().map(publication).collect()).await;
            meters().publication(began.elapsed());
            (line, rows, answers)
        }
        .boxed();
        // Handed to the broker here: the order of the windows is the order of the messages.
        match one.as_mut().now_or_never() {
            Some(done) => answered.push(done),
            None => publishing.push(one),
        }
    }
    let mut outcome = put_off(store, waiting).await;
    if !answered.is_empty() {
        outcome = outcome.and(write_down(ground, answered).await);
    }
    let mut rest = async move { answers(ground, publishing).await }.boxed();
    // Not cut off, but gone on with elsewhere: it may be in the middle of writing down.
    match tokio::time::timeout(PATIENCE, &mut rest).await {
        Ok(written) => Ended { outcome: outcome.and(written), slow: None },
        Err(_) => Ended { outcome, slow: Some(rest) },
    }
}

async fn put_off(store: &dyn Rail, waiting: Vec<(Vec<ClaimedRow>, Timestamp)>) -> Result<(), StoreError> {
    for (rows, until) in waiting {
        store.unsent_all(rows, until, "its queue did not confirm what went before").await?;
    }
    Ok(())
}

/// Writes down answers as they come, those together that come together.
async fn answers<'a>(ground: Ground<'a>, mut publishing: FuturesUnordered<BoxFuture<'a, Answered>>) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    while let Some(first) = publishing.next().await {
        let mut answered = vec![first];
        while let Some(Some(next)) = publishing.next().now_or_never() {
            answered.push(next);
        }
        outcome = outcome.and(write_down(ground, answered).await);
    }
    outcome
}

async fn write_down(ground: Ground<'_>, answered: Vec<Answered>) -> Result<(), StoreError> {
    let Ground { store, broker, clock, lines, confirmed } = ground;
    let down = matches!(&*broker.health().borrow(), BrokerHealth::Down { .. });
    let (mut sent, mut unsent) = (Vec::new(), BTreeMap::<(Timestamp, String), Vec<ClaimedRow>>::new());
    for (line, rows, answers) in answered {
        let now = clock.now();
        let mut failed: Option<Timestamp> = None;
        for (row, answer) in rows.into_iter().zip(answers) {
            match answer {
                Ok(()) => sent.push(row),
                // The hub's own events are for whoever listens; nobody has to.
                Err(PublishError::Unroutable { .. }) if row.exchange == topology::LIFECYCLE => sent.push(row),
                Err(error) => {
                    let until = *failed.get_or_insert_with(|| {
                        // A broker that is away is the fault of no line.
                        if down {
                            return now + FIRST_WAIT;
                        }
                        let (until, first) = lines.failed(&line, now);
                        if first {
                            tracing::warn!(exchange = line.0, routing_key = row.routing_key, %error, "a message could not be published; it, and what follows it, is tried again with growing pauses");
                        }
                        until
                    });
                    unsent.entry((until, error.to_string())).or_default().push(row);
                }
            }
        }
        if failed.is_none() && lines.well(&line) {
            tracing::info!(exchange = line.0, line = line.1, "messages are published here again");
        }
    }
    confirmed.add(sent);
    for ((until, cause), rows) in unsent {
        store.unsent_all(rows, until, &cause).await?;
    }
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
