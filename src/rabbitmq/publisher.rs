//! Publishes with confirms. Each exchange has some lanes, each with a channel of its own, so that a refusal on one exchange (which
//! closes the channel) does not cost the others their answers, and a queue that is slow to confirm holds up only what shares its
//! lane. A tenant has one lane of each exchange, so that its messages keep their order. It repeats nothing: whoever asked decides.
//!
//! A lane publishes a window, then waits for all its confirms before it begins the next. That is not only a bound: lapin
//! gives a returned message to whichever confirm it resolves next, and only at the end of a window is it known that all
//! returned messages are there to be matched with what was published.

use super::{
    keeper::Shared,
    refusal,
    scratch::name,
    session::{OpenChannel, Session},
    topology::EXCHANGES,
};
use atshub_actors::ports::{BrokerError, Publication, PublishError};
use atshub_schemas::topology::LIFECYCLE;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, ExchangeKind,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

/// Lanes of one exchange.
const LANES: usize = 4;
/// Messages of one job; two jobs at most are on the way in one window.
const JOB_MESSAGES: usize = 500;
/// Bytes of one job.
const JOB_BYTES: usize = 8 * 1024 * 1024;
/// Jobs that wait for a lane.
const LANE_JOBS: usize = 4_096;
/// Wait for the confirms of a window; then those that are missing are waited for beside, and the lane goes on.
const PATIENCE: Duration = Duration::from_millis(500);
/// AMQP's "keep it on disk".
const PERSISTENT: u8 = 2;

type Answer = Result<(), PublishError>;
/// What became of one message: nothing yet, lapin's error, or the broker's word.
type Outcome = Option<lapin::Result<Confirmation>>;

struct Job {
    messages: Vec<Publication>,
    answers: oneshot::Sender<Vec<Answer>>,
}

/// The lanes.
pub(super) struct Publisher {
    lanes: BTreeMap<(&'static str, usize), mpsc::Sender<Job>>,
}

/// Messages that were handed to their lanes, and where their answers will come.
pub(super) struct HandedIn {
    answers: Vec<Answer>,
    waiting: Vec<(Vec<usize>, oneshot::Receiver<Vec<Answer>>)>,
}

impl Publisher {
    /// Starts a task for each lane. Call it on the runtime that is to run them.
    pub(super) fn start(shared: &Arc<Shared>) -> Self {
        let lane = |exchange: &'static str, number: usize| {
            let (jobs, waiting) = mpsc::channel(LANE_JOBS);
            tokio::spawn(Lane { shared: Arc::clone(shared), exchange, open: None, silent: Arc::default() }.run(waiting));
            ((exchange, number), jobs)
        };
        Self { lanes: EXCHANGES.iter().flat_map(|(exchange, _)| (0..LANES).map(move |number| lane(exchange, number))).collect() }
    }

    /// Hands messages to their lanes. What is handed in first is published first, of what goes to the same tenant
    /// on the same exchange.
    pub(super) async fn hand_in(&self, messages: Vec<Publication>) -> HandedIn {
        let answers: Vec<Answer> = messages.iter().map(|message| Err(unknown(&message.exchange))).collect();
        let mut by_lane: BTreeMap<(&'static str, usize), Vec<(usize, Publication)>> = BTreeMap::new();
        for (at, message) in messages.into_iter().enumerate() {
            if let Some((exchange, _)) = EXCHANGES.iter().find(|(exchange, _)| *exchange == message.exchange) {
                by_lane.entry((exchange, lane_of(exchange, &message.routing_key))).or_default().push((at, message));
            }
        }
        let mut waiting = Vec::new();
        for (lane, messages) in by_lane {
            for (places, messages) in jobs(messages) {
                let (answer, answered) = oneshot::channel();
                if let Some(lane) = self.lanes.get(&lane) {
                    // A lane that is gone drops the job, and with it the sender: answered as away below. `send` alone would now and
                    // then wait though there is room (tokio's budget), and be overtaken.
                    if let Err(mpsc::error::TrySendError::Full(job)) = lane.try_send(Job { messages, answers: answer }) {
                        let _ = lane.send(job).await;
                    }
                }
                waiting.push((places, answered));
            }
        }
        HandedIn { answers, waiting }
    }
}

impl HandedIn {
    /// The answers, in the order of the messages.
    pub(super) async fn answered(self) -> Vec<Answer> {
        let Self { mut answers, waiting } = self;
        for (places, answered) in waiting {
            let mut given = answered.await.unwrap_or_default().into_iter();
            for at in places {
                if let Some(answer) = answers.get_mut(at) {
                    *answer = given.next().unwrap_or_else(|| Err(PublishError::Away("closing".to_owned())));
                }
            }
        }
        answers
    }
}

/// What is kept in order: on a topic exchange all messages of a tenant, the first word of the key; on others those of one key.
fn line_of<'a>(exchange: &str, routing_key: &'a str) -> &'a str {
    let topic = EXCHANGES.iter().any(|(name, kind)| *name == exchange && *kind == ExchangeKind::Topic);
    routing_key.split_once('.').filter(|_| topic).map_or(routing_key, |(first, _)| first)
}

/// Which of an exchange's lanes is for this routing key.
fn lane_of(exchange: &str, routing_key: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    line_of(exchange, routing_key).hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or_default()
}

fn unknown(exchange: &str) -> PublishError {
    PublishError::Refused(format!("`{exchange}` is none of the hub's exchanges"))
}

/// Cuts messages into jobs, keeping their order and their places.
fn jobs(messages: Vec<(usize, Publication)>) -> Vec<(Vec<usize>, Vec<Publication>)> {
    let mut jobs: Vec<(Vec<usize>, Vec<Publication>)> = Vec::new();
    let mut bytes = 0;
    for (at, message) in messages {
        bytes += message.body.len();
        match jobs.last_mut() {
            Some((places, job)) if job.len() < JOB_MESSAGES && bytes <= JOB_BYTES => {
                places.push(at);
                job.push(message);
            }
            _ => {
                bytes = message.body.len();
                jobs.push((vec![at], vec![message]));
            }
        }
    }
    jobs
}

struct Lane {
    shared: Arc<Shared>,
    exchange: &'static str,
    /// The confirm channel and the epoch it belongs to.
    open: Option<(u64, OpenChannel)>,
    /// Lines (see [`line_of`]) in which something is published and not confirmed, waited for beside the lane.
    silent: Arc<Mutex<BTreeSet<String>>>,
}

impl Lane {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut jobs = vec![first];
            let mut messages = std::mem::take(&mut jobs[0].messages);
            let mut bytes: usize = messages.iter().map(|message| message.body.len()).sum();
            let mut sizes = vec![messages.len()];
            while messages.len() < JOB_MESSAGES && bytes < JOB_BYTES {
                let Ok(mut next) = waiting.try_recv() else { break };
                bytes += next.messages.iter().map(|message| message.body.len()).sum::<usize>();
                sizes.push(next.messages.len());
                messages.append(&mut next.messages);
                jobs.push(next);
            }
            let mut at = 0;
            let mut places = |size: usize| {
                at += size;
                at - size..at
            };
            let parts = jobs.into_iter().zip(sizes).map(|(job, size)| Part { places: places(size), answers: job.answers }).collect();
            self.window(messages, parts).await;
        }
    }

    /// Publishes a window and sees to it that every part of it is answered, here or, where a queue takes its time, beside.
    async fn window(&mut self, messages: Vec<Publication>, parts: Vec<Part>) {
        let all = |answer: PublishError| messages.iter().map(|_| Err(answer.clone())).collect::<Vec<_>>();
        let session = match self.shared.session() {
            Ok(session) => session,
            Err(error) => return give(parts, &all(PublishError::Away(error.to_string()))),
        };
        if let Some(reason) = session.blocked() {
            return give(parts, &all(PublishError::Away(format!("it takes no publications for now ({reason})"))));
        }
        let channel = match self.channel(&session).await {
            Ok(channel) => channel,
            Err(BrokerError::Refused(cause)) => return give(parts, &all(PublishError::Refused(cause))),
            Err(BrokerError::Away(cause)) => return give(parts, &all(PublishError::Away(cause))),
        };
        let (messages, parts) = self.without_silent(messages, parts);
        let mut window = Window::new(messages, parts);
        let limit = session.options.answer_limit;
        let sent = timeout(limit, window.publish(&channel, self.exchange)).await.is_ok();
        let in_time = sent && timeout(PATIENCE.min(limit), window.confirms()).await.is_ok();
        if in_time && window.well() {
            return self.finish(&session, window);
        }
        // A channel is used for one window at a time: what is not confirmed keeps this one.
        let kept = self.open.take();
        if in_time || session.blocked().is_some() || !sent {
            drop(kept);
            if !in_time && session.blocked().is_none() {
                // One silent queue, or the whole connection? A fresh channel tells: it gives the session up if that is silent too.
                let _ = self.channel(&session).await;
            }
            return self.finish(&session, window);
        }
        let (left, keys) = window.answer_what_is_whole(self.exchange);
        self.silent().extend(keys.iter().cloned());
        let beside = Self { shared: Arc::clone(&self.shared), exchange: self.exchange, open: kept, silent: Arc::clone(&self.silent) };
        tokio::spawn(async move {
            let mut left = left;
            let mut lost = session.lost();
            let in_time = tokio::select! {
                done = timeout(limit.saturating_sub(PATIENCE), left.confirms()) => done.is_ok(),
                _ = super::keeper::cause_of(&mut lost) => true,
            };
            if !in_time && let Err(cause) = session.publishing_channel().await {
                tracing::debug!(%cause, "no channel to publish on");
            }
            for key in &keys {
                beside.silent().remove(key);
            }
            beside.finish(&session, left);
        });
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers at once what goes to a routing key for which earlier messages have no confirm: it would overtake them, or wait too.
    fn without_silent(&self, messages: Vec<Publication>, parts: Vec<Part>) -> (Vec<Publication>, Vec<Part>) {
        let silent = self.silent().clone();
        if silent.is_empty() {
            return (messages, parts);
        }
        let (mut messages, mut kept, mut left) = (messages.into_iter(), Vec::new(), Vec::new());
        for Part { places, answers } in parts {
            let own: Vec<Publication> = messages.by_ref().take(places.len()).collect();
            match own.iter().find(|message| silent.contains(line_of(self.exchange, &message.routing_key))) {
                None => {
                    left.push(Part { places: kept.len()..kept.len() + own.len(), answers });
                    kept.extend(own);
                }
                Some(message) => {
                    let cause = format!("what went before to `{}` is not confirmed yet: a queue takes its time", message.routing_key);
                    // Whoever asked may have stopped waiting.
                    let _ = answers.send(own.iter().map(|_| Err(PublishError::Away(cause.clone()))).collect());
                }
            }
        }
        (kept, left)
    }

    /// Answers everything that is left of a window.
    fn finish(&self, session: &Session, window: Window) {
        let Window { messages, parts, outcomes, .. } = window;
        if let Some(error) = outcomes.iter().find_map(|outcome| outcome.as_ref()?.as_ref().err()) {
            // Ends the session if the connection went with it.
            let _ = session.judge(error, "publish");
        }
        let answers = read(self.exchange, &messages, outcomes);
        let missing = |answer: &Answer| matches!(answer, Err(PublishError::Unroutable { .. } | PublishError::Refused(_)));
        // Nobody has to listen to the hub's own events.
        if self.exchange != LIFECYCLE && answers.iter().any(missing) {
            self.shared.mend.notify_one();
        }
        give(parts, &answers);
    }

    /// The lane's channel on this session, opened if need be.
    async fn channel(&mut self, session: &Arc<Session>) -> Result<Channel, BrokerError> {
        if let Some((epoch, open)) = &self.open
            && *epoch == session.epoch
            && open.channel.status().connected()
        {
            return Ok(open.channel.clone());
        }
        let open = session.publishing_channel().await?;
        match timeout(session.options.answer_limit, open.channel.confirm_select(ConfirmSelectOptions::default())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(session.judge(&error, "ask for confirms")),
            Err(_) => return Err(session.silent("ask for confirms")),
        }
        Ok(self.open.insert((session.epoch, open)).1.channel.clone())
    }
}

/// Some of a window's messages, which are answered together.
struct Part {
    places: std::ops::Range<usize>,
    answers: oneshot::Sender<Vec<Answer>>,
}

/// Gives each part its answers.
fn give(parts: Vec<Part>, answers: &[Answer]) {
    for part in parts {
        // Whoever asked may have stopped waiting.
        let _ = part.answers.send(answers.get(part.places).unwrap_or_default().to_vec());
    }
}

type Confirm = futures_util::future::BoxFuture<'static, (usize, lapin::Result<Confirmation>)>;

/// What is published together on one channel.
struct Window {
    messages: Vec<Publication>,
    parts: Vec<Part>,
    outcomes: Vec<Outcome>,
    confirms: FuturesUnordered<Confirm>,
}

impl Window {
    fn new(messages: Vec<Publication>, parts: Vec<Part>) -> Self {
        let outcomes = messages.iter().map(|_| None).collect();
        Self { messages, parts, outcomes, confirms: FuturesUnordered::new() }
    }

    async fn publish(&mut self, channel: &Channel, exchange: &'static str) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        for (message, (at, outcome)) in self.messages.iter().zip(self.outcomes.iter_mut().enumerate()) {
            let (Ok(key), Some(properties)) = (name(&message.routing_key), properties(message)) else {
                *outcome = Some(Err(too_long()));
                continue;
            };
            match channel.basic_publish(exchange.into(), key, options, &message.body, properties).await {
                Ok(confirm) => self.confirms.push(Box::pin(async move { (at, confirm.await) })),
                Err(error) => *outcome = Some(Err(error)),
            }
        }
    }

    async fn confirms(&mut self) {
        while let Some((at, confirmation)) = self.confirms.next().await {
            if let Some(outcome) = self.outcomes.get_mut(at) {
                *outcome = Some(confirmation);
            }
        }
    }

    fn well(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Some(Ok(_))))
    }

    /// Answers the parts of which every message has its outcome; what is left, and the routing keys that keep it.
    ///
    /// A returned message is told no later than its own confirm, so all that belong to these are among the outcomes.
    fn answer_what_is_whole(self, exchange: &'static str) -> (Self, Vec<String>) {
        let Self { messages, parts, outcomes, confirms } = self;
        let keys: BTreeSet<String> = messages
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_none())
            .map(|(message, _)| line_of(exchange, &message.routing_key).to_owned())
            .collect();
        let told: Vec<bool> = outcomes.iter().map(Option::is_some).collect();
        let answers = read(exchange, &messages, outcomes);
        // What is left keeps its places, for its confirms; it is answered by what `read` says of those that are told, and by what comes.
        let mut outcomes: Vec<Outcome> = messages.iter().map(|_| None).collect();
        let (whole, rest) =
            parts.into_iter().partition::<Vec<_>, _>(|part| told.get(part.places.clone()).is_some_and(|own| own.iter().all(|told| *told)));
        give(whole, &answers);
        for part in &rest {
            {
                for place in
                    part.places.clone().filter(|place| told.get(*place) == Some(&true) && matches!(answers.get(*place), Some(Ok(()))))
                {
                    if let Some(outcome) = outcomes.get_mut(place) {
                        *outcome = Some(Ok(Confirmation::Ack(None)));
                    }
                }
            }
        }
        (Self { messages, parts: rest, outcomes, confirms }, keys.into_iter().collect())
    }
}

/// Turns what came back into answers.
fn read(exchange: &str, messages: &[Publication], outcomes: Vec<Outcome>) -> Vec<Answer> {
    let mut returned = Vec::new();
    let mut answers: Vec<Answer> = Vec::with_capacity(messages.len());
    for (at, outcome) in outcomes.into_iter().enumerate() {
        answers.push(match outcome {
            Some(Ok(Confirmation::Ack(back))) => {
                returned.extend(back.map(|message| (at, message)));
                Ok(())
            }
            Some(Ok(Confirmation::Nack(back))) => {
                returned.extend(back.map(|message| (at, message)));
                Err(PublishError::Refused("basic.nack: a queue is full or cannot store it".to_owned()))
            }
            Some(Ok(Confirmation::NotRequested)) => Err(PublishError::Away("the channel gives no confirms".to_owned())),
            Some(Err(error)) => Err(match refusal::of(&error, &format!("publish to `{exchange}`")) {
                BrokerError::Refused(cause) => PublishError::Refused(cause),
                BrokerError::Away(cause) => PublishError::Away(cause),
            }),
            None => Err(PublishError::Away("no confirm in time".to_owned())),
        });
    }
    for (at, message) in returned {
        let place = place_of(&message, messages, &answers).unwrap_or(at);
        if let (Some(answer), Some(message)) = (answers.get_mut(place), messages.get(place)) {
            *answer = Err(PublishError::Unroutable { exchange: message.exchange.clone(), routing_key: message.routing_key.clone() });
        }
    }
    answers
}

/// Which of the window's messages was returned.
fn place_of(returned: &BasicReturnMessage, messages: &[Publication], answers: &[Answer]) -> Option<usize> {
    let id = returned.properties.message_id().as_ref().map(|id| id.as_str());
    let key = returned.routing_key.as_str();
    messages.iter().zip(answers).position(|(message, answer)| {
        message.routing_key == key && Some(message.message_id.as_str()) == id && !matches!(answer, Err(PublishError::Unroutable { .. }))
    })
}

/// What AMQP would call it.
fn too_long() -> lapin::Error {
    use lapin::protocol::{AMQPError, AMQPSoftError};
    let words = "a routing key, message id, content type or header name is longer than 255 bytes";
    lapin::ErrorKind::ProtocolError(AMQPError::new(AMQPSoftError::PRECONDITIONFAILED.into(), words.into())).into()
}

fn properties(message: &Publication) -> Option<BasicProperties> {
    let mut headers = FieldTable::default();
    for (key, value) in &message.headers {
        headers.insert(name(key).ok()?, AMQPValue::LongString(value.as_str().into()));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Some(
        BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(name(&message.content_type).ok()?)
            .with_message_id(name(&message.message_id).ok()?)
            .with_timestamp(now)
            .with_headers(headers),
    )
}
