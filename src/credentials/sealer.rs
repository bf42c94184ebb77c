//! Seals and opens credentials: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), a fresh random nonce each time, and the owner
//! and name as associated data, so that a sealed credential cannot be moved to another tenant. It keeps nothing. Whether its key is
//! the one that the store's credentials were sealed with is proved in `proof.rs`.

use super::{KeyFileError, Secrets, key_file};
use atshub_actors::ports::{SealedSecret, Store, StoreError};
use bytes::Bytes;
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretBox, SecretString, zeroize::Zeroizing};
use sha2::Sha256;
use std::path::Path;

/// First byte of what is sealed, so that another form can follow.
const FORM: u8 = 1;
/// Bytes of a nonce.
const NONCE: usize = 24;
/// Characters of a fingerprint, and of a key's mark.
const FINGERPRINT: usize = 8;
/// The text whose code is a key's own mark. No credential is equal to it: it has a control character.
const KEYS_OWN: &[u8] = b"atshub sealing key\0";
/// Longest credential sealed, in bytes: keys are tens of characters, a private key in PEM some thousand.
const MAX_SECRET: usize = 16 * 1024;

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// Bytes of a sealing key.
pub(super) const KEY: usize = 32;

/// Seals and opens. Holds the sealing key, while keys are rotated also the one before, and wipes both when dropped.
pub struct Sealer {
    key: SecretBox<[u8; KEY]>,
    previous: Option<SecretBox<[u8; KEY]>>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(…)")
    }
}

/// Why a credential was not sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with another key, or altered since.
    #[error(
        "credential `{name}` of `{owner}` was sealed with another key, or was altered; point `seal.key_file` to the key that was used, or set the credential again: {}",
        set_again(.owner, .name)
    )]
    OtherKey {
        /// Whose.
        owner: String,
        /// Which.
        name: String,
    },
    /// Nothing that this build has sealed looks so.
    #[error("credential `{name}` of `{owner}` is not in a form that this build knows; set it again: {}", set_again(.owner, .name))]
    UnknownForm {
        /// Whose.
        owner: String,
        /// Which.
        name: String,
    },
    /// Empty, or too long to be a credential.
    #[error("a credential has 1 to {MAX_SECRET} bytes, and this one has {0}")]
    Length(usize),
    /// The cipher did not do its part.
    #[error("the credential could not be sealed")]
    Cipher,
}

/// The command that sets a credential again.
fn set_again(owner: &str, name: &str) -> String {
    match owner.split_once('/') {
        Some(("platform", account)) => format!("`atshub platform add {account} --kind … --url … --token-file <file>`"),
        Some((_, tenant)) => format!("`atshub tenant set-key {tenant} --name {name} --key-file <file>`"),
        None => "with the command that set it".into(),
    }
}

impl Sealer {
    /// With this key.
    #[must_use]
    pub fn new(key: &Zeroizing<[u8; KEY]>) -> Self {
        Self { key: boxed(key), previous: None }
    }

    /// The same, and what the key in this file has sealed is opened as well. Nothing is sealed with that one.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn with_previous(self, path: &Path) -> Result<Self, KeyFileError> {
        let previous = key_file::read(path)?;
        Ok(Self { previous: Some(boxed(&previous)), ..self })
    }

    /// With the key in a file, which must exist.
    ///
    /// # Errors
    /// [`KeyFileError`], which says how to make one.
    pub fn from_key_file(path: &Path) -> Result<Self, KeyFileError> {
        key_file::read(path).map(|key| Self::new(&key))
    }

    /// With the key in a file, which is made (mode 0600) if there is none. For a hub that keeps everything in one folder:
    /// elsewhere a new key would be a silent loss of every credential.
    ///
    /// # Errors
    /// [`KeyFileError`].
    pub fn from_key_file_or_new(path: &Path) -> Result<Self, KeyFileError> {
        key_file::read_or_make(path).map(|key| Self::new(&key))
    }

    /// With a key that is forgotten with this value: for a store in memory.
    #[must_use]
    pub fn forgetful() -> Self {
        Self::new(&Zeroizing::new(<[u8; KEY]>::generate()))
    }

    /// By what people tell two sealing keys apart: the first characters of a code that this key gives to a fixed text.
    #[must_use]
    pub fn mark(&self) -> String {
        code(&self.key, KEYS_OWN)
    }

    /// Whether the key of now has sealed this, not the one before.
    #[must_use]
    pub fn is_newest(&self, secret: &SealedSecret) -> bool {
        open_with(&self.key, secret).is_ok()
    }

    /// Seals anew, with the key of now, what the one before has sealed. Nothing else about the credential changes, so that nothing
    /// that works with it is started anew.
    ///
    /// # Errors
    /// As [`Sealer::open`] and [`Sealer::seal`].
    pub fn seal_again(&self, secret: &SealedSecret) -> Result<SealedSecret, SealError> {
        let clear = self.open(secret)?;
        Ok(SealedSecret { set_at: secret.set_at, ..self.seal(&secret.owner, &secret.name, clear.expose_secret())? })
    }

    /// Seals a credential, as of now.
    ///
    /// # Errors
    /// [`SealError::Length`] if it cannot be a credential.
    pub fn seal(&self, owner: &str, name: &str, secret: &str) -> Result<SealedSecret, SealError> {
        if secret.is_empty() || secret.len() > MAX_SECRET {
            return Err(SealError::Length(secret.len()));
        }
        let nonce = XNonce::generate();
        let aad = format!("{owner}/{name}");
        let payload = Payload { msg: secret.as_bytes(), aad: aad.as_bytes() };
        let cipher_text = cipher(&self.key).encrypt(&nonce, payload).map_err(|_| SealError::Cipher)?;
        let sealed: Vec<u8> = [&[FORM], nonce.as_slice(), &cipher_text].concat();
        // By the sealing key, so that nobody who has a copy of the store can try secrets against it.
        let fingerprint = code(&self.key, secret.as_bytes());
        Ok(SealedSecret { owner: owner.into(), name: name.into(), sealed: Bytes::from(sealed), fingerprint, set_at: Timestamp::now() })
    }

    /// Opens a credential.
    ///
    /// # Errors
    /// [`SealError::OtherKey`] if this is not the key it was sealed with, or something was altered.
    pub fn open(&self, secret: &SealedSecret) -> Result<SecretString, SealError> {
        match (open_with(&self.key, secret), &self.previous) {
            (Err(SealError::OtherKey { .. }), Some(previous)) => open_with(previous, secret),
            (opened, _) => opened,
        }
    }

    /// Opens the credentials of one owner. One that cannot be opened takes no other with it: who asks for it hears why.
    #[must_use]
    pub fn open_each(&self, sealed: &[SealedSecret]) -> Secrets {
        Secrets::of(sealed.iter().map(|secret| (secret.name.clone(), self.open(secret))))
    }

    /// Reads and opens the credentials of `tenant/<name>` or `platform/<name>`, as [`Sealer::open_each`].
    ///
    /// # Errors
    /// The store's.
    pub async fn open_all(&self, store: &dyn Store, owner: &str) -> Result<Secrets, StoreError> {
        Ok(self.open_each(&store.secrets(owner).await?))
    }
}

fn boxed(key: &Zeroizing<[u8; KEY]>) -> SecretBox<[u8; KEY]> {
    SecretBox::init_with_mut(|place: &mut [u8; KEY]| place.copy_from_slice(key.as_slice()))
}

fn cipher(key: &SecretBox<[u8; KEY]>) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.expose_secret().into())
}

/// The first characters of a text's HMAC-SHA256 (RFC 2104) under a key.
fn code(key: &SecretBox<[u8; KEY]>, text: &[u8]) -> String {
    // A shorter key is filled up with zeros to a block of the hash (RFC 2104 §2).
    let mut block = Zeroizing::new([0; BLOCK]);
    block[..KEY].copy_from_slice(key.expose_secret());
    let mut hmac = Hmac::<Sha256>::new((&*block).into());
    hmac.update(text);
    hex::encode(hmac.finalize().into_bytes()).chars().take(FINGERPRINT).collect()
}

fn open_with(key: &SecretBox<[u8; KEY]>, secret: &SealedSecret) -> Result<SecretString, SealError> {
    let (owner, name) = (secret.owner.clone(), secret.name.clone());
    let unknown = || SealError::UnknownForm { owner: owner.clone(), name: name.clone() };
    let rest = secret.sealed.strip_prefix(&[FORM]).ok_or_else(unknown)?;
    let (nonce, cipher_text) = rest.split_at_checked(NONCE).ok_or_else(unknown)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| unknown())?;
    let aad = format!("{owner}/{name}");
    let opened = cipher(key)
        .decrypt(&nonce, Payload { msg: cipher_text, aad: aad.as_bytes() })
        .map(Zeroizing::new)
        .map_err(|_| SealError::OtherKey { owner: owner.clone(), name: name.clone() })?;
    let text = std::str::from_utf8(&opened).map_err(|_| unknown())?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_IN_CLEAR: &str = "ashby-key-that-nobody-may-see";

    #[test]
    fn a_credential_opens_with_the_key_it_was_sealed_with() {
        let sealer = Sealer::forgetful();
        let sealed = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        assert_eq!(sealer.open(&sealed).unwrap().expose_secret(), KEY_IN_CLEAR);
        assert_eq!(sealer.open_each(&[sealed]).get("api_key").unwrap().expose_secret(), KEY_IN_CLEAR);
    }

    #[test]
    fn another_key_is_refused_with_what_to_do() {
        let sealed = Sealer::forgetful().seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        let error = Sealer::forgetful().open(&sealed).unwrap_err();
        assert_eq!(error, SealError::OtherKey { owner: "tenant/acme".into(), name: "api_key".into() });
        let text = error.to_string();
        assert!(text.contains("`atshub tenant set-key acme --name api_key --key-file <file>`"), "{text}");
    }

    #[test]
    fn a_sealed_credential_cannot_be_moved_or_altered() {
        let sealer = Sealer::forgetful();
        let sealed = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        let moved = SealedSecret { owner: "tenant/evil".into(), ..sealed.clone() };
        let renamed = SealedSecret { name: "partner_key".into(), ..sealed.clone() };
        for at in 1..sealed.sealed.len() {
            let mut bytes = sealed.sealed.to_vec();
            bytes[at] ^= 1;
            assert!(
                matches!(sealer.open(&SealedSecret { sealed: bytes.into(), ..sealed.clone() }), Err(SealError::OtherKey { .. })),
                "{at}"
            );
        }
        assert!(matches!(sealer.open(&moved), Err(SealError::OtherKey { .. })));
        assert!(matches!(sealer.open(&renamed), Err(SealError::OtherKey { .. })));
    }

    #[test]
    fn nonsense_in_the_store_is_refused_and_does_not_panic() {
        let sealer = Sealer::forgetful();
        let sealed = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        for bytes in [&[][..], &[FORM], &[FORM; 10], &[9; 80], &[FORM; 25]] {
            let error = sealer.open(&SealedSecret { sealed: Bytes::copy_from_slice(bytes), ..sealed.clone() });
            assert!(error.is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_secret_is_sealed_differently_each_time_and_has_one_fingerprint() {
        let sealer = Sealer::forgetful();
        let once = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        let again = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        assert_ne!(once.sealed, again.sealed);
        assert_eq!(once.fingerprint, again.fingerprint);
        assert_eq!(once.fingerprint.len(), FINGERPRINT);
        assert_ne!(once.fingerprint, sealer.seal("tenant/acme", "api_key", "another").unwrap().fingerprint);
    }

    #[test]
    fn nothing_that_is_printed_holds_a_secret() {
        let sealer = Sealer::forgetful();
        let sealed = sealer.seal("tenant/acme", "api_key", KEY_IN_CLEAR).unwrap();
        let opened = sealer.open_each(std::slice::from_ref(&sealed));
        let printed = format!("{sealer:?} {sealed:?} {opened:?} {:?}", opened.get("api_key"));
        assert!(!printed.contains(KEY_IN_CLEAR), "{printed}");
        assert!(printed.contains("api_key"));
    }

    #[test]
    fn an_empty_or_endless_credential_is_not_sealed() {
        let sealer = Sealer::forgetful();
        assert_eq!(sealer.seal("tenant/acme", "api_key", ""), Err(SealError::Length(0)));
        assert_eq!(sealer.seal("tenant/acme", "api_key", &"x".repeat(MAX_SECRET + 1)), Err(SealError::Length(MAX_SECRET + 1)));
    }
}
