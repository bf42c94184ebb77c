//! What an Ashby account has of what a tenant's settings name: stages of its interview plans, custom fields of applications and jobs
//! (`interviewPlan.list`, `interviewStage.list`, `customField.list`; developers.ashbyhq.com).

use super::client::{self, Client, Method};
use atshub_actors::{
    failure::Failure,
    ports::{Inventory, Named, Place},
};
use atshub_schemas::text::same;
use serde_json::{Value, json};

/// Interview plans whose stages are looked at.
const PLANS: usize = 100;

/// Looks everything up. What the key may not read is said in its place, and keeps nothing else from being looked at.
pub(super) async fn look(client: &Client) -> Inventory {
    let (stages, fields) = (stages(client).await, all(client, client::LIST_FIELDS, json!({})).await);
    let of = |kind: &str| match &fields {
        Ok(fields) => Ok(fields.iter().filter(|field| is_of(field, kind)).filter_map(place).collect()),
        Err(failure) => Err(failure.to_string()),
    };
    Inventory { stages: stages.map_err(|failure| failure.to_string()), application_fields: of("application"), job_fields: of("job") }
}

async fn stages(client: &Client) -> Result<Vec<Named>, Failure> {
    let mut found: Vec<Named> = Vec::new();
    for plan in all(client, client::LIST_PLANS, json!({})).await?.iter().take(PLANS) {
        let Some(id) = text(plan, "id") else { continue };
        for stage in all(client, client::LIST_STAGES, json!({ "interviewPlanId": id })).await? {
            if let (Some(id), Some(name)) = (text(&stage, "id"), text(&stage, "title")) {
                found.push(Named { id, name });
            }
        }
    }
    Ok(found)
}

/// All pages of a list.
async fn all(client: &Client, method: Method, body: Value) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    client
        .search(method, body, |item| {
            found.push(item.clone());
            None::<()>
        })
        .await?;
    Ok(found)
}

fn text(item: &Value, name: &str) -> Option<String> {
    item.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn is_of(field: &Value, kind: &str) -> bool {
    let archived = field.get("isArchived").and_then(Value::as_bool).unwrap_or(false);
    !archived && text(field, "objectType").is_some_and(|object| same(&object, kind))
}

fn place(field: &Value) -> Option<Place> {
    let choices = field.get("selectableValues").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    Some(Place { name: text(field, "title")?, choices: choices.iter().filter_map(|choice| text(choice, "label")).collect() })
}
