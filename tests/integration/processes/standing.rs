//! What a hub does by itself when a tenant's time has come or its settings change, on both pairs.

use crate::support::{
    build::later,
    hub::{Pair, Walk, on_hub, soon},
};
use atshub_actors::{ports::TenantRecord, supervision::Phase};
use jiff::Timestamp;

/// The one tenant of these tests.
const ACME: &str = "acme";
const CHILD: &str = "tenant/acme";

async fn record(walk: &Walk<'_>) -> TenantRecord {
    walk.store().tenants().await.unwrap().into_iter().find(|tenant| tenant.name.as_str() == ACME).unwrap()
}

async fn is(walk: &Walk<'_>, phase: Phase) {
    soon(phase.as_str(), walk.running.hub.board().until(CHILD, |child| child.phase == phase)).await;
}

fn paused_for_a_while(pair: Pair) {
    on_hub(pair, &[], &[ACME], async |walk| {
        is(walk, Phase::Running).await;
        let (store, until) = (walk.store(), later(Timestamp::now(), 3));
        let name = record(walk).await.name;
        store.set_standing(&name, "paused", Some("their ATS is being moved"), Some(until)).await.unwrap();
        is(walk, Phase::Paused).await;
        is(walk, Phase::Running).await;
        assert!(Timestamp::now() >= until, "not before its time");
        let after = record(walk).await;
        assert_eq!((after.standing.as_str(), after.cause, after.until), ("active", None, None));
    });
}

#[test]
fn a_tenant_paused_for_a_while_goes_on_by_itself_on_rabbitmq_and_postgresql() {
    paused_for_a_while(Pair::Real);
}

#[test]
fn a_tenant_paused_for_a_while_goes_on_by_itself_on_the_embedded_pair() {
    paused_for_a_while(Pair::Embedded);
}

#[test]
fn a_tenant_whose_settings_change_is_made_anew_without_being_asked_twice() {
    on_hub(Pair::Embedded, &[], &[ACME], async |walk| {
        is(walk, Phase::Running).await;
        let before = walk.running.hub.board().child(CHILD).unwrap().generation;
        let mut changed = record(walk).await;
        changed.policy.prefetch += 1;
        let version = changed.version;
        assert!(walk.store().put_tenant(changed, Some(version)).await.unwrap());
        let anew = walk.running.hub.board();
        soon("the next generation", anew.until(CHILD, |child| child.generation > before && child.phase == Phase::Running)).await;
        let seen = walk.running.hub.board().child(CHILD).unwrap();
        assert_eq!((seen.generation, seen.restarts), (before + 1, 0), "its end is nobody's crash");
    });
}

#[test]
fn what_children_do_is_told_to_the_store_until_they_are_gone() {
    on_hub(Pair::Embedded, &[], &[ACME], async |walk| {
        let store = walk.store();
        let told = async |phase: Phase| {
            let mut last = Vec::new();
            let found = crate::support::hub::until(async || {
                last = store.children(Some(CHILD)).await.unwrap();
                last.len() == 1 && last[0].child.phase == phase
            });
            assert!(found.await, "{last:?}");
        };
        told(Phase::Running).await;
        let name = record(walk).await.name;
        store.set_standing(&name, "paused", None, None).await.unwrap();
        told(Phase::Paused).await;
        let shared = store.children(None).await.unwrap();
        let place = format!(":{}", std::process::id());
        assert!(shared.iter().any(|c| c.child.name.starts_with("invites/1@") && c.child.name.ends_with(&place)), "{shared:?}");
        assert!(store.remove_tenant(&name).await.unwrap());
        let gone = crate::support::hub::until(async || store.children(Some(CHILD)).await.unwrap().is_empty());
        assert!(gone.await, "a tenant that is gone is shown no more");
    });
}
