//! Who calls the hub in the name of a tenant's ATS: whether they could be known as it. Strangers call as well, so that a call that is
//! refused says nothing of the tenant's secret while others are known.

use crate::shown::Trouble;
use atshub_schemas::TenantName;
use jiff::Timestamp;
use serde::Serialize;

/// Calls refused one after the other before they are taken for the ATS's own: a stranger seldom gives a secret of the right form so often.
const ENOUGH: u64 = 3;

/// A door of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Door {
    /// `/hooks/{tenant}`: signed with the tenant's `webhook_secret`.
    Hook,
    /// `/partner/{tenant}/…`: with the tenant's `partner_key`.
    Partner,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Hook, Self::Partner];

    /// The word, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hook => "hook",
            Self::Partner => "partner",
        }
    }

    /// The door of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|door| door.as_str() == word)
    }

    /// The credential that callers show here.
    #[must_use]
    pub fn secret(self) -> &'static str {
        match self {
            Self::Hook => "webhook_secret",
            Self::Partner => "partner_key",
        }
    }
}

/// What came to one door of a tenant, as all processes have told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Callers {
    /// The tenant.
    pub tenant: TenantName,
    /// The door.
    pub door: Door,
    /// When a caller was last known as the ATS.
    pub known_at: Option<Timestamp>,
    /// Calls that gave another secret, since a caller was last known.
    pub refused: u64,
    /// When the first of them came.
    pub refused_since: Option<Timestamp>,
    /// When the last of them came.
    pub refused_at: Option<Timestamp>,
}

impl Callers {
    /// A door to which nobody has come.
    #[must_use]
    pub fn none(tenant: TenantName, door: Door) -> Self {
        Self { tenant, door, known_at: None, refused: 0, refused_since: None, refused_at: None }
    }

    /// A caller was known as the ATS: what was refused before says nothing any more.
    pub fn known(&mut self, at: Timestamp) {
        *self = Self { known_at: Some(at), ..Self::none(self.tenant.clone(), self.door) };
    }

    /// A caller gave a secret of the right form that is not the tenant's.
    pub fn refused(&mut self, at: Timestamp) {
        self.refused += 1;
        self.refused_since.get_or_insert(at);
        self.refused_at = Some(at);
    }

    /// What it means for the tenant that callers are refused. `None` while some are known, or few are refused.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let (since, last) = (self.refused_since?, self.refused_at?);
        if self.refused < ENOUGH || self.known_at.is_some_and(|known| known >= since) {
            return None;
        }
        let (tenant, secret) = (&self.tenant, self.door.secret());
        let (code, what) = match self.door {
            Door::Hook => ("webhook_secret_wrong", "webhooks were signed with another secret than the tenant's, and are not taken"),
            Door::Partner => ("partner_key_wrong", "partner calls came with another key than the tenant's, and are not answered"),
        };
        let known =
            self.known_at.map_or_else(|| "none was ever known as the ATS's".to_owned(), |at| format!("the last good one came at {at:.0}"));
        let text = format!(
            "{} {what} (from {since:.0} to {last:.0}; {known}): make `{secret}` the same at the ATS and here, `atshub tenant set-key {tenant} --name {secret} --key-file <file>`; if the ATS's own pages show no failed delivery, somebody else sends them",
            self.refused
        );
        Some(Trouble { code, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u8) -> Timestamp {
        format!("2026-11-30T10:00:{second:02}Z").parse().unwrap()
    }

    #[test]
    fn a_secret_is_called_wrong_when_several_callers_in_a_row_were_refused_and_none_was_known_since() {
        for (door, code) in [(Door::Hook, "webhook_secret_wrong"), (Door::Partner, "partner_key_wrong")] {
            let mut callers = Callers::none(TenantName::new("acme").unwrap(), door);
            callers.known(at(0));
            for second in 1..=3 {
                assert_eq!(callers.trouble(), None, "{callers:?}");
                callers.refused(at(second));
            }
            let Trouble { code: said, text } = callers.trouble().unwrap();
            assert_eq!(said, code);
            for part in ["3 ", "10:00:01", "10:00:03", "10:00:00", &format!("set-key acme --name {} --key-file", door.secret())] {
                assert!(text.contains(part), "{part} is not in {text}");
            }
            callers.known(at(4));
            assert_eq!((callers.trouble(), callers.refused), (None, 0), "strangers, as it seems");
        }
    }
}
