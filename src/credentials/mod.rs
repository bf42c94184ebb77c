//! Credentials: in clear for as short as possible (opened when a connector is made, never printed, wiped when dropped), and
//! sealed everywhere else. Where the sealing key comes from is in `key_file.rs`; which key is used, the composition root says.

mod key_file;
mod predecessor;
mod proof;
mod sealer;

pub use key_file::{KeyFileError, check_key_file};
pub use predecessor::{predecessor, predecessor_name};
pub use proof::{KeyProofError, KeyState, forget_all, look, prove, rotate, sealed};
pub use sealer::{SealError, Sealer};

use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::BTreeMap;

/// The credentials of one tenant or platform account, by name (`api_key`, `webhook_secret`, `partner_key`, `token`), and their predecessors by
/// theirs: opened, or why not.
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

    /// What a caller may show now: the secret of this name, and those before it that are still good.
    pub fn accepted(&self, name: &str, now: Timestamp) -> impl Iterator<Item = &SecretString> {
        let before =
            self.predecessors().filter(move |(_, of, until)| *of == name && *until > now).filter_map(|(kept, _, _)| self.get(kept));
        self.get(name).into_iter().chain(before)
    }

    /// The names under which predecessors are kept that are good no longer.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        self.predecessors().filter(move |(_, _, until)| *until <= now).map(|(kept, _, _)| kept)
    }

    fn predecessors(&self) -> impl Iterator<Item = (&str, &str, Timestamp)> {
        self.0.keys().filter_map(|kept| predecessor(kept).map(|(of, until)| (kept.as_str(), of, until)))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_predecessor_is_accepted_until_its_end_and_is_never_the_secret_itself() {
        let end: Timestamp = "2026-11-24T10:00:00Z".parse().unwrap();
        let later: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
        let named = [
            ("webhook_secret".to_owned(), "new"),
            (predecessor_name("webhook_secret", end), "old"),
            (predecessor_name("webhook_secret", later), "older"),
            (predecessor_name("partner_key", later), "other"),
        ];
        let secrets = Secrets::new(named.into_iter().map(|(name, secret)| (name, secret.into())).collect());
        let good = |now: &str| -> Vec<String> {
            let now = now.parse().unwrap();
            secrets.accepted("webhook_secret", now).map(|secret| secret.expose_secret().to_owned()).collect()
        };
        assert_eq!(good("2026-11-24T09:59:59.999Z"), ["new", "old", "older"]);
        assert_eq!(good("2026-11-24T10:00:00Z"), ["new", "older"]);
        assert_eq!(good("2026-11-24T12:00:00Z"), ["new"]);
        assert_eq!(secrets.expired(end).collect::<Vec<_>>(), [predecessor_name("webhook_secret", end)]);
        assert!(secrets.get("partner_key").is_none(), "a predecessor without a successor is no key");
        assert!(secrets.accepted("partner_key", end).count() == 1);
    }
}
