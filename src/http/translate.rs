//! What can go wrong with an HTTP call, as a [`Failure`]. The one place where a status or a broken connection gets its
//! meaning. Details name the call and the status, never addresses, headers or bodies.

use super::{Answer, Effect};
use atshub_actors::failure::Failure;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::{error::Error, time::Duration};

/// How long to wait when the other side says "too many" and not how long.
pub(super) const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Shortest wait believed: "0" would be a loop.
pub(super) const MIN_WAIT: Duration = Duration::from_secs(1);
/// Longest wait believed: a wrong clock must not silence a tenant for a day.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(3600);
/// Causes told of one error.
const MAX_CAUSES: usize = 6;

/// No usable connection, or one that broke.
pub(super) fn transport(name: &str, effect: Effect, error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::Bug { detail: format!("`{name}` could not be put together") };
    }
    let sent = !error.is_connect();
    let what = match (sent, error.is_timeout()) {
        (false, true) => "no connection in time".to_owned(),
        (false, false) => format!("no connection: {}", causes(error)),
        (true, true) => "no answer in time".to_owned(),
        (true, false) => format!("the connection broke: {}", causes(error)),
    };
    no_answer(name, effect, sent, &what)
}

/// No answer. It may have been acted on if it was sent, and is of the kind that acts.
pub(super) fn no_answer(name: &str, effect: Effect, sent: bool, what: &str) -> Failure {
    Failure::Transient { detail: format!("`{name}`: {what}"), acted: sent && effect == Effect::Acts }
}

/// An answer that cannot be read. Of a call that acts it says nothing about whether it acted, so the next attempt looks.
pub(super) fn not_understood(name: &str, effect: Effect, what: &str) -> Failure {
    match effect {
        Effect::Reads => Failure::Malformed { detail: format!("`{name}`: {what}") },
        Effect::Acts => Failure::unclear(format!("`{name}`: {what}")),
    }
}

/// `Ok` for 2xx.
pub(super) fn status(name: &str, effect: Effect, answer: &Answer, now: Timestamp) -> Result<(), Failure> {
    let code = answer.status;
    let wait = retry_after(&answer.headers, now);
    Err(match code {
        200..=299 => return Ok(()),
        429 => Failure::RateLimited { retry_after: wait.unwrap_or(DEFAULT_WAIT) },
        503 if wait.is_some() => Failure::RateLimited { retry_after: wait.unwrap_or(DEFAULT_WAIT) },
        // Whether it is about the credential, only the ATS or the platform itself can say, and its client has looked for that: this is
        // a proxy, a firewall or the host's edge, which refuses everybody for a while.
        401 | 403 => Failure::Transient {
            detail: format!(
                "`{name}` was answered with {code}, by something that stands before the host, or in a form that is not the host's own"
            ),
            acted: effect == Effect::Acts,
        },
        // RFC 9110 §15.5.9: the server gave up waiting for the request, so it did not act on it.
        408 => Failure::transient(format!("`{name}` was answered with 408")),
        400..=499 => Failure::Rejected { code: format!("http_{code}"), detail: format!("`{name}` was answered with {code}") },
        500..=599 => Failure::Transient { detail: format!("`{name}` was answered with {code}"), acted: effect == Effect::Acts },
        300..=399 => Failure::Rejected {
            code: format!("http_{code}"),
            detail: format!("`{name}` was sent elsewhere ({code}), and only redirects within one host are followed; check the address"),
        },
        _ => not_understood(name, effect, &format!("it was answered with {code}")),
    })
}

/// `Retry-After` in either of its forms (RFC 9110 §10.2.3), within bounds; one that cannot be read counts as the default.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().unwrap_or_default().trim();
    let wait = value.parse::<u64>().ok().map(Duration::from_secs).or_else(|| {
        let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Some(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
    });
    Some(wait.unwrap_or(DEFAULT_WAIT).clamp(MIN_WAIT, MAX_WAIT))
}

/// An error's causes without its first line, which names the address.
pub(super) fn causes(error: &reqwest::Error) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next.filter(|_| out.len() < MAX_CAUSES) {
        let text = cause.to_string();
        if out.last() != Some(&text) {
            out.push(text);
        }
        next = cause.source();
    }
    if out.is_empty() { "no cause given".into() } else { crate::tls::explained(&out.join(": ")) }
}
