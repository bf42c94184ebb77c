//! The script: what recruiters do in the demonstration, and what should come of it. Every case of the README is in it.

use super::{
    bridge::Bridge,
    tally::{Expectations, Expected, Place},
    world::{ROLES, TRIGGER, World},
};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message, TenantName,
    fact::{Application, ApplicationChange, Candidate, Job, Person, Stage},
};
use atshub_simulators::{
    Fault,
    ashby::{AshbySimulator, NewCandidate, NoSuch},
    platform::PlatformSimulator,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, time::Duration};

/// Why the script stopped: a slip in the script itself.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The simulated Ashby knows no such thing.
    #[error("the script names something that is not there: {0}")]
    NoSuch(#[from] NoSuch),
    /// A value that the wire does not take.
    #[error("the script makes a value that is not one: {0}")]
    Value(#[from] atshub_schemas::text::InvalidText),
    /// A partner call that was not answered as it should be.
    #[error("a partner call came to nothing: {0}")]
    Partner(String),
}

/// How often a recruiter clicks, and how long they wait in between.
const CLICKS: usize = 120;
const CLICK_PAUSE: Duration = Duration::from_millis(250);

const RECEIVED: &str = "Received";
const INVITED: &str = "Invited";
const ROLE_MISSING: &str = "Missing or invalid Karat role on the job.";
const PHONE: &str = "Phone is too short (minimum is 7 characters).";
const SAME: &str = "Recruiter and candidate can't be the same.";
/// The link to the interview follows, and has to.
const ACTIVE: &str =
    "Invite failed: Role already has an active interview for this candidate. Please visit this interview to make changes to it. http";

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Ordinary candidates per tenant.
    pub ordinary: usize,
}

fn expected(case: &'static str, invitations: usize, statuses: &[&str]) -> Expected {
    let invitations: BTreeMap<String, usize> =
        if invitations == 0 { BTreeMap::new() } else { [(ROLES[0].0.to_owned(), invitations)].into() };
    let invited_notes = invitations.values().sum();
    Expected { case, invitations, statuses: statuses.iter().map(|s| (*s).to_owned()).collect(), invited_notes, asked_again: 0 }
}

/// One tenant's candidates in its Ashby.
struct AshbyPart<'a> {
    tenant: &'a TenantName,
    ats: &'a AshbySimulator,
    job: String,
}

impl AshbyPart<'_> {
    async fn candidate(&self, name: &str, phone: Option<&str>, job: &str) -> Result<(String, Place), ScriptError> {
        let email = format!("{name}@{}.example", self.tenant);
        let new = NewCandidate {
            name: format!("Candidate {name}"),
            email: email.clone(),
            phone: phone.map(str::to_owned),
            job: job.to_owned(),
            recruiter_email: None,
        };
        let application = self.ats.add_candidate(new).await?;
        Ok((application.clone(), Place { tenant: self.tenant.to_string(), application, email }))
    }
}

/// Lets every case happen once per tenant that can have it. Returns what should come of it.
///
/// # Errors
/// [`ScriptError`]: a slip in the script.
pub async fn play(world: &World, size: Size, mut progress: impl FnMut(&str)) -> Result<Expectations, ScriptError> {
    let mut all = Expectations::default();
    for (index, (tenant, ats)) in world.ashby.iter().enumerate() {
        let recruiter = format!("recruiter@{tenant}.example");
        let job = ats.add_job("Backend engineer", Some(ROLES[0].0), recruiter.as_str()).await;
        let part = AshbyPart { tenant, ats, job };
        progress(&format!("{tenant}: {} candidates over its webhooks", size.ordinary));
        ordinary_by_webhook(&part, size, &mut all).await?;
        errors_by_webhook(&part, &recruiter, &mut all).await?;
        duplicates_by_webhook(&part, &mut all).await?;
        if index == 0 {
            by_partner(&part, &mut all).await?;
        }
    }
    for bridge in &world.bridges {
        progress(&format!("{}: {} candidates over its bridge", bridge.tenant(), size.ordinary));
        by_bridge(bridge, size, &mut all).await?;
    }
    if let Some(bridge) = world.bridges.first() {
        strays(bridge).await?;
    }
    Ok(all)
}

/// Calls that set a status and that [`misbehave`] makes fail: so many statuses may be overtaken by newer ones, and no more.
pub const STATUS_FAULTS: usize = 3;

/// Orders the platform and one Ashby to misbehave while the script runs: no fault may leave a trace in the effects, but that
/// a status which has to wait may be overtaken. Returns how many it ordered.
pub fn misbehave(platform: &PlatformSimulator, ashby: Option<&AshbySimulator>) -> usize {
    platform.faults().next("createInvitation", Fault::ActThenHang, 1);
    platform.faults().next("createInvitation", Fault::ActThenFail(502), 1);
    platform.faults().next("createInvitation", Fault::Fail(503), 1);
    if let Some(ashby) = ashby {
        ashby.faults().next("candidate.createNote", Fault::ActThenFail(500), 1);
        ashby.faults().next("customField.setValue", Fault::Fail(500), 1);
        ashby.faults().next("customField.setValue", Fault::RateLimit { retry_after: Some(1) }, STATUS_FAULTS - 1);
    }
    platform.faults().pending() + ashby.map_or(0, |ashby| ashby.faults().pending())
}

async fn ordinary_by_webhook(part: &AshbyPart<'_>, size: Size, all: &mut Expectations) -> Result<(), ScriptError> {
    for n in 0..size.ordinary {
        let (application, place) = part.candidate(&format!("ordinary-{n}"), (n % 3 == 0).then_some("+44 20 7123 4567"), &part.job).await?;
        part.ats.move_stage(&application, TRIGGER).await?;
        all.0.insert(place, expected("invited from a webhook", 1, &[RECEIVED, INVITED]));
    }
    Ok(())
}

async fn errors_by_webhook(part: &AshbyPart<'_>, recruiter: &str, all: &mut Expectations) -> Result<(), ScriptError> {
    let no_role = part.ats.add_job("Office manager", None, recruiter).await;
    let (application, place) = part.candidate("no-role", None, &no_role).await?;
    part.ats.move_stage(&application, TRIGGER).await?;
    all.0.insert(place, expected("error: role missing", 0, &[ROLE_MISSING]));
    let unknown_role = part.ats.add_job("Gardener", Some("no such role"), recruiter).await;
    let (application, place) = part.candidate("unknown-role", None, &unknown_role).await?;
    part.ats.move_stage(&application, TRIGGER).await?;
    all.0.insert(place, expected("error: role unknown", 0, &[RECEIVED, ROLE_MISSING]));
    let (application, place) = part.candidate("short-phone", Some("12345"), &part.job).await?;
    part.ats.move_stage(&application, TRIGGER).await?;
    all.0.insert(place, expected("error: phone too short", 0, &[PHONE]));
    let own_job = part.ats.add_job("Recruiter", Some(ROLES[0].0), "myself@example.org").await;
    let new = NewCandidate {
        name: "Candidate myself".into(),
        email: format!("myself-{}@example.org", part.tenant),
        job: own_job,
        ..NewCandidate::default()
    };
    let email = new.email.clone();
    let application = part.ats.add_candidate(new).await?;
    part.ats.set_recruiter(&application, &email).await?;
    part.ats.move_stage(&application, TRIGGER).await?;
    all.0.insert(Place { tenant: part.tenant.to_string(), application, email }, expected("error: recruiter is candidate", 0, &[SAME]));
    Ok(())
}

async fn duplicates_by_webhook(part: &AshbyPart<'_>, all: &mut Expectations) -> Result<(), ScriptError> {
    let (application, place) = part.candidate("webhook-twice", None, &part.job).await?;
    part.ats.move_stage(&application, TRIGGER).await?;
    part.ats.repeat_last_webhook(&application).await?;
    all.0.insert(place, expected("the same webhook twice", 1, &[RECEIVED, INVITED]));
    Ok(())
}

async fn by_partner(part: &AshbyPart<'_>, all: &mut Expectations) -> Result<(), ScriptError> {
    let body = insisted(async || part.ats.list_assessments().await.ok()).await?;
    let named = |r: &&serde_json::Value| r["name"].as_str() == Some(ROLES[0].1);
    let found = body["results"].as_array().and_then(|list| list.iter().find(named));
    let test = found.and_then(|r| r["assessment_type_id"].as_str()).map(str::to_owned);
    let Some(test) = test else { return Err(ScriptError::Partner(format!("assessment.list answered {body}"))) };
    for n in 0..5 {
        let (application, place) = part.candidate(&format!("ordered-{n}"), None, &part.job).await?;
        insisted(async || part.ats.start_assessment(&application, &test).await.ok()).await?;
        all.0.insert(place, expected("invited from a partner call", 1, &[RECEIVED, INVITED]));
    }
    Ok(())
}

/// A recruiter who clicks again when the hub is busy or being started. 409 after such a click says that an earlier one was
/// taken after all.
async fn insisted(click: impl AsyncFn() -> Option<(u16, serde_json::Value)>) -> Result<serde_json::Value, ScriptError> {
    let mut last = "no answer".to_owned();
    for clicked in 0..CLICKS {
        match click().await {
            Some((200, body)) => return Ok(body),
            Some((409, body)) if clicked > 0 => return Ok(body),
            Some((status, body)) if status != 503 => return Err(ScriptError::Partner(format!("answered {status} {body}"))),
            Some((status, body)) => last = format!("{status} {body}"),
            None => {}
        }
        tokio::time::sleep(CLICK_PAUSE).await;
    }
    Err(ScriptError::Partner(format!("{CLICKS} tries, last: {last}")))
}

/// Facts as a bridge publishes them.
struct Facts<'a> {
    bridge: &'a Bridge,
    source: Line,
}

impl Facts<'_> {
    fn moved(&self, name: &str, application: &str, change: impl FnOnce(&mut ApplicationChange)) -> Result<(Envelope, Place), ScriptError> {
        let tenant = self.bridge.tenant();
        let email = format!("{name}@{tenant}.example");
        let mut fact = ApplicationChange {
            application: Application {
                id: ExternalId::new(application)?,
                url: Some(format!("https://ats.example/{tenant}/{application}").parse()?),
                status: None,
            },
            candidate: Some(Candidate {
                id: Some(ExternalId::new(format!("c-{name}"))?),
                name: Some(Line::new(format!("Candidate {name}"))?),
                email: Some(email.parse()?),
                phone: None,
                profile_url: None,
            }),
            job: Some(Job {
                id: Some("j-1".parse()?),
                title: Some(Line::new("Backend engineer")?),
                role: Some(Line::new(ROLES[0].1)?),
                ..Job::default()
            }),
            recruiter: Some(Person { id: None, name: None, email: Some(format!("recruiter@{tenant}.example").parse()?) }),
            grader: None,
            from_stage: None,
            to_stage: Some(Stage { id: None, name: Some(Line::new(TRIGGER)?) }),
            reason: None,
        };
        change(&mut fact);
        let mut envelope = Envelope::new(self.source.clone(), tenant.clone(), Timestamp::now(), Message::ApplicationMoved(fact));
        envelope.subject = ExternalId::new(format!("application/{application}")).ok();
        Ok((envelope, Place { tenant: tenant.to_string(), application: application.to_owned(), email }))
    }
}

async fn by_bridge(bridge: &Bridge, size: Size, all: &mut Expectations) -> Result<(), ScriptError> {
    let facts = Facts { bridge, source: Line::new(format!("/bridges/demo/{}", bridge.tenant()))? };
    for n in 0..size.ordinary {
        let (envelope, place) = facts.moved(&format!("ordinary-{n}"), &format!("a-{n}"), |_| {})?;
        bridge.publish(&envelope).await;
        all.0.insert(place, expected("invited from a bridge", 1, &[RECEIVED, INVITED]));
    }
    let (envelope, place) = facts.moved("twice", "a-twice", |_| {})?;
    bridge.publish(&envelope).await;
    bridge.publish(&envelope).await;
    all.0.insert(place, expected("the same message twice", 1, &[RECEIVED, INVITED]));
    let (envelope, place) = facts.moved("no-role", "a-no-role", |f| {
        if let Some(job) = &mut f.job {
            job.role = None;
        }
    })?;
    bridge.publish(&envelope).await;
    all.0.insert(place, expected("error: role missing", 0, &[ROLE_MISSING]));
    let short = "12345".to_owned().try_into()?;
    let (envelope, place) = facts.moved("short-phone", "a-short-phone", |f| {
        if let Some(candidate) = &mut f.candidate {
            candidate.phone = Some(short);
        }
    })?;
    bridge.publish(&envelope).await;
    all.0.insert(place, expected("error: phone too short", 0, &[PHONE]));
    let (envelope, place) = facts.moved("myself", "a-myself", |f| {
        f.recruiter = f.candidate.as_ref().map(|c| Person { id: None, name: None, email: c.email.clone() });
    })?;
    bridge.publish(&envelope).await;
    all.0.insert(place, expected("error: recruiter is candidate", 0, &[SAME]));
    Ok(())
}

/// A message for nobody, and one that is none. Both are to be parked, with their codes.
async fn strays(bridge: &Bridge) -> Result<(), ScriptError> {
    let facts = Facts { bridge, source: Line::new("/bridges/demo/ghost")? };
    let (mut envelope, _) = facts.moved("ghost", "a-ghost", |_| {})?;
    envelope.tenant = TenantName::new("ghost-tenant")?;
    bridge.publish(&envelope).await;
    let key = format!("{}.application.moved.v1", bridge.tenant());
    bridge.publish_raw(&key, "not-a-message", b"{ this is not a message".to_vec()).await;
    Ok(())
}

/// Re-triggers: for each tenant, one candidate who was invited leaves the stage and enters it again, and one person applies
/// for a second job with the same role. To be played when the first act is complete.
///
/// # Errors
/// [`ScriptError`]: a slip in the script.
pub async fn play_again(world: &World, all: &mut Expectations) -> Result<(), ScriptError> {
    for (tenant, ats) in &world.ashby {
        let place = all.0.keys().find(|p| p.tenant == tenant.as_str() && p.email.starts_with("ordinary-0@")).cloned();
        let Some(place) = place else { continue };
        ats.move_stage(&place.application, "Phone screen").await?;
        ats.move_stage(&place.application, TRIGGER).await?;
        all.0.insert(place, Expected { asked_again: 1, ..expected("re-trigger of a live interview", 1, &[RECEIVED, INVITED]) });
    }
    for bridge in &world.bridges {
        let facts = Facts { bridge, source: Line::new(format!("/bridges/demo/{}", bridge.tenant()))? };
        let (away, _) = facts.moved("ordinary-0", "a-0", |f| {
            f.to_stage = Line::new("Phone screen").ok().map(|name| Stage { id: None, name: Some(name) });
        })?;
        bridge.publish(&away).await;
        let (back, place) = facts.moved("ordinary-0", "a-0", |_| {})?;
        bridge.publish(&back).await;
        all.0.insert(place, Expected { asked_again: 1, ..expected("re-trigger of a live interview", 1, &[RECEIVED, INVITED]) });
        let (second, mut place) = facts.moved("ordinary-1", "a-second-job", |f| {
            if let Some(job) = &mut f.job {
                job.id = ExternalId::new("j-2").ok();
            }
        })?;
        bridge.publish(&second).await;
        // The invitation is counted at the first application.
        place.email = format!("second-job-of-{}", place.email);
        all.0.insert(place, expected("second application, same role", 0, &[RECEIVED, ACTIVE]));
    }
    Ok(())
}
