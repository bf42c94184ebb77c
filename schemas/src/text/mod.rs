//! Strings that were cleaned and checked once, on the way in: names, ids, e-mail addresses, links, phone numbers. Not parsing, not
//! formatting.
//!
//! People and programs write marks that are not seen, spaces of several kinds and letters in several parts. What becomes of each is a
//! table ([`CLASSES`]); every type is cleaned by it, wherever its text comes from. Every type refuses control characters (a NUL cannot
//! be stored, an escape sequence must not reach a terminal or an ATS) and has a stated maximum in characters, so that nothing behind
//! the envelope needs to check again. How two texts compare is in [`key`] and [`same`], and nowhere else.

mod compare;
mod halves;
mod marks;
#[cfg(test)]
mod tests;

use marks::{clean, pattern};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt};

pub use compare::{key, names_id, same};
pub use halves::{flaw, read_answer};
pub(crate) use marks::is_kept;
use marks::refuses;
pub use marks::{Becomes, CLASSES, Class, Compared, Kind, is_unseen, trimmed};

/// Why a string was not taken: a fragment that finishes "`field` …", saying what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub String);

macro_rules! text_type {
    ($(#[doc = $doc:literal])* $name:ident, min $min:literal, max $max:literal, pattern $pattern:expr, $cleaned:expr) => {
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Longest value taken, in characters, as it is sent.
            pub const MAX_CHARS: usize = $max;

            /// Cleans, checks and wraps.
            ///
            /// # Errors
            /// A sentence that says what a right value looks like.
            pub fn new(value: impl Into<String>) -> Result<Self, InvalidText> {
                let value = value.into();
                let other = match Self::cleaned(&value)? {
                    Cow::Borrowed(_) => None,
                    Cow::Owned(cleaned) => Some(cleaned),
                };
                Ok(Self(other.unwrap_or(value)))
            }

            /// The value as it is kept; borrowed where it is kept as it came.
            pub(crate) fn cleaned(value: &str) -> Result<Cow<'_, str>, InvalidText> {
                at_most(value, Self::MAX_CHARS)?;
                let cleaned: fn(&str) -> Result<Cow<'_, str>, String> = $cleaned;
                cleaned(value).map_err(InvalidText)
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

fn at_most(value: &str, most: usize) -> Result<(), InvalidText> {
    let length = value.chars().count();
    if length > most { Err(InvalidText(format!("has {length} characters; send at most {most}"))) } else { Ok(()) }
}

fn not_empty(value: &str) -> Result<(), String> {
    if value.is_empty() { Err("is empty; leave the field out instead".into()) } else { Ok(()) }
}

/// Pattern of text that may hold whatever its kind does not refuse.
fn anything(kind: Kind) -> String {
    format!("^[^{}]+$", pattern(kind, &[Becomes::Refused]))
}

/// Pattern of the source of a message, which is kept as it is sent.
pub(crate) fn verbatim() -> String {
    anything(Kind::Id)
}

/// Checks `value` as the text type of that name would; `None` if there is no such type.
pub(crate) fn check(type_name: &str, value: &str) -> Option<Result<(), InvalidText>> {
    Some(match type_name {
        "TenantName" => TenantName::cleaned(value).map(drop),
        "MessageId" => MessageId::cleaned(value).map(drop),
        "ExternalId" => ExternalId::cleaned(value).map(drop),
        "Line" => Line::cleaned(value).map(drop),
        "Prose" => Prose::cleaned(value).map(drop),
        "Email" => Email::cleaned(value).map(drop),
        "Link" => Link::cleaned(value).map(drop),
        "Phone" => Phone::cleaned(value).map(drop),
        _ => return None,
    })
}

/// A field of text for people that may be left out: one in which nothing is seen is as good as left out.
pub(crate) fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Line>, D::Error> {
    Ok(Option::<Line>::deserialize(deserializer)?.filter(|line| !line.is_blank()))
}

text_type!(
    /// A tenant: one customer account at one ATS. Lower-case letters, digits and hyphens, at most 63, first no hyphen.
    TenantName, min 1, max 63, pattern "^[a-z0-9][a-z0-9-]{0,62}$",
    |value| {
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if value.is_empty() || value.starts_with('-') || !value.chars().all(good) {
            return Err("is not a tenant name; use 1 to 63 of a-z, 0-9 and '-', not beginning with '-'".into());
        }
        Ok(value.into())
    }
);

text_type!(
    /// A message's id, unique within its source for ever (CloudEvents 1.0, `id`). Visible ASCII, at most 128.
    MessageId, min 1, max 128, pattern "^[!-~]{1,128}$",
    |value| {
        if value.is_empty() || !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err("is not a message id; use 1 to 128 visible ASCII characters, a UUID for example".into());
        }
        Ok(value.into())
    }
);

text_type!(
    /// An id given by an ATS or a platform. We compare it and send it back as it is; we never read meaning into it.
    ExternalId, min 1, max 256, pattern anything(Kind::Id),
    |value| {
        not_empty(value)?;
        clean(Kind::Id, ExternalId::MAX_CHARS, value)
    }
);

text_type!(
    /// One line of text for people: a name, a title, a label.
    Line, min 1, max 512, pattern anything(Kind::Line),
    |value| {
        not_empty(value)?;
        clean(Kind::Line, Line::MAX_CHARS, value)
    }
);

impl Line {
    /// A text that is compared as it was sent, such as a message's source: checked as an id is, and not cleaned.
    ///
    /// # Errors
    /// A sentence that says what a right value looks like.
    pub fn verbatim(value: impl Into<String>) -> Result<Self, InvalidText> {
        let value = value.into();
        at_most(&value, Self::MAX_CHARS)?;
        not_empty(&value).and_then(|()| clean(Kind::Id, Self::MAX_CHARS, &value).map(drop)).map_err(InvalidText)?;
        Ok(Self(value))
    }

    /// A line out of a text whose writer cannot be told what is wrong with it: control characters are spaces, and what is too long is
    /// cut. `None`: nothing in it is seen.
    #[must_use]
    pub fn tamed(text: &str) -> Option<Self> {
        let spaced: String = text.chars().map(|c| if refuses(Kind::Line, c) { ' ' } else { c }).collect();
        let cleaned = clean(Kind::Line, usize::MAX, &spaced).ok()?;
        let cut: String = cleaned.chars().take(Self::MAX_CHARS).collect();
        Self::new(cut).ok().filter(|line| !line.is_blank())
    }

    /// Nothing is seen in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        trimmed(&self.0).is_empty()
    }
}

text_type!(
    /// Text for people that may have several lines: a note's body, an explanation.
    Prose, min 1, max 32768, pattern anything(Kind::Prose),
    |value| {
        not_empty(value)?;
        clean(Kind::Prose, Prose::MAX_CHARS, value)
    }
);

impl Prose {
    /// Text out of one whose writer cannot be told what is wrong with it: control characters are spaces, and what is too long is cut.
    /// `None`: nothing in it is seen.
    #[must_use]
    pub fn tamed(text: &str) -> Option<Self> {
        let spaced: String = text.chars().take(Self::MAX_CHARS).map(|c| if refuses(Kind::Prose, c) { ' ' } else { c }).collect();
        Self::new(spaced).ok().filter(|prose| !trimmed(&prose.0).is_empty())
    }
}

/// What no e-mail address holds here, as part of a character class: what would let it become two addresses or another header. The
/// Greek question mark is composed to a semicolon.
const NO_ADDRESS: &str = r#"@<>"(),:;\[\\\]\u037e"#;

text_type!(
    /// An e-mail address: something, one `@`, something (RFC 5321 §4.5.3.1.3 gives the 254). Without white space and
    /// without the characters that would let it become two addresses or another header.
    Email, min 3, max 254,
    pattern {
        let of = |becomes: &[Becomes]| pattern(Kind::Email, becomes);
        let (around, inside) = (of(&[Becomes::LeftOut, Becomes::LeftOutAround]), of(&[Becomes::LeftOut]));
        let within = format!("[^{NO_ADDRESS}{}]", of(&[Becomes::Refused, Becomes::LeftOutAround]));
        let seen = format!("[^{NO_ADDRESS}{}]", of(&[Becomes::Refused, Becomes::LeftOutAround, Becomes::LeftOut]));
        format!("^[{around}]*{seen}{within}*@[{inside}]*{seen}{within}*[{around}]*$")
    },
    |value| {
        let form = "is not an e-mail address; use the form `ada@example.org`, without a display name";
        let cleaned = clean(Kind::Email, Email::MAX_CHARS, value).map_err(|why| if value.chars().any(char::is_control) { why } else { form.into() })?;
        let bad = |text: &str| text.contains(|c: char| "<>\"(),:;[\\]\u{37e}".contains(c));
        match cleaned.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !bad(&cleaned) && !bad(value) => Ok(cleaned),
            _ => Err(form.into()),
        }
    }
);

impl Email {
    /// The form in which two addresses of one person compare equal: lower case, and without what is not seen. (The local part is
    /// case-sensitive by RFC 5321 §2.4, and no mail provider an ATS meets treats it so.)
    #[must_use]
    pub fn key(&self) -> String {
        compare::mailbox(&self.0)
    }
}

text_type!(
    /// An absolute `http` or `https` address that is safe to show as a link: no other scheme, and no user name before
    /// the host, which would make it look like another host's.
    Link, min 8, max 2048,
    pattern {
        let of = |becomes: &[Becomes]| pattern(Kind::Link, becomes);
        let around = of(&[Becomes::LeftOut, Becomes::LeftOutAround]);
        let (refused, left_out) = (of(&[Becomes::Refused, Becomes::LeftOutAround]), of(&[Becomes::LeftOut]));
        let host = format!(r#"/?#@<>"\\{refused}"#);
        format!(r#"^[{around}]*https?://[{left_out}]*[^{host}{left_out}][^{host}]*([/?#][^<>"\\{refused}]*)?[{around}]*$"#)
    },
    |value| {
        let form = "is not a link; use an absolute http:// or https:// address, without a user name in it";
        let cleaned = clean(Kind::Link, Link::MAX_CHARS, value).map_err(|why| if value.chars().any(char::is_control) { why } else { form.into() })?;
        // A mark within the scheme is no part of a link that a program made.
        let scheme = |text: &str| ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme));
        let begins = scheme(trimmed(value));
        let rest = begins.and_then(|scheme| cleaned.strip_prefix(scheme));
        let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        if host.is_empty() || host.contains('@') || cleaned.contains(|c: char| "<>\"\\".contains(c)) {
            return Err(form.into());
        }
        Ok(cleaned)
    }
);

text_type!(
    /// A phone number, unread: whether it is long enough is a rule of inviting, not of the wire. May be blank.
    Phone, min 0, max 64, pattern format!("^[^{}]*$", pattern(Kind::Phone, &[Becomes::Refused])),
    |value| clean(Kind::Phone, Phone::MAX_CHARS, value)
);
