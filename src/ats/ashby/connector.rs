//! One tenant's account at Ashby: reading an application whole, setting its status, adding a note once.

use super::{
    client::{self, Client, by_id, needed_permissions, strange},
    entry::{API_BASE, APP_BASE, CAPABILITIES},
    fields, inventory, mapping, partner,
};
use crate::{ats::Account, http::base_url};
use async_trait::async_trait;
use atshub_actors::{
    domain::{Policy, Snapshot},
    failure::Failure,
    ports::{Capabilities, Connector, Inventory, Written},
};
use atshub_schemas::{
    ExternalId, Line, Link, Prose,
    internal::{Write, WritebackRequested},
    text::same,
};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long the id of the status field is believed.
const FIELD_FRESH: Duration = Duration::from_secs(600);

/// One account.
pub(super) struct Ashby {
    client: Client,
    app_base: Url,
    policy: Arc<Policy>,
    /// The status field, once found. Never held across an await: an arbiter that stands still must not keep it.
    status_field: Mutex<Option<(Instant, StatusField)>>,
}

/// A custom field of applications.
#[derive(Clone)]
struct StatusField {
    id: String,
    /// Label and value of each choice; empty for a field of free text.
    choices: Vec<(String, String)>,
}

impl Ashby {
    /// # Errors
    /// A sentence that names the setting or secret that is missing or wrong.
    pub(super) fn new(account: Account) -> Result<Self, String> {
        let setting = |key: &str, error: String| format!("the setting `{key}` of tenant `{}` {error}", account.tenant);
        let key = client::key(&account)?;
        let app_base = base_url(account.setting(&APP_BASE)).map_err(|error| setting(APP_BASE.key, error))?;
        let client = Client::new(account.http.clone(), account.setting(&API_BASE), key).map_err(|error| setting(API_BASE.key, error))?;
        Ok(Self { client, app_base, policy: account.policy, status_field: Mutex::new(None) })
    }

    async fn application(&self, id: &ExternalId) -> Result<Option<Value>, Failure> {
        absent_as_none(self.client.call(client::APPLICATION_INFO, by_id("applicationId", id)).await)
    }

    /// The status field's id, and what its text is as a value of the field.
    async fn field(&self, text: &str) -> Result<(String, String), Failure> {
        let field = match self.known_field() {
            Some(field) => field,
            None => self.find_field().await?,
        };
        if field.choices.is_empty() {
            return Ok((field.id, text.to_owned()));
        }
        let choice = field.choices.into_iter().find(|(label, _)| same(label, text));
        choice.map(|(_, value)| (field.id, value)).ok_or_else(|| Failure::Rejected {
            code: "status_value_missing".into(),
            detail: format!(
                "the field `{}` in Ashby is a list that does not offer `{text}`; add it there, or make the field a text field",
                self.policy.status_field
            ),
        })
    }

    fn known_field(&self) -> Option<StatusField> {
        let known = self.status_field.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| at.elapsed() < FIELD_FRESH).map(|(_, field)| field.clone())
    }

    fn remember_field(&self, field: Option<StatusField>) {
        *self.status_field.lock().unwrap_or_else(PoisonError::into_inner) = field.map(|field| (Instant::now(), field));
    }

    async fn find_field(&self) -> Result<StatusField, Failure> {
        let pick = |field: &Value| {
            let text = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
            let archived = field.get("isArchived").and_then(Value::as_bool).unwrap_or(false);
            if archived || !same(text("objectType"), "application") || !same(text("title"), &self.policy.status_field) {
                return None;
            }
            let choices = field.get("selectableValues").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let part = |choice: &Value, name: &str| choice.get(name).and_then(Value::as_str).map(str::to_owned);
            let choices = choices.iter().filter_map(|choice| Some((part(choice, "label")?, part(choice, "value")?))).collect();
            Some(StatusField { id: text("id").to_owned(), choices })
        };
        let found = self.client.search(client::LIST_FIELDS, json!({}), pick).await?;
        let field = found.filter(|field| !field.id.is_empty()).ok_or_else(|| Failure::Rejected {
            code: "status_field_missing".into(),
            detail: format!(
                "Ashby has no custom field `{}` for applications; an Ashby admin adds a text field of that name (Admin, Custom Fields), or \
                 the tenant's `status_field` names the one to use",
                self.policy.status_field
            ),
        })?;
        self.remember_field(Some(field.clone()));
        Ok(field)
    }

    async fn set_status(&self, request: &WritebackRequested, code: &str, text: &Line, link: Option<&Link>) -> Result<Written, Failure> {
        if let Some(order) = &request.assessment {
            self.client.call(client::UPDATE_ASSESSMENT, assessment_update(order, code, text, link, Timestamp::now())).await?;
        }
        match self.set_field(&request.application, text).await {
            Err(failure) if request.assessment.is_some() && no_field(&failure) => {
                // The order shows the status; a customer who works with orders alone need not have the field.
                tracing::debug!(code = failure.code(), "status shown on the assessment order only");
                Ok(Written::Done { external_id: None })
            }
            outcome => outcome,
        }
    }

    async fn set_field(&self, application: &ExternalId, text: &Line) -> Result<Written, Failure> {
        let remembered = self.known_field().is_some();
        match self.try_field(application, text).await {
            // The field was deleted, or made anew under another id: what was remembered of it is no use.
            Err(Failure::Rejected { code, .. }) if remembered && code.contains("field") => {
                self.remember_field(None);
                self.try_field(application, text).await
            }
            outcome => outcome,
        }
    }

    async fn try_field(&self, application: &ExternalId, text: &Line) -> Result<Written, Failure> {
        let (field, value) = self.field(text.as_str()).await?;
        let body = json!({"objectId": application, "objectType": "Application", "fieldId": field, "fieldValue": value});
        self.client.call(client::SET_FIELD, body).await.map(|_| Written::Done { external_id: None })
    }

    /// The person whom the application names now, if that is another one.
    async fn successor(&self, request: &WritebackRequested, known: &ExternalId) -> Result<Option<ExternalId>, Failure> {
        let application = self.application(&request.application).await?;
        Ok(application.and_then(|application| fields::id(&application, "/candidate/id")).filter(|id| id != known))
    }

    async fn person(&self, request: &WritebackRequested) -> Result<ExternalId, Failure> {
        if let Some(candidate) = &request.candidate {
            return Ok(candidate.clone());
        }
        let application = self.application(&request.application).await?.ok_or_else(gone)?;
        fields::id(&application, "/candidate/id").ok_or_else(|| strange(client::APPLICATION_INFO, "its result names no candidate"))
    }
}

#[async_trait]
impl Connector for Ashby {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    async fn read(&self, application: &ExternalId) -> Result<Option<Snapshot>, Failure> {
        let Some(found) = self.application(application).await? else {
            return Ok(None);
        };
        let mut snapshot =
            mapping::snapshot(&found, &self.app_base).ok_or_else(|| strange(client::APPLICATION_INFO, "its result has no id"))?;
        if let Some(id) = snapshot.candidate.id.clone()
            && let Some(candidate) = absent_as_none(self.client.call(client::CANDIDATE_INFO, by_id("id", &id)).await)?
        {
            mapping::add_candidate(&mut snapshot, &candidate);
        }
        if let Some(id) = snapshot.job.id.clone()
            && let Some(job) = absent_as_none(self.client.call(client::JOB_INFO, by_id("id", &id)).await)?
        {
            mapping::add_job(&mut snapshot, &job, &self.policy.role_field);
        }
        Ok(Some(snapshot))
    }

    async fn write(&self, request: &WritebackRequested) -> Result<Written, Failure> {
        match &request.write {
            Write::Status { code, text, link, .. } => self.set_status(request, code.as_str(), text, link.as_ref()).await,
            Write::Note { marker, body } => {
                let note = |candidate: &ExternalId| json!({"candidateId": candidate, "note": {"type": "text/plain", "value": marked(body, marker)}, "sendNotifications": false});
                let candidate = self.person(request).await?;
                let made = match self.client.call(client::CREATE_NOTE, note(&candidate)).await {
                    // The person's record may have become part of another one: the application says of which.
                    Err(Failure::Rejected { code, detail }) if code.ends_with("not_found") => {
                        match self.successor(request, &candidate).await? {
                            Some(successor) => self.client.call(client::CREATE_NOTE, note(&successor)).await?,
                            None => return Err(Failure::Rejected { code, detail }),
                        }
                    }
                    outcome => outcome?,
                };
                Ok(Written::Done { external_id: fields::id(&made, "/id") })
            }
        }
    }

    async fn look(&self, request: &WritebackRequested) -> Result<bool, Failure> {
        match &request.write {
            // An order cannot be read back. It is shown the status before the field is: what the field shows, the order has.
            Write::Status { text, .. } => {
                let application = self.application(&request.application).await?.ok_or_else(gone)?;
                let shown = fields::custom_field(application.get("customFields"), &self.policy.status_field);
                Ok(shown.is_some_and(|shown| same(shown.as_str(), text.as_str())))
            }
            Write::Note { marker, .. } => {
                let candidate = self.person(request).await?;
                let holds = |note: &Value| note.get("content")?.as_str()?.contains(marker.as_str()).then_some(());
                match self.client.search(client::LIST_NOTES, by_id("candidateId", &candidate), holds).await {
                    Err(Failure::Rejected { code, detail }) if code.ends_with("not_found") => {
                        let successor = self.successor(request, &candidate).await?.ok_or(Failure::Rejected { code, detail })?;
                        Ok(self.client.search(client::LIST_NOTES, by_id("candidateId", &successor), holds).await?.is_some())
                    }
                    outcome => Ok(outcome?.is_some()),
                }
            }
        }
    }

    async fn inventory(&self) -> Option<Inventory> {
        Some(inventory::look(&self.client).await)
    }

    async fn test(&self) -> Result<Vec<String>, Failure> {
        let known = match self.client.call(client::KEY_INFO, json!({})).await {
            Ok(info) => info,
            // A key that may not read itself is a good key with a permission missing.
            Err(Failure::NotPermitted { .. }) => return Ok(vec!["apiKeysRead".into()]),
            Err(failure) => return Err(failure),
        };
        let scopes = known.get("scopes").and_then(Value::as_array).ok_or_else(|| strange(client::KEY_INFO, "its result has no scopes"))?;
        let plain = |text: &str| text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let held: Vec<String> = scopes.iter().filter_map(Value::as_str).map(plain).collect();
        Ok(needed_permissions().into_iter().filter(|needed| !held.contains(&plain(needed))).map(str::to_owned).collect())
    }
}

/// What `assessment.update` is sent for a state. Ashby stores the start for the word "Started" and takes a reason for an end
/// without a result.
fn assessment_update(order: &ExternalId, code: &str, text: &Line, link: Option<&Link>, now: Timestamp) -> Value {
    let word = if code == "in_progress" { "Started" } else { text.as_str() };
    let mut body = partner::update_request(order.as_str(), now, word);
    if matches!(code, "cancelled" | "timed_out" | "no_show") {
        body["cancelled_reason"] = json!({"identifier": "cancelled", "label": "Cancelled", "type": "string", "value": text});
    }
    if let Some(link) = link {
        body["assessment_profile_url"] = json!({"identifier": "interview", "label": "Interview", "type": "url", "value": link});
    }
    body
}

/// The note's text, with the marker as its last line if it is not in it already.
fn marked(body: &Prose, marker: &Line) -> String {
    if body.as_str().contains(marker.as_str()) { body.to_string() } else { format!("{body}\n\n{marker}") }
}

fn no_field(failure: &Failure) -> bool {
    match failure {
        Failure::NotPermitted { .. } => true,
        Failure::Rejected { code, .. } => matches!(code.as_str(), "status_field_missing" | "status_value_missing"),
        _ => false,
    }
}

fn gone() -> Failure {
    Failure::Rejected { code: "application_not_found".into(), detail: "Ashby has no such application (any more)".into() }
}

fn absent_as_none(outcome: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Rejected { code, .. }) if code.ends_with("not_found") => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_ends_with_its_marker_and_has_it_once() {
        let marker: Line = "ref atshub-1".parse().unwrap();
        assert_eq!(marked(&"Invited.".parse().unwrap(), &marker), "Invited.\n\nref atshub-1");
        assert_eq!(marked(&"Invited.\nref atshub-1".parse().unwrap(), &marker), "Invited.\nref atshub-1");
    }

    #[test]
    fn an_order_is_shown_started_or_cancelled_in_ashbys_words() {
        let update = |code: &str| {
            let now = "2026-11-23T10:00:00Z".parse().unwrap();
            assessment_update(&"o-1".parse().unwrap(), code, &"Words".parse().unwrap(), None, now)
        };
        assert_eq!(update("invited").pointer("/assessment_status/value").unwrap(), "Words");
        assert_eq!(update("in_progress").pointer("/assessment_status/value").unwrap(), "Started");
        assert_eq!(update("timed_out").pointer("/cancelled_reason/value").unwrap(), "Words");
        assert_eq!(update("invited").get("timestamp").unwrap(), 1_795_428_000_000_i64);
        assert!(update("refused").get("cancelled_reason").is_none());
    }
}
