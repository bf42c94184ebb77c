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
    ($(#[doc = $doc:literal])* $name:ident, min $min:literal, max $max:literal, pattern $pattern:expr, $check:expr) => {
        $(#[doc = $doc])*
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
                Self::check(&value)?;
                Ok(Self(value))
            }

            pub(crate) fn check(value: &str) -> Result<(), InvalidText> {
                let length = value.chars().count();
                if length > Self::MAX_CHARS {
                    return Err(InvalidText(format!("has {length} characters; send at most {}", Self::MAX_CHARS)));
                }
                let check: fn(&str) -> Result<(), String> = $check;
                check(value).map_err(InvalidText)
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
                json_schema!({ "type": "string", "description": concat!($($doc),*).trim(), "minLength": $min, "maxLength": $max, "pattern": $pattern })
            }
        }
    };
}

/// What no text may hold, as a fragment of a character class (ECMA-262, as JSON Schema wants it): control characters, line
/// and paragraph separators, and the bidirectional overrides with which one text is made to look like another.
macro_rules! unprintable {
    () => {
        r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069"
    };
}

/// White space that is not [`unprintable`], and the byte order mark.
macro_rules! white {
    () => {
        r"\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff"
    };
}

/// Pattern of text on one line that may be empty.
pub(crate) const BLANK_OR_LINE: &str = concat!("^[^", unprintable!(), "]*$");

pub(crate) fn is_printable(c: char) -> bool {
    !unprintable(c)
}

fn unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn white(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}

pub(crate) fn printable(value: &str) -> Result<(), String> {
    if value.chars().any(unprintable) {
        return Err("holds a control character; send plain text on one line".into());
    }
    Ok(())
}

fn one_line(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("is empty; leave the field out instead".into());
    }
    printable(value)
}

/// Checks `value` as the text type of that name would; `None` if there is no such type.
pub(crate) fn check(type_name: &str, value: &str) -> Option<Result<(), InvalidText>> {
    Some(match type_name {
        "TenantName" => TenantName::check(value),
        "MessageId" => MessageId::check(value),
        "ExternalId" => ExternalId::check(value),
        "Line" => Line::check(value),
        "Prose" => Prose::check(value),
        "Email" => Email::check(value),
        "Link" => Link::check(value),
        "Phone" => crate::fact::Phone::check(value),
        _ => return None,
    })
}

text_type!(
    /// A tenant: one customer account at one ATS. Lower-case letters, digits and hyphens, at most 63, first no hyphen.
    TenantName, min 1, max 63, pattern "^[a-z0-9][a-z0-9-]{0,62}$",
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
    MessageId, min 1, max 128, pattern "^[!-~]{1,128}$",
    |value| {
        if value.is_empty() || !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("is not a message id; use 1 to 128 visible ASCII characters, a UUID for example".into());
        }
        Ok(())
    }
);

text_type!(
    /// An id given by an ATS or a platform. We compare it and send it back; we never read meaning into it.
    ExternalId, min 1, max 256, pattern concat!("^[^", unprintable!(), "]+$"), one_line
);

text_type!(
    /// One line of text for people: a name, a title, a label.
    Line, min 1, max 512, pattern concat!("^[^", unprintable!(), "]+$"), one_line
);

text_type!(
    /// Text for people that may have several lines: a note's body, an explanation.
    Prose, min 1, max 32768, pattern r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]+$",
    |value| {
        if value.is_empty() {
            return Err("is empty; leave the field out instead".into());
        }
        if value.chars().any(|c| unprintable(c) && c != '\n' && c != '\t') {
            return Err("holds a control character; send none but line feeds and tabs".into());
        }
        Ok(())
    }
);

text_type!(
    /// An e-mail address: something, one `@`, something (RFC 5321 §4.5.3.1.3 gives the 254). Without white space and
    /// without the characters that would let it become two addresses or another header.
    Email, min 3, max 254,
    pattern concat!(r#"^[^@<>"(),:;\[\\\]"#, unprintable!(), white!(), r#"]+@[^@<>"(),:;\[\\\]"#, unprintable!(), white!(), "]+$"),
    |value| {
        printable(value)?;
        let bad = |c: char| white(c) || "<>\"(),:;[\\]".contains(c);
        match value.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !value.contains(bad) => Ok(()),
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
    /// An absolute `http` or `https` address that is safe to show as a link: no other scheme, and no user name before
    /// the host, which would make it look like another host's.
    Link, min 8, max 2048,
    pattern concat!(
        r#"^https?://[^/?#@<>"\\"#, unprintable!(), white!(), r#"]+([/?#][^<>"\\"#, unprintable!(), white!(), "]*)?$"
    ),
    |value| {
        printable(value)?;
        let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        if host.is_empty() || host.contains('@') || value.contains(|c: char| white(c) || "<>\"\\".contains(c)) {
            return Err("is not a link; use an absolute http:// or https:// address, without a user name in it".into());
        }
        Ok(())
    }
);
