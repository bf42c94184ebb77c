//! What answers and states mean for a request to invite: the platform's refusals, another application's asking, a state of a newer
//! version. Pure.

use crate::{
    domain::{Candidacy, InviteError},
    failure::Failure,
};
use atshub_schemas::Link;
use jiff::{SignedDuration, Timestamp};

/// Shortest and longest wait for another application's asking to end.
const OTHER_WAIT: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));

/// As long again as was waited already: soon at first, and few looks at one that takes hours.
pub(super) fn after_other(since: Timestamp, now: Timestamp) -> Timestamp {
    now + now.duration_since(since).clamp(OTHER_WAIT.0, OTHER_WAIT.1)
}

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

/// Nothing is done about a candidacy whose state this version does not know.
pub(super) fn of_a_newer_version(candidacy: &Candidacy) -> Failure {
    let state = candidacy.state.code();
    let detail = format!(
        "the candidacy is `{state}`, which this version of atshub does not know. Upgrade this process, then have the fact published again under a new id, or the stage entered again"
    );
    Failure::Unreadable { detail }
}
