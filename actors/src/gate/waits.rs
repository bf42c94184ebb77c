//! What a wait says, and until when it is: every number and code of it, so that none can change unnoticed.

use super::{
    breaker::{Breaker, Outcome, Reason},
    tests::{POLICY, at, failed, gate, opened},
    *,
};

fn seconds(from: i64, wait: Duration) -> Timestamp {
    at(from + i64::try_from(wait.as_millis()).unwrap())
}

#[tokio::test]
async fn a_pause_and_a_refused_credential_halt_under_their_own_codes_and_cost_no_attempt() {
    for (failure, code, until) in [
        (Failure::RateLimited { retry_after: Duration::from_secs(100) }, "rate_limited", 100_000),
        (Failure::Unauthorized { detail: "key revoked".into() }, "unauthorized", 60_000),
    ] {
        let (gate, _) = gate(&Lease::unlimited());
        let mut pass = gate.enter(0.0).ok().unwrap();
        let halt = pass.call(async { Err::<(), _>(failure.clone()) }).await.unwrap_err();
        let wait = match (halt, &failure) {
            (Halt::Wait(wait), Failure::RateLimited { .. }) => wait,
            (Halt::Refused(refused, wait), Failure::Unauthorized { .. }) if refused == failure => wait,
            other => panic!("{other:?}"),
        };
        assert_eq!((wait.code, wait.until, wait.told), (code, at(until), true));
        let Err(Halt::Wait(next)) = gate.enter(0.0) else { panic!("a call was let through in the pause") };
        assert_eq!((next.code, next.until), (code, at(until)));
    }
}

#[test]
fn a_credential_that_is_refused_in_a_pause_is_remembered_as_refused() {
    let mut breaker = Breaker::new(POLICY, at(0));
    let [first, second] = [0, 1].map(|_| breaker.admit(at(0), 0.0).unwrap());
    breaker.conclude(&first, &Outcome::AskedToWait(Duration::from_secs(100)), at(0), 0.0);
    breaker.conclude(&second, &Outcome::CredentialRefused("revoked".into()), at(0), 0.0);
    let refusal = breaker.refuse(at(0), 0.0);
    assert_eq!((refusal.reason, refusal.until), (Reason::CredentialRefused, at(100_000)), "the longer of the two");
    assert_eq!((breaker.last_error(), breaker.since()), (Some("revoked"), at(0)));
}

#[test]
fn a_host_that_fails_in_its_pause_is_called_no_earlier_than_it_asked_for() {
    let mut breaker = Breaker::new(POLICY, at(0));
    let calls: Vec<_> = (0..11).map(|_| breaker.admit(at(0), 0.0).unwrap()).collect();
    breaker.conclude(&calls[0], &Outcome::AskedToWait(Duration::from_secs(1_000)), at(0), 0.0);
    for call in &calls[1..] {
        breaker.conclude(call, &failed(), at(5_000), 0.0);
    }
    assert_eq!((breaker.state(), breaker.since(), breaker.next_call()), (BreakerState::Open, at(5_000), Some(at(1_000_000))));
}

#[test]
fn a_call_that_fails_after_the_others_does_not_put_off_the_next_look() {
    let mut breaker = Breaker::new(POLICY, at(0));
    let calls: Vec<_> = (0..30).map(|_| breaker.admit(at(0), 0.0).unwrap()).collect();
    for (n, call) in calls.iter().enumerate() {
        breaker.conclude(call, &failed(), at(if n < 10 { 0 } else { 20_000 }), 0.0);
    }
    assert_eq!((breaker.next_call(), breaker.seen(at(20_000))), (Some(at(30_000)), (10, 10)));
}

#[test]
fn the_next_look_is_up_to_a_tenth_later() {
    for (draw, next) in [(0.0, 60_000), (0.5, 61_500), (1.0, 63_000)] {
        let mut breaker = opened();
        let probe = breaker.admit(at(30_000), 0.0).unwrap();
        breaker.conclude(&probe, &failed(), at(30_000), draw);
        assert_eq!(breaker.next_call(), Some(at(next)), "{draw}");
    }
}

#[tokio::test]
async fn a_pause_does_not_last_longer_because_the_clock_was_a_month_ahead_when_it_began() {
    let (gate, clock) = gate(&Lease::unlimited());
    clock.set(30 * 86_400_000);
    let mut pass = gate.enter(0.0).ok().unwrap();
    let asked = Failure::RateLimited { retry_after: Duration::from_secs(100) };
    pass.call(async { Err::<(), _>(asked) }).await.unwrap_err();
    clock.set(0);
    let Err(Halt::Wait(wait)) = gate.enter(0.0) else { panic!("a call was let through in the pause") };
    assert_eq!((wait.code, wait.until), ("rate_limited", at(100_000)));
    clock.set(100_000);
    assert!(gate.enter(0.0).is_ok());
}

#[test]
fn work_that_finds_its_share_used_up_or_its_tenant_set_aside_waits_once_to_twice_as_long() {
    let (gate, _) = gate(&Lease::unlimited());
    for draw in [0.0, 0.5, 1.0] {
        let (share, aside) = (gate.share_used_up(draw), gate.set_aside(draw));
        assert_eq!((share.code, share.until), ("share_used_up", seconds(0, POLICY.share_wait.mul_f64(1.0 + draw))));
        assert_eq!((aside.code, aside.until), ("set_aside", seconds(0, POLICY.probe_every.mul_f64(1.0 + draw))));
    }
    assert_eq!(gate.patience(), POLICY.patience);
    assert_eq!(gate.label(), Host::ats().label);
}

#[test]
fn a_draw_is_the_same_for_one_application_and_spread_over_all() {
    let of = |application: &str| {
        let done = atshub_schemas::command::CommandDone { command_id: "c-1".parse().unwrap(), external_id: None };
        let message = atshub_schemas::Message::CommandDone(done);
        let mut envelope = Envelope::new("/test".parse().unwrap(), "acme".parse().unwrap(), at(0), message);
        envelope.subject = Some(format!("application/{application}").parse().unwrap());
        draw(&envelope)
    };
    assert_eq!(of("a-1").to_bits(), of("a-1").to_bits());
    let draws: Vec<f64> = (0..400).map(|n| of(&format!("a-{n}"))).collect();
    assert!(draws.iter().all(|draw| (0.0..=1.0).contains(draw)));
    for tenth in 0..10 {
        let share = draws.iter().filter(|draw| (**draw * 10.0) as usize == tenth).count();
        assert!((15..=75).contains(&share), "{share} of 400 in tenth {tenth}");
    }
}

#[test]
fn times_are_spoken_in_the_unit_that_fits() {
    for (time, words) in [(Duration::from_millis(250), "250 ms"), (Duration::from_secs(90), "90 s"), (Duration::from_secs(120), "2 min")] {
        assert_eq!(spoken(time), words);
    }
}
