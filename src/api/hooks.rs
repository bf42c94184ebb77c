//! `POST /hooks/{tenant}`: the ATS's own webhooks. The connector checks the signature on the raw body and says what it means;
//! what it means is durable before the ATS hears 2xx.

use super::{Doors, Problem, headers, seat};
use crate::ats::{Heard, Raw};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

/// Takes a webhook.
pub(super) async fn receive(
    doors: web::Data<Doors>,
    tenant: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    match taken(&doors, &tenant, &request, body).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(),
    }
}

async fn taken(
    doors: &Doors,
    tenant: &str,
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let body = body.map_err(|error| unread(&error, doors))?;
    let seat = seat(doors, tenant)?;
    let inbound = seat.entry.and_then(|entry| entry.inbound).ok_or_else(|| {
        let detail = "this tenant's ATS sends no webhooks to the hub";
        Problem::new(404, "no_webhooks", detail, "publish its facts through its bridge, on atshub.events")
    })?;
    let headers = headers(request);
    let heard = inbound.hook(&seat.account, Raw { headers: &headers, body: &body }, doors.clock.now())?;
    match heard {
        Heard::Facts(facts) => {
            let count = facts.len();
            doors.take(facts).await?;
            Ok(HttpResponse::Ok().json(json!({ "accepted": count })))
        }
        Heard::Nothing(why) => Ok(HttpResponse::Ok().json(json!({ "accepted": 0, "why": why }))),
    }
}

/// Why a body could not be read.
pub(super) fn unread(error: &actix_web::Error, doors: &Doors) -> Problem {
    if error.as_response_error().status_code().as_u16() == 413 {
        let detail = format!("the body is larger than {} bytes", doors.limits.body);
        return Problem::new(413, "too_large", detail, "send less; what is left out is read from the ATS where its connector can");
    }
    Problem::new(400, "unreadable_body", "the body did not arrive whole", "send it again, in one piece")
}
