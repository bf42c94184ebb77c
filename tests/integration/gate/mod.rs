//! What a host that is away, slow, tired or unwilling costs: few calls, no attempts, no facts held up, and in the end
//! everything once. Calls are counted by the faults that the simulators have served.

mod credential;
mod platform;

use crate::support::{
    build::entered,
    hub::{Pair, Walk, happens, on_tuned_hub, soon, until, values},
    postgres,
};
use atshub::{app::Tuning, demo::world::TRIGGER, http};
use atshub_actors::{
    gate::GatePolicy,
    supervision::{BreakerSnapshot, BreakerState},
};
use atshub_schemas::{Envelope, ExternalId, TenantName};
use atshub_simulators::{
    Fault, Faults,
    ashby::{AshbySimulator, NewCandidate},
};
use jiff::Timestamp;
use std::time::Duration;

/// More faults than any test uses up.
const ENOUGH: usize = 1_000_000;
/// Half of a tenant's prefetch: calls of write-backs that may be on their way at once.
const SHARE: usize = 8;
/// Half of what the two invite actors have in hand (`hub.invite_prefetch`): invitations that one platform account may hold up.
const INVITES: usize = 32;
const SHORT_PHONE: &str = "12345";
const CALL: &str = "Phone is too short (minimum is 7 characters).";

/// As patient as the real one in what it concludes from, and less so in what it waits for.
fn quick() -> GatePolicy {
    GatePolicy {
        probe_every: Duration::from_millis(500),
        spread: Duration::from_millis(200),
        longest_wait: Duration::from_secs(2),
        refused_wait: Duration::from_secs(1),
        ..GatePolicy::default()
    }
}

fn on_quick_hub(ashby: &[&str], bridges: &[&str], play: impl AsyncFnOnce(&mut Walk<'_>)) {
    on_tuned_hub(Pair::Real, Tuning { gate: quick(), ..Tuning::default() }, ashby, bridges, play);
}

/// A fact about a candidate of this name.
fn moved(tenant: &TenantName, application: &str, name: &str, phone: Option<&str>) -> Envelope {
    entered(tenant, application, &format!("Candidate {name}"), &format!("{name}@{tenant}.example"), phone)
}

/// Candidates in an Ashby, and a fact about each.
async fn candidates(tenant: &TenantName, ats: &AshbySimulator, count: usize, phone: Option<&str>) -> (Vec<String>, Vec<Envelope>) {
    let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
    let (mut applications, mut facts) = (Vec::new(), Vec::new());
    for n in 0..count {
        let (name, job) = (format!("c{n}"), job.clone());
        let email = format!("{name}@{tenant}.example");
        let new = NewCandidate { name: format!("Candidate {name}"), email, job, phone: phone.map(Into::into), ..NewCandidate::default() };
        let application = ats.add_candidate(new).await.unwrap();
        ats.move_unheard(&application, TRIGGER).await.unwrap();
        facts.push(moved(tenant, &application, &name, phone));
        applications.push(application);
    }
    (applications, facts)
}

/// The breaker before a host of a child, once it is as wanted.
async fn breaker(walk: &Walk<'_>, child: &str, host: &str, state: BreakerState) -> BreakerSnapshot {
    breaker_after(walk, child, host, state, Timestamp::MIN).await
}

/// The same, if it came to that after this time.
async fn breaker_after(walk: &Walk<'_>, child: &str, host: &str, state: BreakerState, time: Timestamp) -> BreakerSnapshot {
    let (board, mut found) = (walk.running.hub.board(), None);
    let wanted = board.until(child, |row| {
        found = row.breakers.iter().find(|b| b.host == host && b.state == state && b.since > time).cloned();
        found.is_some()
    });
    soon(&format!("{child}: {host} is {state:?}"), wanted).await;
    found.unwrap()
}

fn served(faults: &Faults) -> usize {
    ENOUGH - faults.pending()
}

/// How many attempts were used up, over all messages.
async fn attempts_used_up(walk: &Walk<'_>) -> i64 {
    let client = postgres::client(&walk.ground.addresses.1).await;
    client.query_one("select coalesce(sum(failures), 0)::int8 from attempts", &[]).await.unwrap().get(0)
}

/// The id of a message that waits for this reason.
async fn one_that_waits(walk: &Walk<'_>, why: &str) -> String {
    let client = postgres::client(&walk.ground.addresses.1).await;
    let mut found = None;
    let so = until(async || {
        let sql = "select id from attempts where next_at > now() + interval '200 ms' and last_error like '%' || $1 || '%' order by begun desc limit 1";
        found = client.query_opt(sql, &[&why]).await.unwrap().map(|row| row.get(0));
        found.is_some()
    });
    assert!(so.await, "nothing waits because {why}");
    found.unwrap()
}

/// Waits until the command line shows of one message that waits for this reason all of these words. One that was found waiting may be on its
/// way when it is shown.
async fn is_shown_to_wait(walk: &Walk<'_>, why: &str, words: &[&str]) {
    let mut shown = String::new();
    let so = until(async || {
        shown = walk.ground.shown(&one_that_waits(walk, why).await).await;
        words.iter().all(|part| shown.contains(part))
    });
    assert!(so.await, "{words:?} are not in {shown}");
}

async fn all_are_told(ats: &AshbySimulator, applications: &[String], status: &str) {
    let last = |effects: &[atshub_simulators::Effect], application: &str| {
        let last = effects.iter().rev().find(|e| e.kind == "status" && e.subject == application);
        last.and_then(|e| e.value.as_str()).is_some_and(|text| text.starts_with(status))
    };
    happens(&ats.ledger(), status, |effects| applications.iter().all(|application| last(effects, application))).await;
}

#[test]
fn an_ats_that_is_away_costs_few_calls_and_no_attempts_and_then_gets_everything_once() {
    on_quick_hub(&["acme"], &[], async |walk| {
        const COUNT: usize = 30;
        let (tenant, ats) = &walk.world.ashby[0];
        let (applications, facts) = candidates(tenant, ats, COUNT, None).await;
        ats.faults().next("*", Fault::Fail(503), ENOUGH);
        walk.send(&facts).await;

        let open = breaker(walk, "tenant/acme", "ats", BreakerState::Open).await;
        assert_eq!((open.calls, open.failed), (10, 10), "{open:?}");
        assert!(open.next_call.is_some() && open.last_error.is_some(), "{open:?}");
        // The facts flow: everybody is invited while nothing can be written.
        let platform = walk.world.platform.ledger();
        happens(&platform, "invitations", |effects| effects.iter().filter(|e| e.kind == "invitation").count() == COUNT).await;
        let why = "the ATS is taken to be away (10 of 10 calls failed within 2 min); next call at ";
        is_shown_to_wait(walk, why, &["the ATS is taken to be away", "no attempt is used up", "writeback.requested"]).await;
        let mut told = None;
        let so = until(async || {
            for application in &applications {
                let history = walk.store().journal(tenant, &ExternalId::new(application.clone()).unwrap()).await.unwrap();
                told = told.take().or_else(|| history.into_iter().find(|line| line.code == "postponed"));
            }
            told.is_some()
        });
        assert!(so.await, "no candidate's history says why it waits");
        let told = told.unwrap();
        assert!(told.text.contains("next call at ") && told.text.contains("Waits until "), "{told:?}");
        // An outage of some probes: each is one call, whoever waits. After the first, no call is under way from before it opened.
        breaker_after(walk, "tenant/acme", "ats", BreakerState::Open, open.since).await;
        let (before, began) = (served(ats.faults()), Timestamp::now());
        assert!(until(async || served(ats.faults()) >= before + 4).await, "the probes go on");
        let (probes, time) = (served(ats.faults()) - before, Timestamp::now().duration_since(began).as_secs_f64());
        assert!(before <= 10 + SHARE + 1 + (Timestamp::now().duration_since(open.since).as_secs_f64() / 0.5) as usize, "{before} calls");
        assert!(probes as f64 <= time / 0.5 + 2.0, "{probes} probes within {time} s");

        ats.faults().clear();
        all_are_told(ats, &applications, "Invited").await;
        walk.nothing_is_left().await;
        for application in &applications {
            let (statuses, notes) = (values(&ats.ledger(), "status", application), values(&ats.ledger(), "note", application));
            let invited = statuses.iter().filter(|text| text.starts_with("Invited")).count();
            let received = statuses.iter().filter(|text| *text == "Received").count();
            assert!(invited == 1 && received <= 1 && statuses.len() == invited + received, "{statuses:?}");
            assert_eq!(notes.len(), 1, "{notes:?}");
        }
        // The nine that failed before anything could be concluded from it.
        assert_eq!(attempts_used_up(walk).await, 9);
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
        let child = walk.running.hub.board().child("tenant/acme").unwrap();
        assert_eq!((child.breakers[0].state, child.generation), (BreakerState::Closed, 1));
        assert!(child.last_written.is_some());
    });
}

#[test]
fn an_ats_that_hangs_holds_up_its_share_and_the_facts_of_its_tenant_go_on() {
    // No call ever ends, and nothing is concluded from it: whatever is handled here, is handled beside the calls that hang.
    let calls = http::Options { total_time: Duration::from_secs(600), ..http::Options::default() };
    let gate = GatePolicy { share_wait: Duration::from_millis(300), ..quick() };
    on_tuned_hub(Pair::Real, Tuning { gate, calls, ..Tuning::default() }, &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        ats.faults().next("*", Fault::Hang, ENOUGH);
        let (_, facts) = candidates(tenant, ats, 50, Some(SHORT_PHONE)).await;
        walk.send(&facts).await;
        for fact in &facts {
            walk.message(fact.id.as_str(), "handled").await;
        }
        assert!(until(async || served(ats.faults()) == SHARE).await, "{} calls hang", served(ats.faults()));
        // Now that the share is used up and everything else waits, for facts that come later too.
        let id = one_that_waits(walk, "the ATS is slow").await;
        assert_eq!(walk.store().message(&id).await.unwrap()[0].begun, 0, "what was turned away has not begun");
        let later: Vec<_> = (0..20).map(|n| moved(tenant, &format!("later-{n}"), &format!("later{n}"), Some(SHORT_PHONE))).collect();
        walk.send(&later).await;
        for fact in &later {
            walk.message(fact.id.as_str(), "handled").await;
        }
        assert_eq!(served(ats.faults()), SHARE, "and nobody else was made to hang");
        assert_eq!(attempts_used_up(walk).await, 0);
    });
}

#[test]
fn a_pause_that_the_ats_asks_for_is_kept_by_all() {
    // In seconds: long enough to be looked at.
    const PAUSE: u64 = 8;
    on_quick_hub(&["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let (applications, facts) = candidates(tenant, ats, 40, Some(SHORT_PHONE)).await;
        ats.faults().next("customField.setValue", Fault::RateLimit { retry_after: Some(PAUSE) }, 1);
        walk.send(&facts).await;

        let limited = breaker(walk, "tenant/acme", "ats", BreakerState::Limited).await;
        let (since, again) = (limited.since, limited.next_call.unwrap());
        assert_eq!(again.duration_since(since).as_secs(), PAUSE as i64, "{limited:?}");
        is_shown_to_wait(walk, "the ATS asked for a pause; next call at ", &["no attempt is used up", "0 failed"]).await;

        all_are_told(ats, &applications, CALL).await;
        walk.nothing_is_left().await;
        let effects = ats.ledger().effects();
        let within = effects.iter().filter(|e| e.kind == "status" && e.at > since && e.at < again).count();
        // Those whose calls were on their way when the first one heard of it.
        assert!(within < SHARE, "{within} calls within the pause");
        for application in &applications {
            assert_eq!(values(&ats.ledger(), "status", application), [CALL]);
        }
        assert_eq!(attempts_used_up(walk).await, 0);
    });
}
