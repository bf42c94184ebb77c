//! What operators see of running processes and tenants.

use super::{Pair, on_both_pairs, on_hub, refused};
use atshub_actors::{ports::StoreError, supervision::Phase};
use serde_json::Value;

on_both_pairs! {
    a_tenants_live_state_is_shown
    what_a_process_that_is_gone_said_last_is_told_apart
    a_tenant_whose_settings_another_version_wrote_is_set_aside_alone_and_keeps_them
}

fn a_tenants_live_state_is_shown(pair: Pair) {
    on_hub(pair, &["acme", "birch"], &[], async |walk| {
        walk.running("acme").await;
        let fact = walk.fact("acme").await;
        walk.message(&fact, "handled").await;
        walk.ground.says(&["tenant", "restart", "acme", "--reason", "to be seen"]).await;
        let generation = walk.child("acme").generation;
        let shown = walk.ground.says(&["tenant", "show", "acme"]).await;
        let live = shown.split("LIVE").nth(1).unwrap().split("SETTINGS").next().unwrap();
        for (name, value) in [("phase", "running"), ("generation", generation.to_string().as_str()), ("in hand", "0"), ("poisoned", "0")] {
            let line = live.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {live}"));
            assert_eq!(line[name.len()..].trim(), value, "{live}");
        }
        for words in ["history", ": to be seen", "last fact in", " ago ("] {
            assert!(live.contains(words), "{words}: {live}");
        }
        let shown: Value = serde_json::from_str(&walk.ground.says(&["tenant", "show", "acme", "-o", "json"]).await).unwrap();
        assert_eq!((shown["live"]["live"].as_bool(), shown["live"]["child"]["generation"].as_u64()), (Some(true), Some(generation)));
        let listed: Value = serde_json::from_str(&walk.ground.says(&["tenant", "list", "-o", "json"]).await).unwrap();
        let acme = listed.as_array().unwrap().iter().find(|row| row["name"] == "acme").unwrap();
        assert_eq!((acme["standing"].as_str(), acme["phase"].as_str()), (Some("active"), Some("running")));
        let processes: Value = serde_json::from_str(&walk.ground.says(&["process", "list", "-o", "json"]).await).unwrap();
        let [process] = processes.as_array().unwrap().as_slice() else { panic!("{processes}") };
        assert_eq!((process["live"].as_bool(), process["able"].as_bool(), process["tenants"].as_u64()), (Some(true), Some(true), Some(2)));
        assert_eq!(process["name"], acme["process"]);
    });
}

fn what_a_process_that_is_gone_said_last_is_told_apart(pair: Pair) {
    use atshub_actors::ports::Beat;
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        // A process that was heard of once, with a tenant that this hub does not know; nobody hears of it again.
        let (store, process) = (walk.store(), uuid::Uuid::now_v7());
        let mut child = walk.child("acme");
        child.name = "tenant/elsewhere".into();
        let records =
            store.beat(Beat { process, name: "there:1".into(), started_at: jiff::Timestamp::now(), able: true }, super::LIMIT).await;
        assert!(records.unwrap().iter().any(|record| record.process == process));
        store.show_children(process, vec![child]).await.unwrap();
        let mut record = store.tenants().await.unwrap().remove(0);
        record.name = "elsewhere".parse().unwrap();
        // It is shown as live until it has not been heard of for long enough.
        assert!(store.put_tenant(record, None).await.unwrap());
        let gone = crate::support::hub::until(async || !walk.store().processes(atshub::hub::ALIVE).await.unwrap().iter().all(|p| p.live));
        assert!(gone.await, "it is live for ever");
        let listed: Value = serde_json::from_str(&walk.ground.says(&["process", "list", "-o", "json"]).await).unwrap();
        let there = listed.as_array().unwrap().iter().find(|row| row["name"] == "there:1").unwrap();
        assert_eq!((there["live"].as_bool(), there["able"].as_bool(), there["tenants"].as_u64()), (Some(false), Some(false), Some(0)));
    });
}

fn a_tenant_whose_settings_another_version_wrote_is_set_aside_alone_and_keeps_them(pair: Pair) {
    const NOTICED: &str = "update versions set value = value + 1 where name = 'tenants'";
    on_hub(pair, &["acme", "birch"], &[], async |walk| {
        walk.running("acme").await;
        walk.running("birch").await;
        let set = |postgres, sqlite| {
            (
                format!("update tenants set policy = ({postgres})::json where name = 'acme'; {NOTICED}"),
                format!("update tenants set policy = {sqlite} where name = 'acme'; {NOTICED}"),
            )
        };
        let (postgres, sqlite) = set("policy::jsonb || '{\"of_tomorrow\": 1}'", "json_set(policy, '$.of_tomorrow', 1)");
        walk.ground.alter(&postgres, &sqlite).await;
        let why = "this version of atshub cannot read its settings: unknown field `of_tomorrow`";
        let aside = |row: &atshub_actors::supervision::ChildSnapshot| {
            row.phase == Phase::Paused && row.cause.as_ref().is_some_and(|cause| cause.starts_with(why))
        };
        walk.until("acme", "it is set aside", aside).await;
        let fact = walk.fact("birch").await;
        walk.message(&fact, "handled").await;
        assert!(walk.ground.says(&["tenant", "show", "acme"]).await.contains(&format!("SETTINGS              {why}")));

        let (code, said) = refused(walk.ground, &["tenant", "set", "acme", "--set", "sandbox=true"]).await;
        assert!(code == Some(1) && said.contains(why) && said.contains("use the version of atshub that wrote them"), "{code:?} {said}");
        let acme = walk.store().tenants().await.unwrap().remove(0);
        let version = acme.version;
        assert!(matches!(walk.store().put_tenant(acme, Some(version)).await, Err(StoreError::Broken(text)) if text.contains(why)));

        let (postgres, sqlite) = set("policy::jsonb - 'of_tomorrow'", "json_remove(policy, '$.of_tomorrow')");
        walk.ground.alter(&postgres, &sqlite).await;
        walk.running("acme").await;
    });
}
