//! The calls Ashby makes to an assessment partner. The documents do not say how often it tries or how it authenticates;
//! here it asks once, as somebody pressed a button, with Basic authentication and the partner's key as the user.

use super::{Account, shape, world::Assessment};
use serde_json::{Map, Value, json};
use std::sync::PoisonError;

/// The partner could not be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the partner was not reached: {0}")]
pub struct PartnerCallFailed(String);

impl Account {
    /// Asks for the assessments on offer: HTTP status and body.
    ///
    /// # Errors
    /// If the partner was not reached in time.
    pub async fn list_assessments(&self) -> Result<(u16, Value), PartnerCallFailed> {
        self.call_partner("assessment.list", &json!({})).await
    }

    /// A recruiter starts an assessment for an application: HTTP status and body. A first `update_request` in the answer
    /// is taken over, as Ashby does.
    ///
    /// # Errors
    /// If there is no such application, or the partner was not reached in time.
    pub async fn start_assessment(&self, application: &str, kind: &str) -> Result<(u16, Value), PartnerCallFailed> {
        let request = self.start_request(application, kind).ok_or_else(|| PartnerCallFailed(format!("no application `{application}`")))?;
        let (status, body) = self.call_partner("assessment.start", &request).await?;
        if let Some(id) = body.pointer("/results/assessment_id").and_then(Value::as_str) {
            let assessment = Assessment { application: application.to_owned(), kind: kind.to_owned(), started: None, update: Value::Null };
            self.lock().assessments.insert(id.to_owned(), assessment);
        }
        if let Some(update) = body.pointer("/results/update_request").and_then(Value::as_object) {
            self.take_update(update).map_err(|refusal| PartnerCallFailed(refusal.message))?;
        }
        Ok((status, body))
    }

    /// A recruiter cancels an assessment: HTTP status and body.
    ///
    /// # Errors
    /// If the partner was not reached in time.
    pub async fn cancel_assessment(&self, assessment: &str) -> Result<(u16, Value), PartnerCallFailed> {
        self.call_partner("assessment.cancel", &json!({ "assessment_id": assessment })).await
    }

    /// The latest update the partner sent about an assessment.
    #[must_use]
    pub fn assessment(&self, id: &str) -> Option<Value> {
        let world = self.lock();
        let it = world.assessments.get(id)?;
        Some(json!({ "application": it.application, "type": it.kind, "started": it.started, "update": it.update }))
    }

    fn start_request(&self, application: &str, kind: &str) -> Option<Value> {
        let world = self.lock();
        let it = world.applications.get(application)?;
        let (candidate, job) = (world.candidates.get(&it.candidate)?, world.jobs.get(&it.job)?);
        let (first, last) = candidate.name.split_once(' ').unwrap_or((&candidate.name, ""));
        let recruiter = it.recruiter.as_ref().or(job.recruiter.as_ref());
        Some(json!({
            "assessment_type_id": kind,
            "candidate": { "ashby_id": candidate.id, "first_name": first, "last_name": last, "email": candidate.email,
                           "ashby_profile_url": shape::profile_url(&candidate.id) },
            "application": { "ashby_id": it.id, "status": it.status.word() },
            "job": { "ashby_id": job.id, "name": job.title, "ashby_job_url": format!("https://app.ashbyhq.com/jobs/{}", job.id),
                     "hiringTeam": shape::hiring_team(&world, recruiter) }
        }))
    }

    async fn call_partner(&self, call: &str, body: &Value) -> Result<(u16, Value), PartnerCallFailed> {
        let (base, key) = self.inner.partner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let base = base.ok_or_else(|| PartnerCallFailed("no partner base URL is set".to_owned()))?;
        let request = self.inner.client.post(format!("{}/{call}", base.trim_end_matches('/'))).json(body);
        let request = request.basic_auth(key.unwrap_or_default(), None::<&str>);
        let failed = |why: reqwest::Error| PartnerCallFailed(why.to_string());
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(failed)?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub(crate) fn take_update(&self, update: &Map<String, Value>) -> Result<Value, super::api::Refusal> {
        super::api::assessments::update(self, update)
    }
}
