//! The actor that works on deliveries: the same one for every kind of [`Workload`]. What differs from kind to kind (queue, how many, how
//! much in hand, lanes, last words) stands in the hub's table of workers, and what is done with a message in the workload.

use super::{
    deliver::Deliver,
    lanes::{Lanes, Workload},
    lifeline::{Birth, Link},
};
use actix::{Actor, Context, Handler, Recipient};
use std::sync::Arc;

/// One generation of a child that works on deliveries.
pub struct WorkActor<W> {
    lanes: Lanes<W>,
    prefetch: usize,
}

impl<W: Workload> WorkActor<W> {
    /// Makes a generation on the arbiter it is born to, with at most `prefetch` deliveries in hand. `make` runs on that arbiter's thread.
    #[must_use]
    pub fn start(birth: Birth, prefetch: u16, make: impl FnOnce(Link) -> W + Send + 'static) -> Recipient<Deliver> {
        let Birth { arbiter, lifeline } = birth;
        Self::start_in_arbiter(&arbiter, move |_| {
            let work = make(lifeline.link());
            Self { lanes: Lanes::new(lifeline, Arc::new(work)), prefetch: usize::from(prefetch.max(1)) }
        })
        .recipient()
    }
}

impl<W: Workload> Actor for WorkActor<W> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(self.prefetch + 1);
        self.lanes.link().up();
    }
}

impl<W: Workload> Handler<Deliver> for WorkActor<W> {
    type Result = ();

    fn handle(&mut self, delivery: Deliver, ctx: &mut Context<Self>) {
        self.lanes.take(delivery, |actor: &mut Self| &mut actor.lanes, ctx);
    }
}
