//! What is seen of a drill: each change once, with the time since the fault began; and whether all is well again.

use super::{
    fault::Fault,
    probes::{Done, Probes},
};
use crate::cli::{
    live::{Live, Seen},
    out::Out,
};
use atshub_actors::supervision::{BreakerState, ChildSnapshot, Phase, Restart};
use atshub_schemas::TenantName;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;
use uuid::Uuid;

/// Messages that wait in a queue and are worth a line; fewer are the drill's own probes, and traffic.
const MANY: u64 = 10;
/// A probe is proof of recovery only if it was asked for this long after the fault was made: what is asked for at the same moment
/// may be done before the fault has come to be.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// While a fact has been under way for longer than this, not all is well.
const STALE: Duration = Duration::from_secs(5);
/// A probe that takes longer than this is worth a line of its own.
const SLOW: Duration = Duration::from_secs(2);

/// What was seen last of the tenant's actor.
#[derive(Debug, Clone, PartialEq)]
struct State {
    process: Uuid,
    place: String,
    live: bool,
    generation: u64,
    phase: Phase,
    cause: Option<String>,
    breakers: BTreeMap<String, BreakerState>,
    last: Option<Restart>,
}

impl State {
    fn of(seen: &Seen<'_>) -> Self {
        let ChildSnapshot { phase, cause, generation, history, breakers, .. } = seen.child;
        Self {
            process: seen.process,
            place: seen.place.to_owned(),
            live: seen.live,
            generation: *generation,
            phase: *phase,
            cause: cause.clone(),
            breakers: breakers.iter().map(|breaker| (breaker.host.clone(), breaker.state)).collect(),
            last: history.last().cloned(),
        }
    }

    fn is_well(&self) -> bool {
        self.live && self.phase == Phase::Running && self.breakers.values().all(|state| *state == BreakerState::Closed)
    }
}

/// Watches one tenant.
pub(super) struct Watch {
    tenant: TenantName,
    fault: Fault,
    out: Out,
    began: Instant,
    lines: Vec<Value>,
    before: Option<State>,
    state: Option<State>,
    ready: u64,
    /// Whether the fault has shown.
    struck: bool,
    /// Whether something was parked that should have been done.
    lost: bool,
    /// Whether a probe has been handled, and one that was asked for when the fault was over.
    handled: (bool, bool),
}

impl Watch {
    pub(super) fn new(tenant: &TenantName, fault: Fault, live: &Live, out: Out) -> Self {
        let before = live.tenant(tenant).as_ref().map(State::of);
        Self {
            tenant: tenant.clone(),
            fault,
            out,
            began: Instant::now(),
            lines: Vec::new(),
            state: before.clone(),
            before,
            ready: 0,
            struck: false,
            lost: false,
            handled: (false, false),
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The fault begins now.
    pub(super) fn begins(&mut self) {
        self.began = Instant::now();
        // These show nowhere in the tenant's state: that the hub made them is all there is to see.
        self.struck = matches!(self.fault, Fault::TenantFlood | Fault::BrokerDrop | Fault::StoreDrop);
        self.say("the fault begins");
    }

    /// Where the tenant ran when it was seen last.
    pub(super) fn place(&self) -> String {
        self.state.as_ref().map(|state| state.place.clone()).unwrap_or_default()
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.state.as_ref().map(|state| state.phase)
    }

    pub(super) fn lines(&self) -> &[Value] {
        &self.lines
    }

    /// Says what was seen, and keeps it.
    pub(super) fn say(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        let seconds = self.began.elapsed().as_secs_f64();
        self.out.say(format!("{seconds:6.1} s  {text}"));
        self.lines.push(json!({ "after_seconds": seconds, "what": text }));
    }

    /// A probe or a write-back is done; `time` is how long the fault lasts.
    pub(super) fn probe(&mut self, done: &Done, time: Duration) {
        let what = if done.is_write { "write-back" } else { "probe" };
        if done.is_parked {
            // What its tenant panics at twice is to be parked; nothing else that a drill does is.
            self.lost |= done.is_write || self.fault != Fault::TenantPanic || time.is_zero();
            return self.say(format!("{what} {} is parked, {:.1} s after it was asked for", done.number, done.after.as_secs_f64()));
        }
        let first = !done.is_write && !self.handled.0;
        if !done.is_write {
            self.handled.0 = true;
            self.handled.1 |= done.asked_at >= self.began + time.max(AFTERWARDS);
        }
        if done.is_write || done.after > SLOW || first {
            self.say(format!("{what} {} is done, {:.1} s after it was asked for", done.number, done.after.as_secs_f64()));
        }
    }

    /// Says what has changed.
    pub(super) fn look(&mut self, live: &Live, ready: Option<u64>) {
        let now = live.tenant(&self.tenant).as_ref().map(State::of);
        let mut said = match (&self.state, &now) {
            (Some(was), Some(is)) => changes(was, is),
            (Some(_), None) => vec!["no process speaks of it any more".to_owned()],
            (None, Some(is)) => vec![format!("{} speaks of it: {}", is.place, is.phase.as_str())],
            (None, None) => Vec::new(),
        };
        if let Some(ready) = ready {
            let (was, is) = (self.ready >= MANY, ready >= MANY);
            if was != is || (is && (ready > 2 * self.ready || 2 * ready < self.ready)) {
                said.push(if is { format!("{ready} messages wait in its queue") } else { "its queue is worked off".to_owned() });
                self.ready = ready;
            }
        }
        let is_new = |state: &State| {
            self.before.as_ref().is_none_or(|before| (before.process, before.generation) != (state.process, state.generation))
        };
        let hurt = |state: &State| state.phase == Phase::Paused || state.breakers.values().any(|state| *state != BreakerState::Closed);
        self.struck |= now.as_ref().is_some_and(|state| match self.fault {
            Fault::TenantPanic | Fault::TenantFreeze => is_new(state),
            Fault::AtsDown | Fault::AtsLimited | Fault::KeyRevoked => hurt(state),
            Fault::TenantFlood | Fault::BrokerDrop | Fault::StoreDrop => true,
        });
        self.state = now;
        said.into_iter().for_each(|text| self.say(text));
    }

    /// The fault has shown, and everything is as it was before.
    pub(super) fn has_recovered(&mut self, probes: &Probes, ready: Option<u64>) -> bool {
        // A try that failed and is tried again shows in the messages alone, before a breaker trips.
        self.struck |= self.fault.is_at_the_ats() && probes.failures() > 0;
        let queue = self.fault != Fault::TenantFlood || ready == Some(0);
        let messages = self.handled.1 && probes.oldest() < STALE && probes.writes_under_way() == 0;
        self.struck && !self.lost && messages && queue && self.state.as_ref().is_some_and(State::is_well)
    }

    /// What is not well.
    pub(super) fn missing(&self) -> String {
        match &self.state {
            _ if !self.struck => "the fault never showed".into(),
            _ if self.lost => "a message that should have been done was parked".into(),
            Some(state) if !state.is_well() => format!("it is {} still", state.phase.as_str().replace('_', " ")),
            Some(_) => "messages that were sent since are not handled yet".into(),
            None => "no process runs it".into(),
        }
    }
}

/// Each change as a sentence.
fn changes(was: &State, is: &State) -> Vec<String> {
    let mut said = Vec::new();
    if was.process != is.process {
        said.push(format!("it moved from {} to {}", was.place, is.place));
    }
    match (was.live, is.live) {
        (true, false) => said.push(format!("{} is not heard of any more", is.place)),
        (false, true) => said.push(format!("{} is heard of again", is.place)),
        _ => {}
    }
    if let Some(last) = is.last.as_ref().filter(|last| was.last.as_ref() != Some(last)) {
        said.push(format!("generation {} ended ({}): {}", last.generation, last.code, last.cause));
    }
    let word = |phase: Phase| phase.as_str().replace('_', " ");
    if was.phase != is.phase {
        let cause = is.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        said.push(format!("{} → {}{cause}", word(was.phase), word(is.phase)));
    }
    if was.generation != is.generation {
        said.push(format!("generation {} is {}", is.generation, word(is.phase)));
    }
    for (host, state) in &is.breakers {
        if was.breakers.get(host) != Some(state) && (was.breakers.contains_key(host) || *state != BreakerState::Closed) {
            said.push(format!("breaker before its {host}: {}", state.as_str().replace('_', " ")));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            process: Uuid::nil(),
            place: "host:1".into(),
            live: true,
            generation: 1,
            phase: Phase::Running,
            cause: None,
            breakers: BTreeMap::new(),
            last: None,
        }
    }

    #[test]
    fn nothing_is_said_of_what_stays_as_it_is() {
        assert!(changes(&state(), &state()).is_empty());
    }

    #[test]
    fn every_change_is_said_once() {
        let restart = Restart { at: jiff::Timestamp::UNIX_EPOCH, generation: 1, code: "panic".into(), cause: "told to".into() };
        let died = State { phase: Phase::BackingOff, cause: Some("told to".into()), last: Some(restart), ..state() };
        assert_eq!(changes(&state(), &died), ["generation 1 ended (panic): told to", "running → backing off: told to"]);
        let back = State { phase: Phase::Running, cause: None, generation: 2, ..died.clone() };
        assert_eq!(changes(&died, &back), ["backing off → running", "generation 2 is running"]);
        let open = State { breakers: [("ats".to_owned(), BreakerState::Open)].into(), ..state() };
        assert_eq!(changes(&state(), &open), ["breaker before its ats: open"]);
        let moved = State { process: Uuid::max(), place: "host:2".into(), ..state() };
        assert_eq!(changes(&state(), &moved), ["it moved from host:1 to host:2"]);
        assert_eq!(changes(&state(), &State { live: false, ..state() }), ["host:1 is not heard of any more"]);
    }

    #[test]
    fn well_is_running_live_and_with_closed_breakers() {
        assert!(state().is_well());
        let open = [("ats".to_owned(), BreakerState::Limited)].into();
        for ill in [State { live: false, ..state() }, State { phase: Phase::Paused, ..state() }, State { breakers: open, ..state() }] {
            assert!(!ill.is_well(), "{ill:?}");
        }
    }
}
