//! What a lane publishes together on one channel: its confirms, and the answers that they and returned messages make. It chooses no
//! channel and repeats nothing.

use super::{publisher::line_of, refusal, scratch::name};
use atshub_actors::ports::{BrokerError, Publication, PublishError};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, PublisherConfirm,
    message::BasicReturnMessage,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};
use std::{
    collections::BTreeSet,
    future::{Future as _, poll_fn},
    task::Poll,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// AMQP's "keep it on disk".
const PERSISTENT: u8 = 2;

pub(super) type Answer = Result<(), PublishError>;
/// What became of one message: nothing yet, lapin's error, or the broker's word.
type Outcome = Option<lapin::Result<Confirmation>>;

/// Some of a window's messages, which are answered together.
pub(super) struct Part {
    pub(super) places: std::ops::Range<usize>,
    pub(super) answers: oneshot::Sender<Vec<Answer>>,
}

/// Gives each part its answers.
pub(super) fn give(parts: Vec<Part>, answers: &[Answer]) {
    for part in parts {
        // Whoever asked may have stopped waiting.
        let _ = part.answers.send(answers.get(part.places).unwrap_or_default().to_vec());
    }
}

type Confirm = futures_util::future::BoxFuture<'static, (usize, lapin::Result<Confirmation>)>;

/// What is published together on one channel.
pub(super) struct Window {
    pub(super) messages: Vec<Publication>,
    pub(super) parts: Vec<Part>,
    pub(super) outcomes: Vec<Outcome>,
    confirms: FuturesUnordered<Confirm>,
}

impl Window {
    pub(super) fn new(messages: Vec<Publication>, parts: Vec<Part>) -> Self {
        let outcomes = messages.iter().map(|_| None).collect();
        Self { messages, parts, outcomes, confirms: FuturesUnordered::new() }
    }

    /// Hands all to lapin before it waits until any is written, so that they leave in few segments: one by one, each would cost the
    /// broker a read and this process two changes of thread.
    pub(super) async fn publish(&mut self, channel: &Channel, exchange: &'static str) {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut writing = FuturesUnordered::new();
        for (at, message) in self.messages.iter().enumerate() {
            let (Ok(key), Some(properties)) = (name(&message.routing_key), properties(message)) else {
                if let Some(outcome) = self.outcomes.get_mut(at) {
                    *outcome = Some(Err(too_long()));
                }
                continue;
            };
            let publish = channel.basic_publish(exchange.into(), key, options, &message.body, properties);
            let mut publish = Box::pin(async move { (at, publish.await) });
            // lapin takes it at the first poll: in this order, then.
            match poll_fn(|context| Poll::Ready(publish.as_mut().poll(context))).await {
                Poll::Ready((at, taken)) => written(&mut self.outcomes, &self.confirms, at, taken),
                Poll::Pending => writing.push(publish),
            }
        }
        while let Some((at, taken)) = writing.next().await {
            written(&mut self.outcomes, &self.confirms, at, taken);
        }
    }

    pub(super) async fn confirms(&mut self) {
        while let Some((at, confirmation)) = self.confirms.next().await {
            if let Some(outcome) = self.outcomes.get_mut(at) {
                *outcome = Some(confirmation);
            }
        }
    }

    pub(super) fn well(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Some(Ok(_))))
    }

    /// Answers the parts of which every message has its outcome; what is left, and the routing keys that keep it.
    ///
    /// A returned message is told no later than its own confirm, so all that belong to these are among the outcomes.
    pub(super) fn answer_what_is_whole(self, exchange: &'static str) -> (Self, Vec<String>) {
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

/// What became of writing a message: its confirm is to be waited for, or it is lapin's error.
fn written(outcomes: &mut [Outcome], confirms: &FuturesUnordered<Confirm>, at: usize, taken: lapin::Result<PublisherConfirm>) {
    match (taken, outcomes.get_mut(at)) {
        (Ok(confirm), _) => confirms.push(Box::pin(async move { (at, confirm.await) })),
        (Err(error), Some(outcome)) => *outcome = Some(Err(error)),
        (Err(_), None) => {}
    }
}

/// Turns what came back into answers.
pub(super) fn read(exchange: &str, messages: &[Publication], outcomes: Vec<Outcome>) -> Vec<Answer> {
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
