//! This process among the hub processes on one broker and one store: it says that it lives, sees who else does, and keeps the
//! lease under which it acts. Who runs which tenant follows from what it sees, in `ownership.rs`; children are made and let go by
//! the supervisor, told by `follow` in `mod.rs`.
//!
//! Nothing is agreed on, and nobody leads. Three guards stand behind each other:
//! - a tenant's queue has a single active consumer, so that two processes that both think they own it (views differ for a beat)
//!   do not work at the same time: whoever lets a tenant go finishes first what it has begun, and only then does the next begin;
//! - a process acts only under a lease that ends before the others take it for dead, and before the broker does. It is renewed
//!   with each beat that the store took. So what was stopped and goes on (SIGSTOP, a machine that sleeps) may not act, and lets
//!   go at once of everything that it had in hand before its lease is renewed;
//! - whatever is begun again looks whether it had its effect before.
//!
//! A store that is away is away for all: nobody can beat, so nobody takes over, and children keep what they have in hand and
//! wait. Only if it stays away for long they are let go, since it may be this process alone that does not reach it.
//! A broker that is away for long makes a process unable to run tenants: it lets them go, says so, and takes them back when the
//! broker is there again.

use super::{
    Parts,
    ownership::{Standpoint, View, candidates},
};
use actix::Addr;
use atshub_actors::{
    lease::Lease,
    ports::{Beat, BrokerHealth, ProcessRecord, Store, StoreError},
    supervision::{Board, Relinquish, Supervisor},
};
use jiff::Timestamp;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};
use uuid::Uuid;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// Longest wait for the store to take a beat, or a goodbye.
const ANSWER: Duration = Duration::from_secs(2);
/// Who was not heard of for so long, by the store's clock, is taken for dead.
pub const ALIVE: Duration = Duration::from_secs(10);
/// How long this process may act from the time on at which it sent a beat that was taken. Shorter than [`ALIVE`], and than the
/// shortest time after which the broker takes a silent connection for dead (1.5 heartbeats, see the RabbitMQ adapter's options):
/// whatever another process may have been given, this one does not act on any more.
pub(super) const LEASE: Duration = Duration::from_secs(8);
/// How long the broker may be away before a process says that it cannot run tenants.
const BROKER_AWAY: Duration = Duration::from_secs(10);
/// How long letting go of all tenants is waited for before that is said.
const CLOSING: Duration = Duration::from_secs(10);
/// For so long whoever returns counts those that may be about to return as well. Longer than the longest pause between two
/// attempts of the RabbitMQ adapter to connect, and than a beat.
const RETURNING: Duration = Duration::from_secs(14);
/// No step of this task's loop takes so long unless the process itself stands still.
const STANDSTILL: Duration = Duration::from_secs(5);
/// How long after the lease children wait for a store that is away before they are let go, when others might run them.
const PATIENCE: Duration = Duration::from_secs(20);
/// The same when no other process was seen.
const PATIENCE_ALONE: Duration = Duration::from_secs(300);

/// This process's place among the others.
pub(super) struct Membership {
    beat: Beat,
    store: Arc<dyn Store>,
    health: watch::Receiver<BrokerHealth>,
    lease: Lease,
    views: watch::Sender<View>,
    /// The broker and the store can be used by one process only: it shares its tenants with nobody.
    sole: bool,
    stopping: watch::Receiver<bool>,
    pace: Pace,
    broker_lost: Option<Instant>,
    /// Until when this process counts as returning, and who shared the tenants before.
    returning: Option<(Instant, BTreeSet<Uuid>)>,
    /// When the lease was found to have run out.
    lapsed: Option<Instant>,
    stood_still: bool,
    closing: Option<Instant>,
    others: bool,
}

/// Notices that the whole process stood still, by both clocks: the monotonic one does not run while a machine sleeps.
struct Pace {
    at: Instant,
    by_the_wall: Timestamp,
}

impl Pace {
    fn new() -> Self {
        Self { at: Instant::now(), by_the_wall: Timestamp::now() }
    }

    /// How long it has been since the last call.
    fn lap(&mut self) -> Duration {
        let before = std::mem::replace(self, Self::new());
        let by_the_wall = Duration::try_from(self.by_the_wall.duration_since(before.by_the_wall)).unwrap_or(Duration::ZERO);
        self.at.duration_since(before.at).max(by_the_wall)
    }
}

impl Membership {
    /// Joins the others: the first beat is taken, and the first view made of what the store says.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn join(parts: &Parts, stopping: watch::Receiver<bool>) -> Result<Self, StoreError> {
        let (process, host) = (Uuid::now_v7(), host());
        let name = format!("{host}:{}", std::process::id());
        let store = Arc::clone(&parts.store);
        for before in store.processes(ALIVE).await?.into_iter().filter(|before| before.live && is_over(&before.name, &host)) {
            tracing::info!(process = before.name, "a process that ran here has ended without a word; its tenants are free");
            store.leave(before.process).await?;
        }
        let health = parts.broker.health();
        let able = is_up(&health.borrow());
        let beat = Beat { process, name, started_at: parts.clock.now(), able };
        let sent = Instant::now();
        let records = store.beat(beat.clone(), ALIVE).await?;
        let sole = parts.options.sole;
        let lease = if sole { Lease::unlimited() } else { Lease::until(sent + LEASE) };
        let mut this = Self {
            beat,
            store,
            health,
            lease,
            views: watch::Sender::new(View::sole(process)),
            sole,
            stopping,
            pace: Pace::new(),
            broker_lost: (!able).then(Instant::now),
            returning: None,
            lapsed: None,
            stood_still: false,
            closing: None,
            others: false,
        };
        this.see(&records);
        Ok(this)
    }

    /// Which process this is.
    pub(super) fn process(&self) -> Uuid {
        self.beat.process
    }

    /// Where it runs.
    pub(super) fn name(&self) -> String {
        self.beat.name.clone()
    }

    /// The lease under which this process acts.
    pub(super) fn lease(&self) -> Lease {
        self.lease.clone()
    }

    /// How this process sees the others, now and from now on.
    pub(super) fn views(&self) -> watch::Receiver<View> {
        self.views.subscribe()
    }

    /// Beats until it is dropped.
    pub(super) async fn run(mut self, supervisor: Addr<Supervisor>, board: Board) {
        let mut next = tokio::time::Instant::now() + BEAT;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                // The sender is as old as the hub; without it there is nobody to beat for.
                changed = self.stopping.changed() => if changed.is_err() { return },
            }
            next = tokio::time::Instant::now() + BEAT;
            self.look_at_the_broker(&board);
            self.look_at_the_lease(&supervisor).await;
            let sent = Instant::now();
            let answer = timeout(ANSWER, self.store.beat(self.beat.clone(), ALIVE)).await;
            self.stood_still |= self.pace.lap() > STANDSTILL;
            match answer {
                Ok(Ok(records)) => self.heard(sent, &records, &supervisor).await,
                Ok(Err(error)) => tracing::warn!(%error, "the store did not take a beat"),
                Err(_) => tracing::warn!(limit_s = ANSWER.as_secs(), "the store did not take a beat in time"),
            }
        }
    }

    /// Whether this process can run tenants, and what it says of that.
    fn look_at_the_broker(&mut self, board: &Board) {
        let up = is_up(&self.health.borrow_and_update());
        let away_for_long = self.broker_lost.is_some_and(|since| since.elapsed() >= BROKER_AWAY);
        if up {
            if away_for_long {
                self.returns();
            }
            (self.broker_lost, self.closing) = (None, None);
        } else {
            self.broker_lost.get_or_insert_with(Instant::now);
        }
        self.beat.able = if *self.stopping.borrow() {
            false
        } else if up || !away_for_long {
            true
        } else if self.others {
            // The broker has long given this process's consumers up, so that nothing but these words keeps another one from
            // beginning: they are said when the tenants have been let go.
            let since = *self.closing.get_or_insert_with(|| {
                tracing::warn!("the broker is away for this process; its tenants are let go for others to run");
                Instant::now()
            });
            since.elapsed() < CLOSING && board.snapshot().iter().any(|child| child.name.starts_with(TENANTS))
        } else {
            false
        };
    }

    /// A lease that has run out while the store cannot be asked: after a while everything is let go.
    async fn look_at_the_lease(&mut self, supervisor: &Addr<Supervisor>) {
        self.stood_still |= self.pace.lap() > STANDSTILL;
        if self.lease.holds() {
            return;
        }
        let since = *self.lapsed.get_or_insert_with(|| {
            tracing::warn!(stood_still = self.stood_still, "the lease has run out; nothing is done until it is renewed");
            Instant::now()
        });
        let patience = if self.others { PATIENCE } else { PATIENCE_ALONE };
        if !self.stood_still && since.elapsed() >= patience && self.views.borrow().works() {
            self.let_go(supervisor).await;
        }
    }

    /// The store has taken a beat.
    async fn heard(&mut self, sent: Instant, records: &[ProcessRecord], supervisor: &Addr<Supervisor>) {
        if self.lapsed.is_some() || !self.lease.holds() {
            // What is in hand may be in another's hands by now, unless it was only the store that did not answer: then nobody
            // could take anything over, and it goes on.
            if self.stood_still && self.views.borrow().works() {
                self.let_go(supervisor).await;
            }
            self.returns();
        }
        if !self.sole {
            self.lease.renew(sent + LEASE);
        }
        if !self.lease.holds() {
            return; // it took too long; the next beat decides
        }
        (self.lapsed, self.stood_still) = (None, false);
        self.see(records);
    }

    async fn let_go(&mut self, supervisor: &Addr<Supervisor>) {
        tracing::warn!("this process was out of touch for so long that others may do its work: everything in hand is let go");
        // First, so that no roster makes anew what is being let go.
        self.views.send_modify(|view| *view = view.adrift());
        // Without a supervisor there are no children.
        let _ = supervisor.send(Relinquish).await;
    }

    fn returns(&mut self) {
        let before = self.views.borrow().candidates().clone();
        self.returning = Some((Instant::now() + RETURNING, before));
    }

    /// Makes a view of what the store says.
    fn see(&mut self, records: &[ProcessRecord]) {
        let own = self.beat.process;
        self.others = records.iter().any(|other| other.live && other.process != own);
        if self.returning.as_ref().is_some_and(|(until, _)| Instant::now() >= *until) {
            self.returning = None;
        }
        let standpoint = Standpoint {
            own,
            able: self.broker_lost.is_none_or(|since| since.elapsed() < BROKER_AWAY) && !*self.stopping.borrow(),
            stopping: *self.stopping.borrow(),
            returning: self.returning.as_ref().map(|(_, before)| before),
        };
        let view = if self.sole { View::sole(own) } else { View::of(own, candidates(records, standpoint)) };
        self.views.send_if_modified(|known| {
            let changed = *known != view;
            if changed {
                tracing::info!(processes = view.candidates().len(), works = view.works(), "the processes that share the tenants");
                *known = view;
            }
            changed
        });
    }
}

/// What the names of tenants' children begin with.
pub(super) const TENANTS: &str = "tenant/";

fn is_up(health: &BrokerHealth) -> bool {
    matches!(health, BrokerHealth::Up { .. })
}

/// Says goodbye: the process is forgotten at once, and with it what its children did.
pub(super) async fn leave(store: &dyn Store, process: Uuid) {
    match timeout(ANSWER, store.leave(process)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the store did not hear that this process leaves; it is forgotten after a while"),
        Err(_) => tracing::warn!("the store did not hear in time that this process leaves; it is forgotten after a while"),
    }
}

/// The machine's name, or the container's.
fn host() -> String {
    let told = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// Whether a process of this name (`host:pid`) has certainly ended: it ran on this machine, and its number is nobody's, or our
/// own. A hub that was killed and is started again need not wait until its predecessor is taken for dead. Were two machines to
/// have one name, the other process would be back with its next beat.
fn is_over(name: &str, host: &str) -> bool {
    let Some((there, pid)) = name.rsplit_once(':') else { return false };
    let Ok(pid) = pid.parse::<u32>() else { return false };
    let known = Path::new("/proc/self").exists();
    there == host && (pid == std::process::id() || (known && !Path::new("/proc").join(pid.to_string()).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[test]
    fn a_predecessor_is_over_if_it_ran_here_and_its_number_is_nobodys() {
        let own = std::process::id();
        assert!(is_over(&format!("here:{own}"), "here"), "a container's first process has the same number each time");
        assert!(is_over(&format!("here:{}", u32::MAX), "here"), "no process has such a number");
        assert!(!is_over(&format!("there:{}", u32::MAX), "here"), "of another machine nothing is known");
        assert!(!is_over("here:1", "here"), "somebody lives there");
        assert!(!is_over("here", "here") && !is_over("here:x", "here"));
    }

    #[test]
    fn a_process_that_stood_still_sees_it_by_the_clock_that_went_on() {
        let mut pace = Pace::new();
        assert!(pace.lap() < STANDSTILL);
        pace.by_the_wall = Timestamp::now() - SignedDuration::from_secs(3600);
        assert!(pace.lap() >= Duration::from_secs(3600), "the machine slept, and the monotonic clock with it");
        assert!(pace.lap() < STANDSTILL);
    }

    #[test]
    fn the_readme_says_how_long_things_take() {
        let readme = include_str!("../../actors/README.md").replace('\n', " ");
        let heartbeat = crate::rabbitmq::RabbitOptions::default().heartbeat.as_secs();
        let [beat, alive, lease, away, patience] = [BEAT, ALIVE, LEASE, BROKER_AWAY, PATIENCE].map(|time| time.as_secs());
        for sentence in [
            format!("beats in the store every {beat} s and sees who else was heard of within {alive} s"),
            format!("under a lease of {lease} s"),
            format!("move {alive} s after its last beat"),
            format!("(AMQP heartbeat {heartbeat} s: {} to {} s)", heartbeat * 3 / 2, heartbeat * 3),
            format!("its broker is away for {away} s"),
            format!("after {patience} s more ({} min if it is alone)", PATIENCE_ALONE.as_secs() / 60),
        ] {
            assert!(readme.contains(&sentence), "actors/README.md does not say `{sentence}`");
        }
    }

    #[test]
    fn a_lease_ends_before_anybody_else_takes_over() {
        let heartbeat = crate::rabbitmq::RabbitOptions::default().heartbeat;
        assert!(LEASE < ALIVE, "or the others take this process for dead while it acts");
        assert!(LEASE < heartbeat.mul_f64(1.5), "or the broker gives its messages away while it acts");
        assert!(BEAT + ANSWER < LEASE, "or one lost beat would end it");
        assert!(BEAT.max(ANSWER) < STANDSTILL);
    }
}
