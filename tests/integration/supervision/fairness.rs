//! One tenant's flood, and another's work.

use super::{
    probe::Start,
    stage::{Setting, on_stage_set},
};
use crate::support::hub::Pair;
use atshub_actors::supervision::Share;
use std::time::Duration;

/// The window never ends by itself here: only the other's being done opens it.
#[test]
fn a_flood_is_held_to_its_share_while_another_tenant_has_work_and_let_go_when_it_has_none() {
    let share = Share { deliveries: 5, window: Duration::from_secs(24 * 3600) };
    on_stage_set(Pair::Embedded, Setting { share, ..Setting::default() }, async |stage, _| {
        stage.raise(vec![stage.spec("flood", Start::Well), stage.spec("other", Start::Well)]).await;
        stage.publish("other", &["gated-1"]).await;
        stage.entered(1).await;
        let ids: Vec<String> = (0..200).map(|n| format!("ok-{n}")).collect();
        stage.publish("flood", &ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(stage.collect(5).await.len(), 5);
        // Another message of the other tenant is done while the flood waits, however long that takes.
        stage.publish("other", &["ok-other"]).await;
        assert_eq!(stage.collect(1).await, ["ok-other"]);
        assert_eq!(stage.board.child("tenant/flood").unwrap().done, 5);
        stage.strings.gate.add_permits(1);
        assert_eq!(stage.collect(196).await.len(), 196, "the gated one, and the rest of the flood");
    });
}
