//! Credentials: in clear for as short as possible (opened when a connector is made, never printed, wiped when dropped), and
//! sealed everywhere else. Where the sealing key comes from is in `key_file.rs`; which key is used, the composition root says.

mod key_file;
mod proof;
mod sealer;

pub use key_file::{KeyFileError, check_key_file};
pub use proof::{KeyProofError, KeyState, forget_all, look, prove, rotate, sealed};
pub use sealer::{SealError, Sealer};

use secrecy::SecretString;
use std::collections::BTreeMap;

/// The credentials of one tenant or platform account, by name (`api_key`, `webhook_secret`, `partner_key`, `token`): opened, or why not.
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, Result<SecretString, SealError>>);

impl Secrets {
    /// With these.
    #[must_use]
    pub fn new(secrets: BTreeMap<String, SecretString>) -> Self {
        Self::of(secrets.into_iter().map(|(name, secret)| (name, Ok(secret))))
    }

    /// With these, each opened or not.
    pub(crate) fn of(secrets: impl IntoIterator<Item = (String, Result<SecretString, SealError>)>) -> Self {
        Self(secrets.into_iter().collect())
    }

    /// The secret of this name, if it was set and opened.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)?.as_ref().ok()
    }

    /// The secret of this name; else why there is none to use: that it could not be opened, or what `unset` says.
    ///
    /// # Errors
    /// That sentence.
    pub fn need(&self, name: &str, unset: impl FnOnce() -> String) -> Result<&SecretString, String> {
        match self.0.get(name) {
            Some(Ok(secret)) => Ok(secret),
            Some(Err(error)) => Err(error.to_string()),
            None => Err(unset()),
        }
    }

    /// Why those could not be opened that were not.
    pub fn all_sealed(&self) -> impl Iterator<Item = &SealError> {
        self.0.values().filter_map(|opened| opened.as_ref().err())
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
