//! One account at Karat: the operations the hub uses, each as the published client sends it (scalars as variables, so that
//! no name of an input type has to be guessed). Repeats nothing: an unclear invite is for the caller to look up.

use super::{
    cache::RoleCache,
    candidacies::{self, Candidacy, Role},
    entry::CAPABILITIES,
    errors,
    graphql::{self, GraphQl, strange},
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
/// Pages followed at most.
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

    /// The newest live invitation among the candidacies that this filter gives, as far as they are followed. The newest come first:
    /// what a look after an unclear call is for is among them. One that is older is kept from being doubled by the platform's own
    /// refusal.
    async fn newest_live(&self, filter: Value, wanted: &InvitationRequest) -> Result<Option<Invitation>, Failure> {
        let variables = json!({"filter": filter, "orderBy": ["CREATED_AT_DESC"]});
        let pick = |nodes: Vec<Candidacy>| nodes.iter().find_map(|candidacy| candidacies::invitation(candidacy, wanted));
        Ok(match pages(&self.api, "candidacies", CANDIDACIES, variables, pick).await? {
            Pages::Picked(found) => Some(found),
            Pages::AllSeen => None,
            Pages::TooMany => {
                tracing::warn!(pages = MAX_PAGES, of = PAGE, "a role has more live candidacies than are looked through");
                None
            }
        })
    }
}

/// What came of following pages.
enum Pages<R> {
    Picked(R),
    AllSeen,
    TooMany,
}

/// Follows the pages of a connection until `pick` has what it looks for.
async fn pages<T: DeserializeOwned, R>(
    api: &GraphQl,
    field: &'static str,
    query: &str,
    mut variables: Value,
    mut pick: impl FnMut(Vec<T>) -> Option<R>,
) -> Result<Pages<R>, Failure> {
    variables["first"] = PAGE.into();
    for _ in 0..MAX_PAGES {
        let data = api.run(field, Effect::Reads, query, variables.clone()).await?;
        let page = candidacies::page::<T>(data, field)
            .ok_or_else(|| strange(field, Effect::Reads, "its page does not have the documented fields"))?;
        if let Some(found) = pick(page.nodes.into_iter().flatten().collect()) {
            return Ok(Pages::Picked(found));
        }
        match page.page_info.end_cursor {
            Some(cursor) if page.page_info.has_next_page && variables.get("after") != Some(&Value::String(cursor.clone())) => {
                variables["after"] = cursor.into();
            }
            _ => return Ok(Pages::AllSeen),
        }
    }
    Ok(Pages::TooMany)
}

async fn all_roles(api: GraphQl) -> Result<Vec<PlatformRole>, Failure> {
    let mut roles = Vec::new();
    let gather = |nodes: Vec<Role>| {
        // A role without a usable name cannot be chosen; the others still can.
        roles.extend(
            nodes
                .iter()
                .filter_map(|role| Some(PlatformRole { id: candidacies::id(&role.id)?, name: Line::tamed(role.name.as_deref()?)? })),
        );
        None::<()>
    };
    match pages(&api, "roles", ROLES, json!({"filter": {"archived": [false]}}), gather).await? {
        Pages::TooMany => Err(Failure::Malformed { detail: format!("`roles` has more than {MAX_PAGES} pages of {PAGE}") }),
        Pages::Picked(()) | Pages::AllSeen => Ok(roles),
    }
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
        let data = self.api.run(NAME, Effect::Acts, CREATE_INVITATION, variables).await.map_err(|failure| {
            // What the platform found wrong with the request is for the recruiter to read, wherever in the answer it stands.
            graphql::sentence(NAME, &failure).map_or(failure, |sentence| errors::refusal(&[sentence]))
        })?;
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

    async fn roles_now(&self) -> Result<Vec<PlatformRole>, Failure> {
        let api = &self.api;
        let roles = self.roles.fetched_now(api.http().io(), Instant::now(), || all_roles(api.clone())).await?;
        Ok(roles.as_ref().clone())
    }

    async fn whoami(&self) -> Result<String, Failure> {
        let data = self.api.run("me", Effect::Reads, ME, json!({})).await?;
        match data.pointer("/me/name").and_then(Value::as_str) {
            Some(name) => Ok(Line::tamed(name).map(String::from).unwrap_or_default()),
            None if data.get("me").is_some_and(Value::is_null) => {
                Err(Failure::Unauthorized { detail: "the platform does not know whose token this is".into() })
            }
            None => Err(strange("me", Effect::Reads, "its answer has no name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Options;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        runtime::Handle,
    };

    /// A platform whose every page has another one after it. Ends each connection after its answer.
    async fn endless() -> Karat {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Url::parse(&format!("http://{}/graphql", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            for cursor in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 16 * 1024]).await.unwrap();
                let page = json!({"pageInfo": {"endCursor": cursor.to_string(), "hasNextPage": true}, "nodes": []});
                let body = json!({"data": {"candidacies": page, "roles": page}}).to_string();
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                socket.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        Karat::new(Http::new(Handle::current(), Options::default()).unwrap(), endpoint, "token".to_owned().into())
    }

    #[tokio::test]
    async fn a_role_with_more_live_candidacies_than_are_looked_through_is_no_error_and_endless_roles_are() {
        let karat = endless().await;
        let wanted = InvitationRequest {
            name: "Ada".parse().unwrap(),
            email: "ada@example.org".parse().unwrap(),
            role: "1201".parse().unwrap(),
            phone: None,
            ats_url: None,
        };
        assert_eq!(karat.find(&wanted).await, Ok(None));
        let failure = karat.roles().await.unwrap_err();
        assert!(failure.to_string().contains("more than 40 pages"), "{failure}");
    }
}
