//! Ashby's objects ↔ the hub's words. Pure.

use super::fields::{custom_field, email, hiring_team, id, line, link, past, phone};
use atshub_actors::domain::{Ended, Snapshot};
use atshub_schemas::{
    ExternalId, Link,
    fact::{Application, ApplicationChange, Candidate, CandidateUpdate, Job, Stage},
    text::key,
};
use reqwest::Url;
use serde_json::Value;

/// The link of an application: ours, made from the ids, because Ashby gives none (see the setting `app_base`).
pub(super) fn application_url(app_base: &Url, candidate: &ExternalId, application: &ExternalId) -> Option<Link> {
    let mut url = app_base.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["candidates", candidate.as_str(), "applications", application.as_str()]);
    Link::new(url).ok()
}

/// `data.application` of a webhook, or the result of `application.info`, which have the same fields. `None` without an id.
pub(super) fn snapshot(application: &Value, app_base: &Url) -> Option<Snapshot> {
    let application_id = id(application, "/id")?;
    let candidate =
        application.get("candidate").filter(|candidate| candidate.is_object()).map_or_else(Candidate::default, |candidate| Candidate {
            id: id(candidate, "/id"),
            name: line(candidate, "/name"),
            email: email(candidate, "/primaryEmailAddress/value"),
            phone: phone(candidate, "/primaryPhoneNumber/value"),
            profile_url: None,
        });
    let (recruiter, followers) = hiring_team(application, "/hiringTeam");
    let url = candidate.id.as_ref().and_then(|candidate| application_url(app_base, candidate, &application_id));
    Some(Snapshot {
        application: Application { id: application_id, url, status: line(application, "/status") },
        candidate,
        job: Job { id: id(application, "/job/id"), title: line(application, "/job/title"), role: None, recruiter: None, followers },
        recruiter,
        grader: None,
        stage: application
            .get("currentInterviewStage")
            .filter(|stage| stage.is_object())
            .map(|stage| Stage { id: id(stage, "/id"), name: line(stage, "/title") }),
        ended: ended(application),
        as_of: application.get("updatedAt").and_then(past),
    })
}

/// Ashby's `status` of an application: `Active` and `Lead` are open (Ashby, application.info).
fn ended(application: &Value) -> Option<Ended> {
    match key(application.get("status").and_then(Value::as_str).unwrap_or_default()).as_str() {
        "archived" => Some(Ended::Archived),
        "hired" => Some(Ended::Hired),
        _ => None,
    }
}

/// Fills in what only `candidate.info` has: the person's page, and a phone or address that the application left out.
pub(super) fn add_candidate(snapshot: &mut Snapshot, candidate: &Value) {
    let known = &mut snapshot.candidate;
    known.profile_url = link(candidate, "/profileUrl");
    known.name = known.name.take().or_else(|| line(candidate, "/name"));
    known.email = known
        .email
        .take()
        .or_else(|| email(candidate, "/primaryEmailAddress/value"))
        .or_else(|| email(candidate, "/emailAddresses/0/value"));
    if known.phone.as_ref().is_none_or(|phone| phone.as_str().is_empty()) {
        let primary = phone(candidate, "/primaryPhoneNumber/value").filter(|phone| !phone.as_str().is_empty());
        known.phone = primary.or_else(|| phone(candidate, "/phoneNumbers/0/value"));
    }
}

/// Fills in what only `job.info` has: the role field, and the hiring team for applications that have none of their own.
pub(super) fn add_job(snapshot: &mut Snapshot, found: &Value, role_field: &str) {
    let of_job = job(found, role_field);
    let known = &mut snapshot.job;
    known.title = known.title.take().or(of_job.title);
    known.role = of_job.role;
    known.recruiter = of_job.recruiter;
    if known.followers.is_empty() {
        known.followers = of_job.followers;
    }
}

/// `data.job` of a webhook, or the result of `job.info`.
pub(super) fn job(job: &Value, role_field: &str) -> Job {
    let (recruiter, followers) = hiring_team(job, "/hiringTeam");
    Job { id: id(job, "/id"), title: line(job, "/title"), role: custom_field(job.get("customFields"), role_field), recruiter, followers }
}

/// What a snapshot says as a change of its application. Ashby tells the new stage only.
pub(super) fn change(snapshot: Snapshot, application: &Value) -> ApplicationChange {
    ApplicationChange {
        application: snapshot.application,
        candidate: said(snapshot.candidate),
        job: said_job(snapshot.job),
        recruiter: snapshot.recruiter,
        grader: snapshot.grader,
        from_stage: None,
        to_stage: snapshot.stage,
        reason: line(application, "/archiveReason/text"),
    }
}

/// What a snapshot says as news of its person.
pub(super) fn update(snapshot: Snapshot) -> CandidateUpdate {
    CandidateUpdate {
        candidate: snapshot.candidate,
        application: Some(snapshot.application),
        job: said_job(snapshot.job),
        recruiter: snapshot.recruiter,
        grader: snapshot.grader,
        to_stage: snapshot.stage,
    }
}

fn said(candidate: Candidate) -> Option<Candidate> {
    (candidate != Candidate::default()).then_some(candidate)
}

fn said_job(job: Job) -> Option<Job> {
    (job != Job::default()).then_some(job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Url {
        Url::parse("https://app.ashbyhq.com").unwrap()
    }

    #[test]
    fn the_link_of_an_application_is_stable_and_safe() {
        let link = |c: &str, a: &str| application_url(&base(), &c.parse().unwrap(), &a.parse().unwrap()).unwrap().to_string();
        assert_eq!(link("c-1", "a-2"), "https://app.ashbyhq.com/candidates/c-1/applications/a-2");
        assert_eq!(link("../x?y#z", "a/b"), "https://app.ashbyhq.com/candidates/..%2Fx%3Fy%23z/applications/a%2Fb");
    }

    #[test]
    fn what_the_application_leaves_out_comes_from_person_and_job() {
        let application = json!({"id": "a", "candidate": {"id": "c", "name": "Ada"}, "job": {"id": "j"}, "hiringTeam": []});
        let mut snapshot = snapshot(&application, &base()).unwrap();
        let person = json!({"name": "Other", "emailAddresses": [{"value": "ada@example.org"}], "phoneNumbers": [{"value": "+441234567"}], "profileUrl": "https://app.ashbyhq.com/c/1"});
        add_candidate(&mut snapshot, &person);
        let team = json!([{"email": "ria@acme.example", "role": "Recruiter"}, {"email": "joe@acme.example", "role": "Boss"}]);
        add_job(
            &mut snapshot,
            &json!({"title": "Engineer", "customFields": [{"title": "Karat Role", "value": "R7"}], "hiringTeam": team}),
            "Karat Role",
        );
        assert_eq!(snapshot.candidate.name.unwrap().as_str(), "Ada");
        assert_eq!(snapshot.candidate.phone.unwrap().as_str(), "+441234567");
        assert_eq!(snapshot.candidate.email.unwrap().as_str(), "ada@example.org");
        assert_eq!(snapshot.job.role.unwrap().as_str(), "R7");
        assert_eq!(snapshot.job.followers.len(), 1);
        assert_eq!(snapshot.job.recruiter.unwrap().email.unwrap().as_str(), "ria@acme.example");
    }
}
