//! The breaker's rules as tables and properties, and what a gate does with calls that are lost.

use super::{
    breaker::{Breaker, Outcome, Reason, Ticket},
    *,
};
use jiff::SignedDuration;
use proptest::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};

pub(super) const POLICY: GatePolicy = GatePolicy {
    window: Duration::from_secs(120),
    least_calls: 10,
    failing: 0.5,
    probe_every: Duration::from_secs(30),
    spread: Duration::from_secs(2),
    longest_wait: Duration::from_secs(300),
    refused_wait: Duration::from_secs(60),
    first_retest: Duration::from_secs(900),
    retest_every: Duration::from_secs(3600),
    patience: Duration::from_secs(1),
    share_wait: Duration::from_secs(5),
};

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_millis(millis)
}

pub(super) fn failed() -> Outcome {
    Outcome::Failed("no answer".into())
}

/// One that has just opened, at the epoch.
pub(super) fn opened() -> Breaker {
    let mut breaker = Breaker::new(POLICY, at(0));
    for _ in 0..10 {
        let ticket = breaker.admit(at(0), 0.0).unwrap();
        breaker.conclude(&ticket, &failed(), at(0), 0.0);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

fn probing() -> (Breaker, Ticket) {
    let mut breaker = opened();
    let ticket = breaker.admit(at(30_000), 0.0).unwrap();
    (breaker, ticket)
}

#[test]
fn half_of_ten_failed_calls_open_it_and_less_of_either_does_not() {
    for (good, bad, state) in [
        (0, 9, BreakerState::Closed),
        (0, 10, BreakerState::Open),
        (5, 5, BreakerState::Open),
        (6, 5, BreakerState::Closed),
        (50, 49, BreakerState::Closed),
        (50, 50, BreakerState::Open),
    ] {
        let mut breaker = Breaker::new(POLICY, at(0));
        let outcomes = std::iter::repeat_n(Outcome::Answered, good).chain(std::iter::repeat_n(failed(), bad));
        for outcome in outcomes {
            let ticket = breaker.admit(at(0), 0.0).unwrap();
            breaker.conclude(&ticket, &outcome, at(0), 0.0);
        }
        assert_eq!(breaker.state(), state, "{good} answered, {bad} failed");
    }
}

#[test]
fn only_what_happened_within_two_minutes_counts() {
    let mut breaker = Breaker::new(POLICY, at(0));
    for second in 0..60 {
        // Nine failures within any two minutes.
        let now = at(second * 13_400);
        let ticket = breaker.admit(now, 0.0).unwrap();
        breaker.conclude(&ticket, &failed(), now, 0.0);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn what_a_probe_comes_to_decides() {
    let wait = Outcome::AskedToWait(Duration::from_secs(7));
    for (outcome, state, next) in [
        (Outcome::Answered, BreakerState::Closed, None),
        (failed(), BreakerState::Open, Some(at(60_000))),
        (Outcome::Lost, BreakerState::Open, Some(at(60_000))),
        (Outcome::NotMade, BreakerState::Open, Some(at(30_000))),
        (wait, BreakerState::Limited, Some(at(37_000))),
        (Outcome::CredentialRefused(String::new()), BreakerState::Limited, Some(at(90_000))),
    ] {
        let (mut breaker, ticket) = probing();
        breaker.conclude(&ticket, &outcome, at(30_000), 0.0);
        assert_eq!((breaker.state(), breaker.next_call()), (state, next), "{outcome:?}");
    }
}

#[test]
fn a_call_from_before_the_outage_says_nothing_about_the_time_after_it() {
    let mut breaker = Breaker::new(POLICY, at(0));
    let late: Vec<Ticket> = (0..20).map(|_| breaker.admit(at(0), 0.0).unwrap()).collect();
    for ticket in &late[..10] {
        breaker.conclude(ticket, &failed(), at(1_000), 0.0);
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    let probe = breaker.admit(at(31_000), 0.0).unwrap();
    breaker.conclude(&late[10], &Outcome::Answered, at(31_000), 0.0);
    assert_eq!(breaker.state(), BreakerState::HalfOpen, "the probe alone decides");
    breaker.conclude(&probe, &Outcome::Answered, at(31_000), 0.0);
    for ticket in &late[11..] {
        breaker.conclude(ticket, &failed(), at(32_000), 0.0);
    }
    assert_eq!((breaker.state(), breaker.seen(at(32_000))), (BreakerState::Closed, (0, 0)));
}

#[test]
fn a_pause_is_kept_by_all_and_by_a_tenth_spread() {
    let mut breaker = Breaker::new(POLICY, at(0));
    let ticket = breaker.admit(at(0), 0.0).unwrap();
    breaker.conclude(&ticket, &Outcome::AskedToWait(Duration::from_secs(100)), at(0), 0.0);
    assert_eq!((breaker.state(), breaker.next_call()), (BreakerState::Limited, Some(at(100_000))));
    for (draw, until) in [(0.0, 100_000), (0.5, 105_000), (1.0, 110_000)] {
        let refusal = breaker.admit(at(0), draw).unwrap_err();
        assert_eq!((refusal.until, refusal.reason), (at(until), Reason::AskedToWait));
    }
    assert!(breaker.admit(at(100_000), 0.0).is_ok());
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn of_all_that_wait_one_looks_whether_the_host_is_back_and_the_others_wait_the_longer_the_longer_it_is_away() {
    let mut breaker = opened();
    let scout = breaker.admit(at(0), 1.0).unwrap_err();
    assert_eq!(scout.until, at(30_000), "to the moment");
    let mut now = 0;
    for _ in 0..60 {
        let other = breaker.admit(at(now), 0.5).unwrap_err();
        let (wait, away) = (other.until.duration_since(at(now)).as_secs_f64(), now as f64 / 1000.0);
        assert!(wait >= (away / 2.0).min(300.0) && wait <= ((away / 2.0).min(300.0) * 1.5).max(47.0), "{wait} s after {away} s");
        now += 30_000;
        let probe = breaker.admit(at(now), 0.0).unwrap();
        breaker.conclude(&probe, &failed(), at(now), 0.0);
        let scout = breaker.refuse(at(now), 1.0);
        assert_eq!(scout.until, at(now + 30_000));
    }
    // A scout that does not come is replaced.
    assert!(breaker.refuse(at(now), 0.0).until > at(now + 30_000));
    assert_eq!(breaker.refuse(at(now + 60_000), 1.0).until, at(now + 60_000));
}

#[test]
fn a_credential_that_was_seen_to_is_shown_again_at_once_and_an_asked_for_pause_goes_on() {
    for (outcome, state) in [
        (Outcome::CredentialRefused(String::new()), BreakerState::Closed),
        (Outcome::AskedToWait(Duration::from_secs(9)), BreakerState::Limited),
    ] {
        let mut breaker = Breaker::new(POLICY, at(0));
        let ticket = breaker.admit(at(0), 0.0).unwrap();
        breaker.conclude(&ticket, &outcome, at(0), 0.0);
        breaker.relent(at(1));
        assert_eq!(breaker.state(), state, "{outcome:?}");
    }
}

#[derive(Debug, Clone)]
enum Act {
    Ask,
    /// The n-th of the calls under way comes to this.
    End(usize, Outcome),
    Pass(i64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let outcome = prop_oneof![
        4 => Just(failed()),
        3 => Just(Outcome::Answered),
        1 => (0u64..90).prop_map(|s| Outcome::AskedToWait(Duration::from_secs(s))),
        1 => Just(Outcome::CredentialRefused(String::new())),
        1 => Just(Outcome::NotMade),
        1 => Just(Outcome::Lost),
    ];
    let act = prop_oneof![
        5 => Just(Act::Ask),
        5 => (any::<prop::sample::Index>(), outcome).prop_map(|(n, outcome)| Act::End(n.index(64), outcome)),
        2 => (0i64..40_000).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 0..400)
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_of_the_breaker_hold(acts in acts(), draw in 0.0f64..=1.0) {
        let (mut breaker, mut now, mut under_way) = (Breaker::new(POLICY, at(0)), 0i64, Vec::<Ticket>::new());
        for act in acts {
            let before = breaker.state();
            match act {
                Act::Ask => match breaker.admit(at(now), draw) {
                    Ok(ticket) => under_way.push(ticket),
                    Err(refusal) => {
                        prop_assert_ne!(before, BreakerState::Closed, "a closed breaker lets everybody through");
                        prop_assert!(refusal.until >= at(now), "nobody is sent back into the past");
                        prop_assert!(refusal.until.duration_since(at(now)) <= SignedDuration::from_secs(15 * 60), "nor for ever");
                    }
                },
                Act::End(n, outcome) if !under_way.is_empty() => {
                    let ticket = under_way.swap_remove(n % under_way.len());
                    breaker.conclude(&ticket, &outcome, at(now), draw);
                    if ticket.is_probe() {
                        let closed = breaker.state() == BreakerState::Closed;
                        prop_assert_eq!(closed, outcome == Outcome::Answered, "a good probe closes it, no other does");
                    }
                    if before != BreakerState::Open && breaker.state() == BreakerState::Open && !ticket.is_probe() {
                        let (calls, bad) = breaker.seen(at(now));
                        prop_assert!(calls >= 10 && bad * 2 >= calls, "opened by {bad} of {calls}");
                    }
                }
                Act::End(..) => {}
                Act::Pass(millis) => now += millis,
            }
            let probes = under_way.iter().filter(|ticket| ticket.is_probe()).count();
            prop_assert!(probes <= 1, "{probes} probes at once");
            prop_assert_eq!(probes == 1, breaker.state() == BreakerState::HalfOpen, "half open is: one probe is on its way");
            if before != breaker.state() {
                let known = BREAKER_STEPS.iter().any(|(from, _, to)| *from == before && *to == breaker.state());
                prop_assert!(known, "{before:?} → {:?} is not in the table", breaker.state());
            }
        }
    }
}

/// A clock that stands still until it is moved.
#[derive(Default)]
pub(super) struct Still(AtomicI64);

impl Still {
    pub(super) fn set(&self, milliseconds: i64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }
}

impl Clock for Still {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn gate(lease: &Lease) -> (Gate, Arc<Still>) {
    let clock = Arc::new(Still::default());
    (Gate::new(Host::ats(), POLICY, Arc::clone(&clock) as Arc<dyn Clock>, lease.clone()), clock)
}

async fn fails(gate: &Gate) -> Halt {
    let mut pass = gate.enter(0.0).ok().unwrap();
    pass.call(async { Err::<(), _>(Failure::unclear("no answer in time")) }).await.unwrap_err()
}

fn state(gate: &Gate) -> BreakerState {
    gate.lock().breaker.state()
}

#[tokio::test]
async fn no_attempt_is_counted_from_the_failure_on_that_opened_it() {
    let (gate, clock) = gate(&Lease::unlimited());
    for _ in 0..9 {
        assert!(matches!(fails(&gate).await, Halt::Failed(Failure::Transient { .. })));
    }
    let Halt::Wait(wait) = fails(&gate).await else { panic!("the host is away, and that is the host's") };
    let expected = "no answer in time; the ATS is taken to be away (10 of 10 calls failed within 2 min); next call at 1970-01-01T00:00:30Z";
    assert_eq!((wait.code, wait.why.as_str(), wait.told), ("host_away", expected, true));
    assert!(matches!(gate.enter(0.5), Err(Halt::Wait(_))));
    clock.0.store(30_000, Ordering::SeqCst);
    assert!(matches!(fails(&gate).await, Halt::Wait(Wait { told: false, .. })), "a bad probe costs no attempt, and is no news");
}

#[tokio::test]
async fn refusals_malformed_answers_and_faults_of_our_own_are_no_failures_of_the_host() {
    let (gate, _) = gate(&Lease::unlimited());
    for failure in [
        Failure::Rejected { code: "gone".into(), detail: String::new() },
        Failure::NotPermitted { detail: String::new() },
        Failure::Malformed { detail: String::new() },
        Failure::Bug { detail: String::new() },
    ] {
        for _ in 0..50 {
            let mut pass = gate.enter(0.0).ok().unwrap();
            let answer = pass.call(async { Err::<(), _>(failure.clone()) }).await;
            assert_eq!(answer, Err(Halt::Failed(failure.clone())));
        }
        assert_eq!(state(&gate), BreakerState::Closed, "{failure:?}");
    }
}

#[tokio::test]
async fn a_probe_that_is_cancelled_does_not_leave_it_half_open() {
    let (gate, clock) = gate(&Lease::unlimited());
    for _ in 0..10 {
        fails(&gate).await;
    }
    clock.0.store(30_000, Ordering::SeqCst);
    let mut pass = gate.enter(0.0).ok().unwrap();
    let mut call = Box::pin(pass.call(std::future::pending::<Result<(), Failure>>()));
    assert!(futures_util::poll!(call.as_mut()).is_pending());
    assert_eq!(state(&gate), BreakerState::HalfOpen);
    drop(call);
    assert_eq!((state(&gate), gate.lock().breaker.next_call()), (BreakerState::Open, Some(at(60_000))));
    drop(pass);
    clock.0.store(60_000, Ordering::SeqCst);
    drop(gate.enter(0.0).ok().unwrap());
    assert_eq!(gate.lock().breaker.next_call(), Some(at(60_000)), "a pass that was not needed takes nobody's turn");
}

#[tokio::test]
async fn leave_that_was_given_before_the_host_went_away_is_asked_for_again() {
    let (gate, _) = gate(&Lease::unlimited());
    let mut early = gate.enter(0.0).ok().unwrap();
    for _ in 0..10 {
        fails(&gate).await;
    }
    let call = early.call(async { panic!("the host is away") });
    assert!(matches!(call.await, Err::<(), _>(Halt::Wait(_))));
}

#[tokio::test]
async fn an_answer_from_memory_closes_nothing() {
    let (gate, clock) = gate(&Lease::unlimited());
    for _ in 0..10 {
        fails(&gate).await;
    }
    clock.0.store(30_000, Ordering::SeqCst);
    let mut pass = gate.enter(0.0).ok().unwrap();
    assert_eq!(pass.perhaps_remembered(async { Ok(7) }).await, Ok(7));
    assert_eq!(state(&gate), BreakerState::HalfOpen);
    assert_eq!(pass.call(async { Ok(8) }).await, Ok(8));
    assert_eq!(state(&gate), BreakerState::Closed);
}

#[tokio::test]
async fn a_process_whose_lease_has_run_out_makes_no_call() {
    let lease = Lease::unlimited();
    let (gate, _) = gate(&lease);
    let mut pass = gate.enter(0.0).ok().unwrap();
    lease.renew(std::time::Instant::now()); // runs out while the work waits for the store
    let call = pass.call(async { panic!("nobody may act any more") });
    assert_eq!(call.await, Err::<(), _>(Halt::Lapsed));
    assert!(matches!(gate.enter(0.0), Err(Halt::Lapsed)));
}

#[tokio::test]
async fn a_call_that_fails_after_the_lease_has_run_out_is_left_to_whoever_holds_it_now() {
    let lease = Lease::unlimited();
    let (gate, _) = gate(&lease);
    let mut pass = gate.enter(0.0).ok().unwrap();
    let call = pass.call(async {
        lease.renew(std::time::Instant::now());
        Err::<(), _>(Failure::transient("not sent"))
    });
    assert_eq!(call.await, Err(Halt::Lapsed));
}
