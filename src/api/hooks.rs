//! `POST /hooks/{tenant}`: the ATS's own webhooks.

use super::{
    Shared,
    intake::{self, Taken},
    problem::Problem,
};
use crate::ats::{Call, Heard};
use actix_web::{HttpRequest, HttpResponse, web};
use atshub_actors::spans;
use serde_json::json;
use tracing::Instrument;

/// Name of this door in counts.
const DOOR: &str = "hook";

/// Verified, understood, durable, then 202; 200 where nothing follows from it.
pub(super) async fn take(
    shared: web::Data<Shared>,
    path: web::Path<String>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let span = spans::of_request(DOOR, &path);
    let answer = work(&shared, &path, &request, &mut payload).instrument(span.clone()).await;
    let outcome = match &answer {
        Ok((outcome, _)) => outcome,
        Err(problem) => problem.code(),
    };
    shared.counters.count(DOOR, outcome);
    span.record("outcome", outcome);
    answer.map(|(_, response)| response).or_else(|problem| problem.over(payload))
}

async fn work(
    shared: &Shared,
    name: &str,
    request: &HttpRequest,
    payload: &mut web::Payload,
) -> Result<(&'static str, HttpResponse), Problem> {
    let Taken { door, inbound, request, in_hand: _in_hand } = intake::take(shared, name, Call::Hook, request, payload).await?;
    let tenant = &door.record.name;
    let now = shared.doors.clock.now();
    let heard = intake::guarded(shared, tenant, || inbound.hook(&door.account, &request, now))?;
    // Not kept while the store is waited for.
    drop(request);
    match heard? {
        Heard::Facts(facts) => {
            // By these, `atshub message show` tells what became of each.
            let messages: Vec<_> = facts.iter().map(|fact| fact.id.to_string()).collect();
            intake::keep(shared, tenant, facts).await?;
            Ok(("accepted", HttpResponse::Accepted().json(json!({ "accepted": messages.len(), "messages": messages }))))
        }
        Heard::Nothing(why) => Ok(("nothing", HttpResponse::Ok().json(json!({ "accepted": 0, "messages": [], "because": why })))),
    }
}
