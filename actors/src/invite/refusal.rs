//! What a platform's refusal means. Decides nothing.

use crate::domain::InviteError;
use atshub_schemas::Link;

/// The error that a code of the platform's adapter stands for.
pub(super) fn error_of(code: &str, detail: String) -> InviteError {
    match code {
        "role_missing" => InviteError::RoleMissing,
        "phone_too_short" => InviteError::PhoneTooShort,
        "recruiter_is_candidate" => InviteError::RecruiterIsCandidate,
        _ => InviteError::Other { text: detail },
    }
}

/// The link at the end of the platform's sentence.
pub(super) fn last_link(text: &str) -> Option<Link> {
    text.split_whitespace().rev().find_map(|word| Link::new(word.trim_end_matches(['.', ',', ')'])).ok())
}
