//! A platform that is away or hangs: who is held up, and what it costs.

use super::{ENOUGH, INVITES, attempts_used_up, breaker, breaker_after, moved, on_quick_hub, one_that_waits, quick, served};
use crate::support::guards::with_and_without_guard;
use crate::support::hub::{Pair, happens, on_tuned_hub, until, values};
use atshub::{app::Tuning, credentials::Sealer, demo::world::ROLES, http};
use atshub_actors::{
    gate::GatePolicy,
    ports::{PlatformAccount, SealedSecret, Standing},
    supervision::BreakerState,
};
use atshub_simulators::{
    Fault,
    platform::{Guard, PlatformOptions, PlatformSimulator},
};
use jiff::Timestamp;
use std::time::Duration;

with_and_without_guard! {
    a_platform_that_is_away_uses_up_no_invite_requests_and_then_invites_everybody_once
    what_a_quarantined_tenant_asked_for_waits_and_is_asked_once_it_is_released
}

fn a_platform_that_is_away_uses_up_no_invite_requests_and_then_invites_everybody_once(guard: Guard) {
    on_quick_hub(&[], &["dune"], async |walk| {
        walk.world.platform.set_guard(guard);
        const COUNT: usize = 40;
        let tenant = walk.world.bridges[0].tenant().clone();
        let (platform, ledger) = (&walk.world.platform, walk.world.platform.ledger());
        // One is invited first, so that the roles are known and every call that fails is one of its own.
        walk.send(&[moved(&tenant, "a-first", "first", None)]).await;
        happens(&ledger, "the first", |effects| effects.iter().any(|e| e.kind == "invitation")).await;
        walk.nothing_is_left().await;

        platform.faults().next("*", Fault::Fail(503), ENOUGH);
        let facts: Vec<_> = (0..COUNT).map(|n| moved(&tenant, &format!("a-{n}"), &format!("c{n}"), None)).collect();
        walk.send(&facts).await;
        let open = breaker(walk, "invites/1", "platform/main", BreakerState::Open).await;
        let id = one_that_waits(walk, "the platform (account `main`) is taken to be away (").await;
        assert!(walk.ground.shown(&id).await.contains("invite.requested"));
        breaker_after(walk, "invites/1", "platform/main", BreakerState::Open, open.since).await;
        let (before, began) = (served(platform.faults()), Timestamp::now());
        assert!(until(async || served(platform.faults()) >= before + 4).await, "the probes go on");
        let (probes, time) = (served(platform.faults()) - before, Timestamp::now().duration_since(began).as_secs_f64());
        assert!(probes as f64 <= time / 0.5 + 2.0, "{probes} probes within {time} s");

        platform.faults().clear();
        happens(&ledger, "everybody", |effects| effects.iter().filter(|e| e.kind == "invitation").count() == COUNT + 1).await;
        walk.nothing_is_left().await;
        for n in 0..COUNT {
            assert_eq!(values(&ledger, "invitation", &format!("c{n}@{tenant}.example")).len(), 1);
        }
        // Those that failed before anything could be concluded from it.
        let used_up = attempts_used_up(walk).await;
        assert!(used_up < i64::from(open.failed), "{used_up} of {open:?}");
        assert!(walk.store().parked_counts(None).await.unwrap().is_empty());
    });
}

#[test]
fn a_platform_that_hangs_holds_up_its_share_and_those_who_invite_by_another_account_are_not_held_up() {
    // No call ever ends, so that whoever is invited here is invited beside the calls that hang.
    let calls = http::Options { total_time: Duration::from_secs(600), ..http::Options::default() };
    let gate = GatePolicy { share_wait: Duration::from_millis(300), ..quick() };
    on_tuned_hub(Pair::Real, Tuning { gate, calls, ..Tuning::default() }, &[], &["dune", "ember"], async |walk| {
        let [dune, ember] = [0, 1].map(|n| walk.world.bridges[n].tenant().clone());
        let other = PlatformSimulator::start(PlatformOptions {
            roles: ROLES.map(|(id, name)| (id.to_owned(), name.to_owned())).to_vec(),
            ..PlatformOptions::default()
        })
        .await
        .unwrap();
        let store = walk.store();
        store.put_secret(walk.running.sealer.seal("platform/other", "token", other.token()).unwrap()).await.unwrap();
        let account = PlatformAccount { name: "other".into(), kind: "karat".into(), url: other.base_url(), updated_at: Timestamp::now() };
        store.put_platform(account).await.unwrap();
        let mut moves = store.tenants().await.unwrap().into_iter().find(|tenant| tenant.name == ember).unwrap();
        moves.platform = "other".into();
        let version = moves.version;
        assert!(store.put_tenant(moves, Some(version)).await.unwrap());
        walk.running.hub.reload().await.unwrap();

        let (platform, ledger) = (&walk.world.platform, walk.world.platform.ledger());
        walk.send(&[moved(&dune, "a-first", "first", None)]).await;
        happens(&ledger, "the first", |effects| effects.iter().any(|e| e.kind == "invitation")).await;
        platform.faults().next("*", Fault::Hang, ENOUGH);
        let hanging: Vec<_> = (0..2 * INVITES).map(|n| moved(&dune, &format!("a-{n}"), &format!("c{n}"), None)).collect();
        walk.send(&hanging).await;
        one_that_waits(walk, "the platform (account `main`) is slow").await;

        let free: Vec<_> = (0..20).map(|n| moved(&ember, &format!("b-{n}"), &format!("d{n}"), None)).collect();
        walk.send(&free).await;
        happens(&other.ledger(), "twenty", |effects| effects.iter().filter(|e| e.kind == "invitation").count() == free.len()).await;
        assert_eq!(served(platform.faults()), INVITES, "nobody else was made to hang");
        assert_eq!(attempts_used_up(walk).await, 0);
    });
}

fn what_a_quarantined_tenant_asked_for_waits_and_is_asked_once_it_is_released(guard: Guard) {
    on_quick_hub(&[], &["dune", "ember"], async |walk| {
        walk.world.platform.set_guard(guard);
        const COUNT: usize = 12;
        let [dune, ember] = [0, 1].map(|n| walk.world.bridges[n].tenant().clone());
        let (platform, ledger) = (&walk.world.platform, walk.world.platform.ledger());
        platform.faults().next("*", Fault::Fail(503), ENOUGH);
        let facts: Vec<_> = (0..COUNT).map(|n| moved(&dune, &format!("a-{n}"), &format!("c{n}"), None)).collect();
        walk.send(&facts).await;
        one_that_waits(walk, "the platform (account `main`) is taken to be away (").await;
        assert!(walk.store().set_standing(&dune, Standing::Quarantined, Some("to be looked at"), None, None).await.unwrap().is_some());
        walk.running.hub.reload().await.unwrap();

        platform.faults().clear();
        walk.send(&[moved(&ember, "a-other", "other", None)]).await;
        happens(&ledger, "the other tenant's", |effects| effects.iter().any(|e| e.kind == "invitation")).await;
        one_that_waits(walk, "the tenant is set aside: nothing is done in its name").await;
        assert_eq!(ledger.effects().iter().filter(|e| e.kind == "invitation").count(), 1);

        assert!(walk.store().set_standing(&dune, Standing::Active, None, None, None).await.unwrap().is_some());
        walk.running.hub.reload().await.unwrap();
        happens(&ledger, "everybody's", |effects| effects.iter().filter(|e| e.kind == "invitation").count() == COUNT + 1).await;
        walk.nothing_is_left().await;
        for n in 0..COUNT {
            assert_eq!(values(&ledger, "invitation", &format!("c{n}@{dune}.example")).len(), 1);
        }
    });
}

#[test]
fn a_wrong_token_of_the_platform_is_said_of_every_tenant_of_the_account_and_the_right_one_lets_what_waits_go_on() {
    let refused = |sealer: &Sealer| sealer.seal("platform/main", "token", "a-token-that-the-platform-does-not-know").unwrap();
    is_said_of_every_tenant(refused, "");
}

#[test]
fn a_token_of_the_platform_that_cannot_be_opened_is_said_of_every_tenant_with_that_cause() {
    let sealed = |_: &Sealer| Sealer::forgetful().seal("platform/main", "token", "whatever").unwrap();
    is_said_of_every_tenant(sealed, "was sealed with another key");
}

fn is_said_of_every_tenant(wrong: impl Fn(&Sealer) -> SealedSecret, cause: &str) {
    on_quick_hub(&[], &["dune", "ember"], async |walk| {
        let tenants = [0, 1].map(|n| walk.world.bridges[n].tenant().clone());
        let set = async |sealed: SealedSecret| {
            walk.store().put_secret(sealed).await.unwrap();
            walk.running.hub.reload().await.unwrap();
        };
        let generation =
            |tenant: &atshub_schemas::TenantName| walk.running.hub.board().child(&format!("tenant/{tenant}")).map(|child| child.generation);
        let before: Vec<_> = tenants.iter().map(generation).collect();
        set(wrong(&walk.running.sealer)).await;
        let facts: Vec<_> = tenants.iter().map(|tenant| moved(tenant, "a-1", "one", None)).collect();
        walk.send(&facts).await;
        let said = "does not accept the token";
        let listed = until(async || {
            let rows: Vec<serde_json::Value> = serde_json::from_str(&walk.ground.says(&["tenant", "list", "-o", "json"]).await).unwrap();
            rows.len() == 2 && rows.iter().all(|row| row["cause"].as_str().is_some_and(|text| text.contains(said) && text.contains(cause)))
        });
        assert!(listed.await, "{}", walk.ground.says(&["tenant", "list"]).await);
        let shown = walk.ground.says(&["tenant", "show", tenants[0].as_str()]).await;
        assert!(
            shown.contains("platform_credential_refused: ") && shown.contains("`atshub platform add main … --token-file <file>`"),
            "{shown}"
        );
        let client = atshub_simulators::loopback_client(Duration::from_secs(10)).unwrap();
        let get = async |path: &str| {
            let answer = client.get(format!("http://{}{path}", walk.running.address)).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (_, page) = get("/").await;
        assert_eq!(page.matches(said).count(), 2, "{page}");
        let (_, metrics) = get("/metrics").await;
        let series = format!("atshub_tenant_breaker_not_closed{{tenant=\"{}\",host=\"platform/main\",state=\"limited\"}} 1", tenants[0]);
        assert!(metrics.lines().any(|line| line == series), "{series} is not in\n{metrics}");
        assert_eq!(get("/readyz").await.0, 200, "one account's token is no fault of the process");

        set(walk.running.sealer.seal("platform/main", "token", walk.world.platform.token()).unwrap()).await;
        let ledger = walk.world.platform.ledger();
        happens(&ledger, "both are invited", |effects| effects.iter().filter(|e| e.kind == "invitation").count() == 2).await;
        walk.nothing_is_left().await;
        assert_eq!(tenants.iter().map(generation).collect::<Vec<_>>(), before, "no tenant was started anew");
    });
}
