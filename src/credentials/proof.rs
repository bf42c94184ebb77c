//! Whether the sealing key that a process has is the one that the store's credentials were sealed with. A sealed check value in the
//! store tells: whoever cannot open it has another key, and must neither run tenants nor seal anything, since half of the credentials
//! would then open for one process and half for another.

use super::{SealError, Sealer};
use atshub_actors::ports::{SealedSecret, Store, StoreError};
use std::fmt;

/// Whose the check value is. No tenant and no platform account has such an owner.
const OWNER: &str = "hub";
/// Its name.
const NAME: &str = "sealing_key";
/// What is sealed in it. It says nothing; that it opens is all.
const CHECK: &str = "atshub";

/// Why a sealing key may not be used with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyProofError {
    /// It is another one.
    #[error(
        "the credentials in the store were sealed with {theirs}, and this sealing key is `{ours}…`; point `seal.key_file` to the key that was used (`atshub seal show` compares), or, if that one is lost for good, let go of every credential with `atshub seal reset` and set them again"
    )]
    OtherKey {
        /// What is known of the key that was used.
        theirs: TheirKey,
        /// The mark of this one.
        ours: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The check value could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The key that the store's credentials were sealed with, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TheirKey {
    /// By its mark.
    Marked(String),
    /// Sealed by a release that left no mark.
    Unmarked,
}

impl fmt::Display for TheirKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked(mark) => write!(f, "key `{mark}…`"),
            Self::Unmarked => f.write_str("another key"),
        }
    }
}

/// What a store and a sealing key have to do with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The mark of the key that the store was last sealed with; `None` where nobody has said.
    pub store: Option<String>,
    /// Credentials that the key opens, and those that it does not, by owner and name.
    pub opened: usize,
    /// Those that it does not open: `owner/name`.
    pub sealed: Vec<String>,
}

fn is_check(secret: &SealedSecret) -> bool {
    secret.owner == OWNER && secret.name == NAME
}

/// A check value, which this key opens and no other.
fn check(sealer: &Sealer) -> Result<SealedSecret, SealError> {
    // Its fingerprint is the key's own mark: there is no secret in it to tell from others.
    Ok(SealedSecret { fingerprint: sealer.mark(), ..sealer.seal(OWNER, NAME, CHECK)? })
}

/// Proves that this key, or the one before it, sealed what is in the store. A store in which nothing is sealed takes the key for its own;
/// of two processes that come at once with two keys, one does.
///
/// # Errors
/// [`KeyProofError::OtherKey`] if it is not.
pub async fn prove(sealer: &Sealer, store: &dyn Store) -> Result<(), KeyProofError> {
    let other = |theirs| KeyProofError::OtherKey { theirs, ours: sealer.mark() };
    let (checks, all): (Vec<_>, Vec<_>) = store.all_secrets().await?.into_iter().partition(is_check);
    let stands = match checks.into_iter().next() {
        Some(check) => check,
        // Sealed by a release that left no check value: one credential that opens says as much, since each process had one key.
        None if !all.is_empty() && !all.iter().any(|secret| sealer.open(secret).is_ok()) => return Err(other(TheirKey::Unmarked)),
        None => store.keep_secret(check(sealer)?).await?,
    };
    sealer.open(&stands).map(drop).map_err(|_| other(TheirKey::Marked(stands.fingerprint)))
}

/// Compares a store and a sealing key, and changes nothing.
///
/// # Errors
/// The store's.
pub async fn look(sealer: &Sealer, store: &dyn Store) -> Result<KeyState, StoreError> {
    let (checks, all): (Vec<_>, Vec<_>) = store.all_secrets().await?.into_iter().partition(is_check);
    let sealed: Vec<String> =
        all.iter().filter(|secret| sealer.open(secret).is_err()).map(|secret| format!("{}/{}", secret.owner, secret.name)).collect();
    Ok(KeyState { store: checks.into_iter().next().map(|check| check.fingerprint), opened: all.len() - sealed.len(), sealed })
}

/// How many credentials of tenants and platform accounts the store holds. A check value with nothing beside it proves a key that nothing
/// needs: it is taken away.
///
/// # Errors
/// The store's.
pub async fn sealed(store: &dyn Store) -> Result<usize, StoreError> {
    let all = store.all_secrets().await?;
    let credentials = all.iter().filter(|secret| !is_check(secret)).count();
    if credentials == 0 {
        forget_all(store).await?;
    }
    Ok(credentials)
}

/// Seals anew with the key of now whatever the key before it has sealed, the check value last: as long as one is left, the store is that
/// key's. What neither of the two opens stays as it is. Answers how many were sealed anew.
///
/// # Errors
/// The store's, after which it can be done again; [`KeyProofError::OtherKey`] if the store is a third key's.
pub async fn rotate(sealer: &Sealer, store: &dyn Store) -> Result<usize, KeyProofError> {
    prove(sealer, store).await?;
    let mut anew = 0;
    loop {
        // Again until a look finds none: somebody may set a credential with the key before, meanwhile.
        let old = |secret: &SealedSecret| !sealer.is_newest(secret) && sealer.open(secret).is_ok();
        let (checks, rest): (Vec<_>, Vec<_>) = store.all_secrets().await?.into_iter().filter(old).partition(is_check);
        let last = rest.is_empty();
        for before in if last { &checks } else { &rest } {
            let after = if last { check(sealer)? } else { sealer.seal_again(before)? };
            anew += usize::from(store.reseal(before, after).await? && !last);
        }
        if last {
            return Ok(anew);
        }
    }
}

/// Lets go of every credential, and of the check value: for a key that is lost for good. Answers whose they were: `owner/name`.
///
/// # Errors
/// The store's, after which it can be done again.
pub async fn forget_all(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let (checks, all): (Vec<_>, Vec<_>) = store.all_secrets().await?.into_iter().partition(is_check);
    let mut gone = Vec::new();
    // The check value last: until then no other key is taken.
    for secret in all.iter().chain(&checks) {
        if store.delete_secret(&secret.owner, &secret.name).await? && !is_check(secret) {
            gone.push(format!("{}/{}", secret.owner, secret.name));
        }
    }
    Ok(gone)
}
