//! Publishes with confirms. Each exchange has some lanes, each with a channel of its own, so that a refusal on one exchange (which
//! closes the channel) does not cost the others their answers, and a queue that is slow to confirm holds up only what shares its
//! lane. A tenant has one lane of each exchange, so that its messages keep their order. It repeats nothing: whoever asked decides.
//!
//! A lane publishes a window, then waits for its confirms before it begins the next; what is missing after a while keeps the channel
//! and is waited for beside, and the lane goes on with another. lapin gives a returned message to whichever confirm it resolves next:
//! no later than that message's own, so that what is confirmed can be matched with what was returned.

use super::{
    keeper::Shared,
    session::{OpenChannel, Session},
    topology::EXCHANGES,
    window::{Answer, Part, Window, give, read},
};
use atshub_actors::ports::{BrokerError, Publication, PublishError};
use atshub_schemas::topology::LIFECYCLE;
use lapin::{Channel, ExchangeKind, options::ConfirmSelectOptions};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
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
pub(super) fn line_of<'a>(exchange: &str, routing_key: &'a str) -> &'a str {
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
