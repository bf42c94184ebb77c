//! GraphQL over the hub's HTTP client: one POST, and what its answer means. Knows no operation.

use crate::http::{Answer, Call, Effect, Http, check};
use atshub_actors::failure::Failure;
use atshub_schemas::text::read_answer;
use reqwest::{Url, header::WWW_AUTHENTICATE};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long to wait when the API says "too many" in an error instead of a status.
const THROTTLE_WAIT: Duration = Duration::from_secs(30);
/// The code of an operation that was refused before it was executed.
const NOT_EXECUTED: &str = "graphql_error";
/// Longest text of an error that is kept, in characters.
const MAX_TEXT: usize = 300;

/// One account's API.
#[derive(Clone)]
pub(super) struct GraphQl {
    http: Http,
    endpoint: Url,
    token: Arc<SecretString>,
}

impl GraphQl {
    pub(super) fn new(http: Http, endpoint: Url, token: SecretString) -> Self {
        Self { http, endpoint, token: Arc::new(token) }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// Runs an operation, and gives `data`.
    pub(super) async fn run(&self, name: &'static str, effect: Effect, query: &str, variables: Value) -> Result<Value, Failure> {
        let body = json!({"query": query, "variables": variables, "operationName": name});
        let call =
            Call::post(name, self.endpoint.clone(), effect, body).authorization(&format!("Bearer {}", self.token.expose_secret()))?;
        outcome(name, effect, &self.http.send(call).await?)
    }
}

/// What an answer means. GraphQL's own form is read whatever the status: some servers put errors beside a 4xx.
fn outcome(name: &str, effect: Effect, answer: &Answer) -> Result<Value, Failure> {
    let body = read_answer(&answer.body).ok();
    match (answer.status, body) {
        (200..=299, Some(body)) => data(name, effect, body),
        (200..=299, None) => Err(strange(name, effect, "its answer is not JSON")),
        (401 | 403, Some(body)) if refuses_the_token(answer.status, &body) => {
            Err(Failure::Unauthorized { detail: format!("`{name}` was answered with {}", answer.status) })
        }
        (401, _) if asks_for_a_token(answer) => Err(Failure::Unauthorized { detail: format!("`{name}` was answered with 401") }),
        (400 | 404..=407 | 409..=428 | 430..=499, Some(body)) if has_errors(&body) => data(name, effect, body),
        (_, _) => match check(name, effect, answer) {
            Ok(()) => Err(strange(name, effect, "its answer is not GraphQL's")),
            Err(failure) => Err(failure),
        },
    }
}

fn has_errors(body: &Value) -> bool {
    body.get("errors").and_then(Value::as_array).is_some_and(|errors| !errors.is_empty())
}

/// The platform's own words, as JSON: GraphQL's errors, or the one word that it says instead. A proxy's page is neither.
fn refuses_the_token(status: u16, body: &Value) -> bool {
    let word = body.get("error").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    has_errors(body) || (status == 401 && ["unauthorized", "unauthenticated", "not authorized"].iter().any(|known| word.contains(known)))
}

/// A 401 that asks for what the hub shows, a token (RFC 6750 §3); a proxy that wants a password of its own asks for `Basic`.
fn asks_for_a_token(answer: &Answer) -> bool {
    answer.headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        let scheme = value.split_whitespace().next().unwrap_or_default();
        scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")
    })
}

/// What an answer means (GraphQL, October 2021, §7.1): without `data` nothing was executed; with `data: null` or a null
/// field and an error, it was, and failed on the way.
pub(super) fn data(name: &str, effect: Effect, mut answer: Value) -> Result<Value, Failure> {
    let errors = answer.get("errors").and_then(Value::as_array).filter(|errors| !errors.is_empty());
    let Some(errors) = errors else {
        return match answer.get_mut("data").map(Value::take) {
            Some(data @ Value::Object(_)) => Ok(data),
            _ => Err(strange(name, effect, "its answer has neither data nor errors")),
        };
    };
    let executed = answer.get("data").is_some();
    let codes = || errors.iter().filter_map(|e| e.pointer("/extensions/code")?.as_str()).map(str::to_uppercase);
    let has = |wanted: &[&str]| codes().any(|code| wanted.contains(&code.as_str()));
    let texts: Vec<&str> = errors.iter().filter_map(|e| e.get("message")?.as_str()).collect();
    let says = |words: &[&str]| texts.iter().any(|t| words.iter().any(|w| t.to_lowercase().contains(w)));
    let text: String = texts.join(" ").chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();

    if has(&["UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN"]) || (!executed && says(&["unauthorized", "not authorized", "unauthenticated"]))
    {
        return Err(Failure::Unauthorized { detail: format!("`{name}`: {text}") });
    }
    if has(&["THROTTLED", "RATE_LIMITED", "TOO_MANY_REQUESTS"]) {
        return Err(Failure::RateLimited { retry_after: THROTTLE_WAIT });
    }
    let passing = has(&["INTERNAL_SERVER_ERROR", "INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"])
        || says(&["internal server error", "something went wrong", "try again", "timed out", "timeout"]);
    Err(if executed || passing {
        Failure::Transient { detail: format!("`{name}`: {text}"), acted: effect == Effect::Acts }
    } else {
        Failure::Rejected { code: NOT_EXECUTED.into(), detail: format!("{}{text}", not_executed(name)) }
    })
}

/// What the platform says of an operation that it refused before it was executed, in its own words.
pub(super) fn sentence(name: &str, failure: &Failure) -> Option<String> {
    match failure {
        Failure::Rejected { code, detail } if code == NOT_EXECUTED => {
            Some(detail.strip_prefix(&not_executed(name)).unwrap_or(detail).to_owned())
        }
        _ => None,
    }
}

fn not_executed(name: &str) -> String {
    format!("`{name}` was not executed: ")
}

/// An answer of another shape than documented. Of a call that acts it says nothing about whether it acted.
pub(super) fn strange(name: &str, effect: Effect, what: &str) -> Failure {
    match effect {
        Effect::Reads => Failure::Malformed { detail: format!("`{name}`: {what}") },
        Effect::Acts => Failure::unclear(format!("`{name}`: {what}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_level_errors_are_told_apart_by_whether_anything_was_executed() {
        let table = [
            (json!({"errors": [{"message": "Field 'x' doesn't exist"}]}), "graphql_error", "graphql_error"),
            (json!({"errors": [{"message": "boom"}], "data": null}), "transient", "unclear"),
            (json!({"errors": [{"message": "boom", "path": ["x"]}], "data": {"x": null}}), "transient", "unclear"),
            (json!({"errors": [{"message": "Internal server error"}]}), "transient", "unclear"),
            (
                json!({"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}], "data": null}),
                "unauthorized",
                "unauthorized",
            ),
            (json!({"errors": [{"message": "Unauthorized"}]}), "unauthorized", "unauthorized"),
            (json!({"errors": [{"message": "slow down", "extensions": {"code": "throttled"}}]}), "rate_limited", "rate_limited"),
            (json!({"errors": [{}]}), "graphql_error", "graphql_error"),
            (json!({"errors": [1, null]}), "graphql_error", "graphql_error"),
            (json!({"data": null}), "malformed", "unclear"),
            (json!({}), "malformed", "unclear"),
            (json!([]), "malformed", "unclear"),
            (json!("no"), "malformed", "unclear"),
        ];
        for (answer, reading, acting) in table {
            assert_eq!(data("q", Effect::Reads, answer.clone()).unwrap_err().code(), reading, "{answer}");
            assert_eq!(data("q", Effect::Acts, answer.clone()).unwrap_err().code(), acting, "{answer}");
        }
    }

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Answer { status, headers, body: body.to_owned().into() }
    }

    #[test]
    fn a_token_is_refused_by_the_platforms_own_words_and_by_nobody_elses() {
        let page = "<html><h1>Forbidden</h1></html>";
        let table = [
            (401, vec![], r#"{"error":"Unauthorized"}"#, "unauthorized", "unauthorized"),
            (401, vec![], r#"{"errors":[{"message":"Unauthorized"}]}"#, "unauthorized", "unauthorized"),
            (403, vec![], r#"{"errors":[{"message":"Forbidden"}]}"#, "unauthorized", "unauthorized"),
            (401, vec![("www-authenticate", "Token realm=\"Application\"")], "HTTP Token: Access denied.", "unauthorized", "unauthorized"),
            (401, vec![("www-authenticate", "Bearer error=\"invalid_token\"")], "", "unauthorized", "unauthorized"),
            (401, vec![("www-authenticate", "Basic realm=\"proxy\"")], page, "transient", "unclear"),
            (401, vec![], "", "transient", "unclear"),
            (401, vec![], "{}", "transient", "unclear"),
            (403, vec![], page, "transient", "unclear"),
            (403, vec![], r#"{"message":"Forbidden"}"#, "transient", "unclear"),
            (403, vec![], r#"{"error":"Forbidden"}"#, "transient", "unclear"),
            (403, vec![], r#"{"errors":[]}"#, "transient", "unclear"),
        ];
        for (status, headers, body, reading, acting) in table {
            let code = |effect| outcome("q", effect, &answer(status, &headers, body)).unwrap_err().code().to_owned();
            assert_eq!((code(Effect::Reads).as_str(), code(Effect::Acts).as_str()), (reading, acting), "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn what_was_wrong_is_read_from_the_body_whatever_the_status() {
        let errors = r#"{"errors":[{"message":"Email is invalid"}]}"#;
        for status in [400, 409, 422] {
            let failure = outcome("q", Effect::Acts, &answer(status, &[], errors)).unwrap_err();
            assert!(failure.code() == "graphql_error" && failure.to_string().contains("Email is invalid"), "{status}: {failure:?}");
        }
        for (status, body, code) in [
            (422, "no", "http_422"),
            (404, "<html>", "http_404"),
            (429, errors, "rate_limited"),
            (408, errors, "transient"),
            (500, errors, "unclear"),
            (302, "", "http_302"),
            (200, "<html>", "unclear"),
        ] {
            assert_eq!(outcome("q", Effect::Acts, &answer(status, &[], body)).unwrap_err().code(), code, "{status} {body}");
        }
    }

    #[test]
    fn an_empty_list_of_errors_is_no_error() {
        assert_eq!(data("q", Effect::Acts, json!({"errors": [], "data": {"x": 1}})), Ok(json!({"x": 1})));
    }
}
