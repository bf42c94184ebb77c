//! How children leave: drained, when the roster names them no more or names another configuration of them; or let go at once,
//! when what they have in hand is not this process's any more.

use super::{
    spec::{ChildName, ChildSpec, Relinquish},
    supervisor::Supervisor,
};
use actix::{ActorFutureExt, AsyncContext, Context, Handler};
use std::time::Duration;

/// How long a child that leaves may take to finish what it has begun. Past it, that is dropped where it stands.
const DRAIN: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Drains a child and lets it go; then makes what is to come in its place.
    pub(super) fn dismiss(&mut self, name: &ChildName, successor: Option<ChildSpec>, ctx: &mut Context<Self>) {
        if let Some(child) = self.children.get_mut(name) {
            child.leaving = true;
            child.successor = successor;
        }
        let closed = self.stop(name);
        let name = name.clone();
        let wait = async move {
            if let Some(closed) = closed {
                let _ = tokio::time::timeout(DRAIN, closed).await;
            }
        };
        ctx.spawn(actix::fut::wrap_future::<_, Self>(wait).map(move |(), this, _| {
            if this.children.get(&name).is_some_and(|c| c.leaving)
                && let Some(spec) = this.forget(&name)
            {
                this.adopt(spec);
            }
        }));
    }

    /// With the last sender of its orders a child's dispatcher ends, and its consumption with it; with what keeps them, its
    /// generations end, at whatever they wait for. Returns what is to come in its place.
    fn forget(&mut self, name: &ChildName) -> Option<ChildSpec> {
        let child = self.children.remove(name)?;
        if child.alive || child.successor.is_some() {
            self.left.insert(name.clone(), child.generation);
        }
        self.options.board.remove(&name.0);
        child.successor
    }
}

impl Handler<Relinquish> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: Relinquish, _: &mut Context<Self>) {
        let names: Vec<ChildName> = self.children.keys().cloned().collect();
        for name in names {
            let _ = self.forget(&name);
        }
    }
}
