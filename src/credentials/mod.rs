//! Credentials: in clear for as short as possible (opened when a connector is made, never printed, wiped when dropped), and
//! sealed everywhere else. Where the sealing key comes from is in `key_file.rs`; which key is used, the composition root says.

mod key_file;
mod sealer;

pub use key_file::{KeyFileError, check_key_file};
pub use sealer::{OpenError, SealError, Sealer};

use secrecy::SecretString;
use std::collections::BTreeMap;

/// The opened credentials of one tenant or platform account, by name (`api_key`, `webhook_secret`, `partner_key`, `token`).
#[derive(Clone, Default)]
pub struct Secrets(BTreeMap<String, SecretString>);

impl Secrets {
    /// With these.
    #[must_use]
    pub fn new(secrets: BTreeMap<String, SecretString>) -> Self {
        Self(secrets)
    }

    /// The secret of this name, if it was set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretString> {
        self.0.get(name)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
