//! What every row of the platforms' registry has to keep.

use super::script::{Script, nonsense};
use atshub::{
    credentials::Secrets,
    http::{Http, Options},
    platform::{Entry, REGISTRY, entry},
};
use atshub_actors::{
    failure::Failure,
    ports::{InvitationRequest, Platform, PlatformAccount},
};
use std::{collections::BTreeMap, sync::Arc};

pub(super) const TOKEN: &str = "hush-hush-token";

pub(super) fn connect(row: &Entry, url: &str, token: Option<&str>) -> Result<Arc<dyn Platform>, String> {
    let account = PlatformAccount { name: "main".into(), kind: row.kind.into(), url: url.into(), updated_at: jiff::Timestamp::UNIX_EPOCH };
    let secrets = token.map(|token| ("token".to_owned(), token.to_owned().into())).into_iter().collect::<BTreeMap<_, _>>();
    (row.connect)(account, Secrets::new(secrets), Http::new(tokio::runtime::Handle::current(), Options::default()).unwrap())
}

fn request() -> InvitationRequest {
    InvitationRequest {
        name: "Ada Lovelace".parse().unwrap(),
        email: "ada@example.org".parse().unwrap(),
        role: "1201".parse().unwrap(),
        phone: None,
        ats_url: Some("https://ats.example/a/1".parse().unwrap()),
    }
}

pub(super) async fn failures(platform: &dyn Platform) -> Vec<(&'static str, Option<Failure>)> {
    vec![
        ("invite", platform.invite(&request()).await.err()),
        ("find", platform.find(&request()).await.err()),
        ("roles", platform.roles().await.err()),
        ("whoami", platform.whoami().await.err()),
    ]
}

#[tokio::test]
async fn a_platform_without_its_token_or_with_an_unusable_address_is_refused_by_name() {
    for row in REGISTRY {
        assert!(entry(row.kind).is_some() && !row.name.is_empty());
        let error = connect(row, "https://acme.example", None).err().unwrap();
        assert!(error.contains("token") && error.contains("main"), "{error}");
        for bad in ["", "acme", "ftp://acme.example", "https://user:hush@acme.example", "https://acme.example/?token=hush"] {
            let error = connect(row, bad, Some(TOKEN)).err().unwrap_or_else(|| panic!("`{}` takes {bad:?}", row.kind));
            assert!(error.contains("main") && !error.contains("hush"), "{error}");
        }
        assert!(connect(row, "https://acme.example", Some(TOKEN)).is_ok());
    }
}

#[tokio::test]
async fn a_platform_that_talks_nonsense_is_a_failure_and_an_invite_has_to_be_looked_up() {
    for row in REGISTRY {
        for (status, body) in nonsense() {
            let script = Script::always(status, body.clone());
            let platform = connect(row, &script.url, Some(TOKEN)).unwrap();
            for (call, failure) in failures(platform.as_ref()).await {
                let failure = failure.unwrap_or_else(|| panic!("{call} took {status} {:?}", String::from_utf8_lossy(&body)));
                assert!(!format!("{failure:?}").contains(TOKEN));
                let expected = if call == "invite" { "unclear" } else { "malformed" };
                assert_eq!(
                    failure.code(),
                    expected,
                    "{call} hearing {status} {:?}: {failure:?}",
                    String::from_utf8_lossy(&body[..body.len().min(60)])
                );
            }
        }
    }
}

#[tokio::test]
async fn a_platform_that_is_away_cannot_have_acted_and_one_that_refuses_the_token_says_so() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let refuses = Script::always(401, br#"{"errors":[{"message":"Unauthorized"}]}"#.to_vec());
    let proxy = Script::always(403, b"<html><h1>403 Forbidden</h1></html>".to_vec());
    for row in REGISTRY {
        for (url, code) in [(&away, "transient"), (&refuses.url, "unauthorized")] {
            let platform = connect(row, url, Some(TOKEN)).unwrap();
            for (call, failure) in failures(platform.as_ref()).await {
                assert_eq!(failure.as_ref().map(Failure::code), Some(code), "{call}: {failure:?}");
            }
        }
        // What refuses everybody in words of its own says nothing of the token.
        let platform = connect(row, &proxy.url, Some(TOKEN)).unwrap();
        for (call, failure) in failures(platform.as_ref()).await {
            let passes = matches!(&failure, Some(Failure::Transient { acted, .. }) if *acted == (call == "invite"));
            assert!(passes, "{call}: {failure:?}");
        }
    }
}
