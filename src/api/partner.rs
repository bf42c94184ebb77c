//! `POST /partner/{tenant}/…`: calls of ATSs that ask the vendor of an assessment. The connector knows paths and shapes; the
//! door gives it the platform's roles and whether the application has a live candidacy, and makes its facts durable.

use super::{Doors, OUR_FAULT_WAIT, Problem, headers, hooks::unread, seat};
use crate::ats::{PartnerContext, Raw};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use atshub_actors::domain::{Dossier, Lookup};

/// Answers a partner call.
pub(super) async fn answer(
    doors: web::Data<Doors>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> HttpResponse {
    let (tenant, path) = path.into_inner();
    match answered(&doors, &tenant, &path, &request, body).await {
        Ok(answer) => answer,
        Err(problem) => problem.answer(),
    }
}

async fn answered(
    doors: &Doors,
    tenant: &str,
    path: &str,
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let body = body.map_err(|error| unread(&error, doors))?;
    let seat = seat(doors, tenant)?;
    let nowhere = || {
        Problem::new(
            404,
            "no_such_path",
            "this tenant's ATS has no partner call of that path",
            "look the path up in the connector's documentation",
        )
    };
    let inbound = seat.entry.and_then(|entry| entry.inbound).ok_or_else(nowhere)?;
    let needs_roles = inbound.partner_needs_roles(path).ok_or_else(nowhere)?;
    let headers = headers(request);
    let raw = Raw { headers: &headers, body: &body };
    let roles = match &seat.platform {
        Some(platform) if needs_roles => platform.roles().await.map_err(|failure| {
            tracing::warn!(code = failure.code(), "a partner call waits for the platform's roles");
            Problem::ours("platform_away", "the interview platform does not say which roles it has", OUR_FAULT_WAIT)
        })?,
        None if needs_roles => return Err(Problem::ours("no_platform", "this tenant's platform account is not set up", OUR_FAULT_WAIT)),
        _ => Vec::new(),
    };
    let live = match inbound.partner_application(path, raw) {
        Some(application) => {
            let found = doors.store.dossiers(&seat.record.name, Lookup::Application(application)).await;
            let found = found.map_err(|_| Problem::ours("store_away", "the hub's store is away", OUR_FAULT_WAIT))?;
            found.first().and_then(Dossier::current).is_some_and(|c| c.state.is_live())
        }
        None => false,
    };
    let answer = inbound.partner(&seat.account, path, raw, PartnerContext { roles: &roles, live }, doors.clock.now())?;
    doors.take(answer.facts).await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(HttpResponse::build(status).json(answer.body))
}
