//! What follows from somebody's wish: which children there should be, what is asked of one, the end of the process.

use super::{Child, Supervisor};
use crate::supervision::{
    dispatcher::{Abandoned, Order},
    phase::{Phase, Step},
    spec::{Action, ChildName, ChildSpec, Control, Roster, Shutdown},
};
use actix::{ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture};
use futures_util::{FutureExt, future::join_all};
use std::{collections::HashSet, time::Duration};

/// How long a standing of the supervisor's own making may take to be stored and read back.
const STANDING_SETTLES: Duration = Duration::from_secs(5);
/// How long a child that is to go may take over what it has in hand.
const FAREWELL: Duration = Duration::from_secs(30);

impl Supervisor {
    /// Follows a standing that somebody else has stored: an operator at another process, the command line.
    fn follow(&mut self, spec: ChildSpec) {
        let Some(child) = self.children.get_mut(&spec.name) else { return };
        let own = child.stood.is_some_and(|at| at.elapsed() < STANDING_SETTLES);
        if own || child.spec.standing == spec.standing {
            return;
        }
        child.spec.standing = spec.standing;
        child.spec.cause.clone_from(&spec.cause);
        let (name, cause) = (spec.name, spec.cause);
        let step = match (spec.standing, child.phase) {
            (Phase::Paused, _) => Step::Pause,
            (Phase::Draining, _) => Step::Drain,
            (Phase::Quarantined, _) => Step::Quarantine,
            (Phase::Disabled, _) => Step::Disable,
            (_, Phase::Quarantined) => Step::Release,
            (_, Phase::Disabled) => Step::Enable,
            _ => Step::Resume,
        };
        match self.step(&name, step, cause) {
            Some(Phase::Starting) => {
                self.forgive(&name);
                self.start(&name);
            }
            Some(_) => drop(self.stop(&name)),
            None => {}
        }
    }

    /// Somebody looked at it: what it did before does not count any more.
    fn forgive(&mut self, name: &ChildName) {
        if let Some(child) = self.children.get_mut(name) {
            child.intensity.forgive();
            child.frozen = 0;
        }
        self.arbiters.rejoin(name);
    }

    fn release(&mut self, name: &ChildName, step: Step) -> Option<Phase> {
        let phase = self.step(name, step, None)?;
        self.forgive(name);
        self.remember(name, phase, None);
        self.start(name);
        Some(phase)
    }

    /// A fresh generation, because somebody wants one: what the one before had begun is begun again.
    fn restart(&mut self, name: &ChildName, reason: &str) -> Option<Phase> {
        let phase = self.step(name, Step::Restart, Some(reason.to_owned()))?;
        self.note(name, "operator", reason);
        if let Some(Child { orders, generation, alive, .. }) = self.children.get_mut(name)
            && std::mem::take(alive)
        {
            let _ = orders.send(Order::Abandon { generation: *generation, why: Abandoned::Moved });
        }
        self.start(name);
        Some(phase)
    }

    fn dismiss(&mut self, name: &ChildName, ctx: &mut Context<Self>) {
        if let Some(child) = self.children.get_mut(name) {
            child.leaving = true;
        }
        let (closed, name) = (self.stop(name), name.clone());
        let wait = async move {
            if let Some(closed) = closed {
                let _ = tokio::time::timeout(FAREWELL, closed).await;
            }
        };
        ctx.spawn(actix::fut::wrap_future::<_, Self>(wait).map(move |(), this, _| {
            if this.children.get(&name).is_some_and(|c| c.leaving) {
                this.children.remove(&name);
                this.arbiters.rejoin(&name);
                this.options.board.remove(&name.0);
            }
        }));
    }
}

impl Handler<Roster> for Supervisor {
    type Result = ();

    fn handle(&mut self, Roster(specs): Roster, ctx: &mut Context<Self>) {
        let wanted: HashSet<&ChildName> = specs.iter().map(|s| &s.name).collect();
        let gone: Vec<ChildName> =
            self.children.iter().filter(|(n, c)| !wanted.contains(n) && !c.leaving).map(|(n, _)| n.clone()).collect();
        for name in gone {
            self.dismiss(&name, ctx);
        }
        for spec in specs {
            let name = spec.name.clone();
            match self.children.get(&name) {
                Some(child) if !child.leaving && child.spec.revision == spec.revision => self.follow(spec),
                Some(child) if child.leaving => {} // taken up again once it has left: the roster comes round
                Some(_) => self.dismiss(&name, ctx), // another configuration: made anew the next time round
                None => self.adopt(spec),
            }
        }
    }
}

impl Handler<Control> for Supervisor {
    type Result = Result<Phase, String>;

    fn handle(&mut self, control: Control, _: &mut Context<Self>) -> Self::Result {
        let Control { child: name, action, reason } = control;
        let Some(child) = self.children.get_mut(&name) else {
            return Err(format!("there is no `{name}` here"));
        };
        let phase = child.phase;
        let after = match action {
            Action::Restart => self.restart(&name, &reason),
            Action::Pause => self.set_aside(&name, Step::Pause, reason),
            Action::Quarantine => self.set_aside(&name, Step::Quarantine, reason),
            Action::Drain => {
                child.spec.cause = Some(reason.clone());
                self.set_aside(&name, Step::Drain, reason)
            }
            Action::Resume => self.release(&name, Step::Resume),
            Action::Release => self.release(&name, Step::Release),
            Action::Rehearse(rehearsal) => {
                child.stage.set(rehearsal);
                Some(phase)
            }
        };
        after.ok_or_else(|| format!("`{name}` is {}; that does not allow {action:?}", phase.as_str()))
    }
}

impl Handler<Shutdown> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Shutdown { deadline }: Shutdown, _: &mut Context<Self>) -> Self::Result {
        let names: Vec<ChildName> = self.children.keys().cloned().collect();
        let mut closing = Vec::new();
        for name in names {
            if let Some(child) = self.children.get_mut(&name) {
                child.leaving = true;
            }
            self.step(&name, Step::Drain, None);
            closing.extend(self.stop(&name));
        }
        let all = join_all(closing).map(|_| ());
        Box::pin(async move {
            if tokio::time::timeout(deadline, all).await.is_err() {
                tracing::warn!(deadline_s = deadline.as_secs(), "the drain took too long; what is in hand goes back to the broker");
            }
        })
    }
}
