//! What becomes of each character that is not simply a letter, a digit or a sign: one table, by which every text is cleaned, from
//! which the patterns of the JSON Schemas are made, and which `schemas/README.md` prints. No types of text here, and no comparison.

use std::{borrow::Cow, fmt::Write};
use unicode_normalization::UnicodeNormalization;

/// What becomes of a character in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    /// It stays.
    Kept,
    /// It is left out, wherever it stands.
    LeftOut,
    /// It is a plain space; around the text it is left out.
    Space,
    /// It is a line feed.
    LineFeed,
    /// Around the text it is left out; within it, the text is refused.
    LeftOutAround,
    /// The text is refused.
    Refused,
}

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text for people, on one line: names, titles, labels.
    Line,
    /// Text for people, in several lines: notes.
    Prose,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A link.
    Link,
    /// An id of an ATS or a platform, or the source of a message: compared and sent back as it came.
    Id,
}

/// What a comparison makes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// As if it were not there.
    Ignored,
    /// Like one space, however many of them stand beside each other; around the text as if it were not there.
    AsSpace,
}

/// Characters that are treated alike.
#[derive(Debug)]
pub struct Class {
    /// What they are, for a person.
    pub what: &'static str,
    /// One of them, for a sentence: "a control character".
    pub one: &'static str,
    /// Which they are: first and last of each range.
    pub ranges: &'static [(char, char)],
    /// What becomes of them, in the order of [`Kind`].
    becomes: [Becomes; 6],
    /// What a comparison of names, titles and addresses makes of them. Ids are compared as they came.
    pub compared: Compared,
}

/// Every character that is not kept in every text, or that a comparison does not see. Of Unicode's characters these are all controls,
/// all white space, and all that are by default not shown (`Default_Ignorable_Code_Point`, Unicode 16).
pub const CLASSES: [Class; 8] = {
    use Becomes::{Kept, LeftOut, LeftOutAround, LineFeed, Refused, Space};
    use Compared::{AsSpace, Ignored};
    [
        Class {
            what: "control characters",
            one: "a control character",
            ranges: &[('\0', '\u{8}'), ('\u{e}', '\u{1f}'), ('\u{7f}', '\u{84}'), ('\u{86}', '\u{9f}')],
            becomes: [Refused; 6],
            compared: Ignored,
        },
        Class {
            what: "tab",
            one: "a tab",
            ranges: &[('\t', '\t')],
            becomes: [Space, Kept, LeftOutAround, Space, LeftOutAround, Refused],
            compared: AsSpace,
        },
        Class {
            what: "ends of lines, of pages and of paragraphs",
            one: "the end of a line",
            ranges: &[('\n', '\r'), ('\u{85}', '\u{85}'), ('\u{2028}', '\u{2029}')],
            becomes: [Space, LineFeed, LeftOutAround, Space, LeftOutAround, Refused],
            compared: AsSpace,
        },
        Class {
            what: "spaces: plain, no-break, of any width",
            one: "a space",
            ranges: &[
                (' ', ' '),
                ('\u{a0}', '\u{a0}'),
                ('\u{1680}', '\u{1680}'),
                ('\u{2000}', '\u{200a}'),
                ('\u{202f}', '\u{202f}'),
                ('\u{205f}', '\u{205f}'),
                ('\u{3000}', '\u{3000}'),
            ],
            becomes: [Space, Space, LeftOutAround, Space, LeftOutAround, Kept],
            compared: AsSpace,
        },
        Class {
            what: "direction of what follows: embeddings, overrides, isolates",
            one: "a direction mark",
            ranges: &[('\u{202a}', '\u{202e}'), ('\u{2066}', '\u{2069}')],
            becomes: [LeftOut, LeftOut, LeftOut, LeftOut, LeftOut, Refused],
            compared: Ignored,
        },
        Class {
            what: "marks that show nothing: byte order mark, zero-width space, soft hyphen, word joiner, left-to-right and right-to-left mark",
            one: "a mark that is not seen",
            ranges: &[
                ('\u{ad}', '\u{ad}'),
                ('\u{61c}', '\u{61c}'),
                ('\u{180e}', '\u{180e}'),
                ('\u{200b}', '\u{200b}'),
                ('\u{200e}', '\u{200f}'),
                ('\u{2060}', '\u{2065}'),
                ('\u{206a}', '\u{206f}'),
                ('\u{feff}', '\u{feff}'),
            ],
            becomes: [LeftOut, LeftOut, LeftOut, LeftOut, LeftOut, Kept],
            compared: Ignored,
        },
        Class {
            what: "what changes how its neighbours look: joiners, variation selectors, fillers",
            one: "a joiner",
            ranges: &[
                ('\u{34f}', '\u{34f}'),
                ('\u{115f}', '\u{1160}'),
                ('\u{17b4}', '\u{17b5}'),
                ('\u{180b}', '\u{180d}'),
                ('\u{180f}', '\u{180f}'),
                ('\u{200c}', '\u{200d}'),
                ('\u{3164}', '\u{3164}'),
                ('\u{fe00}', '\u{fe0f}'),
                ('\u{ffa0}', '\u{ffa0}'),
                ('\u{fff0}', '\u{fff8}'),
            ],
            becomes: [Kept, Kept, LeftOut, LeftOut, Kept, Kept],
            compared: Ignored,
        },
        Class {
            what: "the same beyond the basic plane: tags, more variation selectors, marks of shorthand and music",
            one: "a mark that is not seen",
            ranges: &[('\u{1bca0}', '\u{1bca3}'), ('\u{1d173}', '\u{1d17a}'), ('\u{e0000}', '\u{e0fff}')],
            becomes: [Kept; 6],
            compared: Ignored,
        },
    ]
};

impl Class {
    /// What becomes of its characters in a text of this kind.
    #[must_use]
    pub const fn becomes(&self, kind: Kind) -> Becomes {
        self.becomes[kind as usize]
    }

    /// Its characters as people write them: `U+202A to U+202E, U+2066`.
    #[must_use]
    pub fn characters(&self) -> String {
        let range = |(first, last): &(char, char)| {
            let (first, last) = (*first as u32, *last as u32);
            if first == last { format!("U+{first:04X}") } else { format!("U+{first:04X} to U+{last:04X}") }
        };
        self.ranges.iter().map(range).collect::<Vec<_>>().join(", ")
    }
}

/// The class of a character; `None` for one that is kept everywhere and compared.
#[must_use]
pub(super) fn class(c: char) -> Option<&'static Class> {
    if matches!(c, '!'..='~') {
        return None;
    }
    CLASSES.iter().find(|class| class.ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)))
}

fn becomes(kind: Kind, c: char) -> Becomes {
    class(c).map_or(Becomes::Kept, |class| class.becomes(kind))
}

/// Whether a text of this kind may be shown with this character as it is: it is kept in it.
pub(crate) fn is_kept(kind: Kind, c: char) -> bool {
    matches!(becomes(kind, c), Becomes::Kept) || c == ' '
}

/// Whether a text of this kind is refused for this character wherever it stands.
pub(super) fn refuses(kind: Kind, c: char) -> bool {
    becomes(kind, c) == Becomes::Refused
}

/// A character that is not seen, and whose place is not either.
#[must_use]
pub fn is_unseen(c: char) -> bool {
    class(c).is_some_and(|class| class.compared == Compared::Ignored && !c.is_control())
}

/// The text without white space and without what is not seen around it.
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_unseen(c))
}

/// Why a character cannot stand in a text: a fragment that finishes "`field` …".
fn refusal(kind: Kind, c: char, class: &Class) -> String {
    let what = format!("holds {} (U+{:04X})", class.one, c as u32);
    match kind {
        Kind::Id => format!("{what}, which no id has; send the id exactly as the ATS gives it"),
        Kind::Email | Kind::Link => format!("{what}; send it without"),
        Kind::Line | Kind::Prose | Kind::Phone => format!("{what}; send plain text, without it"),
    }
}

/// The text as it is kept, or why it cannot be. `most`: the characters that fit; letters are composed only where that keeps the text
/// within it. Cleaning what is clean changes nothing. A text in which nothing is seen is a single space.
pub(super) fn clean(kind: Kind, most: usize, value: &str) -> Result<Cow<'_, str>, String> {
    let plain = |b: u8| matches!(b, b'!'..=b'~') || (b == b' ' && !matches!(kind, Kind::Email | Kind::Link));
    if value.bytes().all(plain) && !value.starts_with(' ') && !value.ends_with(' ') {
        return Ok(Cow::Borrowed(value));
    }
    let around = |c: char| matches!(becomes(kind, c), Becomes::LeftOutAround | Becomes::LeftOut);
    let inner = if matches!(kind, Kind::Email | Kind::Link) { value.trim_matches(around) } else { value };
    let mut kept = String::with_capacity(inner.len());
    let mut characters = inner.chars().peekable();
    while let Some(c) = characters.next() {
        let Some(class) = class(c) else {
            kept.push(c);
            continue;
        };
        match class.becomes(kind) {
            Becomes::Kept => kept.push(c),
            Becomes::LeftOut => {}
            Becomes::Space => kept.push(' '),
            Becomes::LineFeed => {
                // A carriage return and a line feed are the end of one line.
                if c != '\r' || characters.peek() != Some(&'\n') {
                    kept.push('\n');
                }
            }
            Becomes::LeftOutAround | Becomes::Refused => return Err(refusal(kind, c, class)),
        }
    }
    if kind == Kind::Id {
        return Ok(Cow::Borrowed(value));
    }
    let kept = composed(kind, most, kept);
    Ok(Cow::Owned(if kept.is_empty() && !matches!(kind, Kind::Phone) { " ".to_owned() } else { kept }))
}

fn composed(kind: Kind, most: usize, text: String) -> String {
    let around = |text: String| if matches!(kind, Kind::Line | Kind::Phone) { text.trim_matches(' ').to_owned() } else { text };
    if text.is_ascii() {
        return around(text);
    }
    let composed = match kind {
        // A link is followed as it is written, and an id is sent back so.
        Kind::Link | Kind::Id => return text,
        Kind::Line | Kind::Prose | Kind::Email => text.nfc().collect(),
        Kind::Phone => text.nfkc().map(dialled).collect(),
    };
    let composed: String = around(composed);
    if composed.chars().count() <= most { composed } else { around(text) }
}

/// The zeros of the digits that people of other scripts write phone numbers with; nine more follow each.
const ZEROS: [char; 7] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{17e0}', '\u{1040}'];

/// A sign of a phone number as it is dialled: digits are those of ASCII, and a dash of any length is a hyphen.
fn dialled(c: char) -> char {
    if c.is_ascii() {
        return c;
    }
    let digit = ZEROS.iter().find_map(|zero| (c as u32).checked_sub(*zero as u32).filter(|digit| *digit < 10));
    match digit {
        Some(digit) => char::from_digit(digit, 10).unwrap_or(c),
        None if matches!(c, '\u{2010}'..='\u{2015}' | '\u{2212}') => '-',
        None => c,
    }
}

/// The characters of the basic plane of which one of these becomes, as part of a character class of a regular expression (ECMA-262, as
/// JSON Schema wants it). Beyond the basic plane an expression cannot name characters in every language: those are kept everywhere.
pub(super) fn pattern(kind: Kind, of: &[Becomes]) -> String {
    let mut out = String::new();
    let ranges = CLASSES.iter().filter(|class| of.contains(&class.becomes(kind))).flat_map(|class| class.ranges);
    for (first, last) in ranges.filter(|(_, last)| (*last as u32) < 0x1_0000) {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{:04x}", *first as u32);
        if first != last {
            let _ = write!(out, "-\\u{:04x}", *last as u32);
        }
    }
    out
}
