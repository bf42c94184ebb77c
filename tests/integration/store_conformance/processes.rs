//! Hub processes, what their children are doing, and standings that end by themselves.

use super::on_every_store;
use crate::support::build::{self, later, now, tenant};
use atshub_actors::{
    ports::{Beat, ProcessRecord, ShownChild, Standing, Store, TenantRecord},
    supervision::{ChildSnapshot, Phase, Restart},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

type Tested = Arc<dyn Store>;

/// Longer than a test.
const ALIVE: Duration = Duration::from_secs(3600);

on_every_store! {
    a_beat_answers_with_every_process_and_says_which_of_them_live
    a_process_beats_again_in_place_of_its_beat_before
    a_process_that_leaves_is_forgotten_with_its_children_and_no_others
    what_a_child_does_is_told_in_place_of_what_was_told_before_by_whichever_process
    a_process_hides_its_own_children_and_not_those_that_another_has_taken
    what_a_child_was_doing_comes_back_as_it_was
    a_standing_ends_by_itself_unless_it_was_changed_meanwhile
    a_standing_that_ends_raises_the_version_and_one_that_does_not_leaves_it
    hundreds_of_children_are_told_at_once
}

fn beat(process: Uuid, name: &str, able: bool) -> Beat {
    Beat { process, name: name.into(), started_at: now(), able }
}

fn child(name: &str, generation: u64) -> ChildSnapshot {
    ChildSnapshot { phase: Phase::Running, generation, ..ChildSnapshot::new(name) }
}

/// Who says so, which child, which generation.
async fn told(store: &Tested) -> Vec<(Uuid, String, u64)> {
    let told = |shown: ShownChild| (shown.process, shown.child.name, shown.child.generation);
    store.children(None).await.unwrap().into_iter().map(told).collect()
}

fn names(processes: &[ProcessRecord]) -> Vec<(&str, bool, bool)> {
    processes.iter().map(|p| (p.name.as_str(), p.able, p.live)).collect()
}

async fn a_beat_answers_with_every_process_and_says_which_of_them_live(store: Tested) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    let first = beat(one, "host-a:1", true);
    let alone = store.beat(first.clone(), ALIVE).await.unwrap();
    assert_eq!(names(&alone), [("host-a:1", true, true)], "itself");
    assert_eq!((alone[0].process, alone[0].started_at), (one, first.started_at));
    let both = store.beat(beat(other, "host-b:1", false), ALIVE).await.unwrap();
    assert_eq!(names(&both), [("host-a:1", true, true), ("host-b:1", false, true)], "by their ids");
    assert!(both[1].beat_at >= both[0].beat_at, "by the store's own clock");
    assert_eq!(store.processes(ALIVE).await.unwrap(), both, "looking is no beat");
    // By a measure under which nothing that has already happened is recent.
    assert_eq!(names(&store.processes(Duration::ZERO).await.unwrap()), [("host-a:1", true, false), ("host-b:1", false, false)]);
}

async fn a_process_beats_again_in_place_of_its_beat_before(store: Tested) {
    let process = Uuid::now_v7();
    let first = store.beat(beat(process, "host-a:1", false), ALIVE).await.unwrap().remove(0);
    let second = store.beat(Beat { started_at: first.started_at, ..beat(process, "host-a:1", true) }, ALIVE).await.unwrap();
    assert_eq!(names(&second), [("host-a:1", true, true)]);
    assert!(second[0].beat_at > first.beat_at);
    assert_eq!(second[0].started_at, first.started_at);
}

async fn a_process_that_leaves_is_forgotten_with_its_children_and_no_others(store: Tested) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    for (process, name) in [(one, "tenant/acme"), (other, "tenant/globex")] {
        store.beat(beat(process, "host-a:1", true), ALIVE).await.unwrap();
        store.show_children(process, vec![child(name, 1)]).await.unwrap();
    }
    store.leave(one).await.unwrap();
    store.leave(one).await.unwrap();
    let left: Vec<Uuid> = store.processes(ALIVE).await.unwrap().into_iter().map(|p| p.process).collect();
    assert_eq!(left, [other]);
    assert_eq!(told(&store).await, [(other, "tenant/globex".into(), 1)]);
}

async fn what_a_child_does_is_told_in_place_of_what_was_told_before_by_whichever_process(store: Tested) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    store.show_children(one, vec![child("tenant/globex", 1), child("tenant/acme", 1)]).await.unwrap();
    store.show_children(one, vec![child("tenant/acme", 2)]).await.unwrap();
    assert_eq!(told(&store).await, [(one, "tenant/acme".into(), 2), (one, "tenant/globex".into(), 1)], "by name");
    let before = store.children(Some("tenant/globex")).await.unwrap();
    store.show_children(other, vec![child("tenant/globex", 1)]).await.unwrap();
    let after = store.children(Some("tenant/globex")).await.unwrap();
    assert_eq!((before.len(), after.len(), after[0].process), (1, 1, other));
    assert!(after[0].at > before[0].at);
    assert!(store.children(Some("tenant/nobody")).await.unwrap().is_empty());
    store.show_children(one, Vec::new()).await.unwrap();
    assert_eq!(told(&store).await.len(), 2, "nothing was told");
}

async fn a_process_hides_its_own_children_and_not_those_that_another_has_taken(store: Tested) {
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    store.show_children(one, vec![child("tenant/acme", 1), child("tenant/birch", 1), child("tenant/cedar", 1)]).await.unwrap();
    store.show_children(other, vec![child("tenant/birch", 1)]).await.unwrap();
    let gone = ["tenant/acme", "tenant/birch", "tenant/nobody"].map(str::to_owned).to_vec();
    store.hide_children(one, gone).await.unwrap();
    assert_eq!(told(&store).await, [(other, "tenant/birch".into(), 1), (one, "tenant/cedar".into(), 1)]);
}

async fn what_a_child_was_doing_comes_back_as_it_was(store: Tested) {
    let at = now();
    let restart = Restart { at, generation: 3, code: "panic".into(), cause: "index out of bounds: \u{0}, \"ß\" and 🦀".into() };
    let busy = ChildSnapshot {
        phase: Phase::BackingOff,
        cause: Some("a panic with\nlines".into()),
        restarts: 2,
        history: vec![restart],
        next_start: Some(later(at, 4)),
        in_hand: 3,
        oldest: Some(at),
        last_in: Some(at),
        done: u64::from(u32::MAX) + 1,
        ..child("tenant/acme", 4)
    };
    store.show_children(Uuid::now_v7(), vec![busy.clone()]).await.unwrap();
    assert_eq!(store.children(Some("tenant/acme")).await.unwrap()[0].child, busy);
}

fn paused(name: &str, until: Option<Timestamp>) -> TenantRecord {
    TenantRecord { standing: Standing::Paused, cause: Some("their ATS is being moved".into()), until, ..build::record(name) }
}

async fn a_standing_ends_by_itself_unless_it_was_changed_meanwhile(store: Tested) {
    let (until, acme) = (later(now(), -1), tenant("acme"));
    store.put_tenant(paused("acme", Some(until)), None).await.unwrap();
    let only = async || store.tenants().await.unwrap().remove(0);
    assert!(!store.end_standing(&acme, later(until, 1)).await.unwrap(), "it is to end at another time");
    assert!(!store.end_standing(&tenant("globex"), until).await.unwrap(), "there is none");
    let _stands = store.set_standing(&acme, Standing::Paused, Some("longer"), None, None).await.unwrap();
    assert!(!store.end_standing(&acme, until).await.unwrap(), "somebody has paused it for good");
    assert_eq!((only().await.standing.as_str(), only().await.cause.as_deref()), ("paused", Some("longer")));
    let _stands = store.set_standing(&acme, Standing::Quarantined, Some("for a while"), Some(until), None).await.unwrap();
    assert_eq!(only().await.until, Some(until));
    assert!(store.end_standing(&acme, until).await.unwrap());
    let ended = only().await;
    assert_eq!((ended.standing.as_str(), ended.cause, ended.until), ("active", None, None));
    assert!(!store.end_standing(&acme, until).await.unwrap(), "it has ended");
}

async fn a_standing_that_ends_raises_the_version_and_one_that_does_not_leaves_it(store: Tested) {
    let until = now();
    store.put_tenant(paused("acme", Some(until)), None).await.unwrap();
    let before = store.tenants_version().await.unwrap();
    store.end_standing(&tenant("acme"), later(until, 1)).await.unwrap();
    assert_eq!(store.tenants_version().await.unwrap(), before);
    store.end_standing(&tenant("acme"), until).await.unwrap();
    assert!(store.tenants_version().await.unwrap() > before);
    assert_eq!(store.tenants().await.unwrap()[0].version, store.tenants_version().await.unwrap());
}

async fn hundreds_of_children_are_told_at_once(store: Tested) {
    let process = Uuid::now_v7();
    let all: Vec<ChildSnapshot> = (0..500).map(|n| child(&format!("tenant/t-{n:03}"), n)).collect();
    store.show_children(process, all).await.unwrap();
    let told = told(&store).await;
    assert_eq!((told.len(), &told[499]), (500, &(process, "tenant/t-499".into(), 499)));
    store.hide_children(process, told.into_iter().map(|(_, name, _)| name).collect()).await.unwrap();
    assert!(store.children(None).await.unwrap().is_empty());
}
