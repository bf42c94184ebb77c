//! The gate before one host, for one tenant (its ATS) or one platform account: breaker, kept pauses and lease in one. Work with
//! a call to make passes it first; what is turned away goes back to the schedule and uses up no attempt.
//!
//! A gate belongs to a configuration, not to a generation: a crash does not make it forget that the host is away, another
//! credential or address does. It makes no call by itself and keeps nothing in the store.

mod breaker;
mod hosts;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waits;
mod window;

pub use breaker::{BREAKER_STEPS, GatePolicy, Step};
pub use hosts::{HostRefusals, Hosts};

use crate::{
    failure::Failure,
    lease::Lease,
    ports::Clock,
    supervision::{BreakerSnapshot, BreakerState, Link},
};
use atshub_schemas::Envelope;
use breaker::{Breaker, Outcome, Reason, Refusal, Ticket};
use jiff::Timestamp;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a gate stands before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    label: String,
    words: String,
    /// What to do where the credential is refused, if nobody else says it.
    remedy: Option<String>,
}

impl Host {
    /// The ATS of the one tenant that the gate belongs to.
    #[must_use]
    pub fn ats() -> Self {
        Self { label: "ats".into(), words: "the ATS".into(), remedy: None }
    }

    /// A platform account.
    #[must_use]
    pub fn platform(account: &str) -> Self {
        let remedy = format!("`atshub platform add {account} … --token-file <file>` sets another, and what waits is done");
        Self { label: format!("platform/{account}"), words: format!("the platform (account `{account}`)"), remedy: Some(remedy) }
    }
}

/// Work that is not to be done now, through no fault of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    /// When to come again.
    pub(crate) until: Timestamp,
    /// Stable code: `host_away`, `rate_limited`, `unauthorized`, `share_used_up`, `after_earlier`, `after_other` or `set_aside`.
    pub(crate) code: &'static str,
    /// Why, as a sentence.
    pub(crate) why: String,
    /// Whether it belongs in the candidate's history. What only looked whether the host is back does not, nor does a queue
    /// that is a little long: an outage of hours would be all that the history shows.
    pub(crate) told: bool,
}

impl Wait {
    /// For a status that would overtake an earlier one.
    pub(crate) fn behind(until: Timestamp) -> Self {
        Self { until, code: "after_earlier", why: "an earlier status of this application waits".into(), told: false }
    }

    /// For a request to invite while the platform is asked about the same person and role for another application.
    /// Another attempt at the same message holds it.
    pub(crate) fn held(until: Timestamp) -> Self {
        let why = "another attempt at it is under way, or was when its process ended".into();
        Self { until, code: "attempt_held", why, told: false }
    }

    pub(crate) fn for_other(until: Timestamp, told: bool) -> Self {
        let why = "the platform is being asked to invite this person for this role already, for another application".into();
        Self { until, code: "after_other", why, told }
    }
}

/// How a call ended that did not give what it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    /// It failed, and that is for the retry schedule.
    Failed(Failure),
    /// It was not made, or says more about the host than about the work: to be postponed, and no attempt is counted.
    Wait(Wait),
    /// The credential was refused, like this. To be postponed too, unless somebody finds that the credential is good.
    Refused(Failure, Wait),
    /// This process may not act any more: the work is neither done nor settled here.
    Lapsed,
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// This process may not act any more: what is in hand is neither done nor settled here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lapsed;

/// The gate. Clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    host: Host,
    clock: Arc<dyn Clock>,
    lease: Lease,
    kept: Mutex<Kept>,
}

struct Kept {
    breaker: Breaker,
    shown: (BreakerState, Option<Timestamp>),
    /// The credential was refused, and no call was answered since.
    refused: bool,
    links: Vec<Link>,
}

impl Gate {
    /// An open one: nothing is known against the host.
    #[must_use]
    pub fn new(host: Host, policy: GatePolicy, clock: Arc<dyn Clock>, lease: Lease) -> Self {
        let breaker = Breaker::new(policy, clock.now());
        let kept = Mutex::new(Kept { breaker, shown: (BreakerState::Closed, None), refused: false, links: Vec::new() });
        Self(Arc::new(Inner { host, clock, lease, kept }))
    }

    /// Shows how it stands on this child's board, from now on, in place of the child's generation before.
    pub(crate) fn show_on(&self, link: &Link) {
        let mut kept = self.lock();
        if kept.links.iter().any(|known| known.child() == link.child() && known.generation() == link.generation()) {
            return;
        }
        kept.links.retain(|known| known.child() != link.child());
        kept.links.push(link.clone());
        link.breaker(self.snapshot(&kept.breaker));
    }

    /// Asks for leave to call. The draw is uniform in 0..=1, the same for what is to stay in order.
    pub(crate) fn enter(&self, draw: f64) -> Result<Pass<'_>, Halt> {
        if !self.0.lease.holds() {
            return Err(Halt::Lapsed);
        }
        let ticket = self.ticket(draw)?;
        Ok(Pass { gate: self, draw, ticket: Some(ticket) })
    }

    /// How calls are going now.
    #[must_use]
    pub fn shown(&self) -> BreakerSnapshot {
        let kept = self.lock();
        self.snapshot(&kept.breaker)
    }

    /// What it stands before, as on the board.
    pub(crate) fn label(&self) -> &str {
        &self.0.host.label
    }

    /// What the host said of the credential is not so, or somebody has seen to it.
    pub(crate) fn relent(&self) {
        self.with(Breaker::relent);
    }

    /// When a credential that was refused just now is tested for the first time.
    pub(crate) fn first_retest(&self, now: Timestamp) -> Timestamp {
        breaker::later(now, self.lock().breaker.policy().first_retest)
    }

    /// How long a call may hold others up.
    pub(crate) fn patience(&self) -> Duration {
        self.lock().breaker.policy().patience
    }

    /// For work that finds its share of the calls in flight used up.
    pub(crate) fn share_used_up(&self, draw: f64) -> Wait {
        let wait = self.lock().breaker.policy().share_wait;
        let until = breaker::later(self.0.clock.now(), wait.mul_f64(1.0 + draw.clamp(0.0, 1.0)));
        let why = format!("{} is slow, and as many calls as may be made at once wait for its answers", self.0.host.words);
        Wait { until, code: "share_used_up", why, told: false }
    }

    /// For work of a tenant that is set aside: looked at again as often as a host that is away.
    pub(crate) fn set_aside(&self, draw: f64) -> Wait {
        let wait = self.lock().breaker.policy().probe_every;
        let until = breaker::later(self.0.clock.now(), wait.mul_f64(1.0 + draw.clamp(0.0, 1.0)));
        Wait { until, code: "set_aside", why: "the tenant is set aside: nothing is done in its name".into(), told: false }
    }

    fn ticket(&self, draw: f64) -> Result<Ticket, Halt> {
        self.with(|breaker, now| breaker.admit(now, draw)).map_err(|refusal| Halt::Wait(self.wait(&refusal, None)))
    }

    /// What a failed call means: for the schedule, or that the host is away and the work has to wait.
    fn halt(&self, ticket: &Ticket, failure: Failure, draw: f64) -> Halt {
        let refusal = self.with(|breaker, now| {
            breaker.conclude(ticket, &outcome(&failure), now, draw);
            let hosts_own = match (&failure, breaker.state()) {
                (Failure::Transient { .. }, BreakerState::Open | BreakerState::HalfOpen) => true,
                (Failure::RateLimited { .. } | Failure::Unauthorized { .. }, state) => state != BreakerState::Closed,
                _ => false,
            };
            hosts_own.then(|| breaker.refuse(now, draw))
        });
        if let (Failure::Unauthorized { detail }, Some(remedy)) = (&failure, &self.0.host.remedy)
            && !std::mem::replace(&mut self.lock().refused, true)
        {
            // Once, and not again at each try until a call is answered.
            tracing::error!(host = self.0.host.label, detail, "{} does not accept the credential; {remedy}", self.0.host.words);
        }
        let Some(refusal) = refusal else { return Halt::Failed(failure) };
        let wait = Wait { told: !ticket.is_probe(), ..self.wait(&refusal, Some(&failure)) };
        if matches!(failure, Failure::Unauthorized { .. }) { Halt::Refused(failure, wait) } else { Halt::Wait(wait) }
    }

    fn wait(&self, refusal: &Refusal, failure: Option<&Failure>) -> Wait {
        let (host, next) = (&self.0.host.words, refusal.next);
        let (code, why) = match refusal.reason {
            Reason::Away { calls, failed, probing } => {
                let window = spoken(self.lock().breaker.policy().window);
                let next = if probing { "a call is on its way to see".to_owned() } else { format!("next call at {next}") };
                ("host_away", format!("{host} is taken to be away ({failed} of {calls} calls failed within {window}); {next}"))
            }
            Reason::AskedToWait => ("rate_limited", format!("{host} asked for a pause; next call at {next}")),
            Reason::CredentialRefused => ("unauthorized", format!("{host} does not accept the credential; next call at {next}")),
        };
        let why = failure.map_or_else(|| why.clone(), |failure| format!("{failure}; {why}"));
        Wait { until: refusal.until, code, why, told: true }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Breaker, Timestamp) -> T) -> T {
        let mut kept = self.lock();
        let now = self.0.clock.now();
        kept.breaker.follow(now);
        let done = act(&mut kept.breaker, now);
        let now = (kept.breaker.state(), kept.breaker.next_call());
        if kept.shown != now {
            kept.shown = now;
            let snapshot = self.snapshot(&kept.breaker);
            let child = kept.links.first().map(|link| link.child().to_string()).unwrap_or_default();
            let BreakerSnapshot { host, state, calls, failed, .. } = &snapshot;
            tracing::info!(child, host, state = state.as_str(), calls, failed, "the breaker before a host changed its state");
            kept.links.iter().for_each(|link| link.breaker(snapshot.clone()));
        }
        done
    }

    fn snapshot(&self, breaker: &Breaker) -> BreakerSnapshot {
        let (calls, failed) = breaker.seen(self.0.clock.now());
        BreakerSnapshot {
            host: self.0.host.label.clone(),
            state: breaker.state(),
            since: breaker.since(),
            next_call: breaker.next_call(),
            calls,
            failed,
            last_error: breaker.last_error().map(str::to_owned),
            reason: breaker.reason().map(str::to_owned),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic while the lock is held cannot leave a breaker half-changed in a way that its next step does not mend.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to call, once; for another call it asks again. Dropped before a call, it was not needed; dropped during one, nobody
/// knows, and that counts as a failed probe: a cancelled future must not leave the breaker half open for ever.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    draw: f64,
    ticket: Option<Ticket>,
}

impl Pass<'_> {
    /// Makes a call.
    pub(crate) async fn call<T>(&mut self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Halt> {
        self.make(call, false).await
    }

    /// Makes a call that may be answered from memory: an answer says nothing about the host, a failure does.
    pub(crate) async fn perhaps_remembered<T>(&mut self, call: impl Future<Output = Result<T, Failure>>) -> Result<T, Halt> {
        self.make(call, true).await
    }

    async fn make<T>(&mut self, call: impl Future<Output = Result<T, Failure>>, remembered: bool) -> Result<T, Halt> {
        // Asked right before the call: what came before it may have waited long for the store.
        if !self.gate.0.lease.holds() {
            return Err(Halt::Lapsed);
        }
        let ticket = match self.ticket.take() {
            Some(probe) if probe.is_probe() => probe,
            // And the host may have gone away meanwhile.
            _ => self.gate.ticket(self.draw)?,
        };
        let mut under_way = UnderWay { gate: self.gate, ticket: Some(ticket), draw: self.draw };
        let answer = call.await;
        // A call that was not made because the lease ran out, or failed while it did, is for whoever holds the lease now.
        if answer.is_err() && !self.gate.0.lease.holds() {
            return Err(Halt::Lapsed);
        }
        let Some(ticket) = under_way.ticket.take() else { return answer.map_err(Halt::Failed) };
        match answer {
            Ok(answer) if remembered => {
                self.ticket = Some(ticket);
                Ok(answer)
            }
            Ok(answer) => {
                self.gate.lock().refused = false;
                self.gate.with(|breaker, now| breaker.conclude(&ticket, &Outcome::Answered, now, self.draw));
                Ok(answer)
            }
            Err(failure) => Err(self.gate.halt(&ticket, failure, self.draw)),
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.with(|breaker, now| breaker.conclude(&ticket, &Outcome::NotMade, now, self.draw));
        }
    }
}

struct UnderWay<'a> {
    gate: &'a Gate,
    ticket: Option<Ticket>,
    draw: f64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.with(|breaker, now| breaker.conclude(&ticket, &Outcome::Lost, now, self.draw));
        }
    }
}

/// What a failure says about the host, and nothing else.
fn outcome(failure: &Failure) -> Outcome {
    match failure {
        Failure::Transient { detail, .. } => Outcome::Failed(detail.clone()),
        Failure::RateLimited { retry_after } => Outcome::AskedToWait(*retry_after),
        Failure::Unauthorized { detail } => Outcome::CredentialRefused(detail.clone()),
        Failure::Rejected { .. } | Failure::NotPermitted { .. } | Failure::Malformed { .. } => Outcome::Answered,
        Failure::Unreadable { .. } | Failure::Bug { .. } => Outcome::NotMade,
    }
}

/// A draw, uniform in 0..=1 over applications and the same for all that is about one: what waits together comes back spread,
/// and an application's statuses come back in order.
pub(crate) fn draw(envelope: &Envelope) -> f64 {
    let mut hasher = DefaultHasher::new();
    match &envelope.subject {
        Some(subject) => subject.as_str().hash(&mut hasher),
        None => envelope.id.as_str().hash(&mut hasher),
    }
    // 53 bits: as many as a number between 0 and 1 holds exactly.
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

fn spoken(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}
