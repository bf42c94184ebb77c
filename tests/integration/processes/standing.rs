//! What a hub does by itself when a tenant's time has come or its settings change, on both pairs.

use crate::support::{
    build::later,
    hub::{Pair, Walk, happens, on_hub, soon, until},
};
use atshub::demo::world::{Cast, TRIGGER};
use atshub_actors::ports::Standing;
use atshub_actors::{ports::TenantRecord, supervision::Phase};
use atshub_schemas::topology;
use atshub_simulators::{Effect, Fault, ashby::NewCandidate};
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
        let _stands = store.set_standing(&name, Standing::Paused, Some("their ATS is being moved"), Some(until), None).await.unwrap();
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
            let found = until(async || {
                last = store.children(Some(CHILD)).await.unwrap();
                last.len() == 1 && last[0].child.phase == phase
            });
            assert!(found.await, "{last:?}");
        };
        told(Phase::Running).await;
        let name = record(walk).await.name;
        let _stands = store.set_standing(&name, Standing::Paused, None, None, None).await.unwrap();
        told(Phase::Paused).await;
        let shared = store.children(None).await.unwrap();
        let place = format!(":{}", std::process::id());
        assert!(shared.iter().any(|c| c.child.name.starts_with("invites/1@") && c.child.name.ends_with(&place)), "{shared:?}");
        assert!(store.remove_tenant(&name).await.unwrap());
        let gone = until(async || store.children(Some(CHILD)).await.unwrap().is_empty());
        assert!(gone.await, "a tenant that is gone is shown no more");
    });
}

fn removed_in_the_middle_of_its_work_and_added_again(pair: Pair) {
    on_hub(pair, &[ACME], &[], async |walk| {
        let (tenant, ats) = &walk.world.ashby[0];
        let board = walk.running.hub.board();
        ats.faults().next("*", Fault::Hang, 1);
        let job = ats.add_job("Backend engineer", Some("1201"), "rae@acme.example").await;
        let enters = async |email: &str| {
            let new = NewCandidate { name: "Ada".into(), email: email.into(), job: job.clone(), ..NewCandidate::default() };
            let application = ats.add_candidate(new).await.unwrap();
            ats.move_stage(&application, TRIGGER).await.unwrap();
            application
        };
        let interrupted = enters("ada@acme.example").await;
        soon("a fact in hand", board.until(CHILD, |child| child.in_hand > 0)).await;
        let queue = [topology::tenant_queue(tenant)];
        let stands = async || !walk.running.broker.queues(&queue).await.unwrap().is_empty();

        assert!(walk.store().remove_tenant(tenant).await.unwrap());
        walk.running.hub.reload().await.unwrap();
        assert!(stands().await, "what is in hand would be lost with its queue");
        assert!(until(async || board.child(CHILD).is_none()).await, "a tenant that is gone has no child");

        // As `tenant add` does: the next of its name begins with a queue of its own.
        walk.running.broker.delete(&queue[0]).await.unwrap();
        let cast = Cast { ashby: vec![ACME.into()], bridges: Vec::new() };
        walk.world.register(&cast, &*walk.store(), &walk.running.sealer).await.unwrap();
        walk.running.hub.reload().await.unwrap();
        let application = enters("bob@acme.example").await;
        let is_invited = |effects: &[Effect], of: &str| effects.iter().any(|e| e.subject == of && e.value.to_string().contains("Invited"));
        happens(&ats.ledger(), "the new tenant works", |effects| is_invited(effects, &application)).await;
        walk.nothing_is_left().await;
        assert!(!is_invited(&ats.ledger().effects(), &interrupted), "what the old one had in hand is not the new one's");

        assert!(walk.store().remove_tenant(tenant).await.unwrap());
        walk.running.hub.reload().await.unwrap();
        assert!(until(async || !stands().await).await, "nobody consumes from it any more, and nothing is in it");
    });
}

#[test]
fn a_tenant_of_the_name_of_one_that_was_removed_in_the_middle_of_its_work_works_and_inherits_nothing_on_rabbitmq_and_postgresql() {
    removed_in_the_middle_of_its_work_and_added_again(Pair::Real);
}

#[test]
fn a_tenant_of_the_name_of_one_that_was_removed_in_the_middle_of_its_work_works_and_inherits_nothing_on_the_embedded_pair() {
    removed_in_the_middle_of_its_work_and_added_again(Pair::Embedded);
}
