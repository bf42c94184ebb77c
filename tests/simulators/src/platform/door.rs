//! HTTP around the schema: the bearer token, which operations a document names (for faults), and the control endpoints of
//! the separate process under `/simulate/`.

use super::{Controls, Guard, Shared, mutations::Mutations, queries::Queries};
use crate::faults;
use actix_web::{HttpRequest, HttpResponse, http::header, web};
use async_graphql::{
    EmptySubscription, Request, Schema,
    parser::{parse_query, types::Selection},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) type PlatformSchema = Schema<Queries, Mutations, EmptySubscription>;

/// Deeper than any published document (nine levels) and shallow enough to be harmless.
const MAX_DEPTH: usize = 20;

pub(super) fn schema(shared: Shared) -> PlatformSchema {
    Schema::build(Queries, Mutations, EmptySubscription).limit_depth(MAX_DEPTH).data(shared).finish()
}

pub(super) fn routes(config: &mut web::ServiceConfig, schema: PlatformSchema, controls: Controls) {
    config
        .app_data(web::Data::new(schema))
        .app_data(web::Data::new(controls))
        .route("/api/v1/graphql", web::post().to(graphql))
        .route("/simulate/{action}", web::post().to(simulate));
}

async fn graphql(request: HttpRequest, body: web::Bytes, schema: web::Data<PlatformSchema>, controls: web::Data<Controls>) -> HttpResponse {
    let token = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !token.is_some_and(|token| controls.accepts(token)) {
        return refusal();
    }
    let document: Request = match serde_json::from_slice(&body) {
        Ok(document) => document,
        Err(why) => return HttpResponse::BadRequest().json(json!({ "errors": [{ "message": why.to_string() }] })),
    };
    let operations = operations(&document);
    let fault = controls.faults().take(&operations.iter().map(String::as_str).collect::<Vec<_>>());
    let schema = schema.get_ref().clone();
    faults::answer(fault, refusal, async move { HttpResponse::Ok().json(schema.execute(document).await) }).await
}

/// Not in GraphQL's form: the published client takes this for the transport's error, and reports it as such.
fn refusal() -> HttpResponse {
    HttpResponse::Unauthorized().json(json!({ "error": "Unauthorized" }))
}

/// The root fields of a document; those that cannot be parsed have none, and are refused by the schema itself.
fn operations(request: &Request) -> Vec<String> {
    let Ok(document) = parse_query(&request.query) else { return vec![] };
    let fields = document.operations.iter().flat_map(|(_, operation)| &operation.node.selection_set.node.items);
    fields
        .filter_map(|item| match &item.node {
            Selection::Field(field) => Some(field.node.name.node.to_string()),
            Selection::FragmentSpread(_) | Selection::InlineFragment(_) => None,
        })
        .collect()
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Action {
    candidacy: String,
    state: String,
    id: String,
    name: String,
    seconds: u64,
}

async fn simulate(action: web::Path<String>, body: web::Json<Action>, controls: web::Data<Controls>) -> HttpResponse {
    let it = body.into_inner();
    let done = match action.as_str() {
        "set_interview_state" => controls.set_interview_state(&it.candidacy, &it.state).map_err(|why| why.to_string()),
        "offer_redo" => controls.offer_redo(&it.candidacy).map_err(|why| why.to_string()),
        "add_role" => {
            controls.add_role(&it.id, &it.name);
            Ok(())
        }
        "rename_role" => {
            controls.rename_role(&it.id, &it.name);
            Ok(())
        }
        "archive_role" => {
            controls.archive_role(&it.id);
            Ok(())
        }
        "guard" => match it.state.as_str() {
            "refuses_doubles" => {
                controls.set_guard(Guard::RefusesDoubles);
                Ok(())
            }
            "absent" => {
                controls.set_guard(Guard::Absent);
                Ok(())
            }
            other => Err(format!("no guard `{other}`: one of refuses_doubles, absent")),
        },
        "age" => {
            controls.age(Duration::from_secs(it.seconds));
            Ok(())
        }
        other => {
            Err(format!("no action `{other}`: one of set_interview_state, offer_redo, add_role, rename_role, archive_role, guard, age"))
        }
    };
    match done {
        Ok(()) => HttpResponse::Ok().json(Value::Object(serde_json::Map::new())),
        Err(why) => HttpResponse::BadRequest().json(json!({ "error": why })),
    }
}
