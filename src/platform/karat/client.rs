//! One account at Karat: the operations the hub uses, each as the published client sends it (scalars as variables, so that
//! no name of an input type has to be guessed). Repeats nothing: an unclear invite is for the caller to look up.

use super::{
    cache::RoleCache,
    candidacies::{self, Candidacy, Role},
    entry::CAPABILITIES,
    errors,
    graphql::{GraphQl, strange},
    vocabulary::LIVE,
};
use crate::http::{Effect, Http};
use async_trait::async_trait;
use atshub_actors::{
    failure::Failure,
    ports::{Invitation, InvitationRequest, Platform, PlatformCapabilities, PlatformRole},
};
use atshub_schemas::{Line, Link};
use reqwest::Url;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Instant;

/// Nodes asked for on a page.
const PAGE: u32 = 100;
/// Pages followed before an answer counts as endless.
const MAX_PAGES: usize = 40;

const CREATE_INVITATION: &str =
    "mutation createInvitation($name: String!, $email: String!, $roleId: ID!, $phone: String, $atsUrl: String) {
  createInvitation(input: {name: $name, email: $email, roleId: $roleId, phone: $phone, atsUrl: $atsUrl}) {
    assessment { id candidacy { id } link } errors { message } } }";

const CANDIDACIES: &str = "query candidacies($filter: CandidacyFilter, $orderBy: [CandidacyOrderBy!], $first: Int, $after: String) {
  candidacies(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    pageInfo { endCursor hasNextPage }
    nodes { id atsUrl candidate { email } role { id name } interviews { nodes { id state link } } } } }";

const ROLES: &str = "query roles($filter: RoleFilter, $first: Int, $after: String) {
  roles(filter: $filter, first: $first, after: $after) { pageInfo { endCursor hasNextPage } nodes { id name } } }";

const ME: &str = "query me { me { name } }";

/// One account.
pub struct Karat {
    api: GraphQl,
    roles: RoleCache,
}

impl Karat {
    /// The account behind this endpoint and token.
    #[must_use]
    pub fn new(http: Http, endpoint: Url, token: SecretString) -> Self {
        Self { api: GraphQl::new(http, endpoint, token), roles: RoleCache::default() }
    }

    /// The newest live invitation among the candidacies that this filter gives.
    async fn newest_live(&self, filter: Value, wanted: &InvitationRequest) -> Result<Option<Invitation>, Failure> {
        let variables = json!({"filter": filter, "orderBy": ["CREATED_AT_DESC"]});
        let pick = |nodes: Vec<Candidacy>| nodes.iter().find_map(|candidacy| candidacies::invitation(candidacy, wanted));
        pages(&self.api, "candidacies", CANDIDACIES, variables, pick).await
    }
}

/// Follows the pages of a connection until `pick` has what it looks for.
async fn pages<T: DeserializeOwned, R>(
    api: &GraphQl,
    field: &'static str,
    query: &str,
    mut variables: Value,
    mut pick: impl FnMut(Vec<T>) -> Option<R>,
) -> Result<Option<R>, Failure> {
    variables["first"] = PAGE.into();
    for _ in 0..MAX_PAGES {
        let data = api.run(field, Effect::Reads, query, variables.clone()).await?;
        let page = candidacies::page::<T>(data, field)
            .ok_or_else(|| strange(field, Effect::Reads, "its page does not have the documented fields"))?;
        if let Some(found) = pick(page.nodes.into_iter().flatten().collect()) {
            return Ok(Some(found));
        }
        match page.page_info.end_cursor {
            Some(cursor) if page.page_info.has_next_page && variables.get("after") != Some(&Value::String(cursor.clone())) => {
                variables["after"] = cursor.into();
            }
            _ => return Ok(None),
        }
    }
    Err(Failure::Malformed { detail: format!("`{field}` has more than {MAX_PAGES} pages of {PAGE}") })
}

async fn all_roles(api: GraphQl) -> Result<Vec<PlatformRole>, Failure> {
    let mut roles = Vec::new();
    let gather =
        |nodes: Vec<Role>| {
            // A role without a usable name cannot be chosen; the others still can.
            roles.extend(nodes.iter().filter_map(|role| {
                Some(PlatformRole { id: candidacies::id(&role.id)?, name: Line::new(role.name.as_deref()?.trim()).ok()? })
            }));
            None::<()>
        };
    pages(&api, "roles", ROLES, json!({"filter": {"archived": [false]}}), gather).await?;
    Ok(roles)
}

#[async_trait]
impl Platform for Karat {
    fn capabilities(&self) -> PlatformCapabilities {
        CAPABILITIES
    }

    async fn invite(&self, request: &InvitationRequest) -> Result<Invitation, Failure> {
        const NAME: &str = "createInvitation";
        let variables = json!({
            "name": request.name, "email": request.email, "roleId": request.role,
            "phone": request.phone.as_deref().map(str::trim).filter(|phone| !phone.is_empty()), "atsUrl": request.ats_url,
        });
        let data = self.api.run(NAME, Effect::Acts, CREATE_INVITATION, variables).await?;
        let answer = data.get(NAME).filter(|answer| answer.is_object());
        let answer = answer.ok_or_else(|| strange(NAME, Effect::Acts, "its answer has no payload"))?;
        let sentences: Vec<String> = answer
            .get("errors")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|error| error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned())
            .collect();
        let assessment = answer.get("assessment").filter(|assessment| assessment.is_object());
        let made = assessment.and_then(|assessment| {
            Some(Invitation {
                id: assessment.get("id").and_then(candidacies::id),
                candidacy: assessment.pointer("/candidacy/id").and_then(candidacies::id)?,
                link: assessment.get("link").and_then(Value::as_str).and_then(|link| Link::new(link).ok()),
                state: None,
                ats_url: request.ats_url.clone(),
            })
        });
        match (made, sentences.is_empty()) {
            (Some(invitation), true) => Ok(invitation),
            // A refusal may name the interview that stands in its way; words we do not know beside an invitation are a remark.
            (Some(_), false) if sentences.iter().any(|sentence| errors::known(sentence).is_some()) => Err(errors::refusal(&sentences)),
            (Some(invitation), false) => {
                tracing::warn!(errors = sentences.len(), "the platform made an invitation and reported errors beside it");
                Ok(invitation)
            }
            (None, false) => Err(errors::refusal(&sentences)),
            (None, true) => Err(strange(NAME, Effect::Acts, "its answer has neither a candidacy nor errors")),
        }
    }

    /// The API's `search` looks in names only, and no filter takes an e-mail address: so it is all live interviews of the role,
    /// newest first, and the address is compared here.
    async fn find(&self, request: &InvitationRequest) -> Result<Option<Invitation>, Failure> {
        if let Some(url) = &request.ats_url
            && let Some(found) = self.newest_live(json!({"atsUrl": url}), request).await?
        {
            return Ok(Some(found));
        }
        self.newest_live(json!({"role": [request.role], "interviewState": LIVE}), request).await
    }

    async fn roles(&self) -> Result<Vec<PlatformRole>, Failure> {
        let api = self.api.clone();
        let roles = self.roles.get(self.api.http().io(), Instant::now(), || all_roles(api)).await?;
        Ok(roles.as_ref().clone())
    }

    async fn whoami(&self) -> Result<String, Failure> {
        let data = self.api.run("me", Effect::Reads, ME, json!({})).await?;
        match data.pointer("/me/name").and_then(Value::as_str) {
            Some(name) => Ok(name.chars().filter(|c| !c.is_control()).take(Line::MAX_CHARS).collect()),
            None if data.get("me").is_some_and(Value::is_null) => {
                Err(Failure::Unauthorized { detail: "the platform does not know whose token this is".into() })
            }
            None => Err(strange("me", Effect::Reads, "its answer has no name")),
        }
    }
}
