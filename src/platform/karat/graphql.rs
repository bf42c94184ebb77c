//! GraphQL over the hub's HTTP client: one POST, and what its answer means. Knows no operation.

use crate::http::{Call, Effect, Http};
use atshub_actors::failure::Failure;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// How long to wait when the API says "too many" in an error instead of a status.
const THROTTLE_WAIT: Duration = Duration::from_secs(30);
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
        data(name, effect, self.http.json(call).await?)
    }
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
        Failure::Rejected { code: "graphql_error".into(), detail: format!("`{name}` was not executed: {text}") }
    })
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

    #[test]
    fn an_empty_list_of_errors_is_no_error() {
        assert_eq!(data("q", Effect::Acts, json!({"errors": [], "data": {"x": 1}})), Ok(json!({"x": 1})));
    }
}
