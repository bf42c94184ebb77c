//! The one comparison: texts are equal that a person sees as equal, however a program wrote them. What is not seen is ignored, white
//! space counts as one space, composed and decomposed letters and letters of another width are the same, and case does not count.
//! Ids are not compared so: they are what the ATS says.

use super::{
    Link,
    marks::{Compared, class},
};
use unicode_normalization::UnicodeNormalization;
use url::Url;

/// The text as a comparison sees it: without what is not seen, white space as single spaces, NFKC (Unicode, annex 15).
fn seen(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    let characters = text.chars().filter_map(|c| match class(c).map(|class| class.compared) {
        Some(Compared::Ignored) => None,
        Some(Compared::AsSpace) => Some(' '),
        None => Some(c),
    });
    let mut put = |c: char| match c {
        ' ' => space = true,
        c => {
            if std::mem::take(&mut space) && !out.is_empty() {
                out.push(' ');
            }
            out.push(c);
        }
    };
    if text.is_ascii() {
        characters.for_each(&mut put);
    } else {
        characters.nfkc().for_each(&mut put);
    }
    out
}

/// The form in which two names, titles or labels compare equal: as [`same`] compares. Full case folding, so `Straße` is `STRASSE`.
#[must_use]
pub fn key(text: &str) -> String {
    let seen = seen(text);
    if seen.is_ascii() {
        return seen.to_ascii_lowercase();
    }
    // What folding makes may be composed anew, and in rare cases fold again.
    let once: String = unicase::UniCase::unicode(seen).to_folded_case().nfkc().collect();
    unicase::UniCase::unicode(once).to_folded_case().nfkc().collect()
}

/// Whether two names, titles or labels are one for a person.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one == other || key(one) == key(other)
}

/// Whether what a person wrote down names this id: as it is, but for what is not seen and for how letters are composed.
#[must_use]
pub fn names_id(written: &str, id: &str) -> bool {
    written == id || (!id.is_empty() && seen(written) == seen(id))
}

/// The form in which two addresses of one mailbox compare equal. Lower case and not folded: `ß` and `ss` are two mailboxes. For an
/// address in ASCII it is the address in lower case.
pub(super) fn mailbox(address: &str) -> String {
    let lower = seen(address).to_lowercase();
    if lower.is_ascii() { lower } else { lower.nfkc().collect() }
}

impl Link {
    /// The address as a program asks for it: without what is not seen, letters composed, and where it is not in ASCII, percent-encoded,
    /// with the host in Punycode.
    #[must_use]
    pub fn sent(&self) -> String {
        if self.as_str().is_ascii() {
            return self.to_string();
        }
        let seen = self.as_str().chars().filter(|c| class(*c).is_none_or(|class| class.compared != Compared::Ignored));
        let composed: String = seen.nfc().collect();
        Url::parse(&composed).map_or(composed, String::from)
    }

    /// The form in which two addresses of one page compare equal: without scheme, case of the host, the scheme's own port, a slash at
    /// the end of the path, and the place within the page.
    #[must_use]
    pub fn key(&self) -> String {
        let sent = self.sent();
        let (scheme, rest) = sent.split_once("://").unwrap_or_default();
        let rest = rest.split('#').next().unwrap_or_default();
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = path.split_at(path.find('?').unwrap_or(path.len()));
        let port = if scheme == "http" { ":80" } else { ":443" };
        let host = host.to_lowercase();
        format!("{}{}{query}", host.strip_suffix(port).unwrap_or(&host), path.trim_end_matches('/'))
    }
}
