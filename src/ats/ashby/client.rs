//! Calls to Ashby: always `POST /<category>.<method>` with JSON, the API key as Basic user name, and failures that may come
//! as 200 with `success: false`. Knows no meaning of the results.

use super::entry::API_KEY;
use crate::http::{Answer, Call, Effect, Http, base_url, check};
use atshub_actors::failure::Failure;
use atshub_schemas::{Line, text::read_answer};
use base64::Engine as _;
use reqwest::{
    Url,
    header::{ACCEPT, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::time::Duration;

/// The version of the API that this is written for, as Ashby's documentation sends it.
const VERSION: HeaderValue = HeaderValue::from_static("application/json; version=1");
/// How long to wait when Ashby says "too many" without saying how long: its documentation names no `Retry-After`.
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// Items asked for on a page (the API's own limit).
const PAGE: u32 = 100;
/// Pages followed before a list counts as endless.
pub(super) const MAX_PAGES: usize = 50;
/// Longest text of an error that is kept, in characters.
const MAX_TEXT: usize = 300;

/// A method of the API.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    name: &'static str,
    /// The permission of the key that it needs.
    permission: &'static str,
    effect: Effect,
}

const fn reads(name: &'static str, permission: &'static str) -> Method {
    Method { name, permission, effect: Effect::Reads }
}

const fn acts(name: &'static str, permission: &'static str) -> Method {
    Method { name, permission, effect: Effect::Acts }
}

pub(super) const APPLICATION_INFO: Method = reads("application.info", "candidatesRead");
pub(super) const CANDIDATE_INFO: Method = reads("candidate.info", "candidatesRead");
pub(super) const LIST_NOTES: Method = reads("candidate.listNotes", "candidatesRead");
pub(super) const CREATE_NOTE: Method = acts("candidate.createNote", "candidatesWrite");
pub(super) const JOB_INFO: Method = reads("job.info", "jobsRead");
pub(super) const LIST_FIELDS: Method = reads("customField.list", "hiringProcessMetadataRead");
pub(super) const SET_FIELD: Method = acts("customField.setValue", "candidatesWrite");
pub(super) const UPDATE_ASSESSMENT: Method = acts("assessment.update", "candidatesWrite");
pub(super) const KEY_INFO: Method = reads("apiKey.info", "apiKeysRead");
/// Looked at for `tenant check` alone: a key without the permission does all of its work.
pub(super) const LIST_PLANS: Method = reads("interviewPlan.list", "interviewsRead");
pub(super) const LIST_STAGES: Method = reads("interviewStage.list", "interviewsRead");

/// Every method that is called for a candidate.
pub(super) const METHODS: [Method; 9] =
    [APPLICATION_INFO, CANDIDATE_INFO, LIST_NOTES, CREATE_NOTE, JOB_INFO, LIST_FIELDS, SET_FIELD, UPDATE_ASSESSMENT, KEY_INFO];

/// The permissions that a key needs, each once.
pub(super) fn needed_permissions() -> Vec<&'static str> {
    let mut needed: Vec<_> = METHODS.iter().map(|method| method.permission).collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}

/// One account's API.
pub(super) struct Client {
    http: Http,
    base: Url,
    key: SecretString,
}

impl Client {
    /// # Errors
    /// A fragment that finishes "the setting …".
    pub(super) fn new(http: Http, api_base: &str, key: SecretString) -> Result<Self, String> {
        Ok(Self { http, base: base_url(api_base)?, key })
    }

    /// Calls a method, and gives `results`.
    pub(super) async fn call(&self, method: Method, body: Value) -> Result<Value, Failure> {
        Ok(self.whole(method, body).await?.get_mut("results").map(Value::take).unwrap_or_default())
    }

    /// Follows the pages of a list until `pick` has what it looks for.
    pub(super) async fn search<R>(
        &self,
        method: Method,
        mut body: Value,
        mut pick: impl FnMut(&Value) -> Option<R>,
    ) -> Result<Option<R>, Failure> {
        body["limit"] = PAGE.into();
        for _ in 0..MAX_PAGES {
            let page = self.whole(method, body.clone()).await?;
            let items = page.get("results").and_then(Value::as_array).ok_or_else(|| strange(method, "its results are not a list"))?;
            if let Some(found) = items.iter().find_map(&mut pick) {
                return Ok(Some(found));
            }
            let more = page.get("moreDataAvailable").and_then(Value::as_bool).unwrap_or(false);
            match page.get("nextCursor").and_then(Value::as_str).filter(|_| more) {
                Some(cursor) if body.get("cursor").and_then(Value::as_str) != Some(cursor) => body["cursor"] = cursor.into(),
                _ => return Ok(None),
            }
        }
        Err(Failure::Malformed { detail: format!("`{}` has more than {MAX_PAGES} pages of {PAGE}", method.name) })
    }

    async fn whole(&self, method: Method, body: Value) -> Result<Value, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(method.name);
        }
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{}:", self.key.expose_secret()));
        let call = Call::post(method.name, url, method.effect, body).authorization(&format!("Basic {pair}"))?.header(ACCEPT, VERSION);
        outcome(method, &self.http.send(call).await?)
    }
}

/// What an answer means. The body is read first, because a refused permission has its name there, and the status after.
fn outcome(method: Method, answer: &Answer) -> Result<Value, Failure> {
    let body = read_answer(&answer.body).ok();
    let success = body.as_ref().and_then(|body| body.get("success")).and_then(Value::as_bool);
    match (success, body) {
        (Some(false), Some(body)) if answer.status != 429 && answer.status < 500 => Err(refusal(method, answer.status, &body)),
        (success, body) => {
            check(method.name, method.effect, answer)?;
            match (success, body) {
                (Some(true), Some(body)) => Ok(body),
                _ => Err(strange(method, "its answer does not say whether it succeeded")),
            }
        }
    }
}

fn refusal(method: Method, status: u16, body: &Value) -> Failure {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let said = [text("/errorInfo/code"), text("/errors/0")].into_iter().find(|code| !code.is_empty()).unwrap_or_default();
    let code: String = said.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(64).collect();
    let clean = |text: &str| Line::tamed(text).map(String::from).unwrap_or_default().chars().take(MAX_TEXT).collect::<String>();
    let detail = format!("`{}`: {} (request {})", method.name, clean(text("/errorInfo/message")), clean(text("/errorInfo/requestId")));
    match code.as_str() {
        "rate_limit_exceeded" => Failure::RateLimited { retry_after: DEFAULT_WAIT },
        "missing_endpoint_permission" => {
            Failure::NotPermitted { detail: format!("`{}` needs the permission {} of the API key", method.name, method.permission) }
        }
        "unauthorized" | "unauthenticated" | "invalid_api_key" | "forbidden" => {
            Failure::Unauthorized { detail: format!("`{}` was answered with {code}", method.name) }
        }
        "internal_server_error" | "internal_error" | "server_error" | "service_unavailable" | "timeout" => {
            Failure::Transient { detail, acted: method.effect == Effect::Acts }
        }
        _ if matches!(status, 401 | 403) => Failure::Unauthorized { detail: format!("`{}` was answered with {status}", method.name) },
        "" => Failure::Rejected { code: "rejected".into(), detail },
        _ => Failure::Rejected { code, detail },
    }
}

/// An answer of another shape than documented.
pub(super) fn strange(method: Method, what: &str) -> Failure {
    match method.effect {
        Effect::Reads => Failure::Malformed { detail: format!("`{}`: {what}", method.name) },
        Effect::Acts => Failure::unclear(format!("`{}`: {what}", method.name)),
    }
}

/// The key of an account.
pub(super) fn key(account: &crate::ats::Account) -> Result<SecretString, String> {
    account
        .secrets
        .need(API_KEY, || format!("tenant `{}` has no `{API_KEY}`; set it with `atshub tenant set-key`", account.tenant))
        .cloned()
}

/// The body of a call that names one object.
pub(super) fn by_id(name: &str, id: &atshub_schemas::ExternalId) -> Value {
    json!({ name: id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, headers: reqwest::header::HeaderMap::new(), body: body.to_owned().into() }
    }

    #[test]
    fn a_cut_name_and_a_byte_order_mark_cost_nothing_else_in_an_answer() {
        let body = "\u{feff}{\"success\":true,\"results\":{\"name\":\"Ada \\ud83d\",\"id\":\"c-1\"}}";
        let read = outcome(APPLICATION_INFO, &answer(200, body)).unwrap();
        assert_eq!(read["results"], json!({"name": "Ada \u{fffd}", "id": "c-1"}));
        assert_eq!(outcome(APPLICATION_INFO, &answer(200, "{\"success\":true,\"x\":1e400}")).unwrap_err().code(), "malformed");
    }

    #[test]
    fn every_answer_has_its_meaning() {
        let failed =
            |code: &str| format!(r#"{{"success":false,"errors":["x"],"errorInfo":{{"code":"{code}","message":"m","requestId":"r"}}}}"#);
        let table = [
            (200, failed("invalid_input"), "invalid_input", "invalid_input"),
            (200, failed("application_not_found"), "application_not_found", "application_not_found"),
            (200, failed("rate_limit_exceeded"), "rate_limited", "rate_limited"),
            (200, failed("missing_endpoint_permission"), "missing_permission", "missing_permission"),
            (403, failed("missing_endpoint_permission"), "missing_permission", "missing_permission"),
            (403, failed("invalid_api_key"), "unauthorized", "unauthorized"),
            (401, failed("unauthorized"), "unauthorized", "unauthorized"),
            (403, failed("something_new"), "unauthorized", "unauthorized"),
            (200, failed("internal_server_error"), "transient", "unclear"),
            (200, r#"{"success":false,"errors":["Some Thing"]}"#.into(), "some_thing", "some_thing"),
            (200, r#"{"success":false}"#.into(), "rejected", "rejected"),
            (200, r#"{"success":"false"}"#.into(), "malformed", "unclear"),
            (200, "{}".into(), "malformed", "unclear"),
            (200, "<html>".into(), "malformed", "unclear"),
            // Not in Ashby's form: something before Ashby, which refuses everybody for a while.
            (401, String::new(), "transient", "unclear"),
            (403, "{}".into(), "transient", "unclear"),
            (403, "<html><h1>403 Forbidden</h1></html>".into(), "transient", "unclear"),
            (403, r#"{"message":"Forbidden"}"#.into(), "transient", "unclear"),
            (403, r#"{"success":true}"#.into(), "transient", "unclear"),
            (429, failed("invalid_input"), "rate_limited", "rate_limited"),
            (500, failed("invalid_input"), "transient", "unclear"),
            (502, r#"{"success":true}"#.into(), "transient", "unclear"),
            (404, String::new(), "http_404", "http_404"),
        ];
        for (status, body, reading, acting) in table {
            let code = |method| outcome(method, &answer(status, &body)).unwrap_err().code().to_owned();
            assert_eq!(code(APPLICATION_INFO), reading, "{status} {body}");
            assert_eq!(code(CREATE_NOTE), acting, "{status} {body}");
        }
        assert!(outcome(CREATE_NOTE, &answer(200, r#"{"success":true,"results":{}}"#)).is_ok());
    }
}
