//! One tenant's flood, and another's work.

use super::{
    probe::Start,
    stage::{Setting, on_stage_set},
};
use crate::support::hub::Pair;
use atshub_actors::supervision::Share;
use std::time::Duration;

/// What was taken does not come again while a test runs, and whoever was at work stays so.
const SHARE: Share = Share { per_second: 0, saved: 5, quiet: Duration::from_secs(24 * 3600) };

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("ok-{n}")).collect()
}

#[test]
fn a_flood_is_held_to_its_share_while_another_tenant_is_at_work() {
    on_stage_set(Pair::Embedded, Setting { share: SHARE, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("flood", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("other", &["ok-first"]).await;
        assert_eq!(stage.collect(1).await, ["ok-first"]);
        let ids = names(200);
        stage.publish("flood", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(stage.collect(5).await.len(), 5);
        // Another message of the other tenant is done while the flood waits, however long that takes.
        stage.publish("other", &["ok-other"]).await;
        assert_eq!(stage.collect(1).await, ["ok-other"]);
        // The board hears of what was done a moment later.
        stage.becomes("tenant/flood", |row| row.done >= 5 && row.held_since.is_some()).await;
        assert_eq!(stage.board.child("tenant/flood").unwrap().done, 5);
        assert_eq!(stage.board.child("tenant/other").unwrap().held_since, None);
    });
}

#[test]
fn a_tenant_is_not_held_back_by_others_that_have_nothing_to_do() {
    on_stage_set(Pair::Embedded, Setting { share: SHARE, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("flood", Start::Well), stage.spec("other", Start::Well)]).await;
        let ids = names(200);
        stage.publish("flood", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(stage.collect(200).await.len(), 200);
        assert_eq!(stage.board.child("tenant/flood").unwrap().held_since, None);
    });
}

#[test]
fn a_flood_that_is_over_is_not_said_to_be_held_any_more() {
    let share = Share { per_second: 1, saved: 4, ..SHARE };
    on_stage_set(Pair::Embedded, Setting { share, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("flood", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("other", &["ok-first"]).await;
        assert_eq!(stage.collect(1).await, ["ok-first"]);
        stage.publish("flood", &["ok-1", "ok-2", "ok-3", "ok-4", "gated-5"]).await;
        stage.becomes("tenant/flood", |row| row.held_since.is_some()).await;
        stage.strings.gate.add_permits(1);
        assert_eq!(stage.collect(5).await.len(), 5);
        stage.becomes("tenant/flood", |row| row.held_since.is_none()).await;
    });
}
