//! One consumption: a channel of its own, from which deliveries go to the port's channel and on which their
//! acknowledgements go back. Survives every loss by opening a new channel; ends when nobody wants it any more.
//!
//! Acknowledgements are sent by the task that owns the channel: channel numbers are used again, and an acknowledgement
//! that overtook the closing of its channel would settle somebody else's message.

use super::{
    keeper::{SOUND_AFTER, Shared, cause_of, closed, jittered},
    refusal,
    scratch::{Scratch, name},
    session::{OpenChannel, Session},
    wire,
};
use atshub_actors::ports::{Ack, AckError, BrokerError, Consumption, Cut, Delivery};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use lapin::{
    Acker, Consumer,
    message::Delivery as Arrived,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, warn};

/// First pause before a channel is opened again; doubles up to the options' longest pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// Looks per `deaf_after`.
const LOOKS: u32 = 3;
/// Header in which a quorum queue counts.
const DELIVERY_COUNT: &str = "x-delivery-count";

struct AckRequest {
    acker: Acker,
    answer: oneshot::Sender<Result<(), AckError>>,
}

/// The port's token.
#[derive(Debug)]
struct RabbitAck {
    acker: Acker,
    requests: mpsc::UnboundedSender<AckRequest>,
}

#[async_trait::async_trait]
impl Ack for RabbitAck {
    async fn ack(self: Box<Self>) -> Result<(), AckError> {
        let (answer, answered) = oneshot::channel();
        // The task of an older channel is gone, and with it the receiver.
        self.requests.send(AckRequest { acker: self.acker, answer }).map_err(|_| AckError::Stale)?;
        answered.await.unwrap_or(Err(AckError::Stale))
    }
}

/// A channel that consumes.
struct Open {
    session: Arc<Session>,
    channel: OpenChannel,
    consumer: Consumer,
    remade: broadcast::Receiver<String>,
}

/// Why a channel was left.
enum End {
    Unwanted,
    Lost(String),
}

struct Runner {
    shared: Arc<Shared>,
    queue: String,
    prefetch: u16,
    deliveries: mpsc::Sender<Delivery>,
    unwanted: oneshot::Receiver<()>,
}

/// Begins to consume, or says why not.
pub(super) async fn begin(shared: Arc<Shared>, queue: String, prefetch: u16) -> Result<Consumption, BrokerError> {
    let prefetch = prefetch.max(1);
    let session = shared.session()?;
    let first = open(&session, &queue, prefetch).await?;
    let (deliveries, received) = mpsc::channel(usize::from(prefetch));
    let (guard, unwanted) = oneshot::channel::<()>();
    shared.consumptions.send_modify(|running| *running += 1);
    let runner = Runner { shared, queue, prefetch, deliveries, unwanted };
    tokio::spawn(runner.run(first));
    Ok(Consumption { deliveries: received, guard: Box::new(guard) })
}

async fn open(session: &Arc<Session>, queue: &str, prefetch: u16) -> Result<Open, BrokerError> {
    let what = format!("consume queue `{queue}`");
    let queue = name(queue)?;
    let channel = session.channel().await?;
    // Before the consumer is there, so that none is missed.
    let remade = session.remade.subscribe();
    let asked = async {
        channel.channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
        channel.channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default()).await
    };
    match timeout(session.options.answer_limit, asked).await {
        Ok(Ok(consumer)) => Ok(Open { session: Arc::clone(session), channel, consumer, remade }),
        Ok(Err(error)) => Err(session.judge(&error, &what)),
        Err(_) => Err(session.silent(&what)),
    }
}

impl Runner {
    async fn run(mut self, first: Open) {
        let mut open = Some(first);
        let mut pause = SHORTEST_PAUSE;
        loop {
            let current = match open.take() {
                Some(current) => current,
                None => match self.reopen(&mut pause).await {
                    Some(current) => current,
                    None => break,
                },
            };
            let since = Instant::now();
            let end = self.pump(current, &mut pause).await;
            if since.elapsed() >= SOUND_AFTER {
                pause = SHORTEST_PAUSE;
            }
            match end {
                End::Unwanted => break,
                End::Lost(cause) => debug!(queue = self.queue, cause, "a consumption lost its channel"),
            }
        }
        self.shared.consumptions.send_modify(|running| *running -= 1);
    }

    /// Opens a channel on the session of now or the next one. `None` if nobody wants it any more, or the queue is gone
    /// and was not declared here.
    async fn reopen(&mut self, pause: &mut Duration) -> Option<Open> {
        let (shared, queue, prefetch) = (Arc::clone(&self.shared), self.queue.clone(), self.prefetch);
        let mut closing = shared.closing.subscribe();
        let seek = async {
            loop {
                sleep(jittered(*pause)).await;
                *pause = (*pause * 2).min(shared.options.longest_pause);
                let mut sessions = shared.session.subscribe();
                let session = { sessions.wait_for(Option::is_some).await.ok()?.clone()? };
                match open(&session, &queue, prefetch).await {
                    Ok(open) => return Some(open),
                    Err(BrokerError::Away(cause)) => debug!(queue, cause, "could not consume again"),
                    Err(BrokerError::Refused(cause)) => {
                        warn!(queue, cause, "the broker refuses a consumption");
                        let spec = shared.kept(&queue)?;
                        let again = Scratch::new(&session).declare(&spec).await;
                        debug!(queue, declared = again.is_ok(), "declared a queue again");
                    }
                }
            }
        };
        tokio::select! {
            open = seek => open,
            _ = &mut self.unwanted => None,
            () = self.deliveries.closed() => None,
            () = closed(&mut closing) => None,
        }
    }

    /// Moves deliveries out and acknowledgements in until the channel is lost or nobody wants it any more.
    async fn pump(&mut self, open: Open, pause: &mut Duration) -> End {
        let Open { session, channel, mut consumer, mut remade } = open;
        let limit = session.options.answer_limit;
        let (requests, mut requested) = mpsc::unbounded_channel::<AckRequest>();
        let mut acking = FuturesUnordered::new();
        let mut held: usize = 0;
        let mut next: Option<Delivery> = None;
        let mut lost = session.lost();
        let mut closing = self.shared.closing.subscribe();
        let mut ears = Ears::new(self.shared.options.deaf_after);
        let end = loop {
            tokio::select! {
                biased;
                _ = &mut self.unwanted => break End::Unwanted,
                () = self.deliveries.closed() => break End::Unwanted,
                () = closed(&mut closing) => break End::Unwanted,
                cause = cause_of(&mut lost) => break End::Lost(cause),
                name = remade.recv() => match name {
                    Ok(name) if name != self.queue => {}
                    _ => break End::Lost("its queue was made anew".to_owned()),
                },
                Some(request) = requested.recv() => acking.push(send_ack(request, limit)),
                Some(acked) = acking.next(), if !acking.is_empty() => match acked {
                    Acked::Taken => held = held.saturating_sub(1),
                    Acked::Stale => break End::Lost("an acknowledgement did not count".to_owned()),
                    Acked::Silent => {
                        session.fail("an acknowledgement took too long");
                        break End::Lost("an acknowledgement took too long".to_owned());
                    }
                },
                room = self.deliveries.reserve(), if next.is_some() => {
                    if let (Ok(room), Some(delivery)) = (room, next.take()) {
                        room.send(delivery);
                    }
                }
                arrived = consumer.next(), if next.is_none() => match arrived {
                    Some(Ok(arrived)) => {
                        held += 1;
                        *pause = SHORTEST_PAUSE;
                        ears.heard();
                        next = Some(self.delivery(arrived, &requests));
                    }
                    Some(Err(error)) => break End::Lost(error.to_string()),
                    None => break End::Lost("the broker cancelled the consumer".to_owned()),
                },
                deaf = ears.listen(&session, &self.queue, held < usize::from(self.prefetch)) => if deaf {
                    warn!(queue = self.queue, "messages wait and none is delivered; opening the channel anew");
                    break End::Lost("deaf".to_owned());
                },
            }
        };
        requested.close();
        if matches!(end, End::Unwanted) {
            // What was acknowledged before the end still counts.
            while let Ok(request) = requested.try_recv() {
                acking.push(send_ack(request, limit));
            }
            while acking.next().await.is_some() {}
        }
        // Unacknowledged deliveries go back with the channel. A lost one has nobody to answer.
        let _ = timeout(limit, channel.channel.close(200, "consumption over".into())).await;
        end
    }

    fn delivery(&self, arrived: Arrived, requests: &mpsc::UnboundedSender<AckRequest>) -> Delivery {
        let Arrived { exchange, routing_key, redelivered, properties, data, acker, .. } = arrived;
        let mut headers = BTreeMap::new();
        let mut count = None;
        for (key, value) in properties.headers().iter().flat_map(|table| table.inner()) {
            match value {
                AMQPValue::LongString(text) => {
                    headers.insert(key.to_string(), text.to_string());
                }
                AMQPValue::ShortString(text) => {
                    headers.insert(key.to_string(), text.to_string());
                }
                number if key.as_str() == DELIVERY_COUNT => count = whole(number),
                _ => {}
            }
        }
        let cut = wire::cut_of(&data).map(|(size, digest)| Cut { size, sha256: hex::encode(digest) });
        let mut body = Bytes::from(data);
        if cut.is_some() {
            body.truncate(wire::KEPT);
        }
        Delivery {
            queue: self.queue.clone(),
            exchange: exchange.to_string(),
            routing_key: routing_key.to_string(),
            message_id: properties.message_id().as_ref().map(ToString::to_string),
            headers,
            body,
            cut,
            redelivered,
            delivery_count: count.unwrap_or(0).max(u32::from(redelivered)),
            ack: Box::new(RabbitAck { acker, requests: requests.clone() }),
        }
    }
}

/// How an acknowledgement ended.
enum Acked {
    Taken,
    Stale,
    Silent,
}

/// Whoever waits for an acknowledgement that is on its way. Dropped without an answer, nobody knows whether the broker got it.
struct OnItsWay(Option<oneshot::Sender<Result<(), AckError>>>);

impl OnItsWay {
    fn answer(mut self, answer: Result<(), AckError>) {
        if let Some(waiting) = self.0.take() {
            // Whoever asked may have stopped waiting.
            let _ = waiting.send(answer);
        }
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            let _ = waiting.send(Err(AckError::Unsure("its connection ended meanwhile".to_owned())));
        }
    }
}

/// Its body runs only once it is polled, which is when the acknowledgement is on its way: one that is dropped before leaves
/// its asker without an answer, and that means stale.
async fn send_ack(request: AckRequest, limit: Duration) -> Acked {
    let waiting = OnItsWay(Some(request.answer));
    let (answer, acked) = match timeout(limit, request.acker.ack(BasicAckOptions::default())).await {
        Ok(Ok(true)) => (Ok(()), Acked::Taken),
        // The channel is known to be gone; nothing was sent.
        Ok(Ok(false)) => (Err(AckError::Stale), Acked::Stale),
        Ok(Err(error)) => (Err(AckError::Unsure(refusal::words(&error))), Acked::Stale),
        Err(_) => (Err(AckError::Unsure(format!("not sent within {} s", limit.as_secs()))), Acked::Silent),
    };
    waiting.answer(answer);
    acked
}

/// AMQP has a dozen kinds of whole number.
fn whole(value: &AMQPValue) -> Option<u32> {
    let wide = match value {
        AMQPValue::ShortShortInt(number) => i64::from(*number),
        AMQPValue::ShortShortUInt(number) => i64::from(*number),
        AMQPValue::ShortInt(number) => i64::from(*number),
        AMQPValue::ShortUInt(number) => i64::from(*number),
        AMQPValue::LongInt(number) => i64::from(*number),
        AMQPValue::LongUInt(number) => i64::from(*number),
        AMQPValue::LongLongInt(number) => *number,
        _ => return None,
    };
    u32::try_from(wide).ok()
}

/// Watches for a consumer that hears nothing while messages wait.
struct Ears {
    last: Instant,
    patience: Duration,
    looks: tokio::time::Interval,
    look: Option<JoinHandle<bool>>,
}

impl Ears {
    fn new(patience: Duration) -> Self {
        let mut looks = interval((patience / LOOKS).max(Duration::from_millis(1)));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { last: Instant::now(), patience, looks, look: None }
    }

    fn heard(&mut self) {
        self.last = Instant::now();
        if let Some(look) = self.look.take() {
            look.abort();
        }
    }

    /// Resolves at every look: true if messages wait that should have come. May be dropped at any time.
    async fn listen(&mut self, session: &Arc<Session>, queue: &str, room: bool) -> bool {
        if self.look.is_none() {
            self.looks.tick().await;
            if !room || self.last.elapsed() < self.patience {
                return false;
            }
            let (session, queue) = (Arc::clone(session), queue.to_owned());
            self.look = Some(tokio::spawn(async move {
                let found = Scratch::new(&session).probe(&queue).await;
                matches!(found, Ok(Some(info)) if info.ready > 0)
            }));
        }
        let Some(look) = &mut self.look else { return false };
        let deaf = look.await.unwrap_or(false);
        self.look = None;
        self.last = Instant::now();
        deaf
    }
}
