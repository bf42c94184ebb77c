//! How children leave: drained, when the roster names them no more or names another configuration of them; or let go at once,
//! when what they have in hand is not this process's any more.

use super::{Child, Supervisor};
use crate::supervision::{
    notice::ChildName,
    spec::{ChildSpec, Relinquish, Roster},
};
use actix::{ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture};
use futures_util::{FutureExt, future::join_all};
use std::{collections::HashSet, time::Duration};
use tokio::sync::mpsc;

/// How long a child that is to go may take over what it has in hand. Past it, that is taken back.
const FAREWELL: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Drains a child and lets it go; then makes what is to come in its place.
    fn dismiss(&mut self, name: &ChildName, successor: Option<ChildSpec>, ctx: &mut Context<Self>) {
        if let Some(child) = self.children.get_mut(name) {
            child.leaving = true;
            child.successor = successor;
        }
        let (closed, name) = (self.stop(name), name.clone());
        let wait = async move {
            if let Some(closed) = closed {
                let _ = tokio::time::timeout(FAREWELL, closed).await;
            }
        };
        ctx.spawn(actix::fut::wrap_future::<_, Self>(wait).map(move |(), this, _| {
            if this.children.get(&name).is_some_and(|c| c.leaving)
                && let Some(Child { successor: Some(spec), .. }) = this.forget(&name)
            {
                this.adopt(spec);
            }
        }));
    }

    /// With the last sender of its orders a child's dispatcher ends: it takes back what it has given out, and its consumption ends
    /// with it. Returns what is left of the child: its dispatcher on its way out, and what is to come in its place.
    fn forget(&mut self, name: &ChildName) -> Option<Child> {
        let mut child = self.children.remove(name)?;
        child.orders = mpsc::unbounded_channel().0;
        self.left.insert(name.clone(), child.generation);
        self.arbiters.rejoin(name);
        self.options.board.remove(&name.0);
        Some(child)
    }
}

impl Handler<Roster> for Supervisor {
    type Result = ();

    fn handle(&mut self, Roster { children, read_at }: Roster, ctx: &mut Context<Self>) {
        let wanted: HashSet<&ChildName> = children.iter().map(|s| &s.name).collect();
        let gone: Vec<ChildName> = self.children.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        for name in gone {
            match self.children.get_mut(&name) {
                Some(child) if child.leaving => child.successor = None,
                _ => self.dismiss(&name, None, ctx),
            }
        }
        for spec in children {
            let name = spec.name.clone();
            match self.children.get_mut(&name) {
                Some(child) if child.leaving => child.successor = Some(spec),
                Some(child) if child.spec.revision == spec.revision => self.follow(spec, read_at),
                Some(_) => self.dismiss(&name, Some(spec), ctx), // another configuration: made anew
                None => self.adopt(spec),
            }
        }
    }
}

impl Handler<Relinquish> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Relinquish, _: &mut Context<Self>) -> Self::Result {
        let names: Vec<ChildName> = self.children.keys().cloned().collect();
        let gone: Vec<_> = names.iter().filter_map(|name| self.forget(name)).map(|child| child.dispatching).collect();
        Box::pin(FutureExt::map(join_all(gone), |_| ()))
    }
}
