//! What Ashby's webhooks mean. One webhook gives at most one fact; related webhooks of one event (a hire comes as three)
//! give one each, and the rules downstream collapse them.

use super::{fields, mapping};
use crate::ats::{Account, Heard, Refused};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message, MessageId, TenantName,
    fact::{CandidateMerge, JobUpdate, MergedCandidate},
    text::key,
};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Namespace of the ids made here (UUID version 5, RFC 9562).
const NAMESPACE: Uuid = Uuid::from_u128(0x6f9c_1d0e_5b7a_4c55_9d2e_31a8_c4f0_7be1);

pub(super) fn heard(account: &Account, app_base: &Url, raw: &[u8], body: &Value, now: Timestamp) -> Result<Heard, Refused> {
    let Some(action) = body.get("action").and_then(Value::as_str) else {
        return Err(missing("action"));
    };
    let application = || body.pointer("/data/application").filter(|a| a.is_object()).ok_or_else(|| missing("data.application"));
    let snapshot = || mapping::snapshot(application()?, app_base).ok_or_else(|| missing("data.application.id"));
    let at = |pointer: &str| fields::time(body, pointer, now);
    let fact = |about: &str, id: &ExternalId, time: Timestamp, message: Message| {
        Ok(Heard::Facts(vec![Envelope {
            id: message_id(&account.tenant, body, action, id, raw)?,
            source: source(&account.tenant)?,
            tenant: account.tenant.clone(),
            subject: ExternalId::new(format!("{about}/{id}")).ok(),
            time,
            traceparent: None,
            message,
        }]))
    };
    match action {
        "candidateStageChange" | "candidateHire" | "applicationSubmit" => {
            let (change, time) = (mapping::change(snapshot()?, application()?), at("/data/application/updatedAt"));
            let id = change.application.id.clone();
            let status = key(change.application.status.as_ref().map(Line::as_str).unwrap_or_default());
            let message = match status.as_str() {
                _ if action == "candidateHire" => Message::ApplicationHired(change),
                "hired" => Message::ApplicationHired(change),
                "archived" => Message::ApplicationArchived(change),
                _ => Message::ApplicationMoved(change),
            };
            fact("application", &id, time, message)
        }
        "applicationUpdate" => {
            let snapshot = snapshot()?;
            let id = snapshot.application.id.clone();
            fact("application", &id, at("/data/application/updatedAt"), Message::CandidateUpdated(mapping::update(snapshot)))
        }
        "candidateMerge" => {
            let side = |name: &str| fields::id(body, &format!("/data/{name}/id")).ok_or_else(|| missing(&format!("data.{name}.id")));
            let (from, into) = (side("deletedCandidate")?, side("mergedCandidate")?);
            let message = CandidateMerge { from: MergedCandidate { id: from.clone() }, into: MergedCandidate { id: into } };
            fact("candidate", &from, now, Message::CandidateMerged(message))
        }
        "jobUpdate" => {
            let job = body.pointer("/data/job").filter(|job| job.is_object()).ok_or_else(|| missing("data.job"))?;
            let job = mapping::job(job, &account.policy.role_field);
            let id = job.id.clone().ok_or_else(|| missing("data.job.id"))?;
            fact("job", &id, at("/data/job/updatedAt"), Message::JobUpdated(JobUpdate { job }))
        }
        "ping" => Ok(Heard::Nothing("a ping: Ashby tries whether the address answers".into())),
        "candidateDelete" => {
            Ok(Heard::Nothing("a deleted person is named by Ashby without their applications, and no fact can say so".into()))
        }
        "interviewPlanTransition" => {
            Ok(Heard::Nothing("the job's interview plan changed; trigger stages given by id have to be set anew by the operator".into()))
        }
        other => {
            let name: String = other.chars().filter(|c| c.is_ascii_alphanumeric()).take(64).collect();
            Ok(Heard::Nothing(format!("`{name}` is an event that the hub has no use for")))
        }
    }
}

/// `webhookActionId` is the same for repeats and for the related webhooks of one event, so the action belongs to the key; so
/// does the object, because nothing says that one action id cannot cover many (a bulk move). Without it, the body itself.
fn message_id(tenant: &TenantName, body: &Value, action: &str, object: &ExternalId, raw: &[u8]) -> Result<MessageId, Refused> {
    let name = match body.get("webhookActionId").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        Some(delivery) => format!("{tenant}\n{delivery}\n{action}\n{object}"),
        None => format!("{tenant}\n{}", hex::encode(Sha256::digest(raw))),
    };
    id_of(&name)
}

pub(super) fn id_of(name: &str) -> Result<MessageId, Refused> {
    MessageId::new(Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()).map_err(|error| fault(&error.to_string()))
}

pub(super) fn source(tenant: &TenantName) -> Result<Line, Refused> {
    Line::new(format!("/ats/ashby/{tenant}")).map_err(|error| fault(&error.to_string()))
}

fn fault(detail: &str) -> Refused {
    Refused { status: 503, code: "fault_in_the_hub", detail: detail.into(), next_step: "report it; Ashby will send it again".into() }
}

/// 422 and not 404: Ashby tries again, which is harmless, and the answer stands in its log for the customer to see.
fn missing(field: &str) -> Refused {
    Refused {
        status: 422,
        code: "missing_field",
        detail: format!("`{field}` is missing, of another type, or an id with a control character or a direction mark in it"),
        next_step: "compare with Ashby's webhook documentation; if Ashby changed it, report it".into(),
    }
}
