//! Answers to Ashby's assessment-partner calls, in the shapes its specification gives (reference/assessments,
//! docs/creating-an-assessments-integration). Problems a recruiter can solve go back as 422 `{"message"}`, which Ashby shows.

use super::{
    fields::{email, hiring_team, id, line, link},
    hook, mapping,
};
use crate::ats::{Account, PartnerAnswer, PartnerContext};
use atshub_actors::{
    domain::{InviteError, State},
    ports::PlatformRole,
};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message,
    fact::{Application, Assessment, AssessmentEnd, AssessmentOrder, Candidate, Job},
};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) const LIST: &str = "assessment.list";
pub(super) const START: &str = "assessment.start";
pub(super) const CANCEL: &str = "assessment.cancel";

/// Namespace of the assessment types' ids: Ashby wants UUIDs, and the platform's role ids are none.
const TYPES: Uuid = Uuid::from_u128(0x2b1e_7a34_90cd_4f18_8f57_6ad3_0c9b_e542);

/// Namespace of the orders' ids.
const ORDERS: Uuid = Uuid::from_u128(0x8c55_0d6e_41b3_4d0c_b7f0_2f9a_77e1_5a06);

/// The assessment type that stands for this role.
fn type_of(role: &PlatformRole) -> String {
    Uuid::new_v5(&TYPES, role.id.as_str().as_bytes()).to_string()
}

pub(super) fn list(account: &Account, context: PartnerContext<'_>) -> PartnerAnswer {
    let platform = &account.policy.platform_name;
    let types: Vec<Value> = context
        .roles
        .iter()
        .map(|role| json!({"assessment_type_id": type_of(role), "name": role.name, "description": format!("{platform} interview: {}", role.name)}))
        .collect();
    answer(200, json!({"success": true, "results": types}))
}

/// The application that `assessment.start` is about.
pub(super) fn application(body: &Value) -> Option<ExternalId> {
    id(body, "/application/ashby_id")
}

pub(super) fn start(account: &Account, app_base: &Url, body: &Value, context: PartnerContext<'_>, now: Timestamp) -> PartnerAnswer {
    let Some(application_id) = application(body) else {
        return told(422, "The request names no application.");
    };
    let Some(chosen) = id(body, "/assessment_type_id") else {
        return told(422, "The request names no assessment.");
    };
    let role = context.roles.iter().find(|role| type_of(role).eq_ignore_ascii_case(chosen.as_str())).map(|role| role.id.clone());
    // A test id of the customer's own is taken if the tenant's table maps it to a role.
    let Some(test_id) = role.or_else(|| account.policy.roles.contains_key(chosen.as_str()).then_some(chosen)) else {
        return told(422, "This assessment is not offered any more. Please choose another one.");
    };
    let Some(address) = email(body, "/candidate/email") else {
        return told(422, &InviteError::EmailMissing.text(&account.policy.platform_name));
    };
    // The same request has the same order, however often Ashby sends it: made from what it orders, and how often that came to an end.
    let name = format!("{}\n{START}\n{application_id}\n{test_id}\n{}", account.tenant, context.application.ended);
    let order = Uuid::new_v5(&ORDERS, name.as_bytes()).to_string();
    let known = context.application.order.as_ref().is_some_and(|known| known.as_str() == order);
    if context.application.live && !known {
        return told(409, "This candidate is already being assessed for this application.");
    }
    let part = |name: &str| body.pointer(&format!("/candidate/{name}")).and_then(Value::as_str).unwrap_or_default();
    let candidate = Candidate {
        id: id(body, "/candidate/ashby_id"),
        name: Line::tamed(&format!("{} {}", part("first_name"), part("last_name"))),
        email: Some(address),
        phone: None,
        profile_url: link(body, "/candidate/ashby_profile_url"),
    };
    let (recruiter, followers) = hiring_team(body, "/job/hiringTeam");
    let (Ok(order_id), Ok(message_id), Ok(source)) = (ExternalId::new(order.as_str()), hook::id_of(&name), hook::source(&account.tenant))
    else {
        return told(503, "The order could not be taken. Please try again.");
    };
    let url = candidate.id.as_ref().and_then(|candidate| mapping::application_url(app_base, candidate, &application_id));
    let subject = ExternalId::new(format!("application/{application_id}")).ok();
    let message = Message::AssessmentOrdered(AssessmentOrder {
        assessment: Assessment { id: order_id, test_id: Some(test_id) },
        application: Application { id: application_id, url, status: line(body, "/application/status") },
        candidate: Some(candidate),
        job: Some(Job { id: id(body, "/job/ashby_id"), title: line(body, "/job/name"), role: None, recruiter: None, followers }),
        recruiter,
    });
    let fact = Envelope { id: message_id, subject, ..Envelope::new(source, account.tenant.clone(), now, message) };
    let received = State::Received;
    let word = account.policy.labels.get(received.code()).map_or("Received", String::as_str);
    let update = update_request(&order, now, word);
    PartnerAnswer {
        facts: vec![fact],
        ..answer(200, json!({"success": true, "results": {"assessment_id": order, "update_request": update}}))
    }
}

pub(super) fn cancel(account: &Account, body: &Value, now: Timestamp) -> PartnerAnswer {
    let Some(order) = id(body, "/assessment_id") else {
        return told(422, "The request names no assessment.");
    };
    // One cancellation for each order, however often Ashby asks.
    let (Ok(message_id), Ok(source)) = (hook::id_of(&format!("{}\n{CANCEL}\n{order}", account.tenant)), hook::source(&account.tenant))
    else {
        return told(503, "The cancellation could not be taken. Please try again.");
    };
    let reply = json!({"success": true, "results": {"assessment_id": order}});
    let subject = ExternalId::new(format!("assessment/{order}")).ok();
    let message = Message::AssessmentCancelled(AssessmentEnd { assessment: Assessment { id: order, test_id: None }, application: None });
    let fact = Envelope { id: message_id, subject, ..Envelope::new(source, account.tenant.clone(), now, message) };
    PartnerAnswer { facts: vec![fact], ..answer(200, reply) }
}

/// The body of `assessment.update` that shows a status.
pub(super) fn update_request(order: &str, now: Timestamp, status: &str) -> Value {
    json!({
        "assessment_id": order, "timestamp": now.as_millisecond(),
        "assessment_status": {"identifier": "status", "label": "Status", "type": "string", "value": status},
    })
}

fn told(status: u16, message: &str) -> PartnerAnswer {
    answer(status, json!({"message": message}))
}

fn answer(status: u16, body: Value) -> PartnerAnswer {
    PartnerAnswer { status, body, facts: Vec::new() }
}
