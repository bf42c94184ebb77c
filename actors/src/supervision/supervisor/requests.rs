//! What follows from somebody's wish: a standing that was stored, what is asked of a child, the end of the process.

use super::{Child, Supervisor};
use crate::phase::{Phase, Step};
use crate::supervision::{
    dispatcher::{Abandoned, Order},
    notice::ChildName,
    spec::{Action, ChildSpec, Control, Shutdown},
};
use actix::{Context, Handler, ResponseFuture};
use futures_util::{FutureExt, future::join_all};
use std::time::Instant;

impl Supervisor {
    /// Follows a standing that somebody else has stored: an operator at another process, the command line.
    pub(super) fn follow(&mut self, spec: ChildSpec, read_at: Instant) {
        let Some(child) = self.children.get_mut(&spec.name) else { return };
        let older = child.storing > 0 || child.stored.is_some_and(|at| read_at <= at);
        if older {
            return;
        }
        (child.spec.stood, child.last_stored) = (spec.stood, None);
        if child.spec.standing == spec.standing {
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
        self.remember(name, phase, None, None);
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
            Action::Pause => self.set_aside(&name, Step::Pause, reason, None),
            Action::Quarantine => self.set_aside(&name, Step::Quarantine, reason, None),
            Action::Drain => {
                child.spec.cause = Some(reason.clone());
                self.set_aside(&name, Step::Drain, reason, None)
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
