//! `application.*`: reading, listing with sync tokens, and changing the stage.

use super::{Arguments, Refusal, Reply, decode, encode, limit, refuse, results, text};
use crate::ashby::{Account, shape};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

fn not_found() -> Refusal {
    refuse("application_not_found", "Application not found")
}

pub(super) fn info(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let it = world.applications.get(text(arguments, "applicationId")?).ok_or_else(not_found)?;
    let mut shape = shape::application(&world, it);
    shape["applicationHistory"] = shape::history(&world, it);
    Ok(results(shape))
}

/// Where a list stands: everything after `since` was asked for, everything up to `after` was given.
#[derive(Debug, Default, Deserialize)]
struct Cursor {
    since: u64,
    after: u64,
}

pub(super) fn list(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let since = match arguments.get("syncToken") {
        None | Some(Value::Null) => 0,
        Some(token) => decode::<u64>(token).ok_or_else(|| refuse("invalid_input", "syncToken is not valid"))?,
    };
    if since > 0 && since < world.oldest_token {
        return Err(refuse("sync_token_expired", "The syncToken has expired, a full sync is needed"));
    }
    let cursor = match arguments.get("cursor") {
        None | Some(Value::Null) => Cursor { since, after: since },
        Some(cursor) => decode::<Cursor>(cursor).ok_or_else(|| refuse("invalid_input", "cursor is not valid"))?,
    };
    let created_after = match arguments.get("createdAfter") {
        None | Some(Value::Null) => None,
        Some(at) => {
            let at = at.as_i64().and_then(|millis| Timestamp::from_millisecond(millis).ok());
            Some(at.ok_or_else(|| refuse("invalid_input", "createdAfter must be in epoch milliseconds"))?)
        }
    };
    let is = |name: &str, has: &str| arguments.get(name).and_then(Value::as_str).is_none_or(|wanted| wanted == has);
    let mut rows: Vec<_> = world
        .applications
        .values()
        .filter(|it| it.revision > cursor.after && created_after.is_none_or(|after| it.created > after))
        .filter(|it| is("status", it.status.word()) && is("jobId", &it.job))
        .collect();
    rows.sort_by_key(|it| it.revision);
    let size = limit(arguments)?;
    let more = rows.len() > size;
    rows.truncate(size);
    let mut reply = results(rows.iter().map(|it| shape::application(&world, it)).collect());
    reply["moreDataAvailable"] = json!(more);
    if let (true, Some(last)) = (more, rows.last()) {
        reply["nextCursor"] = json!(encode(&json!({ "since": cursor.since, "after": last.revision })));
    } else {
        reply["syncToken"] = json!(encode(&json!(world.revision)));
    }
    Ok(reply)
}

pub(super) fn change_stage(account: &Account, arguments: &Arguments) -> Reply {
    let mut world = account.lock();
    let application = text(arguments, "applicationId")?;
    world.applications.get(application).ok_or_else(not_found)?;
    let wanted = text(arguments, "interviewStageId")?;
    let stage = world.stages.iter().position(|stage| stage.id == wanted);
    let stage = stage.ok_or_else(|| refuse("interview_stage_not_found", "Interview stage not found"))?;
    let (kind, title) = (world.stages[stage].kind, world.stages[stage].title.clone());
    if kind == "Archived" && arguments.get("archiveReasonId").and_then(Value::as_str).is_none() {
        return Err(refuse("invalid_input", "archiveReasonId is required to move to an Archived stage"));
    }
    account.change_stage(&mut world, application, stage);
    account.inner.ledger.record("stage", application, None, json!(title));
    let it = world.applications.get(application).ok_or_else(not_found)?;
    Ok(results(shape::application(&world, it)))
}
