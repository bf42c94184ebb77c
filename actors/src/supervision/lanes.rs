//! Lanes: a child's work, one message per lane at a time, lanes side by side, each message inside a [guard](super::guard). The
//! guard ties a panic to the message that caused it; the child then dies and is made anew, because nobody knows what the panic
//! left.

use super::{
    deliver::Deliver,
    guard::{Ended, Guard},
    lifeline::{Lifeline, Link},
};
use crate::spans;
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context};
use async_trait::async_trait;
use atshub_schemas::Envelope;
use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};
use tracing::Instrument;

/// What a child does with a message.
#[async_trait(?Send)]
pub trait Workload: 'static {
    /// Messages with the same lane are worked on one after the other.
    fn lane(envelope: &Envelope) -> String
    where
        Self: Sized;

    /// Works on a message until what follows from it is durable. A store that is away is waited for. Returning means
    /// "acknowledge". `known`: see [`Deliver::known`].
    async fn perform(&self, envelope: Arc<Envelope>, queue: &str, known: bool);
}

/// The lanes of one child. Holds the child's lifeline.
pub struct Lanes<W> {
    lifeline: Lifeline,
    workload: Arc<W>,
    busy: Keyed<Deliver>,
}

/// What runs and what waits, by lane. A lane is there while something of it runs.
#[derive(Debug)]
pub(super) struct Keyed<T>(HashMap<String, VecDeque<T>>);

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Keyed<T> {
    /// Takes one for its lane. Gives it back if it may run now; else it waits.
    pub(super) fn take(&mut self, lane: String, new: T) -> Option<T> {
        match self.0.entry(lane) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back(new);
                None
            }
            Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(new)
            }
        }
    }

    /// What ran in this lane has ended: gives the next one, which may run now.
    pub(super) fn next(&mut self, lane: &str) -> Option<T> {
        let next = self.0.get_mut(lane).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.0.remove(lane);
        }
        next
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<W: Workload> Lanes<W> {
    /// With nothing in them.
    #[must_use]
    pub fn new(lifeline: Lifeline, workload: Arc<W>) -> Self {
        Self { lifeline, workload, busy: Keyed::default() }
    }

    /// The child's way to speak to its supervisor.
    #[must_use]
    pub fn link(&self) -> Link {
        self.lifeline.link()
    }

    /// Takes a delivery: begins it, or lets it wait for its lane.
    pub fn take<A>(&mut self, delivery: Deliver, lanes: fn(&mut A) -> &mut Lanes<W>, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        let lane = W::lane(&delivery.envelope);
        if let Some(delivery) = self.busy.take(lane.clone(), delivery) {
            self.run(lane, delivery, lanes, ctx);
        }
    }

    fn run<A>(&mut self, lane: String, mut delivery: Deliver, lanes: fn(&mut A) -> &mut Lanes<W>, ctx: &mut Context<A>)
    where
        A: Actor<Context = Context<A>>,
    {
        let (workload, bench) = (Arc::clone(&self.workload), self.lifeline.bench());
        let work = async move {
            // Taken back while it waited: somebody else has it, and this child goes on.
            if !delivery.token.begin() {
                return None;
            }
            let Deliver { token, envelope, queue, known } = delivery;
            let span = spans::of_message(&envelope, &queue);
            let work = async move { workload.perform(envelope, &queue, known).await }.instrument(span);
            Some(Guard::new(token, bench, work).await)
        };
        let finish = move |ended: Option<Ended>, actor: &mut A, ctx: &mut Context<A>| {
            let this = lanes(actor);
            match ended {
                None => {}
                Some(Ended::Done(token)) => token.ack(),
                Some(Ended::Panicked(token, cause)) => {
                    token.panicked(cause.clone());
                    this.lifeline.link().crashed(cause);
                    return ctx.terminate();
                }
                // The whole generation was given up.
                Some(Ended::TakenBack) => return ctx.terminate(),
            }
            if let Some(next) = this.busy.next(&lane) {
                this.run(lane, next, lanes, ctx);
            }
        };
        ctx.spawn(actix::fut::wrap_future::<_, A>(work).map(finish));
    }
}
