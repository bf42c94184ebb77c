//! `job.*`, the interview plan and its stages, users, archive reasons: reading only.

use super::{Arguments, Reply, page, refuse, results, text};
use crate::ashby::{ARCHIVE_REASON, Account, shape};
use serde_json::{Value, json};

pub(super) fn info(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let it = world.jobs.get(text(arguments, "id")?).ok_or_else(|| refuse("job_not_found", "Job not found"))?;
    Ok(results(shape::job(&world, it)))
}

pub(super) fn list(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    page(world.jobs.values().map(|it| shape::job(&world, it)).collect(), arguments)
}

pub(super) fn interview_plan(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let job = text(arguments, "jobId")?;
    world.jobs.get(job).ok_or_else(|| refuse("job_not_found", "Job not found"))?;
    let stages = (0..world.stages.len()).map(|index| {
        let mut stage = shape::stage(&world, index);
        stage["activities"] = json!([]);
        stage
    });
    Ok(results(json!({ "jobId": job, "interviewPlanId": world.plan, "stages": stages.collect::<Value>() })))
}

pub(super) fn plans(account: &Account, arguments: &Arguments) -> Reply {
    let plan = json!({ "id": account.lock().plan, "title": "Engineering", "isArchived": false });
    page(vec![plan], arguments)
}

pub(super) fn stages(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    if text(arguments, "interviewPlanId")? != world.plan {
        return Err(refuse("interview_plan_not_found", "Interview plan not found"));
    }
    page((0..world.stages.len()).map(|index| shape::stage(&world, index)).collect(), arguments)
}

pub(super) fn stage(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let wanted = text(arguments, "interviewStageId")?;
    let index = world.stages.iter().position(|stage| stage.id == wanted);
    let index = index.ok_or_else(|| refuse("interview_stage_not_found", "Interview stage not found"))?;
    Ok(results(shape::stage(&world, index)))
}

pub(super) fn archive_reasons(arguments: &Arguments) -> Reply {
    let reason = json!({ "id": ARCHIVE_REASON, "text": "Lacks Skills/Qualifications", "reasonType": "RejectedByOrg", "isArchived": false });
    page(vec![reason], arguments)
}

pub(super) fn users(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    page(world.users.iter().map(shape::user).collect(), arguments)
}

pub(super) fn user(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let wanted = text(arguments, "userId")?;
    let user = world.users.iter().find(|user| user.id == wanted).ok_or_else(|| refuse("user_not_found", "User not found"))?;
    Ok(results(shape::user(user)))
}
