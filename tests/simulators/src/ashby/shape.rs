//! Records as Ashby writes them in JSON, for webhooks and replies alike.

use super::world::{Application, Candidate, Fields, Job, Stage, User, World};
use jiff::Timestamp;
use serde_json::{Value, json};

/// ISO 8601, UTC, milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    format!("{at:.3}")
}

pub(crate) fn stage(world: &World, index: usize) -> Value {
    world.stages.get(index).map_or(Value::Null, |Stage { id, title, kind }| {
        json!({ "id": id, "title": title, "type": kind, "interviewPlanId": world.plan, "orderInInterviewPlan": index,
                "interviewStageGroupId": null })
    })
}

pub(crate) fn user(user: &User) -> Value {
    json!({ "id": user.id, "firstName": user.first, "lastName": user.last, "email": user.email, "globalRole": "Standard User",
            "isEnabled": true })
}

pub(crate) fn hiring_team(world: &World, recruiter: Option<&String>) -> Value {
    let member = |user: &User| json!({ "userId": user.id, "firstName": user.first, "lastName": user.last, "email": user.email, "role": "Recruiter" });
    world.users.iter().filter(|user| recruiter == Some(&user.id)).map(member).collect()
}

fn fields(world: &World, values: &Fields) -> Value {
    let shown = world.fields.iter().filter_map(|field| {
        let value = values.get(&field.id)?;
        Some(json!({ "id": field.id, "title": field.title, "isPrivate": false, "value": value }))
    });
    shown.collect()
}

fn email(candidate: &Candidate) -> Value {
    candidate.email.as_ref().map_or(Value::Null, |value| json!({ "value": value, "type": "Personal", "isPrimary": true }))
}

fn phone(candidate: &Candidate) -> Value {
    candidate.phone.as_ref().map_or(Value::Null, |value| json!({ "value": value, "type": "Personal", "isPrimary": true }))
}

fn list(one: Value) -> Value {
    Value::Array(if one.is_null() { vec![] } else { vec![one] })
}

pub(crate) fn profile_url(candidate: &str) -> String {
    format!("https://app.ashbyhq.com/candidates/{candidate}")
}

/// Where everybody here comes from.
fn source() -> Value {
    const INBOUND: &str = "00000000-0000-4000-8000-00000000000a";
    const APPLIED: &str = "00000000-0000-4000-8000-000000000009";
    json!({ "id": APPLIED, "title": "Applied", "isArchived": false, "sourceType": { "id": INBOUND, "title": "Inbound", "isArchived": false } })
}

pub(crate) fn application(world: &World, it: &Application) -> Value {
    let job = world.jobs.get(&it.job);
    let recruiter = it.recruiter.as_ref().or_else(|| job.and_then(|job| job.recruiter.as_ref()));
    let candidate = world.candidates.get(&it.candidate).map_or(Value::Null, |candidate| {
        json!({ "id": candidate.id, "name": candidate.name, "primaryEmailAddress": email(candidate), "primaryPhoneNumber": phone(candidate) })
    });
    let reason = it.archived.map_or(Value::Null, |_| {
        json!({ "id": super::ARCHIVE_REASON, "text": "Lacks Skills/Qualifications", "reasonType": "RejectedByOrg", "isArchived": false,
                "customFields": [] })
    });
    let mut shape = json!({
        "id": it.id, "createdAt": time(it.created), "updatedAt": time(it.updated), "candidate": candidate, "status": it.status.word(),
        "customFields": fields(world, &it.fields), "currentInterviewStage": stage(world, it.stage), "source": source(), "creditedToUser": null,
        "archiveReason": reason, "hiringTeam": hiring_team(world, recruiter), "appliedViaJobPostingId": null, "submitterClientIp": null,
        "submitterUserAgent": null,
        "job": job.map(|job| json!({ "id": job.id, "title": job.title, "locationId": null, "departmentId": null, "brandId": null })),
    });
    if let Some(at) = it.archived {
        shape["archivedAt"] = json!(time(at));
    }
    shape
}

pub(crate) fn history(world: &World, it: &Application) -> Value {
    let stays = it.history.iter().map(|stay| {
        let stage = world.stages.get(stay.stage);
        json!({ "id": stay.id, "stageId": stage.map(|stage| &stage.id), "title": stage.map(|stage| &stage.title), "stageNumber": stay.stage,
                "enteredStageAt": time(stay.entered), "leftStageAt": stay.left.map(time) })
    });
    stays.collect()
}

pub(crate) fn job(world: &World, it: &Job) -> Value {
    json!({
        "id": it.id, "title": it.title, "confidential": false, "status": "Open", "employmentType": "FullTime", "locationId": null,
        "departmentId": null, "defaultInterviewPlanId": world.plan, "interviewPlanIds": [world.plan], "customFields": fields(world, &it.fields),
        "jobPostingIds": [], "customRequisitionId": null, "brandId": null, "hiringTeam": hiring_team(world, it.recruiter.as_ref()),
        "author": null, "createdAt": time(it.created), "updatedAt": time(it.updated), "openedAt": time(it.created), "closedAt": null
    })
}

pub(crate) fn candidate(world: &World, it: &Candidate) -> Value {
    let tags = world.tags.iter().filter(|tag| it.tags.contains(&tag.id));
    json!({
        "id": it.id, "createdAt": time(it.created), "updatedAt": time(it.updated), "name": it.name,
        "primaryEmailAddress": email(it), "emailAddresses": list(email(it)), "primaryPhoneNumber": phone(it), "phoneNumbers": list(phone(it)),
        "socialLinks": [], "tags": tags.map(|tag| json!({ "id": tag.id, "title": tag.title, "isArchived": false })).collect::<Value>(),
        "applicationIds": world.applications_of(&it.id), "customFields": fields(world, &it.fields), "profileUrl": profile_url(&it.id),
        "timezone": null, "fraudStatus": null
    })
}
