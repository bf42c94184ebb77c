//! What operators ask, with more than one hub process: done by the process that runs the tenant, and kept by its successor.

use super::stage::{Stage, on_stage};
use crate::support::hub::{soon, until};
use atshub_actors::{ports::Store, supervision::Phase};
use atshub_schemas::TenantName;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What the real command line says, as data.
async fn says(stage: &Stage, words: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_atshub"));
    let (broker, store) = (stage.vhost.url(), stage.database.url.clone());
    command.args(words).args(["-o", "json", "--broker", &broker, "--store", &store]).kill_on_drop(true);
    let output = soon("the command's end", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Process, generation and phase of every tenant's actor.
async fn actors(stage: &Stage) -> BTreeMap<String, (Uuid, u64, Phase)> {
    let shown = stage.store.children(None).await.unwrap().into_iter();
    let tenants = shown.filter_map(|shown| {
        let name = shown.child.name.strip_prefix("tenant/")?.to_owned();
        Some((name, (shown.process, shown.child.generation, shown.child.phase)))
    });
    tenants.collect()
}

#[test]
fn what_an_operator_asks_is_done_by_the_process_that_runs_the_tenant_and_kept_by_its_successor() {
    on_stage("asked", async |stage| {
        let owners = stage.two_hubs_of_which_the_second_has_more().await;
        let (first, second) = (stage.process(0).await, stage.process(1).await);
        let of = |process: Uuid| -> &TenantName { owners.iter().find(|(_, owner)| **owner == process).unwrap().0 };
        let before = actors(stage).await;
        for process in [first, second] {
            let said = says(stage, &["tenant", "restart", of(process).as_str(), "--reason", "a test"]).await;
            assert_eq!(said["generation"].as_u64(), Some(before[of(process).as_str()].1 + 1), "{said}");
        }
        for (tenant, (process, generation, _)) in actors(stage).await {
            let asked = [of(first).as_str(), of(second).as_str()].contains(&tenant.as_str());
            assert_eq!((process, generation), (before[&tenant].0, before[&tenant].1 + u64::from(asked)), "{tenant}");
        }
        // Paused at the second; when that is killed, the first takes it over, and it stays paused.
        let paused = of(second).to_string();
        says(stage, &["tenant", "pause", &paused, "--reason", "a test"]).await;
        stage.hubs[1].kill();
        let moved = until(async || {
            actors(stage).await.get(&paused).is_some_and(|(process, _, phase)| *process == first && *phase == Phase::Paused)
        });
        assert!(moved.await, "{:?}", actors(stage).await);
        says(stage, &["tenant", "resume", &paused, "--reason", "a test"]).await;
        let listed = says(stage, &["process", "list"]).await;
        let live: Vec<bool> = listed.as_array().unwrap().iter().map(|process| process["live"].as_bool().unwrap()).collect();
        assert_eq!(live.iter().filter(|live| **live).count(), 1, "{listed}");
    });
}
