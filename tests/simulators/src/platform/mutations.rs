//! `createInvitation` and `bulkUpdateCandidacyStatus`: each effect is written to the ledger under the world's own lock, so
//! the ledger's order is the order in which things happened.

use super::{Shared, words::CandidacyStatus, world::Wish};
use async_graphql::{Context, EnumType, ID, InputObject, Object, Result, SimpleObject};
use serde_json::json;

#[derive(Debug, InputObject)]
pub(crate) struct CreateInvitationInput {
    name: String,
    email: String,
    role_id: ID,
    phone: Option<String>,
    ats_url: Option<String>,
    resume: Option<String>,
    github_url: Option<String>,
    linkedin_url: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CandidacyStatusWithCandidacies {
    status: CandidacyStatus,
    ids: Vec<ID>,
}

#[derive(Debug, InputObject)]
pub(crate) struct BulkUpdateCandidacyStatusInput {
    updates: Vec<CandidacyStatusWithCandidacies>,
}

#[derive(SimpleObject)]
pub(crate) struct UserError {
    message: String,
}

#[derive(SimpleObject)]
pub(crate) struct CandidacyReference {
    id: ID,
}

#[derive(SimpleObject)]
pub(crate) struct Assessment {
    id: ID,
    candidacy: CandidacyReference,
    link: String,
}

#[derive(SimpleObject)]
pub(crate) struct CreateInvitationPayload {
    assessment: Option<Assessment>,
    errors: Vec<UserError>,
}

/// The reference names the two lists but not their types; ids are the obvious reading of "updates" that failed.
#[derive(SimpleObject)]
pub(crate) struct BulkUpdateCandidacyStatusPayload {
    successful_updates: Vec<ID>,
    failed_updates: Vec<ID>,
    errors: Vec<UserError>,
}

pub(crate) struct Mutations;

#[Object(name = "Mutation")]
impl Mutations {
    async fn create_invitation(&self, ctx: &Context<'_>, input: CreateInvitationInput) -> Result<CreateInvitationPayload> {
        let shared = ctx.data::<Shared>()?;
        let mut world = shared.lock();
        let wish = Wish {
            name: input.name,
            email: input.email,
            role: input.role_id.to_string(),
            phone: input.phone,
            ats_url: input.ats_url.filter(|url| !url.trim().is_empty()),
            resume: input.resume,
        };
        let (email, role, ats_url) = (wish.email.trim().to_owned(), wish.role.clone(), wish.ats_url.clone());
        Ok(match world.invite(wish) {
            Ok(made) => {
                let (candidacy, interview) = (made.candidacy.to_string(), made.interview.to_string());
                let value = json!({
                    "candidacy": candidacy, "assessment": interview, "link": made.link, "ats_url": ats_url,
                    "github_url": input.github_url, "linkedin_url": input.linkedin_url
                });
                shared.ledger.record("invitation", &email, Some(&role), value);
                let assessment =
                    Assessment { id: made.interview.into(), candidacy: CandidacyReference { id: made.candidacy.into() }, link: made.link };
                CreateInvitationPayload { assessment: Some(assessment), errors: vec![] }
            }
            Err(message) => CreateInvitationPayload { assessment: None, errors: vec![UserError { message }] },
        })
    }

    async fn bulk_update_candidacy_status(
        &self,
        ctx: &Context<'_>,
        input: BulkUpdateCandidacyStatusInput,
    ) -> Result<BulkUpdateCandidacyStatusPayload> {
        let shared = ctx.data::<Shared>()?;
        let mut world = shared.lock();
        let now = world.now();
        let mut answer = BulkUpdateCandidacyStatusPayload { successful_updates: vec![], failed_updates: vec![], errors: vec![] };
        for CandidacyStatusWithCandidacies { status, ids } in input.updates {
            let word = status_name(status);
            for id in ids {
                let refusal = match world.candidacy_mut(&id) {
                    _ if !status.is_settable() => format!("Status {word} can't be set"),
                    None => format!("Candidacy {} not found", id.as_str()),
                    Some(candidacy) => {
                        candidacy.status = status;
                        candidacy.touch(now);
                        shared.ledger.record("candidacy_status", &candidacy.email, Some(&candidacy.role), json!(word));
                        answer.successful_updates.push(id);
                        continue;
                    }
                };
                answer.failed_updates.push(id);
                answer.errors.push(UserError { message: refusal });
            }
        }
        Ok(answer)
    }
}

fn status_name(status: CandidacyStatus) -> &'static str {
    CandidacyStatus::items().iter().find(|item| item.value == status).map_or("", |item| item.name)
}
