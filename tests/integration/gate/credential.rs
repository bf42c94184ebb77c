//! What is taken for a refused credential and what is not, what a pause for one costs, and how it ends.

use super::{
    CALL, ENOUGH, SHARE, SHORT_PHONE, all_are_told, attempts_used_up, breaker, candidates, is_shown_to_wait, on_quick_hub, one_that_waits,
    quick, served,
};
use crate::support::hub::{Pair, Walk, on_tuned_hub, soon, until, values};
use atshub::app::Tuning;
use atshub_actors::{
    gate::GatePolicy,
    ports::{Standing, TenantRecord},
    supervision::{BreakerState, Phase},
};
use atshub_schemas::TenantName;
use atshub_simulators::{Fault, ashby::AshbySimulator};
use jiff::Timestamp;
use std::time::Duration;

/// A pause is tested so often here.
const RETEST: Duration = Duration::from_secs(1);

/// Tests a pause soon and often.
fn retesting() -> Tuning {
    Tuning { gate: GatePolicy { first_retest: RETEST, retest_every: RETEST, ..quick() }, ..Tuning::default() }
}

async fn stored(walk: &Walk<'_>, tenant: &TenantName) -> TenantRecord {
    walk.store().tenants().await.unwrap().into_iter().find(|t| t.name == *tenant).unwrap()
}

async fn runs(walk: &Walk<'_>, tenant: &TenantName) {
    let name = format!("tenant/{tenant}");
    soon("the start", walk.running.hub.board().until(&name, |row| row.phase == Phase::Running)).await;
}

async fn is_paused(walk: &Walk<'_>, child: &str) {
    soon("the pause", walk.running.hub.board().until(child, |row| row.phase == Phase::Paused && row.in_hand == 0)).await;
}

async fn each_was_told_once(walk: &Walk<'_>, ats: &AshbySimulator, applications: &[String]) {
    all_are_told(ats, applications, CALL).await;
    walk.nothing_is_left().await;
    for application in applications {
        assert_eq!(values(&ats.ledger(), "status", application), [CALL]);
    }
}

#[test]
fn a_key_that_is_revoked_pauses_its_tenant_after_a_few_calls_and_a_new_one_gets_everything_done() {
    // Longer than a busy machine takes to pause a tenant, so that no call is tried again before.
    let gate = GatePolicy { refused_wait: Duration::from_secs(20), ..quick() };
    on_tuned_hub(Pair::Real, Tuning { gate, ..Tuning::default() }, &["acme", "birch"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let (applications, facts) = candidates(tenant, ats, 40, Some(SHORT_PHONE)).await;
        ats.faults().next("*", Fault::RefuseCredential, ENOUGH);
        walk.send(&facts).await;

        let board = walk.running.hub.board();
        is_paused(walk, "tenant/acme").await;
        let cause = board.child("tenant/acme").unwrap().cause.unwrap();
        assert!(cause.contains("does not accept the credential") && cause.contains("set-key"), "{cause}");
        let calls = served(ats.faults());
        assert!((2..=SHARE + 1).contains(&calls), "{calls} calls: those on their way, and one to confirm");
        assert!(until(async || stored(walk, tenant).await.standing == Standing::Paused).await);
        let tested = stored(walk, tenant).await.until.unwrap().duration_since(Timestamp::now());
        assert!((14 * 60..=15 * 60).contains(&tested.as_secs()), "{tested:?}");
        let shown = walk.ground.says(&["tenant", "show", "acme"]).await;
        assert!(shown.contains("does not accept the credential") && shown.contains("; the ATS is asked again at "), "{shown}");
        assert_eq!(board.child("tenant/birch").unwrap().phase, Phase::Running, "the neighbour goes on");

        ats.faults().clear();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), ats.api_key()).unwrap();
        walk.ground.says(&["tenant", "set-key", "acme", "--key-file", file.path().to_str().unwrap()]).await;
        each_was_told_once(walk, ats, &applications).await;
        assert_eq!(attempts_used_up(walk).await, 0);
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
    });
}

#[test]
fn a_pause_for_a_credential_is_tested_with_one_call_at_a_time_and_ends_when_that_is_accepted() {
    on_tuned_hub(Pair::Real, retesting(), &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let (applications, facts) = candidates(tenant, ats, 20, Some(SHORT_PHONE)).await;
        ats.faults().next("*", Fault::RefuseCredential, ENOUGH);
        walk.send(&facts).await;
        is_paused(walk, "tenant/acme").await;

        let (before, began) = (served(ats.faults()), Timestamp::now());
        assert!(until(async || served(ats.faults()) >= before + 3).await, "the tests go on");
        let (tests, time) = (served(ats.faults()) - before, Timestamp::now().duration_since(began).as_secs_f64());
        assert!(tests as f64 <= time / RETEST.as_secs_f64() + 1.0, "{tests} calls within {time} s");
        // A host that is away says nothing of the credential.
        ats.faults().clear();
        ats.faults().next("*", Fault::Fail(503), ENOUGH);
        assert!(until(async || served(ats.faults()) >= 2).await, "and on");
        assert_eq!(walk.running.hub.board().child("tenant/acme").unwrap().phase, Phase::Paused);

        ats.faults().clear();
        each_was_told_once(walk, ats, &applications).await;
        let record = stored(walk, tenant).await;
        assert_eq!((record.standing.as_str(), record.cause, record.until), ("active", None, None), "by itself");
        assert_eq!(attempts_used_up(walk).await, 0);
    });
}

#[test]
fn an_operators_pause_is_not_ended_by_a_key_that_is_good() {
    on_tuned_hub(Pair::Embedded, retesting(), &["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        runs(walk, tenant).await;
        for (act, standing) in [("pause", "paused"), ("quarantine", "quarantined")] {
            walk.ground.says(&["tenant", act, "acme", "--reason", "a look at it"]).await;
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), ats.api_key()).unwrap();
            walk.ground.says(&["tenant", "set-key", "acme", "--key-file", file.path().to_str().unwrap()]).await;
            assert_eq!(stored(walk, tenant).await.standing.as_str(), standing);
            if act == "pause" {
                walk.ground.says(&["tenant", "resume", "acme", "--reason", "looked"]).await;
            }
        }
    });
}

/// A firewall, a proxy or the host's own edge refuses everybody for a while, in its own words.
#[test]
fn a_page_of_a_proxy_pauses_nobody_and_everything_goes_on_when_it_is_over() {
    on_quick_hub(&["acme", "birch"], &[], async |walk| {
        let mut all = Vec::new();
        for (tenant, ats) in &walk.world.ashby {
            let (applications, facts) = candidates(tenant, ats, 20, Some(SHORT_PHONE)).await;
            ats.faults().next("*", Fault::Fail(403), ENOUGH);
            walk.send(&facts).await;
            all.push(applications);
        }
        for name in ["acme", "birch"] {
            let open = breaker(walk, &format!("tenant/{name}"), "ats", BreakerState::Open).await;
            let last = open.last_error.unwrap();
            assert!(last.contains("answered with 403, by something that stands before the host"), "{last}");
        }
        one_that_waits(walk, "the ATS is taken to be away (10 of 10 calls failed within 2 min)").await;
        // Some probes long.
        let (_, ats) = &walk.world.ashby[0];
        let before = served(ats.faults());
        assert!(until(async || served(ats.faults()) >= before + 4).await);
        for (tenant, ats) in &walk.world.ashby {
            assert_eq!(stored(walk, tenant).await.standing, Standing::Active);
            ats.faults().clear();
        }
        for ((tenant, ats), applications) in walk.world.ashby.iter().zip(&all) {
            each_was_told_once(walk, ats, applications).await;
            let row = walk.running.hub.board().child(&format!("tenant/{tenant}")).unwrap();
            assert_eq!((row.phase, row.generation), (Phase::Running, 1), "{row:?}");
        }
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
    });
}

#[test]
fn one_refusal_to_a_good_key_pauses_nobody() {
    on_quick_hub(&["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let (applications, facts) = candidates(tenant, ats, 3, Some(SHORT_PHONE)).await;
        ats.faults().next("customField.setValue", Fault::RefuseCredential, 1);
        walk.send(&facts).await;
        each_was_told_once(walk, ats, &applications).await;
        assert_eq!(attempts_used_up(walk).await, 1, "counted, so that it does not go round for ever");
        let row = walk.running.hub.board().child("tenant/acme").unwrap();
        assert_eq!((row.phase, row.generation), (Phase::Running, 1));
    });
}

#[test]
fn a_permission_that_is_missing_concerns_what_needs_it_alone_and_is_named() {
    on_quick_hub(&["acme"], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        ats.revoke_permission("candidatesWrite");
        let (applications, facts) = candidates(tenant, ats, 12, Some(SHORT_PHONE)).await;
        walk.send(&facts).await;
        is_shown_to_wait(walk, "needs the permission candidatesWrite of the API key", &["not permitted"]).await;
        for fact in &facts {
            walk.message(fact.id.as_str(), "handled").await;
        }
        let row = walk.running.hub.board().child("tenant/acme").unwrap();
        assert_eq!((row.phase, row.breakers[0].state), (Phase::Running, BreakerState::Closed), "{row:?}");
        ats.grant_permission("candidatesWrite");
        each_was_told_once(walk, ats, &applications).await;
        assert_eq!(stored(walk, tenant).await.standing, Standing::Active);
    });
}

#[test]
fn ten_tenants_of_one_host_that_are_refused_at_once_are_the_host() {
    const NAMES: [&str; 12] = ["t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9", "t10", "t11", "t12"];
    on_tuned_hub(Pair::Embedded, retesting(), &NAMES, &[], async |walk| {
        let mut all = Vec::new();
        for (tenant, ats) in &walk.world.ashby {
            runs(walk, tenant).await;
            ats.faults().next("*", Fault::RefuseCredential, ENOUGH);
            all.push(candidates(tenant, ats, 2, Some(SHORT_PHONE)).await);
        }
        for (_, facts) in &all {
            walk.send(facts).await;
        }
        // Each has been refused, and has asked whether that is so.
        let refused = async || walk.world.ashby.iter().all(|(_, ats)| served(ats.faults()) >= 3);
        assert!(until(refused).await);
        let paused = walk.store().tenants().await.unwrap().iter().filter(|tenant| tenant.standing == Standing::Paused).count();
        assert!(paused < 10, "{paused} of {} are paused", NAMES.len());

        for (_, ats) in &walk.world.ashby {
            ats.faults().clear();
        }
        for ((_, ats), (applications, _)) in walk.world.ashby.iter().zip(&all) {
            each_was_told_once(walk, ats, applications).await;
        }
        for (tenant, _) in &walk.world.ashby {
            assert!(until(async || stored(walk, tenant).await.standing == Standing::Active).await, "{tenant}");
        }
    });
}
