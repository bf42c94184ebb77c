//! Strings that were checked once, on the way in: names, ids, e-mail addresses, links. Not parsing, not formatting.
//!
//! Every type refuses control characters (a NUL cannot be stored, an escape sequence must not reach a terminal or an
//! ATS) and has a stated maximum in characters, so that nothing behind the envelope needs to check again.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// Why a string was not taken: a fragment that finishes "`field` …", saying what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub String);

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, max $max:literal, pattern $pattern:expr, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest value taken, in characters.
            pub const MAX_CHARS: usize = $max;

            /// Checks and wraps.
            ///
            /// # Errors
            /// A sentence that says what a right value looks like.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidText> {
                let value = value.into();
                if value.chars().count() > Self::MAX_CHARS {
                    return Err(InvalidText(format!("is longer than {} characters", Self::MAX_CHARS)));
                }
                let check: fn(&str) -> Result<(), String> = $check;
                check(&value).map_err(InvalidText)?;
                Ok(Self(value))
            }

            /// The checked string.
            #[must_use]
            pub fn as_str(&self) -> &str { &self.0 }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;
            fn try_from(value: String) -> Result<Self, InvalidText> { Self::new(value) }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidText;
            fn from_str(value: &str) -> Result<Self, InvalidText> { Self::new(value) }
        }
        impl From<$name> for String { fn from(value: $name) -> String { value.0 } }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", self.0) }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "minLength": 1, "maxLength": $max, "pattern": $pattern })
            }
        }
    };
}

fn no_controls(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("is empty; leave the field out instead".into());
    }
    if value.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err("holds a control character; send plain text on one line".into());
    }
    Ok(())
}

text_type!(
    /// A tenant: one customer account at one ATS. Lower-case letters, digits and hyphens, at most 63, first no hyphen.
    TenantName, max 63, pattern "^[a-z0-9][a-z0-9-]{0,62}$",
    |value| {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if value.is_empty() || value.starts_with('-') || !value.chars().all(good) {
            return Err("is not a tenant name; use 1 to 63 of a-z, 0-9 and '-', not beginning with '-'".into());
        }
        Ok(())
    }
);

text_type!(
    /// A message's id, unique within its source for ever (CloudEvents 1.0, `id`). Visible ASCII, at most 128.
    MessageId, max 128, pattern "^[!-~]{1,128}$",
    |value| {
        if value.is_empty() || !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("is not a message id; use 1 to 128 visible ASCII characters, a UUID for example".into());
        }
        Ok(())
    }
);

text_type!(
    /// An id given by an ATS or a platform. We compare it and send it back; we never read meaning into it.
    ExternalId, max 256, pattern r"^[^\x00-\x1f\x7f]+$", no_controls
);

text_type!(
    /// One line of text for people: a name, a title, a label.
    Line, max 512, pattern r"^[^\x00-\x1f\x7f]+$", no_controls
);

text_type!(
    /// Text for people that may have several lines: a note's body, an explanation.
    Prose, max 32768, pattern r"^[^\x00-\x08\x0b-\x1f\x7f]+$",
    |value| {
        if value.is_empty() {
            return Err("is empty; leave the field out instead".into());
        }
        if value.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err("holds a control character; line feeds and tabs are the only ones taken".into());
        }
        Ok(())
    }
);

text_type!(
    /// An e-mail address: something, one `@`, something; no white space (RFC 5321 §4.5.3.1.3 gives the 254).
    Email, max 254, pattern r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$",
    |value| {
        no_controls(value)?;
        match value.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !value.contains(char::is_whitespace) && !value.contains(['<', '>', '"']) => Ok(()),
            _ => Err("is not an e-mail address; use the form `ada@example.org`, without a display name".into()),
        }
    }
);

impl Email {
    /// The form in which two addresses of one person compare equal: lower case. (The local part is case-sensitive by
    /// RFC 5321 §2.4, and no mail provider an ATS meets treats it so.)
    #[must_use]
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }
}

text_type!(
    /// An absolute `http` or `https` address that is safe to show as a link.
    Link, max 2048, pattern r#"^https?://[^\s\x00-\x1f\x7f<>"]+$"#,
    |value| {
        no_controls(value)?;
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && !value.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')) => Ok(()),
            _ => Err("is not a link; use an absolute http:// or https:// address".into()),
        }
    }
);
