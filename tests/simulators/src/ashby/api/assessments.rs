//! `assessment.update`: the partner's word on an assessment that was started from Ashby.

use super::{Arguments, Refusal, Reply, refuse, results, text};
use crate::ashby::Account;
use serde_json::{Value, json};

/// An epoch time below this was given in seconds: in milliseconds it would be 1973.
const EARLIEST_MILLIS: i64 = 100_000_000_000;

fn invalid(why: impl Into<String>) -> Refusal {
    refuse("invalid_input", why)
}

/// Checks a value object: `{identifier, label, description?, type, value}` with a value that fits its type.
fn value_object(name: &str, it: &Value) -> Result<(), Refusal> {
    let fields = it.as_object().ok_or_else(|| invalid(format!("{name} must be an object")))?;
    text(fields, "identifier").and(text(fields, "label")).map_err(|why| invalid(format!("{name}: {}", why.message)))?;
    let value = fields.get("value").unwrap_or(&Value::Null);
    let fits = match text(fields, "type")? {
        "numeric_score" | "numeric_duration_minutes" => value.is_number(),
        "url" | "string" => value.is_string(),
        "boolean_success" => value.is_boolean(),
        other => return Err(invalid(format!("{name}: there is no type {other}"))),
    };
    if fits { Ok(()) } else { Err(invalid(format!("{name}: value does not fit its type"))) }
}

pub(crate) fn update(account: &Account, arguments: &Arguments) -> Reply {
    let id = text(arguments, "assessment_id")?;
    let at = arguments.get("timestamp").and_then(Value::as_i64).filter(|at| *at > EARLIEST_MILLIS);
    let at = at.ok_or_else(|| invalid("timestamp is required, in epoch milliseconds"))?;
    let given = |name: &str| arguments.get(name).filter(|it| !it.is_null());
    for name in ["assessment_status", "assessment_profile_url", "assessment_result", "cancelled_reason"] {
        if let Some(it) = given(name) {
            value_object(name, it)?;
        }
    }
    if given("assessment_status").is_none() && given("cancelled_reason").is_none() {
        return Err(invalid("assessment_status is required unless cancelled_reason is given"));
    }
    let url = given("assessment_profile_url");
    if url.is_some_and(|it| it["type"] != "url") {
        return Err(invalid("assessment_profile_url must be of type url"));
    }
    if given("assessment_result").is_some() && url.is_none() {
        return Err(invalid("assessment_profile_url is required with assessment_result"));
    }
    let metadata =
        given("metadata").map_or(Ok(&[][..]), |it| it.as_array().map(Vec::as_slice).ok_or_else(|| invalid("metadata must be a list")))?;
    for (index, it) in metadata.iter().enumerate() {
        value_object("metadata", it)?;
        if metadata[..index].iter().any(|other| other["identifier"] == it["identifier"]) {
            return Err(invalid("metadata identifiers must be unique"));
        }
    }
    let mut world = account.lock();
    let assessment = world.assessments.get_mut(id).ok_or_else(|| refuse("assessment_not_found", "Assessment not found"))?;
    if given("assessment_status").is_some_and(|it| it["value"] == "Started") {
        assessment.started = Some(at);
    }
    assessment.update = Value::Object(arguments.clone());
    let value = |name: &str| given(name).map(|it| it["value"].clone());
    let effect = json!({
        "assessment": id, "status": value("assessment_status"), "result": value("assessment_result"), "url": value("assessment_profile_url"),
        "cancelled_reason": value("cancelled_reason")
    });
    let application = assessment.application.clone();
    account.inner.ledger.record("assessment", &application, None, effect);
    Ok(results(json!({ "assessment_id": id })))
}
