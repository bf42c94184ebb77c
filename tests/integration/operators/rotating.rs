//! A secret that says who calls the hub is replaced: what was signed with the one before is good for a while, unless it is ended at once.

use super::refused;
use crate::support::hub::{Pair, Walk, on_hub, until};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::time::Duration;

const PING: &str = r#"{"action":"ping"}"#;

/// The status of a webhook that was signed with this secret.
async fn webhook(walk: &Walk<'_>, secret: &str) -> u16 {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(PING);
    let client = atshub_simulators::loopback_client(Duration::from_secs(10)).unwrap();
    let request = client.post(format!("http://{}/hooks/acme", walk.running.address)).body(PING);
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    request.header("Ashby-Signature", signature).send().await.unwrap().status().as_u16()
}

/// The status of a partner call with this key.
async fn partner(walk: &Walk<'_>, key: &str) -> u16 {
    let client = atshub_simulators::loopback_client(Duration::from_secs(10)).unwrap();
    let request = client.post(format!("http://{}/partner/acme/assessment.list", walk.running.address)).body("{}");
    request.bearer_auth(key).send().await.unwrap().status().as_u16()
}

/// `tenant set-key`, from a file as an editor leaves it; what it says.
async fn set(walk: &Walk<'_>, name: &str, secret: &str, more: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("\u{feff}{secret}\r\n")).unwrap();
    let words = [&["tenant", "set-key", "acme", "--name", name, "--key-file", file.path().to_str().unwrap()], more].concat();
    let output = walk.ground.command(&words).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    // Not longer than it takes the hub to look.
    assert!(until(async || webhook(walk, secret).await == 200 || partner(walk, secret).await == 200).await, "{said}");
    said
}

#[test]
fn a_replaced_webhook_secret_is_good_beside_the_new_one_for_a_day_and_its_tenant_goes_on() {
    for pair in [Pair::Embedded, Pair::Real] {
        on_hub(pair, &["acme"], &[], async |walk| {
            walk.running("acme").await;
            let first = walk.world.ashby[0].1.webhook_secret().to_owned();
            assert_eq!(webhook(walk, &first).await, 200);
            let generation = walk.child("acme").generation;

            let said = set(walk, "webhook_secret", "second", &[]).await;
            assert!(said.contains("is good until") && said.contains("nothing that waits is lost"), "{said}");
            assert_eq!((webhook(walk, &first).await, webhook(walk, "second").await), (200, 200), "both");
            let said = set(walk, "webhook_secret", "third", &[]).await;
            assert!(said.contains("is good until"), "{said}");
            for secret in [first.as_str(), "second", "third"] {
                assert_eq!(webhook(walk, secret).await, 200, "{secret}");
            }
            assert_eq!(webhook(walk, "fourth").await, 401);
            let shown = walk.ground.says(&["tenant", "show", "acme"]).await;
            assert_eq!(shown.matches("the one before, is good until").count(), 2, "{shown}");
            let shown: serde_json::Value =
                serde_json::from_str(&walk.ground.says(&["tenant", "show", "acme", "-o", "json"]).await).unwrap();
            let until: jiff::Timestamp =
                serde_json::from_value(shown["credentials"]["webhook_secret"]["before"][0]["good_until"].clone()).unwrap();
            let left = until.duration_since(jiff::Timestamp::now()).as_secs();
            assert!((23 * 3600..=24 * 3600).contains(&left), "{left}");

            // Known to others: it and all before it end at once.
            let said = set(walk, "webhook_secret", "fourth", &["--grace", "0s"]).await;
            assert!(said.contains("good no longer") && said.contains("2 before it"), "{said}");
            for secret in [first.as_str(), "second", "third"] {
                assert_eq!(webhook(walk, secret).await, 401, "{secret}");
            }
            assert_eq!(webhook(walk, "fourth").await, 200);
            assert_eq!(walk.child("acme").generation, generation, "the actor does not have these, and is not made anew");
        });
    }
}

#[test]
fn when_its_time_is_over_a_replaced_key_is_refused_and_removed() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        walk.running("acme").await;
        set(walk, "partner_key", "first", &["--grace", "0s"]).await;
        let said = set(walk, "partner_key", "second", &["--grace", "3s"]).await;
        assert!(said.contains("is good until"), "{said}");
        assert!(until(async || partner(walk, "first").await == 401).await, "it is good for ever");
        assert_eq!(partner(walk, "second").await, 200);
        let kept = async || walk.store().secrets("tenant/acme").await.unwrap().into_iter().map(|secret| secret.name).collect::<Vec<_>>();
        assert!(until(async || !kept().await.iter().any(|name| name.contains("until"))).await, "{:?}", kept().await);
        assert!(kept().await.contains(&"partner_key".to_owned()));
    });
}

#[test]
fn a_grace_that_makes_no_sense_is_refused_with_what_would() {
    on_hub(Pair::Embedded, &["acme"], &[], async |walk| {
        let set = ["tenant", "set-key", "acme", "--key-file", "-", "--grace"];
        for (more, why) in [
            (&["24h"][..], "has no meaning for `api_key`"),
            (&["tomorrow", "--name", "webhook_secret"], "is no span of time"),
            (&["-1h", "--name", "webhook_secret"], "is no span of time"),
            (&["400d", "--name", "webhook_secret"], "longer than 30 days"),
        ] {
            let (code, said) = refused(walk.ground, &[&set[..], more].concat()).await;
            assert!(code == Some(64) && said.contains(why), "{more:?}: {code:?} {said}");
        }
    });
}

#[test]
fn a_webhook_secret_or_partner_key_that_is_not_the_ats_s_is_one_sentence_until_it_is_replaced() {
    for pair in [Pair::Embedded, Pair::Real] {
        on_hub(pair, &["acme"], &[], async |walk| {
            walk.running("acme").await;
            set(walk, "partner_key", "a-key", &[]).await;
            let trouble = async |code: &str| {
                let shown: serde_json::Value =
                    serde_json::from_str(&walk.ground.says(&["tenant", "show", "acme", "-o", "json"]).await).unwrap();
                let found = shown["troubles"].as_array().unwrap().iter().find(|trouble| trouble["code"] == code);
                found.map(|trouble| trouble["text"].as_str().unwrap().to_owned())
            };
            let page = async || {
                let client = atshub_simulators::loopback_client(Duration::from_secs(10)).unwrap();
                let get =
                    async |path| client.get(format!("http://{}{path}", walk.running.address)).send().await.unwrap().text().await.unwrap();
                (get("/").await, get("/metrics").await)
            };
            for (name, code) in [("webhook_secret", "webhook_secret_wrong"), ("partner_key", "partner_key_wrong")] {
                let hook = name == "webhook_secret";
                let call = async |secret: &str| if hook { webhook(walk, secret).await } else { partner(walk, secret).await };
                for _ in 0..3 {
                    assert_eq!(call("what the ats has").await, 401);
                }
                assert!(until(async || trouble(code).await.is_some()).await, "{code} is not said");
                let text = trouble(code).await.unwrap();
                assert!(text.contains(&format!("set-key acme --name {name} --key-file")), "{text}");
                let listed = walk.ground.says(&["tenant", "list", "-o", "json"]).await;
                let metric = format!("atshub_tenant_callers_refused{{tenant=\"acme\",code=\"{code}\"}} 1");
                assert!(listed.contains(&text), "{text} is not in {listed}");
                let seen = until(async || {
                    let (page, metrics) = page().await;
                    page.contains(name) && metrics.contains(&metric)
                });
                assert!(seen.await, "{:?}", page().await);
                // What it is here becomes what it is there.
                set(walk, name, "what the ats has", &["--grace", "0s"]).await;
                assert!(until(async || trouble(code).await.is_none()).await, "{:?}", trouble(code).await);
            }
        });
    }
}
