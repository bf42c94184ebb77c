//! The breaker of one host: whether calls are made to it, and when again. Pure: the time and the draw come in as arguments.
//! Makes no call, knows no lease, and waits for nothing.

use super::window::Window;
use crate::supervision::BreakerState;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A time that is earlier than the one before by more than this is that of a clock that was set back.
const SET_BACK: SignedDuration = SignedDuration::from_secs(10);

/// How patient a gate is with its host.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GatePolicy {
    /// Calls of the last so long are looked at.
    pub window: Duration,
    /// With fewer calls than this in the window, nothing is concluded.
    pub least_calls: u32,
    /// Part of the calls in the window that has to fail for the host to be taken to be away.
    pub failing: f64,
    /// While it is away, one call is made so often, to see.
    pub probe_every: Duration,
    /// What waited for one moment comes back over at least so long after it.
    pub spread: Duration,
    /// Longest wait of work that is not to see whether the host is back.
    pub longest_wait: Duration,
    /// How long a credential that was refused is not shown again.
    pub refused_wait: Duration,
    /// How long after that the tenant, which is paused then, has its credential tested for the first time.
    pub first_retest: Duration,
    /// How often after that, until it is accepted.
    pub retest_every: Duration,
    /// A call that takes longer holds others up: write-backs that would have to wait behind it go back to the schedule.
    pub patience: Duration,
    /// How long they stay there at least, and less than twice that.
    pub share_wait: Duration,
}

impl Default for GatePolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(120),
            least_calls: 10,
            failing: 0.5,
            probe_every: Duration::from_secs(30),
            spread: Duration::from_secs(2),
            longest_wait: Duration::from_secs(300),
            refused_wait: Duration::from_secs(60),
            first_retest: Duration::from_secs(15 * 60),
            retest_every: Duration::from_secs(3600),
            patience: Duration::from_secs(1),
            share_wait: Duration::from_secs(5),
        }
    }
}

/// What moves a breaker from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Too many of enough calls have failed.
    TooManyFailed,
    /// The host asked for a pause, or did not accept the credential.
    ToldToWait,
    /// The pause is over, or what it was for is.
    WaitOver,
    /// It is time to see; one call begins.
    ProbeBegins,
    /// That call was answered, whatever the answer.
    ProbeAnswered,
    /// That call failed, or nobody knows what became of it.
    ProbeFailed,
    /// That call was not made after all.
    ProbeNotMade,
}

/// Every step, and where it leads.
///
/// - *Closed*: calls are made and counted. A failure that makes too many of enough opens it.
/// - *Open*: the host is taken to be away. No call is made, and no attempt is used up; what comes waits on the schedule. When
///   the time has come, whoever asks first is let through, alone.
/// - *Half open*: that one call is on its way. Everybody else waits on the schedule. Its result alone says what follows.
/// - *Limited*: the host is there and wants to be left alone until a time it named, or it does not accept the credential.
///   That is kept by all, costs no attempt, and is no failure.
pub const BREAKER_STEPS: [(BreakerState, Step, BreakerState); 9] = [
    (BreakerState::Closed, Step::TooManyFailed, BreakerState::Open),
    (BreakerState::Closed, Step::ToldToWait, BreakerState::Limited),
    (BreakerState::Open, Step::ProbeBegins, BreakerState::HalfOpen),
    (BreakerState::HalfOpen, Step::ProbeAnswered, BreakerState::Closed),
    (BreakerState::HalfOpen, Step::ProbeFailed, BreakerState::Open),
    (BreakerState::HalfOpen, Step::ProbeNotMade, BreakerState::Open),
    (BreakerState::HalfOpen, Step::ToldToWait, BreakerState::Limited),
    (BreakerState::Limited, Step::WaitOver, BreakerState::Closed),
    (BreakerState::Limited, Step::TooManyFailed, BreakerState::Open),
];

/// What a call came to, as far as it says something about the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered; with a refusal perhaps.
    Answered,
    /// It did not, or said that it cannot.
    Failed(String),
    /// It wants to be left alone for so long.
    AskedToWait(Duration),
    /// It does not accept the credential.
    CredentialRefused(String),
    /// The call was not made.
    NotMade,
    /// Nobody knows.
    Lost,
}

/// Leave to make one call. Has to come back with what the call came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    number: u64,
    probe: bool,
    /// How often the breaker had closed by then: what an outage left behind says nothing about the time after it.
    era: u64,
}

impl Ticket {
    pub(super) fn is_probe(&self) -> bool {
        self.probe
    }
}

/// Why no call is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// Taken to be away: so many calls, of which so many failed. Whether a call is on its way to see.
    Away { calls: u32, failed: u32, probing: bool },
    /// It asked for a pause.
    AskedToWait,
    /// It does not accept the credential.
    CredentialRefused,
}

/// Wait: until when, for which next call, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) until: Timestamp,
    pub(super) next: Timestamp,
    pub(super) reason: Reason,
}

/// The breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: GatePolicy,
    state: BreakerState,
    since: Timestamp,
    /// When the next call may be made; of use while open or limited.
    next: Timestamp,
    window: Window,
    tickets: u64,
    era: u64,
    probe: Option<u64>,
    /// Somebody was told to come back for the call at this time; all others may stay away for longer.
    scout: Option<Timestamp>,
    /// Since when the host has been away, over all probes.
    away_since: Timestamp,
    /// Calls and failures that opened it.
    evidence: (u32, u32),
    credential: bool,
    last_error: Option<String>,
    /// The time when it was last asked.
    latest: Timestamp,
}

impl Breaker {
    pub(super) fn new(policy: GatePolicy, now: Timestamp) -> Self {
        Self {
            window: Window::new(policy.window),
            policy,
            state: BreakerState::Closed,
            since: now,
            next: now,
            tickets: 0,
            era: 0,
            probe: None,
            scout: None,
            away_since: now,
            evidence: (0, 0),
            credential: false,
            last_error: None,
            latest: now,
        }
    }

    /// A clock that was set back takes along what was reckoned by it: a pause keeps its length, and does not last until the clock has
    /// caught up.
    pub(super) fn follow(&mut self, now: Timestamp) {
        let back = self.latest.duration_since(now);
        if back > SET_BACK {
            let scout = self.scout.as_mut();
            for time in [&mut self.since, &mut self.next, &mut self.away_since].into_iter().chain(scout) {
                *time = time.checked_sub(back).unwrap_or(now);
            }
            self.window.clear();
        }
        self.latest = now;
    }

    /// Leave for one call, or until when to wait.
    pub(super) fn admit(&mut self, now: Timestamp, draw: f64) -> Result<Ticket, Refusal> {
        match self.state {
            BreakerState::Limited if now >= self.next => self.step(Step::WaitOver, now),
            BreakerState::Open if now >= self.next => self.step(Step::ProbeBegins, now),
            BreakerState::Closed => {}
            BreakerState::Open | BreakerState::HalfOpen | BreakerState::Limited => return Err(self.refuse(now, draw)),
        }
        self.tickets += 1;
        let probe = self.state == BreakerState::HalfOpen;
        if probe {
            self.probe = Some(self.tickets);
            self.scout = None;
        }
        Ok(Ticket { number: self.tickets, probe, era: self.era })
    }

    /// Until when to wait. Of those that wait for a host that is away, one is told the time of the next call; the others stay
    /// away the longer the host does, so that an outage of hours is not a tide of messages that look whether it is over.
    pub(super) fn refuse(&mut self, now: Timestamp, draw: f64) -> Refusal {
        let reason = match self.state {
            BreakerState::Limited if self.credential => Reason::CredentialRefused,
            BreakerState::Limited | BreakerState::Closed => Reason::AskedToWait,
            BreakerState::Open | BreakerState::HalfOpen => {
                let (calls, failed) = self.evidence;
                Reason::Away { calls, failed, probing: self.state == BreakerState::HalfOpen }
            }
        };
        let next = self.next.max(now);
        let scouted = self.scout.is_some_and(|at| now < later(at, self.policy.probe_every));
        if self.state == BreakerState::Open && !scouted {
            self.scout = Some(next);
            return Refusal { until: next, next, reason };
        }
        let mut from = next;
        if matches!(reason, Reason::Away { .. }) {
            from = from.max(later(now, (between(self.away_since, now) / 2).min(self.policy.longest_wait)));
        }
        // A tenth of a pause, half of an outage: nobody knows when that ends, so nobody loses by coming later.
        let part = if matches!(reason, Reason::Away { .. }) { 0.5 } else { 0.1 };
        let spread = between(now, from).mul_f64(part).max(self.policy.spread);
        Refusal { until: later(from, spread.mul_f64(draw.clamp(0.0, 1.0))), next, reason }
    }

    /// A call is over.
    pub(super) fn conclude(&mut self, ticket: &Ticket, outcome: &Outcome, now: Timestamp, draw: f64) {
        if let Outcome::Failed(error) | Outcome::CredentialRefused(error) = outcome {
            self.last_error = Some(error.clone());
        }
        if ticket.probe {
            if self.probe == Some(ticket.number) {
                self.probe = None;
                self.probed(outcome, now, draw);
            }
            return;
        }
        let counts = ticket.era == self.era && matches!(self.state, BreakerState::Closed | BreakerState::Limited);
        match outcome {
            Outcome::Answered if counts => self.window.add(now, false),
            Outcome::Failed(_) if counts => {
                self.window.add(now, true);
                let (calls, failed) = self.window.seen(now);
                if calls >= self.policy.least_calls && f64::from(failed) >= f64::from(calls) * self.policy.failing {
                    let asked = (self.state == BreakerState::Limited).then_some(self.next);
                    (self.evidence, self.away_since) = ((calls, failed), now);
                    self.step(Step::TooManyFailed, now);
                    self.put_off(now, draw);
                    self.next = self.next.max(asked.unwrap_or(now));
                }
            }
            Outcome::AskedToWait(_) | Outcome::CredentialRefused(_) => self.told_to_wait(outcome, now),
            Outcome::Answered | Outcome::Failed(_) | Outcome::NotMade | Outcome::Lost => {}
        }
    }

    fn probed(&mut self, outcome: &Outcome, now: Timestamp, draw: f64) {
        match outcome {
            Outcome::Answered => self.step(Step::ProbeAnswered, now),
            Outcome::AskedToWait(_) | Outcome::CredentialRefused(_) => self.told_to_wait(outcome, now),
            Outcome::Failed(_) | Outcome::Lost => {
                self.step(Step::ProbeFailed, now);
                self.put_off(now, draw);
            }
            // It says nothing, so it costs nothing: the next one may go at once.
            Outcome::NotMade => {
                self.step(Step::ProbeNotMade, now);
                self.next = now;
            }
        }
    }

    fn told_to_wait(&mut self, outcome: &Outcome, now: Timestamp) {
        let (until, credential) = match outcome {
            Outcome::AskedToWait(wait) => (later(now, *wait), false),
            _ => (later(now, self.policy.refused_wait), true),
        };
        match self.state {
            // The probe alone says what follows, and it will hear the same.
            BreakerState::HalfOpen if self.probe.is_some() => {}
            BreakerState::Closed | BreakerState::HalfOpen => {
                self.step(Step::ToldToWait, now);
                (self.next, self.credential) = (until, credential);
            }
            BreakerState::Open | BreakerState::Limited => {
                self.next = self.next.max(until);
                self.credential |= credential;
            }
        }
    }

    /// What the host said of the credential is not so, or has been seen to.
    pub(super) fn relent(&mut self, now: Timestamp) {
        if self.state == BreakerState::Limited && self.credential {
            self.step(Step::WaitOver, now);
        }
    }

    fn put_off(&mut self, now: Timestamp, draw: f64) {
        // Up to a tenth later, so that a thousand tenants of one host do not look all at once.
        self.next = later(now, self.policy.probe_every.mul_f64(1.0 + 0.1 * draw.clamp(0.0, 1.0)));
    }

    fn step(&mut self, step: Step, now: Timestamp) {
        let found = BREAKER_STEPS.iter().find(|(from, by, _)| *from == self.state && *by == step);
        let Some((_, _, to)) = found else { return };
        (self.state, self.since) = (*to, now);
        match to {
            BreakerState::Closed => {
                self.era += 1;
                self.window.clear();
                self.credential = false;
                self.scout = None;
            }
            BreakerState::Open | BreakerState::HalfOpen | BreakerState::Limited => {}
        }
    }

    pub(super) fn state(&self) -> BreakerState {
        self.state
    }

    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Why no calls are made, as a stable code.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self.state {
            BreakerState::Closed => None,
            BreakerState::Limited if self.credential => Some("unauthorized"),
            BreakerState::Limited => Some("rate_limited"),
            BreakerState::Open | BreakerState::HalfOpen => Some("host_away"),
        }
    }

    /// When the next call may be made, unless calls are made.
    pub(super) fn next_call(&self) -> Option<Timestamp> {
        matches!(self.state, BreakerState::Open | BreakerState::Limited).then_some(self.next)
    }

    /// Calls in the window, and those that failed; while the host is away, those that showed it.
    pub(super) fn seen(&self, now: Timestamp) -> (u32, u32) {
        match self.state {
            BreakerState::Open | BreakerState::HalfOpen => self.evidence,
            BreakerState::Closed | BreakerState::Limited => self.window.seen(now),
        }
    }

    pub(super) fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }

    pub(super) fn policy(&self) -> &GatePolicy {
        &self.policy
    }
}

/// So long after.
pub(super) fn later(at: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| at.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
