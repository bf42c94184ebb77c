//! The sealing key and the store: a key that did not seal what is there is refused, whichever comes first; a key is changed for another
//! without anything that works being started anew. And the name that a store gives itself.

use super::on_every_store;
use atshub::credentials::{KeyProofError, Sealer, forget_all, look, prove, rotate, sealed};
use atshub_actors::ports::{SealedSecret, Store};
use futures_util::future::join_all;
use std::{path::PathBuf, sync::Arc};

type Tested = Arc<dyn Store>;

on_every_store! {
    of_many_keys_that_come_at_once_one_is_the_stores_for_good
    a_key_is_taken_if_it_sealed_what_an_older_release_left_and_refused_if_it_did_not
    credentials_sealed_anew_open_with_the_new_key_alone_and_nothing_else_about_them_changes
    a_credential_that_the_key_before_sealed_meanwhile_is_sealed_anew_the_next_time
    a_credential_that_cannot_be_opened_keeps_no_other_from_being_used
    after_a_reset_nothing_is_sealed_and_another_key_is_taken
    a_store_keeps_the_name_that_it_gave_itself
    a_credential_is_kept_only_where_there_is_none
}

/// A sealing key in a file.
struct Key {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Key {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        drop(Sealer::from_key_file_or_new(&path).unwrap());
        Self { path, _folder: folder }
    }

    fn sealer(&self) -> Sealer {
        Sealer::from_key_file(&self.path).unwrap()
    }

    /// With another key's credentials opened as well.
    fn after(&self, previous: &Self) -> Sealer {
        self.sealer().with_previous(&previous.path).unwrap()
    }
}

fn is_refused(proof: &Result<(), KeyProofError>) -> bool {
    matches!(proof, Err(KeyProofError::OtherKey { .. }))
}

async fn puts(store: &Tested, sealer: &Sealer, owner: &str, name: &str) -> SealedSecret {
    let secret = sealer.seal(owner, name, &format!("the {name} of {owner}")).unwrap();
    store.put_secret(secret.clone()).await.unwrap();
    secret
}

async fn of_many_keys_that_come_at_once_one_is_the_stores_for_good(store: Tested) {
    let keys: Vec<Key> = (0..8).map(|_| Key::new()).collect();
    let sealers: Vec<Sealer> = keys.iter().map(Key::sealer).collect();
    let first = join_all(sealers.iter().map(|sealer| prove(sealer, &*store))).await;
    assert_eq!(first.iter().filter(|proof| proof.is_ok()).count(), 1, "{first:?}");
    assert!(first.iter().all(|proof| proof.is_ok() || is_refused(proof)), "{first:?}");
    for _ in 0..3 {
        assert_eq!(join_all(sealers.iter().map(|sealer| prove(sealer, &*store))).await, first, "the same one");
    }
    let taken = sealers.iter().zip(&first).find(|(_, proof)| proof.is_ok()).unwrap().0.mark();
    for (sealer, proof) in sealers.iter().zip(&first).filter(|(_, proof)| proof.is_err()) {
        let said = proof.clone().unwrap_err().to_string();
        assert!(said.contains(&taken) && said.contains(&sealer.mark()) && said.contains("atshub seal reset"), "{said}");
    }
}

async fn a_key_is_taken_if_it_sealed_what_an_older_release_left_and_refused_if_it_did_not(store: Tested) {
    let (right, wrong) = (Key::new().sealer(), Key::new().sealer());
    puts(&store, &right, "tenant/acme", "api_key").await;
    puts(&store, &right, "platform/main", "token").await;
    assert!(is_refused(&prove(&wrong, &*store).await));
    assert_eq!(look(&wrong, &*store).await.unwrap().store, None, "a refused key leaves nothing");
    assert_eq!(prove(&right, &*store).await, Ok(()));
    assert!(is_refused(&prove(&wrong, &*store).await));
    let state = look(&wrong, &*store).await.unwrap();
    assert_eq!((state.store, state.opened), (Some(right.mark()), 0));
    assert_eq!(state.sealed, ["platform/main/token", "tenant/acme/api_key"]);
}

async fn credentials_sealed_anew_open_with_the_new_key_alone_and_nothing_else_about_them_changes(store: Tested) {
    let (old, new) = (Key::new(), Key::new());
    prove(&old.sealer(), &*store).await.unwrap();
    for (owner, name) in [("tenant/acme", "api_key"), ("tenant/acme", "webhook_secret"), ("platform/main", "token")] {
        puts(&store, &old.sealer(), owner, name).await;
    }
    let (before, version) = (store.secrets("tenant/acme").await.unwrap(), store.tenants_version().await.unwrap());
    assert!(is_refused(&prove(&new.sealer(), &*store).await), "not without the one before");
    assert!(matches!(rotate(&new.sealer(), &*store).await, Err(KeyProofError::OtherKey { .. })));
    let both = new.after(&old);
    assert_eq!(prove(&both, &*store).await, Ok(()), "a hub runs with both");
    assert_eq!(prove(&old.sealer(), &*store).await, Ok(()), "and one with the old key alone beside it");

    assert_eq!(rotate(&both, &*store).await, Ok(3));
    assert_eq!(rotate(&both, &*store).await, Ok(0), "once");
    let state = look(&new.sealer(), &*store).await.unwrap();
    assert_eq!((state.store, state.opened, state.sealed.len()), (Some(new.sealer().mark()), 3, 0));
    assert_eq!(prove(&new.sealer(), &*store).await, Ok(()));
    assert!(is_refused(&prove(&old.sealer(), &*store).await));
    assert_eq!(store.tenants_version().await.unwrap(), version, "nobody is told");
    let after = store.secrets("tenant/acme").await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.owner, &before.name, before.set_at), (&after.owner, &after.name, after.set_at));
        assert_ne!(before.sealed, after.sealed);
        assert!(new.sealer().open(after).is_ok() && old.sealer().open(after).is_err());
    }
}

async fn a_credential_that_the_key_before_sealed_meanwhile_is_sealed_anew_the_next_time(store: Tested) {
    let (old, new) = (Key::new(), Key::new());
    prove(&old.sealer(), &*store).await.unwrap();
    let stale = puts(&store, &old.sealer(), "tenant/acme", "api_key").await;
    let both = new.after(&old);
    rotate(&both, &*store).await.unwrap();
    // By a process that still has the old key alone.
    let set = puts(&store, &old.sealer(), "tenant/acme", "api_key").await;
    let late = both.seal_again(&stale).unwrap();
    assert!(!store.reseal(&stale, late).await.unwrap(), "what was set since stays");
    assert_eq!(store.secrets("tenant/acme").await.unwrap()[0].sealed, set.sealed);
    assert_eq!(rotate(&both, &*store).await, Ok(1));
    assert!(new.sealer().open(&store.secrets("tenant/acme").await.unwrap()[0]).is_ok());
}

async fn a_credential_that_cannot_be_opened_keeps_no_other_from_being_used(store: Tested) {
    let (own, other) = (Key::new().sealer(), Key::new().sealer());
    puts(&store, &own, "tenant/acme", "api_key").await;
    puts(&store, &other, "tenant/acme", "webhook_secret").await;
    let secrets = own.open_all(&*store, "tenant/acme").await.unwrap();
    assert!(secrets.get("api_key").is_some());
    let why = secrets.need("webhook_secret", || "it is not set".to_owned()).err().unwrap();
    assert!(why.contains("sealed with another key") && why.contains("set-key acme --name webhook_secret"), "{why}");
    assert_eq!(secrets.need("partner_key", || "it is not set".to_owned()).err().unwrap(), "it is not set");
    assert_eq!(secrets.all_sealed().count(), 1);
}

async fn after_a_reset_nothing_is_sealed_and_another_key_is_taken(store: Tested) {
    let (lost, next) = (Key::new().sealer(), Key::new().sealer());
    prove(&lost, &*store).await.unwrap();
    puts(&store, &lost, "tenant/acme", "api_key").await;
    assert_eq!(sealed(&*store).await, Ok(1));
    assert_eq!(forget_all(&*store).await.unwrap(), ["tenant/acme/api_key"]);
    assert_eq!(store.all_secrets().await.unwrap(), []);
    assert_eq!(prove(&next, &*store).await, Ok(()));
    assert!(is_refused(&prove(&lost, &*store).await));
    // A check value alone is nothing that could be lost.
    assert_eq!(sealed(&*store).await, Ok(0));
    assert_eq!(prove(&lost, &*store).await, Ok(()));
}

async fn a_store_keeps_the_name_that_it_gave_itself(store: Tested) {
    let names = join_all((0..8).map(|_| store.identity())).await;
    let first = names[0].clone().unwrap();
    assert!(names.iter().all(|name| name.as_ref() == Ok(&first)), "{names:?}");
    assert_eq!(store.identity().await, Ok(first.clone()));
    let other = super::Subject::memory().await;
    assert_ne!(other.store.identity().await.unwrap(), first);
}

async fn a_credential_is_kept_only_where_there_is_none(store: Tested) {
    let sealer = Sealer::forgetful();
    let secrets: Vec<SealedSecret> = (0..8).map(|n| sealer.seal("tenant/acme", "api_key", &format!("key {n}")).unwrap()).collect();
    let stand = join_all(secrets.iter().map(|secret| store.keep_secret(secret.clone()))).await;
    let kept = stand[0].clone().unwrap().sealed;
    assert!(secrets.iter().any(|secret| secret.sealed == kept));
    assert!(stand.iter().all(|stands| stands.as_ref().unwrap().sealed == kept), "one, and everybody hears of that one");
    store.put_secret(secrets[7].clone()).await.unwrap();
    assert_eq!(store.keep_secret(secrets[1].clone()).await.unwrap().sealed, secrets[7].sealed);
}
