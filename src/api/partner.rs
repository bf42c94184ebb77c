//! `POST /partner/{tenant}/…`: calls of ATSs that call the assessment vendor.

use super::{
    Shared, TenantDoor,
    intake::{self, Taken},
    problem::Problem,
};
use crate::ats::{Call, Ordered, PartnerContext};
use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use atshub_actors::{domain::Lookup, failure::Failure, ports::PlatformRole, spans};
use atshub_schemas::{ExternalId, TenantName};
use tokio::time::timeout;
use tracing::Instrument;

/// Name of this door in counts.
const DOOR: &str = "partner";

/// Answered by the connector; facts are durable before the ATS hears the answer.
pub(super) async fn answer(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    mut payload: web::Payload,
) -> Result<HttpResponse, Problem> {
    let (name, path) = path.into_inner();
    let span = spans::of_request(DOOR, &name);
    let answer = work(&shared, &name, &path, &request, &mut payload).instrument(span.clone()).await;
    let outcome = match &answer {
        Ok(_) => "answered",
        Err(problem) => problem.code(),
    };
    shared.counters.count(DOOR, outcome);
    span.record("outcome", outcome);
    answer.or_else(|problem| problem.over(payload))
}

async fn work(shared: &Shared, name: &str, path: &str, request: &HttpRequest, payload: &mut web::Payload) -> Result<HttpResponse, Problem> {
    let Taken { door, inbound, request, in_hand: _in_hand } = intake::take(shared, name, Call::Partner(path), request, payload).await?;
    let tenant = &door.record.name;
    let needs_roles = intake::guarded(shared, tenant, || inbound.partner_needs_roles(path))?.unwrap_or(false);
    let application = intake::guarded(shared, tenant, || inbound.partner_application(path, &request))?;
    let roles = if needs_roles { roles(shared, &door).await? } else { Vec::new() };
    let application = match application {
        Some(application) => ordered(shared, tenant, application).await?,
        None => Ordered::default(),
    };
    let (account, now) = (&door.account, shared.doors.clock.now());
    let context = PartnerContext { roles: &roles, application: &application };
    let answer = intake::guarded(shared, tenant, || inbound.partner(account, path, &request, context, now))??;
    intake::keep(shared, tenant, answer.facts).await?;
    let status = StatusCode::from_u16(answer.status).map_err(|_| Problem::ours("fault_in_hub", "a fault in the hub"))?;
    Ok(HttpResponse::build(status).json(answer.body))
}

/// The platform's roles; the adapter keeps them for a moment.
async fn roles(shared: &Shared, door: &TenantDoor) -> Result<Vec<PlatformRole>, Problem> {
    let away = || Problem::ours("platform_away", "the platform did not say which roles there are");
    let platform = door.platform.as_ref().ok_or_else(|| {
        Problem::ours("platform_missing", "the tenant's platform account is not set up")
            .next("`atshub platform list` and `atshub platform test`")
    })?;
    match timeout(shared.doors.limits.commit_time, platform.roles()).await {
        Ok(Ok(roles)) => Ok(roles),
        Ok(Err(Failure::RateLimited { retry_after })) => Err(away().again(retry_after)),
        Ok(Err(failure)) => {
            tracing::warn!(tenant = %door.record.name, code = failure.code(), "failed to read the platform's roles");
            Err(away())
        }
        Err(_) => Err(away()),
    }
}

async fn ordered(shared: &Shared, tenant: &TenantName, application: ExternalId) -> Result<Ordered, Problem> {
    let asked = timeout(shared.doors.limits.commit_time, shared.doors.store.dossiers(tenant, Lookup::Application(application))).await;
    let away = || Problem::ours("store_away", "the store is away");
    let found = asked.map_err(|_| away())?.map_err(|error| {
        tracing::warn!(%tenant, %error, "failed to look for a live candidacy");
        away()
    })?;
    let Some(dossier) = found.first() else { return Ok(Ordered::default()) };
    let live = dossier.candidacies.iter().any(|candidacy| candidacy.state.is_live());
    let asked: u32 = dossier.candidacies.iter().map(|candidacy| candidacy.intent).sum();
    Ok(Ordered { live, order: dossier.assessment.clone(), ended: if live { asked.saturating_sub(1) } else { asked } })
}
