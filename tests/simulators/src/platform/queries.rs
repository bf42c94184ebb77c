//! `me`, `users`, `groups`, `roles`, `candidacies`: filters, orders and searches over the world.

use super::{
    Shared,
    nodes::{Actor, Candidacy, Group, Moment, Role, User},
    page::{Page, Wanted},
    words::{CandidacyOrderBy, CandidacyStatus, ClientUserType, CodeChallengeState, InterviewState, RoleOrderBy, UserOrderBy},
    world::{self, World},
};
use async_graphql::{Context, ID, InputObject, Object, Result};
use std::cmp::Ordering;

#[derive(Debug, InputObject, Default)]
pub(crate) struct UserFilter {
    client_user_type: Option<Vec<ClientUserType>>,
    group: Option<Vec<ID>>,
    disabled: Option<bool>,
}

#[derive(Debug, InputObject, Default)]
pub(crate) struct GroupFilter {
    id: Option<Vec<ID>>,
}

#[derive(Debug, InputObject, Default)]
pub(crate) struct RoleFilter {
    archived: Option<Vec<bool>>,
    demo: Option<Vec<bool>>,
    group: Option<Vec<ID>>,
    id: Option<Vec<ID>>,
}

#[derive(Debug, InputObject, Default)]
pub(crate) struct CandidacyFilter {
    id: Option<Vec<ID>>,
    group: Option<Vec<ID>>,
    role: Option<Vec<ID>>,
    recruiter: Option<Vec<ID>>,
    candidate: Option<Vec<ID>>,
    archived: Option<Vec<bool>>,
    demo: Option<Vec<bool>>,
    code_challenge_state: Option<Vec<CodeChallengeState>>,
    interview_state: Option<Vec<InterviewState>>,
    status: Option<Vec<CandidacyStatus>>,
    ats_url: Option<String>,
    ats_url_substring: Option<String>,
    created_after: Option<Moment>,
    created_before: Option<Moment>,
    last_status_update_after: Option<Moment>,
    last_status_update_before: Option<Moment>,
}

/// An absent list lets everything through.
fn among<T: PartialEq>(wanted: Option<&Vec<T>>, has: &T) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(has))
}

fn id_among(wanted: Option<&Vec<ID>>, has: &impl ToString) -> bool {
    wanted.is_none_or(|wanted| wanted.contains(&ID(has.to_string())))
}

fn mentions(search: Option<&str>, texts: &[&str]) -> bool {
    search.is_none_or(|search| texts.iter().any(|text| text.to_lowercase().contains(&search.to_lowercase())))
}

pub(crate) struct Queries;

#[Object(name = "Query")]
impl Queries {
    /// The owner of the token.
    async fn me(&self, ctx: &Context<'_>) -> Result<Option<Actor>> {
        Ok(Actor::of(&ctx.data::<Shared>()?.lock()))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the platform's own arguments")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        filter: Option<UserFilter>,
        order_by: Option<Vec<UserOrderBy>>,
        search: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<Page<User>> {
        let world = ctx.data::<Shared>()?.lock();
        let filter = filter.unwrap_or_default();
        let mut rows: Vec<_> = world
            .users
            .iter()
            .filter(|user| among(filter.client_user_type.as_ref(), &user.kind))
            .filter(|_| world.groups.iter().any(|group| id_among(filter.group.as_ref(), &group.id)))
            .filter(|user| filter.disabled.is_none_or(|disabled| user.disabled == disabled))
            .filter(|user| mentions(search.as_deref(), &[&user.name, &user.email]))
            .collect();
        for order in order_by.unwrap_or_default().into_iter().rev() {
            rows.sort_by(|a, b| compare_users(order, a, b));
        }
        Page::cut(&rows, &Wanted { first, last, before, after }, |user| User::from(&world, user))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the platform's own arguments")]
    async fn groups(
        &self,
        ctx: &Context<'_>,
        filter: Option<GroupFilter>,
        search: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<Page<Group>> {
        let world = ctx.data::<Shared>()?.lock();
        let filter = filter.unwrap_or_default();
        let rows: Vec<_> = world
            .groups
            .iter()
            .filter(|group| id_among(filter.id.as_ref(), &group.id) && mentions(search.as_deref(), &[&group.name]))
            .collect();
        Page::cut(&rows, &Wanted { first, last, before, after }, |group| Group::from(group))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the platform's own arguments")]
    async fn roles(
        &self,
        ctx: &Context<'_>,
        filter: Option<RoleFilter>,
        order_by: Option<RoleOrderBy>,
        search: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<Page<Role>> {
        let world = ctx.data::<Shared>()?.lock();
        let mut filter = filter.unwrap_or_default();
        filter.archived.get_or_insert_with(|| vec![false]); // archived roles only for those who ask
        let mut rows: Vec<_> = world
            .roles
            .iter()
            .filter(|role| among(filter.archived.as_ref(), &role.archived) && among(filter.demo.as_ref(), &role.demo))
            .filter(|role| id_among(filter.group.as_ref(), &role.group) && id_among(filter.id.as_ref(), &role.id))
            .filter(|role| mentions(search.as_deref(), &[&role.name]))
            .collect();
        if let Some(order) = order_by {
            rows.sort_by(|a, b| compare_roles(order, a, b));
        }
        Page::cut(&rows, &Wanted { first, last, before, after }, |role| Role::from(&world, role))
    }

    #[expect(clippy::too_many_arguments, reason = "they are the platform's own arguments")]
    async fn candidacies(
        &self,
        ctx: &Context<'_>,
        order_by: Option<Vec<CandidacyOrderBy>>,
        filter: Option<CandidacyFilter>,
        search: Option<String>,
        first: Option<i32>,
        last: Option<i32>,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<Page<Candidacy>> {
        let mut world = ctx.data::<Shared>()?.lock();
        world.expire();
        let filter = filter.unwrap_or_default();
        let mut rows: Vec<_> =
            world.candidacies.iter().filter(|it| filter.admits(&world, it)).filter(|it| mentions(search.as_deref(), &[&it.name])).collect();
        for order in order_by.unwrap_or_default().into_iter().rev() {
            rows.sort_by(|a, b| compare_candidacies(&world, order, a, b));
        }
        Page::cut(&rows, &Wanted { first, last, before, after }, |it| Candidacy::from(&world, it))
    }
}

impl CandidacyFilter {
    fn admits(&self, world: &World, it: &world::Candidacy) -> bool {
        let role = world.role(&it.role);
        id_among(self.id.as_ref(), &it.id)
            && role.is_none_or(|role| id_among(self.group.as_ref(), &role.group))
            && id_among(self.role.as_ref(), &it.role)
            && id_among(self.recruiter.as_ref(), &it.recruiter)
            && id_among(self.candidate.as_ref(), &it.person)
            && role.is_none_or(|role| among(self.archived.as_ref(), &role.archived) && among(self.demo.as_ref(), &role.demo))
            && self.code_challenge_state.is_none()
            && self.interview_state.as_ref().is_none_or(|wanted| it.interviews.iter().any(|one| wanted.contains(&one.state)))
            && among(self.status.as_ref(), &it.status)
            && self.ats_url.as_ref().is_none_or(|url| it.ats_url.as_ref() == Some(url))
            && self.ats_url_substring.as_ref().is_none_or(|part| it.ats_url.as_ref().is_some_and(|url| url.contains(part)))
            && self.created_after.is_none_or(|after| it.created_at > after.0)
            && self.created_before.is_none_or(|before| it.created_at < before.0)
            && self.last_status_update_after.is_none_or(|after| it.last_status_update > after.0)
            && self.last_status_update_before.is_none_or(|before| it.last_status_update < before.0)
    }
}

fn compare_users(order: UserOrderBy, a: &world::User, b: &world::User) -> Ordering {
    use UserOrderBy as By;
    match order {
        By::IdAsc => a.id.cmp(&b.id),
        By::IdDesc => b.id.cmp(&a.id),
        By::CreatedAtAsc | By::UpdatedAtAsc | By::LastSeenAsc => a.created_at.cmp(&b.created_at),
        By::CreatedAtDesc | By::UpdatedAtDesc | By::LastSeenDesc => b.created_at.cmp(&a.created_at),
        By::NameAsc => a.name.cmp(&b.name),
        By::NameDesc => b.name.cmp(&a.name),
        By::EmailAsc => a.email.cmp(&b.email),
        By::EmailDesc => b.email.cmp(&a.email),
        By::ClientUserTypeAsc => (a.kind as u8).cmp(&(b.kind as u8)),
        By::ClientUserTypeDesc => (b.kind as u8).cmp(&(a.kind as u8)),
    }
}

fn compare_roles(order: RoleOrderBy, a: &world::Role, b: &world::Role) -> Ordering {
    use RoleOrderBy as By;
    match order {
        By::NameAsc => a.name.cmp(&b.name),
        By::NameDesc => b.name.cmp(&a.name),
        By::GroupIdAsc => a.group.cmp(&b.group),
        By::GroupIdDesc => b.group.cmp(&a.group),
        By::ScheduledInterviewAsc | By::ShippedInterviewAsc | By::UpdatedAtAsc | By::LastUpdatedAsc => a.updated_at.cmp(&b.updated_at),
        By::ScheduledInterviewDesc | By::ShippedInterviewDesc | By::UpdatedAtDesc | By::LastUpdatedDesc => b.updated_at.cmp(&a.updated_at),
    }
}

fn compare_candidacies(world: &World, order: CandidacyOrderBy, a: &world::Candidacy, b: &world::Candidacy) -> Ordering {
    use CandidacyOrderBy as By;
    let recruiter = |it: &world::Candidacy| world.user(it.recruiter).map(|user| user.name.clone());
    let role = |it: &world::Candidacy| world.role(&it.role).map(|role| role.name.clone());
    let group = |it: &world::Candidacy| world.role(&it.role).map(|role| role.group);
    let interview = |it: &world::Candidacy| it.interviews.last().map(|one| one.start_time.unwrap_or(one.created_at));
    match order {
        By::IdAsc => a.id.cmp(&b.id),
        By::IdDesc => b.id.cmp(&a.id),
        By::CreatedAtAsc => a.created_at.cmp(&b.created_at),
        By::CreatedAtDesc => b.created_at.cmp(&a.created_at),
        By::UpdatedAtAsc | By::LastActivityAsc => a.updated_at.cmp(&b.updated_at),
        By::UpdatedAtDesc | By::LastActivityDesc => b.updated_at.cmp(&a.updated_at),
        By::CandidateNameAsc => a.name.cmp(&b.name),
        By::CandidateNameDesc => b.name.cmp(&a.name),
        By::RecruiterNameAsc => recruiter(a).cmp(&recruiter(b)),
        By::RecruiterNameDesc => recruiter(b).cmp(&recruiter(a)),
        By::RoleNameAsc => role(a).cmp(&role(b)),
        By::RoleNameDesc => role(b).cmp(&role(a)),
        By::GroupNameAsc => group(a).cmp(&group(b)),
        By::GroupNameDesc => group(b).cmp(&group(a)),
        By::LastInterviewAtAsc => interview(a).cmp(&interview(b)),
        By::LastInterviewAtDesc => interview(b).cmp(&interview(a)),
        By::LastStatusUpdateAsc => a.last_status_update.cmp(&b.last_status_update),
        By::LastStatusUpdateDesc => b.last_status_update.cmp(&a.last_status_update),
    }
}
