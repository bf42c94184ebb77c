//! What people do in Ashby, for a simulator in a process of its own: `POST /simulate/<act>` with a JSON body of the act's
//! arguments. Answers `{"id": …}`, or 400 with the reason.

use super::{Account, CandidateChange, NewCandidate};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

const ACTS: &str = "set_hook_url, set_partner, add_job, set_job_role, add_candidate, update_candidate, move_stage, set_recruiter, transfer, \
                    hire, archive, delete, merge, repeat_last_webhook, list_assessments, start_assessment, cancel_assessment, \
                    wait_until_idle, deliveries";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Act {
    url: String,
    key: String,
    title: String,
    role: Option<String>,
    recruiter: Option<String>,
    job: String,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    application: String,
    candidate: String,
    into: String,
    stage: String,
    assessment: String,
}

pub(super) fn routes(config: &mut web::ServiceConfig, account: &Account) {
    config.app_data(web::Data::new(account.clone())).route("/simulate/{act}", web::post().to(simulate));
}

async fn simulate(act: web::Path<String>, body: web::Json<Act>, account: web::Data<Account>) -> HttpResponse {
    match perform(&act, body.into_inner(), &account).await {
        Ok(done) => HttpResponse::Ok().json(done),
        Err(why) => HttpResponse::BadRequest().json(json!({ "error": why })),
    }
}

async fn perform(act: &str, it: Act, account: &Account) -> Result<Value, String> {
    let person = if it.candidate.is_empty() { &it.application } else { &it.candidate };
    let id = match act {
        "set_hook_url" => {
            account.set_hook_url(&it.url);
            Ok(String::new())
        }
        "set_partner" => {
            account.set_partner(&it.url, &it.key);
            Ok(String::new())
        }
        "add_job" => Ok(account.add_job(&it.title, it.role.as_deref(), it.recruiter.as_deref()).await),
        "set_job_role" => account.set_job_role(&it.job, it.role.as_deref()).await,
        "add_candidate" => {
            let (name, email) = (it.name.unwrap_or_default(), it.email.unwrap_or_default());
            account.add_candidate(NewCandidate { name, email, phone: it.phone, job: it.job, recruiter_email: it.recruiter }).await
        }
        "update_candidate" => account.update_candidate(person, CandidateChange { name: it.name, email: it.email, phone: it.phone }).await,
        "move_stage" => account.move_stage(&it.application, &it.stage).await,
        "set_recruiter" => account.set_recruiter(&it.application, it.recruiter.as_deref().unwrap_or_default()).await,
        "transfer" => account.transfer(&it.application, &it.job).await,
        "hire" => account.hire(&it.application).await,
        "archive" => account.archive(&it.application).await,
        "delete" => account.delete(person).await,
        "merge" => account.merge(person, &it.into).await,
        "repeat_last_webhook" => account.repeat_last_webhook(&it.application).await.map(|()| String::new()),
        "list_assessments" => return partner_answer(account.list_assessments().await),
        "start_assessment" => return partner_answer(account.start_assessment(&it.application, &it.assessment).await),
        "cancel_assessment" => return partner_answer(account.cancel_assessment(&it.assessment).await),
        "wait_until_idle" => {
            account.wait_until_idle().await;
            Ok(String::new())
        }
        "deliveries" => {
            let it = account.deliveries();
            return Ok(json!({ "pending": it.pending, "attempts": it.attempts, "delivered": it.delivered, "lost": it.lost() }));
        }
        other => return Err(format!("no act `{other}`: one of {ACTS}")),
    };
    id.map(|id| json!({ "id": id })).map_err(|why| why.to_string())
}

fn partner_answer(answer: Result<(u16, Value), super::PartnerCallFailed>) -> Result<Value, String> {
    answer.map(|(status, body)| json!({ "status": status, "body": body })).map_err(|why| why.to_string())
}
