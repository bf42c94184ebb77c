//! Karat's refusals are sentences without a code. The known ones (B5) get the hub's codes; the rest keep their words.

use atshub_actors::{domain::InviteError, failure::Failure};
use atshub_schemas::{Line, Link, text::key};

/// Longest text of a refusal that is kept, in characters.
const MAX_TEXT: usize = 500;

/// The refusal that these sentences amount to: the first known one, else all of them as they are.
pub(super) fn refusal(sentences: &[String]) -> Failure {
    if let Some(known) = sentences.iter().find_map(|sentence| known(sentence)) {
        let link = match &known {
            InviteError::AlreadyActive { link: None } => sentences.iter().find_map(|sentence| link_in(sentence)),
            InviteError::AlreadyActive { link } => link.clone(),
            _ => None,
        };
        // The detail ends with the link, as the port promises.
        let text = bounded(sentences.iter().map(|s| clean(s)));
        let detail = link.map_or(text.clone(), |link| if text.ends_with(link.as_str()) { text } else { format!("{text} {link}") });
        return Failure::Rejected { code: known.code().into(), detail };
    }
    let text = bounded(sentences.iter().map(|s| clean(s)).filter(|s| !s.is_empty()));
    let text = if text.is_empty() { "refused without a reason".into() } else { text };
    Failure::Rejected { code: InviteError::Other { text: String::new() }.code().into(), detail: text }
}

/// Which of the four it is. Words are compared without case, whatever apostrophe, brand name or trailing text they have.
pub(super) fn known(sentence: &str) -> Option<InviteError> {
    let words = key(&sentence.replace(['\u{2019}', '\u{2018}', '`', '\u{b4}'], "'"));
    if words.contains("missing or invalid") && words.contains("role on the job") {
        Some(InviteError::RoleMissing)
    } else if words.contains("phone is too short") {
        Some(InviteError::PhoneTooShort)
    } else if words.contains("already has an active interview") {
        Some(InviteError::AlreadyActive { link: link_in(sentence) })
    } else if words.contains("recruiter and candidate can't be the same") || words.contains("recruiter and candidate cannot be the same") {
        Some(InviteError::RecruiterIsCandidate)
    } else {
        None
    }
}

fn link_in(sentence: &str) -> Option<Link> {
    let start = sentence.find("https://").or_else(|| sentence.find("http://"))?;
    let link = sentence.get(start..)?.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"')).next()?;
    Link::new(link.trim_end_matches(['.', ',', ';', ')', ']', '\''])).ok()
}

/// The sentences as one text: a platform may give any number of them.
fn bounded(sentences: impl Iterator<Item = String>) -> String {
    sentences.take(8).collect::<Vec<_>>().join(" ").chars().take(2 * MAX_TEXT).collect()
}

fn clean(sentence: &str) -> String {
    let line = Line::tamed(sentence).map(String::from).unwrap_or_default();
    line.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_and_detail(sentences: &[&str]) -> (String, String) {
        match refusal(&sentences.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()) {
            Failure::Rejected { code, detail } => (code, detail),
            other => panic!("not a refusal: {other:?}"),
        }
    }

    #[test]
    fn the_four_sentences_are_known_in_every_dress() {
        let table = [
            ("Missing or invalid Karat role on the job.", "role_missing"),
            ("MISSING OR INVALID Acme Interviews ROLE ON THE JOB - ask an admin", "role_missing"),
            ("Phone is too short (minimum is 7 characters).", "phone_too_short"),
            ("phone  is too short", "phone_too_short"),
            ("\u{feff}Phone\u{a0}is too\u{200b} short", "phone_too_short"),
            ("Recruiter and candidate can't be the same.", "recruiter_is_candidate"),
            ("Recruiter and candidate can\u{2019}t be the same", "recruiter_is_candidate"),
            (
                "Invite failed: Role already has an active interview for this candidate. Please visit this interview to make changes to it.",
                "already_active",
            ),
        ];
        for (sentence, code) in table {
            assert_eq!(code_and_detail(&[sentence]).0, code, "{sentence}");
        }
    }

    #[test]
    fn what_the_hub_itself_shows_is_known_again() {
        let link = Link::new("https://acme.karat.io/i/1").ok();
        for error in [
            InviteError::RoleMissing,
            InviteError::PhoneTooShort,
            InviteError::AlreadyActive { link },
            InviteError::AlreadyActive { link: None },
            InviteError::RecruiterIsCandidate,
        ] {
            assert_eq!(known(&error.text("Some Brand")), Some(error));
        }
    }

    #[test]
    fn the_link_to_the_live_interview_ends_the_detail() {
        let head = "Role already has an active interview for this candidate.";
        for sentences in [
            vec![format!("{head} https://acme.karat.io/i/7")],
            vec![format!("{head} See (https://acme.karat.io/i/7).")],
            vec![format!("{head} <a href=\"https://acme.karat.io/i/7\">visit</a>")],
            vec![head.to_owned(), "https://acme.karat.io/i/7".to_owned()],
        ] {
            let Failure::Rejected { code, detail } = refusal(&sentences) else { panic!("not a refusal") };
            assert_eq!(code, "already_active");
            assert!(detail.ends_with("https://acme.karat.io/i/7"), "{detail}");
        }
    }

    #[test]
    fn unknown_words_are_kept_and_cleaned() {
        assert_eq!(code_and_detail(&["Role is\narchived."]), ("refused_by_platform".into(), "Role is archived.".into()));
        assert_eq!(code_and_detail(&[]).1, "refused without a reason");
        assert!(code_and_detail(&[&"x".repeat(9000)]).1.len() <= MAX_TEXT);
    }
}
