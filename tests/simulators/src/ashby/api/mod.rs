//! The door of the API: who may call, how often, and which method it is. Errors are Ashby's: HTTP 200 with
//! `success: false`, but 401 without a key, 403 with a wrong one or a missing permission, 429 above the limit.

mod applications;
pub(crate) mod assessments;
mod candidates;
mod fields;
mod jobs;
mod webhooks;

use super::Account;
use crate::faults;
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, http::header, web};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

/// Largest page.
const PAGE_LIMIT: usize = 100;

/// The minute that calls are counted in.
#[derive(Debug, Default)]
pub(crate) struct Window {
    began: Option<Instant>,
    calls: u32,
}

/// A refusal in Ashby's form.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

pub(crate) type Arguments = Map<String, Value>;
pub(crate) type Reply = Result<Value, Refusal>;

pub(crate) fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// A text argument that must be there.
pub(crate) fn text<'a>(arguments: &'a Arguments, name: &str) -> Result<&'a str, Refusal> {
    let found = arguments.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| refuse("invalid_input", format!("{name} is required and must be a string")))
}

/// A successful reply around `results`.
pub(crate) fn results(results: Value) -> Value {
    Value::Object(Map::from_iter([("success".to_owned(), Value::Bool(true)), ("results".to_owned(), results)]))
}

/// A page of `rows`; the cursor is the number of rows already given.
pub(crate) fn page(rows: Vec<Value>, arguments: &Arguments) -> Reply {
    let start = match arguments.get("cursor") {
        None | Some(Value::Null) => 0,
        Some(cursor) => decode::<usize>(cursor).ok_or_else(|| refuse("invalid_input", "cursor is not valid"))?,
    };
    let size = limit(arguments)?;
    let end = start.saturating_add(size);
    let more = end < rows.len();
    let mut reply = results(rows.into_iter().skip(start).take(size).collect());
    reply["moreDataAvailable"] = json!(more);
    if more {
        reply["nextCursor"] = json!(encode(&json!(end)));
    }
    Ok(reply)
}

pub(crate) fn limit(arguments: &Arguments) -> Result<usize, Refusal> {
    match arguments.get("limit") {
        None | Some(Value::Null) => Ok(PAGE_LIMIT),
        Some(limit) => {
            let limit = limit.as_u64().and_then(|limit| usize::try_from(limit).ok()).filter(|limit| (1..=PAGE_LIMIT).contains(limit));
            limit.ok_or_else(|| refuse("invalid_input", format!("limit must be between 1 and {PAGE_LIMIT}")))
        }
    }
}

pub(crate) fn encode(value: &Value) -> String {
    BASE64_STANDARD.encode(value.to_string())
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(token: &Value) -> Option<T> {
    serde_json::from_slice(&BASE64_STANDARD.decode(token.as_str()?).ok()?).ok()
}

pub(super) fn routes(config: &mut web::ServiceConfig, account: &Account) {
    config.app_data(web::Data::new(account.clone())).route("/{method}", web::post().to(call));
}

async fn call(method: web::Path<String>, request: HttpRequest, body: web::Bytes, account: web::Data<Account>) -> HttpResponse {
    let Some(permission) = permission(&method) else {
        return refusal(404, &refuse("not_found", format!("there is no method {method}")));
    };
    if let Some(refused) = admit(&request, &account, permission) {
        return refused;
    }
    let arguments = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(arguments)) => arguments,
        Ok(_) | Err(_) => return refusal(200, &refuse("invalid_input", "Request payload is malformed")),
    };
    let fault = account.inner.faults.take(&[method.as_str()]);
    let (account, method) = (account.get_ref().clone(), method.into_inner());
    let act = async move {
        match dispatch(&account, &method, &arguments).await {
            Ok(reply) => HttpResponse::Ok().insert_header(("x-ashby-request-id", super::world::fresh_id())).json(reply),
            Err(why) => refusal(200, &why),
        }
    };
    faults::answer(fault, || refusal(403, &wrong_key()), act).await
}

fn refusal(status: u16, why: &Refusal) -> HttpResponse {
    let id = super::world::fresh_id();
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    HttpResponse::build(status).insert_header(("x-ashby-request-id", id.clone())).json(json!({
        "success": false, "errors": [why.code], "errorInfo": { "code": why.code, "message": why.message, "requestId": id }
    }))
}

fn wrong_key() -> Refusal {
    refuse("invalid_api_key", "API key is not valid")
}

/// Key, permission and rate, in this order.
fn admit(request: &HttpRequest, account: &Account, permission: &str) -> Option<HttpResponse> {
    let Some(given) = request.headers().get(header::AUTHORIZATION) else {
        return Some(refusal(401, &refuse("unauthorized", "API key is missing")));
    };
    let decoded = given.to_str().ok().and_then(|it| it.strip_prefix("Basic ")).and_then(|it| BASE64_STANDARD.decode(it).ok());
    if decoded.as_deref() != Some(format!("{}:", account.api_key()).as_bytes()) {
        return Some(refusal(403, &wrong_key()));
    }
    if account.lock().missing_permissions.contains(permission) {
        return Some(refusal(403, &refuse("missing_endpoint_permission", format!("the key lacks {permission}"))));
    }
    let allowed = account.inner.options.rate_limit_per_minute?;
    let mut window = account.inner.window.lock().unwrap_or_else(PoisonError::into_inner);
    if window.began.is_none_or(|began| began.elapsed() >= Duration::from_secs(60)) {
        *window = Window { began: Some(Instant::now()), calls: 0 };
    }
    window.calls = window.calls.saturating_add(1);
    (window.calls > allowed).then(|| refusal(429, &refuse("rate_limit_exceeded", format!("more than {allowed} requests in a minute"))))
}

/// Every method there is, with the permission it needs.
fn permission(method: &str) -> Option<&'static str> {
    Some(match method {
        "apiKey.info" => "apiKeysRead",
        "application.info" | "application.list" | "candidate.info" | "candidate.listNotes" => "candidatesRead",
        "application.changeStage"
        | "candidate.createNote"
        | "candidate.addTag"
        | "candidate.removeTag"
        | "customField.setValue"
        | "customField.setValues"
        | "assessment.update" => "candidatesWrite",
        "customField.list" | "candidateTag.list" | "archiveReason.list" => "hiringProcessMetadataRead",
        "candidateTag.create" => "hiringProcessMetadataWrite",
        "job.info" | "job.list" | "jobInterviewPlan.info" => "jobsRead",
        "interviewPlan.list" | "interviewStage.list" | "interviewStage.info" => "interviewsRead",
        "user.list" | "user.info" => "organizationRead",
        "webhook.info" => "apiKeysRead",
        "webhook.create" | "webhook.update" | "webhook.delete" => "apiKeysWrite",
        _ => return None,
    })
}

/// The permissions of a key that may do everything here.
const PERMISSIONS: [&str; 9] = [
    "apiKeysRead",
    "apiKeysWrite",
    "candidatesRead",
    "candidatesWrite",
    "hiringProcessMetadataRead",
    "hiringProcessMetadataWrite",
    "interviewsRead",
    "jobsRead",
    "organizationRead",
];

async fn dispatch(account: &Account, method: &str, arguments: &Arguments) -> Reply {
    match method {
        "apiKey.info" => Ok(key_info(account)),
        "application.info" => applications::info(account, arguments),
        "application.list" => applications::list(account, arguments),
        "application.changeStage" => applications::change_stage(account, arguments),
        "candidate.info" => candidates::info(account, arguments),
        "candidate.createNote" => candidates::create_note(account, arguments),
        "candidate.listNotes" => candidates::list_notes(account, arguments),
        "candidate.addTag" => candidates::tag(account, arguments, true),
        "candidate.removeTag" => candidates::tag(account, arguments, false),
        "candidateTag.create" => candidates::create_tag(account, arguments),
        "candidateTag.list" => candidates::list_tags(account, arguments),
        "customField.list" => fields::list(account, arguments),
        "customField.setValue" => fields::set_value(account, arguments),
        "customField.setValues" => fields::set_values(account, arguments),
        "job.info" => jobs::info(account, arguments),
        "job.list" => jobs::list(account, arguments),
        "jobInterviewPlan.info" => jobs::interview_plan(account, arguments),
        "interviewPlan.list" => jobs::plans(account, arguments),
        "interviewStage.list" => jobs::stages(account, arguments),
        "interviewStage.info" => jobs::stage(account, arguments),
        "archiveReason.list" => jobs::archive_reasons(arguments),
        "user.list" => jobs::users(account, arguments),
        "user.info" => jobs::user(account, arguments),
        "webhook.create" => webhooks::create(account, arguments).await,
        "webhook.info" => webhooks::info(account, arguments),
        "webhook.update" => webhooks::update(account, arguments).await,
        "webhook.delete" => webhooks::delete(account, arguments),
        "assessment.update" => assessments::update(account, arguments),
        other => Err(refuse("not_found", format!("there is no method {other}"))),
    }
}

fn key_info(account: &Account) -> Value {
    let missing = &account.lock().missing_permissions;
    let scopes: Vec<_> = PERMISSIONS.iter().filter(|scope| !missing.contains(**scope)).collect();
    results(json!({ "title": "Hub", "createdAt": "2026-01-05T09:00:00.000Z", "scopes": scopes }))
}
