//! `atshub tenant check`: whether what a tenant's settings name is there, at its ATS and at its platform, before a candidate depends on it.

use super::add::entry;
use crate::{
    app, ats,
    cli::{
        exit::{Ended, Exit, Stop},
        live::Live,
        out::Listing,
        session::{ANSWER, Session, platform, tenant},
    },
    config::nearest,
    http::Options,
    platform as platforms,
};
use atshub_actors::{
    domain::{Policy, label, resolve_role},
    failure::Failure,
    ports::{Connector, Inventory, Named, Place, Platform, PlatformRole, Store, TenantRecord},
};
use atshub_schemas::{
    TenantName,
    text::{names_id, same},
};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, time::timeout};

/// Longest wait for the ATS to name its stages and fields: a list of each interview plan.
const LOOKING: Duration = Duration::from_secs(120);
/// Names listed in a sentence.
const NAMES: usize = 12;
/// States that are written into the status field while nothing goes wrong.
const SHOWN: [&str; 3] = ["received", "inviting", "invited"];

/// How one thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    Wrong,
    /// It could not be looked at.
    Unknown,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at: what, its value, how it is, and what was found.
#[derive(Debug, PartialEq, Eq)]
struct Finding(&'static str, String, State, String);

/// Looks.
pub(super) async fn run(name: &TenantName, session: &Session) -> Ended {
    let store = session.store().await?;
    let record = tenant(store.as_ref(), name).await?;
    if let Some(why) = &record.unreadable {
        return Err(Stop::failed(format!("the settings of tenant `{name}` cannot be checked: {why}")));
    }
    let sealer = session.sealer(store.as_ref()).await?;
    let http = app::outgoing(&session.loaded.config, Handle::current(), Options::default())?;
    let secrets = sealer.open_all(store.as_ref(), &format!("tenant/{name}")).await?;
    let account = ats::Account { tenant: name.clone(), policy: Arc::new(record.policy.clone()), secrets, http: http.clone() };
    let kind = entry(&record.ats)?;
    let mut found = Vec::new();
    match (kind.connect)(account) {
        Ok(connector) => {
            let _progress = session.out.progress(&format!("asking {}", kind.name), None);
            at_the_ats(&*connector, kind.name, &record.policy, &mut found).await;
        }
        Err(why) => found.push(Finding("credential", String::new(), State::Wrong, why)),
    }
    let account = platform(store.as_ref(), &record.platform).await?;
    let secrets = sealer.open_all(store.as_ref(), &format!("platform/{}", account.name)).await?;
    let adapter = platforms::entry(&account.kind)
        .ok_or_else(|| format!("this build knows no platform called `{}`", account.kind))
        .and_then(|entry| (entry.connect)(account, secrets, http));
    match adapter {
        Ok(adapter) => {
            let _progress = session.out.progress("asking the platform", None);
            at_the_platform(&*adapter, &record, &mut found).await;
        }
        Err(why) => found.push(Finding("platform", record.platform.clone(), State::Wrong, why)),
    }
    found.push(heard(store.as_ref(), &record, kind).await?);

    let mut listing = Listing::new(&["what", "value", "state", "found"], "");
    let wrong = found.iter().filter(|finding| finding.2 == State::Wrong).count();
    for Finding(what, value, state, text) in found {
        listing.row(vec![what.into(), value.into(), state.as_str().into(), text.into()]);
    }
    session.out.list(&listing)?;
    if wrong == 0 {
        return Ok(Exit::Done);
    }
    Err(Stop::failed(format!("{wrong} of the settings of tenant `{name}` will not do")).next(format!(
        "`atshub tenant set {name} …` and `atshub tenant unset {name} …` change settings; `atshub tenant settings` lists them"
    )))
}

async fn at_the_ats(connector: &dyn Connector, ats: &str, policy: &Policy, found: &mut Vec<Finding>) {
    let unanswered = || Err(Failure::transient(format!("no answer within {} s", ANSWER.as_secs())));
    found.push(match timeout(ANSWER, connector.test()).await.unwrap_or_else(|_| unanswered()) {
        Ok(missing) if missing.is_empty() => Finding("credential", String::new(), State::Well, format!("{ats} accepts it")),
        Ok(missing) => Finding("credential", String::new(), State::Wrong, format!("it lacks {}; add them in {ats}", missing.join(", "))),
        Err(failure @ Failure::Unauthorized { .. }) => Finding("credential", String::new(), State::Wrong, failure.to_string()),
        Err(failure) => Finding("credential", String::new(), State::Unknown, failure.to_string()),
    });
    match timeout(LOOKING, connector.inventory()).await {
        Ok(Some(inventory)) => found.extend(compared(&inventory, policy, ats)),
        Ok(None) => found.push(Finding("settings", String::new(), State::Unknown, format!("{ats} cannot be asked for stages and fields"))),
        Err(_) => {
            found.push(Finding("settings", String::new(), State::Unknown, format!("{ats} named not all within {} s", LOOKING.as_secs())));
        }
    }
}

/// What the settings name, held against what the account has.
fn compared(inventory: &Inventory, policy: &Policy, ats: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if policy.trigger_stages.is_empty() && policy.trigger_stages_by_job.is_empty() {
        let next = "none is set, so nobody is invited by a move; set one with --trigger-stage".to_owned();
        found.push(Finding("trigger stage", String::new(), State::Wrong, next));
    }
    for wanted in policy.trigger_stages.iter().chain(policy.trigger_stages_by_job.values().flatten()) {
        found.push(named("trigger stage", wanted, &inventory.stages, ats));
    }
    found.push(status_field(inventory, policy, ats));
    let no_role = policy.roles.is_empty();
    let of_jobs =
        inventory.job_fields.clone().map(|fields| fields.into_iter().map(|field| Named { id: String::new(), name: field.name }).collect());
    match named("role field", &policy.role_field, &of_jobs, ats) {
        Finding(what, value, State::Wrong, text) if !no_role => {
            found.push(Finding(what, value, State::Well, format!("{text} It is not needed for jobs that `roles` names")));
        }
        finding => found.push(finding),
    }
    found
}

fn status_field(inventory: &Inventory, policy: &Policy, ats: &str) -> Finding {
    let (what, wanted) = ("status field", &policy.status_field);
    let fields = match &inventory.application_fields {
        Ok(fields) => fields,
        Err(why) => return Finding(what, wanted.clone(), State::Unknown, why.clone()),
    };
    let Some(Place { choices, .. }) = fields.iter().find(|field| same(&field.name, wanted)) else {
        return missing(what, wanted, fields.iter().map(|field| field.name.clone()), ats);
    };
    let lacks: Vec<String> = SHOWN
        .iter()
        .map(|state| label(policy, state))
        .filter(|label| !choices.is_empty() && !choices.iter().any(|choice| same(choice, label)))
        .collect();
    if lacks.is_empty() {
        return Finding(what, wanted.clone(), State::Well, format!("{ats} has it"));
    }
    let text = format!("it is a list that does not offer {}; add them in {ats}, or make it a field of text", lacks.join(", "));
    Finding(what, wanted.clone(), State::Wrong, text)
}

/// Whether one of these has that name or id.
fn named(what: &'static str, wanted: &str, there: &Result<Vec<Named>, String>, ats: &str) -> Finding {
    match there {
        Err(why) => Finding(what, wanted.to_owned(), State::Unknown, why.clone()),
        Ok(there) if there.iter().any(|one| names_id(wanted, &one.id) || same(&one.name, wanted)) => {
            Finding(what, wanted.to_owned(), State::Well, format!("{ats} has it"))
        }
        Ok(there) => missing(what, wanted, there.iter().map(|one| one.name.clone()), ats),
    }
}

fn missing(what: &'static str, wanted: &str, there: impl Iterator<Item = String>, ats: &str) -> Finding {
    let mut names: Vec<String> = there.collect();
    names.sort_unstable();
    names.dedup();
    let text = match nearest(wanted, names.iter().cloned()) {
        Some(near) => format!("{ats} has none of that name; did you mean `{near}`?"),
        None if names.is_empty() => format!("{ats} has none of that name, nor any other."),
        None => format!("{ats} has none of that name; it has {}.", some_of(&names)),
    };
    Finding(what, wanted.to_owned(), State::Wrong, text)
}

fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES);
    let shown = names.iter().take(NAMES).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

async fn at_the_platform(platform: &dyn Platform, record: &TenantRecord, found: &mut Vec<Finding>) {
    let asked = timeout(ANSWER, async { Ok((platform.whoami().await?, platform.roles_now().await?)) }).await;
    let account = record.platform.clone();
    match asked.unwrap_or_else(|_| Err(Failure::transient(format!("no answer within {} s", ANSWER.as_secs())))) {
        Ok((who, roles)) => {
            found.push(Finding("platform", account, State::Well, format!("it accepts the token, as {who}")));
            found.extend(record.policy.roles.iter().map(|(job, role)| role_of(job, role, &roles)));
        }
        Err(failure @ Failure::Unauthorized { .. }) => found.push(Finding("platform", account, State::Wrong, failure.to_string())),
        Err(failure) => found.push(Finding("platform", account, State::Unknown, failure.to_string())),
    }
}

fn role_of(job: &str, wanted: &str, roles: &[PlatformRole]) -> Finding {
    let value = format!("{job} = {wanted}");
    if resolve_role(wanted, roles).is_some() {
        return Finding("role", value, State::Well, "the platform has it".into());
    }
    let Finding(what, _, state, text) = missing("role", wanted, roles.iter().map(|role| role.name.to_string()), "the platform");
    Finding(what, value, state, text)
}

/// Whether anything has come of this tenant yet.
async fn heard(store: &dyn Store, record: &TenantRecord, kind: &ats::Entry) -> Result<Finding, Stop> {
    let live = Live::of(store, &record.name).await?;
    let last = live.tenant(&record.name).and_then(|seen| seen.child.last_in);
    let what = if kind.inbound.is_some() { "webhooks" } else { "facts" };
    Ok(match (last, kind.inbound) {
        (Some(at), _) => Finding(what, String::new(), State::Well, format!("the last message of this tenant came at {at}")),
        (None, Some(_)) => {
            let text = format!("nothing has come since the hub started; {} is to send them to POST /hooks/{}", kind.name, record.name);
            Finding(what, String::new(), State::Unknown, text)
        }
        (None, None) => Finding(what, String::new(), State::Unknown, "nothing has come since the hub started".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        let named = |id: &str, name: &str| Named { id: id.into(), name: name.into() };
        let place = |name: &str, choices: &[&str]| Place { name: name.into(), choices: choices.iter().map(ToString::to_string).collect() };
        Inventory {
            stages: Ok(vec![named("s-1", "Phone screen"), named("s-2", "Karat Assessment")]),
            application_fields: Ok(vec![place("Karat Status", &[]), place("Short list", &["Received", "Invited"])]),
            job_fields: Ok(vec![place("Karat Role", &[])]),
        }
    }

    fn states(policy: &Policy, inventory: &Inventory) -> Vec<(&'static str, State)> {
        compared(inventory, policy, "Ashby").into_iter().map(|Finding(what, _, state, _)| (what, state)).collect()
    }

    #[test]
    fn what_the_account_has_is_well_by_name_and_by_id_whatever_the_case() {
        for stage in ["Karat Assessment", "karat assessment ", "s-2"] {
            let policy = Policy { trigger_stages: vec![stage.into()], ..Policy::default() };
            let well = [("trigger stage", State::Well), ("status field", State::Well), ("role field", State::Well)];
            assert_eq!(states(&policy, &inventory()), well, "{stage}");
        }
    }

    #[test]
    fn what_it_does_not_have_is_wrong_with_the_nearest_or_all_that_there_are() {
        let said = |policy: Policy| compared(&inventory(), &policy, "Ashby").into_iter().find(|f| f.2 == State::Wrong).unwrap().3;
        let stage = |name: &str| Policy { trigger_stages: vec![name.into()], ..Policy::default() };
        assert!(said(stage("Karat Assesment")).contains("did you mean `Karat Assessment`?"));
        assert!(said(stage("Offer")).contains("it has `Karat Assessment`, `Phone screen`"));
        let by_job = Policy { trigger_stages_by_job: [("j-1".into(), vec!["Fone screen".into()])].into(), ..Policy::default() };
        assert!(said(by_job).contains("did you mean `Phone screen`?"));
        assert!(said(Policy::default()).contains("--trigger-stage"));
        let field = |name: &str| Policy { status_field: name.into(), ..stage("s-1") };
        assert!(said(field("Karat Statu")).contains("did you mean `Karat Status`?"));
        assert!(said(field("short list")).contains("does not offer Inviting"));
        let labels = [("inviting".to_owned(), "Received".to_owned())].into();
        assert!(!compared(&inventory(), &Policy { labels, ..field("Short list") }, "Ashby").iter().any(|f| f.2 == State::Wrong));
        assert!(said(Policy { role_field: "Karat Rolle".into(), ..stage("s-1") }).contains("did you mean `Karat Role`?"));
    }

    #[test]
    fn a_role_field_is_not_needed_where_jobs_are_named() {
        let roles = [("*".to_owned(), "1201".to_owned())].into();
        let policy = Policy { roles, role_field: "None of these".into(), trigger_stages: vec!["s-1".into()], ..Policy::default() };
        assert!(states(&policy, &inventory()).iter().all(|(_, state)| *state == State::Well));
    }

    #[test]
    fn what_could_not_be_read_is_unknown_and_hides_nothing_else() {
        let policy = Policy { trigger_stages: vec!["Offer".into()], ..Policy::default() };
        let blind = Inventory { stages: Err("the key lacks interviewsRead".into()), ..inventory() };
        assert_eq!(states(&policy, &blind)[..2], [("trigger stage", State::Unknown), ("status field", State::Well)]);
    }
}
