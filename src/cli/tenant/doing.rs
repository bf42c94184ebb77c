//! The part of `atshub tenant show` that says what the tenant's actor is doing, as its process said last.

use crate::cli::live::{Live, Seen, span};
use atshub_actors::{
    ports::{Callers, Door},
    supervision::{BreakerSnapshot, BreakerState},
};
use atshub_schemas::TenantName;
use jiff::Timestamp;
use serde_json::{Value, json};

/// As data; null if nobody ever spoke of it.
pub(super) fn value(seen: Option<&Seen<'_>>) -> Value {
    let Some(seen) = seen else { return Value::Null };
    json!({ "live": seen.live, "process": seen.place, "process_id": seen.process, "as_of": seen.at, "child": seen.child })
}

/// As lines for people.
pub(super) fn lines(live: &Live, name: &TenantName, now: Timestamp, line: &mut dyn FnMut(&str, &str)) {
    let Some(seen) = live.tenant(name) else {
        let none = if live.any() { "not taken over by a hub process yet" } else { "no hub process is live; `atshub serve` starts one" };
        return line("phase", none);
    };
    let child = seen.child;
    let ago = |at: Timestamp| format!("{} ago ({at})", span(now.duration_since(at)));
    let cause = child.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    if seen.live {
        line("phase", &format!("{}{cause}", child.phase.as_str()));
        line("process", seen.place);
    } else {
        line("phase", &format!("none: the process that ran it is gone; it was {} then{cause}", child.phase.as_str()));
        line("process", &format!("{}, gone", seen.place));
    }
    line("as of", &ago(seen.at));
    line("generation", &child.generation.to_string());
    line("restarts", &format!("{} since it was last healthy", child.restarts));
    if let Some(at) = child.next_start {
        let wait = if at > now { format!("in {} ({at})", span(at.duration_since(now))) } else { format!("due ({at})") };
        line("next start", &wait);
    }
    let oldest = child.oldest.map(|at| format!(", the oldest for {}", span(now.duration_since(at)))).unwrap_or_default();
    line("in hand", &format!("{}{oldest}", child.in_hand));
    if let Some(at) = child.held_since {
        line("held to its share", &format!("for {}, while others are at work (`hub.tenant_share`)", span(now.duration_since(at))));
    }
    line("last fact in", &child.last_in.map_or_else(|| "none yet".into(), ago));
    line("last done", &child.last_done.map_or_else(|| "none yet".into(), ago));
    line("last write out", &child.last_written.map_or_else(|| "none yet".into(), ago));
    line("poisoned", &child.poisoned.to_string());
    child.breakers.iter().for_each(|breaker| line(&format!("breaker {}", breaker.host), &shown(breaker, now)));
    for (at, restart) in child.history.iter().rev().enumerate() {
        line(
            if at == 0 { "history" } else { "" },
            &format!("{}  generation {} {}: {}", restart.at, restart.generation, restart.code, restart.cause),
        );
    }
}

/// Who called one of its doors.
pub(super) fn callers(callers: &Callers, now: Timestamp, line: &mut dyn FnMut(&str, &str)) {
    let ago = |at: Timestamp| format!("{} ago ({at})", span(now.duration_since(at)));
    let known = callers.known_at.map_or_else(|| "never a good one".to_owned(), |at| format!("last good one {}", ago(at)));
    let refused = callers.refused_since.zip(callers.refused_at);
    let refused =
        refused.map(|(since, last)| format!("; {} refused since {since}, the last one {}", callers.refused, ago(last))).unwrap_or_default();
    let door = match callers.door {
        Door::Hook => "webhooks",
        Door::Partner => "partner calls",
    };
    line(door, &format!("{known}{refused}"));
}

fn shown(breaker: &BreakerSnapshot, now: Timestamp) -> String {
    let next =
        breaker.next_call.filter(|at| *at > now).map(|at| format!(", next call in {}", span(at.duration_since(now)))).unwrap_or_default();
    let failed = if breaker.state == BreakerState::Closed && breaker.failed == 0 {
        String::new()
    } else {
        format!(", {} of {} calls failed", breaker.failed, breaker.calls)
    };
    let error = breaker.last_error.as_ref().filter(|_| breaker.state != BreakerState::Closed).map(|error| format!(": {error}"));
    format!("{} since {}{failed}{next}{}", breaker.state.as_str().replace('_', " "), breaker.since, error.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_actors::{
        ports::{ProcessRecord, ShownChild},
        supervision::{ChildSnapshot, Phase, Restart},
    };
    use uuid::Uuid;

    fn said(live: &Live, now: Timestamp) -> String {
        let mut text = String::new();
        lines(live, &TenantName::new("acme").unwrap(), now, &mut |name, value| text.push_str(&format!("{name}: {value}\n")));
        text
    }

    fn acting(live: bool, now: Timestamp) -> Live {
        let process = Uuid::nil();
        let at = now - jiff::SignedDuration::from_secs(90);
        let breaker = BreakerSnapshot {
            host: "ats".into(),
            state: BreakerState::Open,
            since: at,
            next_call: Some(now + jiff::SignedDuration::from_secs(30)),
            calls: 12,
            failed: 7,
            last_error: Some("no answer".into()),
            reason: Some("host_away".into()),
        };
        let child = ChildSnapshot {
            name: "tenant/acme".into(),
            phase: Phase::BackingOff,
            cause: Some("told to panic".into()),
            generation: 3,
            restarts: 2,
            history: vec![Restart { at, generation: 2, code: "panic".into(), cause: "told to panic".into() }],
            next_start: Some(now + jiff::SignedDuration::from_secs(4)),
            in_hand: 2,
            oldest: Some(at),
            last_in: Some(at),
            last_done: None,
            last_written: None,
            breakers: vec![breaker],
            done: 0,
            poisoned: 1,
            held_since: Some(at),
        };
        let record = ProcessRecord { process, name: "here:1".into(), started_at: at, beat_at: at, able: true, live };
        Live { processes: vec![record], children: vec![ShownChild { process, at, child }], ..Live::default() }
    }

    #[test]
    fn everything_that_matters_is_said() {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let text = said(&acting(true, now), now);
        for line in [
            "phase: backing_off: told to panic",
            "process: here:1",
            "as of: 90 s ago (2026-11-25T09:58:30Z)",
            "next start: in 4 s (2026-11-25T10:00:04Z)",
            "in hand: 2, the oldest for 90 s",
            "last done: none yet",
            "poisoned: 1",
            "held to its share: for 90 s, while others are at work (`hub.tenant_share`)",
            "breaker ats: open since 2026-11-25T09:58:30Z, 7 of 12 calls failed, next call in 30 s: no answer",
            "history: 2026-11-25T09:58:30Z  generation 2 panic: told to panic",
        ] {
            assert!(text.lines().any(|said| said == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn a_process_that_is_gone_is_said_to_be() {
        let now = Timestamp::now();
        let text = said(&acting(false, now), now);
        assert!(text.starts_with("phase: none: the process that ran it is gone; it was backing_off then: told to panic\n"), "{text}");
        assert!(text.contains("process: here:1, gone\n"), "{text}");
        assert!(said(&Live::default(), now).contains("no hub process is live"));
    }
}
