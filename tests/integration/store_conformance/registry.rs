//! Tenants, platform accounts and credentials, and the version that says when any of them changed.

use super::on_every_store;
use crate::support::build::{self, later, now, tenant};
use atshub_actors::{
    domain::Policy,
    ports::{PlatformAccount, SealedSecret, Standing, Store, TenantRecord},
};
use bytes::Bytes;
use std::sync::Arc;

type Tested = Arc<dyn Store>;

on_every_store! {
    a_tenant_is_added_once_and_comes_back_as_it_was
    a_tenant_is_saved_only_over_the_version_that_was_read
    a_tenants_standing_outlives_and_raises_its_version
    a_standing_is_changed_in_place_of_the_one_that_was_looked_at_and_of_no_newer_one
    a_standing_of_a_newer_version_is_kept_as_it_is
    removing_a_tenant_removes_its_credentials_and_no_others
    a_platform_account_is_saved_listed_and_removed_with_its_credentials
    a_credential_is_replaced_and_deleted_for_good
    all_credentials_come_at_once_each_owners_together
    every_change_raises_the_version_and_nothing_else_does
    the_store_answers
}

fn record(name: &str) -> TenantRecord {
    let policy = Policy { trigger_stages: vec!["Assessment".into(), "Überprüfung ✓".into()], ..Policy::default() };
    TenantRecord { ats: "ashby".into(), policy, ..build::record(name) }
}

fn secret(owner: &str, name: &str, sealed: &[u8]) -> SealedSecret {
    SealedSecret {
        owner: owner.into(),
        name: name.into(),
        sealed: Bytes::copy_from_slice(sealed),
        fingerprint: "ab12".into(),
        set_at: now(),
    }
}

fn account(name: &str) -> PlatformAccount {
    PlatformAccount { name: name.into(), kind: "karat".into(), url: "https://platform.example".into(), updated_at: now() }
}

async fn a_tenant_is_added_once_and_comes_back_as_it_was(store: Tested) {
    let (zeta, acme) = (record("zeta"), record("acme"));
    assert!(store.put_tenant(zeta.clone(), None).await.unwrap());
    assert!(store.put_tenant(acme.clone(), None).await.unwrap());
    assert!(!store.put_tenant(record("acme"), None).await.unwrap(), "the name is taken");
    let found = store.tenants().await.unwrap();
    assert!(found[0].version > found[1].version, "a version over all tenants");
    let as_given: Vec<_> = found.into_iter().map(|t| TenantRecord { version: 0, stood: 0, ..t }).collect();
    assert_eq!(as_given, [acme, zeta], "by name");
}

async fn a_tenant_is_saved_only_over_the_version_that_was_read(store: Tested) {
    store.put_tenant(record("acme"), None).await.unwrap();
    let read = store.tenants().await.unwrap().remove(0);
    let changed = TenantRecord { ats: "bridge".into(), ..read.clone() };
    assert!(!store.put_tenant(changed.clone(), Some(read.version + 1)).await.unwrap());
    assert!(!store.put_tenant(record("globex"), Some(read.version)).await.unwrap(), "there is none");
    assert!(store.put_tenant(changed.clone(), Some(read.version)).await.unwrap());
    assert!(!store.put_tenant(changed, Some(read.version)).await.unwrap(), "it has gone on");
    let saved = store.tenants().await.unwrap().remove(0);
    assert!(saved.version > read.version);
    assert_eq!(saved.ats, "bridge");
}

async fn a_tenants_standing_outlives_and_raises_its_version(store: Tested) {
    store.put_tenant(record("acme"), None).await.unwrap();
    let before = store.tenants().await.unwrap().remove(0);
    assert!(store.set_standing(&tenant("acme"), Standing::Quarantined, Some("five crashes"), None, None).await.unwrap().is_some());
    assert!(store.set_standing(&tenant("globex"), Standing::Paused, None, None, None).await.unwrap().is_none());
    let after = store.tenants().await.unwrap().remove(0);
    assert_eq!((after.standing.as_str(), after.cause.as_deref()), ("quarantined", Some("five crashes")));
    assert!(after.version > before.version && after.updated_at >= before.updated_at);
    assert!(store.set_standing(&tenant("acme"), Standing::Active, None, None, None).await.unwrap().is_some());
    assert_eq!(store.tenants().await.unwrap()[0].cause, None);
}

async fn a_standing_is_changed_in_place_of_the_one_that_was_looked_at_and_of_no_newer_one(store: Tested) {
    let acme = tenant("acme");
    store.put_tenant(record("acme"), None).await.unwrap();
    let only = async || store.tenants().await.unwrap().remove(0);
    let seen = only().await;
    let paused = store.set_standing(&acme, Standing::Paused, Some("refused"), None, Some(seen.stood)).await.unwrap().unwrap();
    assert_eq!((only().await.stood, only().await.version), (paused, paused));

    // Settings are no standing: whoever looked before they were changed may still change it.
    let record = only().await;
    assert!(store.put_tenant(TenantRecord { ats: "bridge".into(), ..record.clone() }, Some(record.version)).await.unwrap());
    assert_eq!(only().await.stood, paused);
    let disabled = store.set_standing(&acme, Standing::Disabled, Some("its key was deleted"), None, Some(paused)).await.unwrap().unwrap();

    // What was decided before that is late.
    for late in [seen.stood, paused] {
        assert_eq!(store.set_standing(&acme, Standing::Quarantined, Some("too late"), None, Some(late)).await.unwrap(), None);
    }
    let record = only().await;
    assert_eq!((&record.standing, record.stood, record.cause.as_deref()), (&Standing::Disabled, disabled, Some("its key was deleted")));

    // A record that is saved with another standing, and a standing that ends by itself, count as changes of it.
    let until = later(now(), 5);
    let aside = TenantRecord { standing: Standing::Paused, until: Some(until), ..record.clone() };
    assert!(store.put_tenant(aside, Some(record.version)).await.unwrap());
    let saved = only().await.stood;
    assert!(saved > disabled);
    assert!(store.end_standing(&acme, until).await.unwrap());
    assert_eq!(store.set_standing(&acme, Standing::Paused, None, None, Some(saved)).await.unwrap(), None);
    assert_eq!(only().await.standing, Standing::Active);
}

async fn a_standing_of_a_newer_version_is_kept_as_it_is(store: Tested) {
    let unknown = Standing::Unknown("hibernating".into());
    store.put_tenant(TenantRecord { standing: unknown.clone(), ..record("acme") }, None).await.unwrap();
    let read = store.tenants().await.unwrap().remove(0);
    assert_eq!(read.standing, unknown);
    assert!(store.put_tenant(TenantRecord { ats: "bridge".into(), ..read.clone() }, Some(read.version)).await.unwrap());
    assert_eq!(store.tenants().await.unwrap()[0].standing, unknown);
}

async fn removing_a_tenant_removes_its_credentials_and_no_others(store: Tested) {
    for name in ["acme", "acme-2"] {
        store.put_tenant(record(name), None).await.unwrap();
        store.put_secret(secret(&format!("tenant/{name}"), "api_key", b"sealed")).await.unwrap();
    }
    store.put_secret(secret("platform/acme", "token", b"sealed")).await.unwrap();
    assert!(store.remove_tenant(&tenant("acme")).await.unwrap());
    assert!(!store.remove_tenant(&tenant("acme")).await.unwrap());
    assert!(store.secrets("tenant/acme").await.unwrap().is_empty());
    assert_eq!(store.secrets("tenant/acme-2").await.unwrap().len(), 1);
    assert_eq!(store.secrets("platform/acme").await.unwrap().len(), 1);
    assert_eq!(store.tenants().await.unwrap().len(), 1);
    assert!(store.put_tenant(record("acme"), None).await.unwrap(), "the name is free again");
}

async fn a_platform_account_is_saved_listed_and_removed_with_its_credentials(store: Tested) {
    let main = account("main");
    store.put_platform(account("zeta")).await.unwrap();
    store.put_platform(PlatformAccount { url: "https://old.example".into(), ..main.clone() }).await.unwrap();
    store.put_platform(main.clone()).await.unwrap();
    store.put_secret(secret("platform/main", "token", b"sealed")).await.unwrap();
    let listed = store.platforms().await.unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0], main);
    assert!(store.remove_platform("main").await.unwrap());
    assert!(!store.remove_platform("main").await.unwrap());
    assert!(store.secrets("platform/main").await.unwrap().is_empty());
    assert_eq!(store.platforms().await.unwrap().len(), 1);
}

async fn a_credential_is_replaced_and_deleted_for_good(store: Tested) {
    let owner = "tenant/acme";
    let all: Vec<u8> = (0..=255).collect();
    store.put_secret(secret(owner, "webhook_secret", b"other")).await.unwrap();
    store.put_secret(secret(owner, "api_key", b"old")).await.unwrap();
    let new = secret(owner, "api_key", &all);
    store.put_secret(new.clone()).await.unwrap();
    let kept = store.secrets(owner).await.unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(kept[0], new);
    assert!(store.secrets("tenant/globex").await.unwrap().is_empty());
    assert!(store.delete_secret(owner, "api_key").await.unwrap());
    assert!(!store.delete_secret(owner, "api_key").await.unwrap());
    assert_eq!(store.secrets(owner).await.unwrap().len(), 1);
}

async fn all_credentials_come_at_once_each_owners_together(store: Tested) {
    assert_eq!(store.all_secrets().await.unwrap(), []);
    for (owner, name) in
        [("tenant/acme", "webhook_secret"), ("tenant/Acme", "api_key"), ("tenant/acme", "api_key"), ("platform/main", "token")]
    {
        store.put_secret(secret(owner, name, owner.as_bytes())).await.unwrap();
    }
    let all = store.all_secrets().await.unwrap();
    let found: Vec<_> = all.iter().map(|s| (s.owner.as_str(), s.name.as_str())).collect();
    let wanted = [("platform/main", "token"), ("tenant/Acme", "api_key"), ("tenant/acme", "api_key"), ("tenant/acme", "webhook_secret")];
    assert_eq!(found, wanted);
    assert_eq!(all[2..], store.secrets("tenant/acme").await.unwrap());
}

async fn every_change_raises_the_version_and_nothing_else_does(store: Tested) {
    let mut last = store.tenants_version().await.unwrap();
    macro_rules! raises {
        ($call:expr) => {{
            let _ = $call.await.unwrap();
            let version = store.tenants_version().await.unwrap();
            assert!(version > last, "{} raises it", stringify!($call));
            last = version;
        }};
    }
    macro_rules! leaves {
        ($call:expr) => {{
            let _ = $call.await.unwrap();
            assert_eq!(store.tenants_version().await.unwrap(), last, "{} leaves it", stringify!($call));
        }};
    }
    let acme = tenant("acme");
    raises!(store.put_tenant(record("acme"), None));
    assert_eq!(store.tenants().await.unwrap()[0].version, last);
    leaves!(store.put_tenant(record("acme"), None));
    leaves!(store.put_tenant(record("acme"), Some(99)));
    raises!(store.put_tenant(record("acme"), Some(last)));
    raises!(store.set_standing(&acme, Standing::Paused, None, None, None));
    leaves!(store.set_standing(&tenant("globex"), Standing::Paused, None, None, None));
    raises!(store.put_secret(secret("tenant/acme", "api_key", b"x")));
    raises!(store.put_secret(secret("tenant/acme", "api_key", b"y")));
    raises!(store.delete_secret("tenant/acme", "api_key"));
    leaves!(store.delete_secret("tenant/acme", "api_key"));
    raises!(store.remove_tenant(&acme));
    leaves!(store.remove_tenant(&acme));
    raises!(store.put_platform(account("main")));
    raises!(store.put_platform(account("main")));
    raises!(store.remove_platform("main"));
    leaves!(store.remove_platform("main"));
    leaves!(store.tenants());
}

async fn the_store_answers(store: Tested) {
    store.ping().await.unwrap();
}
