//! What operators see of running processes and tenants.

use super::{Pair, on_both_pairs, on_hub, refused};
use atshub_actors::{ports::StoreError, supervision::Phase};
use serde_json::Value;

on_both_pairs! {
    a_tenants_live_state_is_shown
    what_a_process_that_is_gone_said_last_is_told_apart
    a_tenant_whose_settings_another_version_wrote_is_set_aside_alone_and_keeps_them
    settings_that_only_another_version_knows_are_kept_and_shown_and_the_tenant_runs
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

fn settings_that_only_another_version_knows_are_kept_and_shown_and_the_tenant_runs(pair: Pair) {
    on_hub(pair, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        let (postgres, sqlite) = set_policy("policy::jsonb || '{\"of_tomorrow\": 1}'", "json_set(policy, '$.of_tomorrow', 1)");
        walk.ground.alter(&postgres, &sqlite).await;
        walk.ground.says(&["tenant", "set", "acme", "--set", "prefetch=7"]).await;
        let policy = walk.store().tenants().await.unwrap().remove(0).policy;
        assert_eq!((policy.prefetch, policy.unknown["of_tomorrow"].as_i64()), (7, Some(1)));
        let shown = walk.ground.says(&["tenant", "show", "acme"]).await;
        assert!(shown.contains("of_tomorrow            1 (not known to this release: kept, without effect)"), "{shown}");
        let fact = walk.fact("acme").await;
        walk.message(&fact, "handled").await;
        walk.ground.says(&["tenant", "unset", "acme", "of_tomorrow", "prefetch"]).await;
        let policy = walk.store().tenants().await.unwrap().remove(0).policy;
        assert_eq!((policy.prefetch, policy.unknown.len()), (16, 0));
    });
}

#[test]
fn what_a_tenants_settings_name_and_its_ats_and_platform_do_not_have_is_found_before_a_candidate_is() {
    on_hub(Pair::Embedded, &["acme"], &["dune"], async |walk| {
        walk.running("acme").await;
        let found = async |tenant: &str, well: bool| {
            let output = walk.ground.command(&["tenant", "check", tenant, "-o", "json"]).await;
            let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(if well { 0 } else { 1 }), "{rows:?} {}", String::from_utf8_lossy(&output.stderr));
            rows
        };
        let row = |rows: &[Value], what: &str| rows.iter().find(|row| row["what"] == what).cloned().unwrap_or_default();
        let rows = found("acme", true).await;
        for what in ["credential", "trigger stage", "status field", "role field", "platform"] {
            assert_eq!(row(&rows, what)["state"], "well", "{rows:?}");
        }
        let acme = &walk.world.ashby[0].1;
        acme.revoke_permission("interviewsRead");
        let rows = found("acme", true).await;
        assert_eq!(row(&rows, "trigger stage")["state"], "unknown", "{rows:?}");
        acme.grant_permission("interviewsRead");

        let typos = ["--trigger-stage", "Karat Assesment", "--set", "status_field=Karat Statu", "--set", "roles.*=No such role"];
        walk.ground.says(&[&["tenant", "set", "acme"], &typos[..]].concat()).await;
        let rows = found("acme", false).await;
        for (what, said) in [
            ("trigger stage", "did you mean `Karat Assessment`?"),
            ("status field", "did you mean `Karat Status`?"),
            ("role", "the platform has none"),
        ] {
            let row = row(&rows, what);
            assert!(row["state"] == "wrong" && row["found"].as_str().is_some_and(|found| found.contains(said)), "{rows:?}");
        }
        let rows = found("dune", true).await;
        assert_eq!(row(&rows, "settings")["state"], "unknown", "a bridge's ATS cannot be asked: {rows:?}");
    });
}

const NOTICED: &str = "update versions set value = value + 1 where name = 'tenants'";

fn set_policy(postgres: &str, sqlite: &str) -> (String, String) {
    (
        format!("update tenants set policy = ({postgres})::json where name = 'acme'; {NOTICED}"),
        format!("update tenants set policy = {sqlite} where name = 'acme'; {NOTICED}"),
    )
}

fn a_tenant_whose_settings_another_version_wrote_is_set_aside_alone_and_keeps_them(pair: Pair) {
    on_hub(pair, &["acme", "birch"], &[], async |walk| {
        walk.running("acme").await;
        walk.running("birch").await;
        let (postgres, sqlite) = set_policy("policy::jsonb || '{\"prefetch\": \"many\"}'", "json_set(policy, '$.prefetch', 'many')");
        walk.ground.alter(&postgres, &sqlite).await;
        let why = "this version of atshub cannot read its settings: invalid type: string \"many\"";
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

        let (postgres, sqlite) = set_policy("policy::jsonb - 'prefetch'", "json_remove(policy, '$.prefetch')");
        walk.ground.alter(&postgres, &sqlite).await;
        walk.running("acme").await;
    });
}
