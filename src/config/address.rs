//! Addresses of broker and store: which adapter they choose, and how they are shown without their password. Not connecting.

use atshub_schemas::text::is_unseen;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// What stands for a password.
const MASK: &str = "****";
/// Query parameters that hold a password.
const SECRET_PARAMETERS: [&str; 2] = ["password", "sslpassword"];

/// An address as it was set. It may hold a password: `Debug` and `Display` show it masked, and only [`Address::as_str`] and
/// serialising give it away.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(String);

/// What the broker's address chooses.
#[derive(Clone, PartialEq, Eq)]
pub enum BrokerAddress {
    /// RabbitMQ, at this address.
    Amqp(String),
    /// In this process, kept in this folder.
    Embedded(PathBuf),
    /// In this process, kept nowhere.
    Memory,
}

/// What the store's address chooses.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreAddress {
    /// PostgreSQL, at this address.
    Postgres(String),
    /// SQLite, in this folder.
    Embedded(PathBuf),
    /// SQLite, kept nowhere.
    Memory,
}

/// Why an address chooses nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not an address of a {what}; use {wanted}")]
pub struct AddressError {
    shown: String,
    what: &'static str,
    wanted: &'static str,
}

/// Where something embedded is kept.
enum Place {
    Folder(PathBuf),
    Memory,
}

impl Address {
    /// Any text; it is judged when it is used.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The address with its password.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address with its password masked.
    #[must_use]
    pub fn masked(&self) -> String {
        mask(&self.0)
    }

    /// Which broker it chooses.
    ///
    /// # Errors
    /// [`AddressError`], with what would be right.
    pub fn broker(&self) -> Result<BrokerAddress, AddressError> {
        let wanted = "amqp://user:password@host:5672/vhost, amqps://…, embedded:<folder> or embedded:memory";
        match self.place() {
            Some(Place::Folder(folder)) => Ok(BrokerAddress::Embedded(folder)),
            Some(Place::Memory) => Ok(BrokerAddress::Memory),
            None if self.has_host(&["amqp", "amqps"]) => Ok(BrokerAddress::Amqp(self.0.clone())),
            None => Err(AddressError { shown: self.masked(), what: "broker", wanted }),
        }
    }

    /// Which store it chooses.
    ///
    /// # Errors
    /// [`AddressError`], with what would be right.
    pub fn store(&self) -> Result<StoreAddress, AddressError> {
        let wanted = "postgres://user:password@host:5432/database, embedded:<folder> or embedded:memory";
        match self.place() {
            Some(Place::Folder(folder)) => Ok(StoreAddress::Embedded(folder)),
            Some(Place::Memory) => Ok(StoreAddress::Memory),
            None if self.has_host(&["postgres", "postgresql"]) => Ok(StoreAddress::Postgres(self.0.clone())),
            None => Err(AddressError { shown: self.masked(), what: "store", wanted }),
        }
    }

    fn place(&self) -> Option<Place> {
        match self.0.strip_prefix("embedded:")? {
            "memory" => Some(Place::Memory),
            folder => (!folder.trim().is_empty() && !folder.contains('\0')).then(|| Place::Folder(folder.into())),
        }
    }

    fn has_host(&self, schemes: &[&str]) -> bool {
        let well_formed = !self.0.chars().any(|c| c.is_whitespace() || c.is_control() || is_unseen(c));
        let Some((scheme, rest)) = self.0.split_once("://") else { return false };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        // PostgreSQL also takes its host as a parameter, for a socket's folder: `postgres:///atshub?host=/run/postgresql`.
        let host = authority.rsplit('@').next().is_some_and(|host| !host.is_empty()) || rest.contains("host=");
        well_formed && host && schemes.contains(&scheme)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

/// Everything between the user's name and the last `@`, and parameters that are passwords. What has no scheme and is not
/// embedded is not shown at all: it may be anything, a password too.
fn mask(text: &str) -> String {
    if text.starts_with("embedded:") {
        return text.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://") else { return MASK.to_owned() };
    let rest = match rest.rsplit_once('@') {
        Some((user, place)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:{MASK}@{place}"),
            None => format!("{user}@{place}"),
        },
        None => rest.to_owned(),
    };
    let rest = match rest.split_once('?') {
        Some((place, query)) => {
            let shown: Vec<String> = query.split('&').map(mask_parameter).collect();
            format!("{place}?{}", shown.join("&"))
        }
        None => rest,
    };
    format!("{scheme}://{rest}")
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_wherever_an_address_is_shown() {
        for (text, shown) in [
            ("amqp://hub:secret@rabbit:5672/hub", "amqp://hub:****@rabbit:5672/hub"),
            ("amqp://hub:se/c@r:et@rabbit/hub", "amqp://hub:****@rabbit/hub"),
            ("amqp://hub@rabbit", "amqp://hub@rabbit"),
            ("postgres://db/hub?user=hub&password=secret&sslmode=require", "postgres://db/hub?user=hub&password=****&sslmode=require"),
            ("embedded:./data", "embedded:./data"),
            ("host=db password=secret", "****"),
            ("secret", "****"),
        ] {
            let address = Address::new(text);
            assert_eq!(address.to_string(), shown);
            assert!(!format!("{address:?} {:?} {:?}", address.broker().err(), address.store().err()).contains("secret"));
        }
    }

    #[test]
    fn the_scheme_chooses_the_adapter() {
        let broker = |text: &str| Address::new(text).broker();
        let store = |text: &str| Address::new(text).store();
        assert!(broker("amqps://u:p@h:5671/v") == Ok(BrokerAddress::Amqp("amqps://u:p@h:5671/v".into())));
        assert!(broker("embedded:./data") == Ok(BrokerAddress::Embedded("./data".into())));
        assert!(broker("embedded:memory") == Ok(BrokerAddress::Memory));
        assert!(store("postgresql://h/db") == Ok(StoreAddress::Postgres("postgresql://h/db".into())));
        assert!(store("postgres:///db?host=/run/postgresql") == Ok(StoreAddress::Postgres("postgres:///db?host=/run/postgresql".into())));
        assert!(store("embedded:memory") == Ok(StoreAddress::Memory));
    }

    #[test]
    fn an_address_of_something_else_is_refused_with_what_would_be_right() {
        for text in ["", "embedded:", "embedded: ", "rabbit:5672", "http://h", "amqp://", "amqp://u:p@", "amqp://h h", "postgres://h/db"] {
            let error = Address::new(text).broker().err().unwrap_or_else(|| panic!("{text:?} was taken"));
            assert!(error.to_string().contains("use amqp://"), "{error}");
        }
        assert!(Address::new("amqp://h").store().err().unwrap().to_string().contains("use postgres://"));
    }
}
