//! What people do in Ashby: recruiters move, change, hire, archive and delete; administrators set jobs and webhooks. Each
//! act sends the webhooks that Ashby sends for it and returns their `webhookActionId`.
//!
//! A choice: a changed candidate (name, e-mail, phone) sends `applicationUpdate` for each of their applications, as there is
//! no event for candidates and the payload carries the new data.

use super::{
    Account, shape,
    world::{Application, Candidate, Hook, Job, Status, Stay, World, fresh_id},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The webhook types this simulator sends.
pub(crate) const HOOK_TYPES: [&str; 7] =
    ["applicationSubmit", "applicationUpdate", "candidateStageChange", "candidateHire", "candidateDelete", "candidateMerge", "jobUpdate"];

/// Somebody who applies.
#[derive(Debug, Clone, Default)]
pub struct NewCandidate {
    /// Full name.
    pub name: String,
    /// E-mail; blank for none.
    pub email: String,
    /// Phone, if there is one.
    pub phone: Option<String>,
    /// The job's id; blank for the job that was added first.
    pub job: String,
    /// The recruiter of this application, if not the job's.
    pub recruiter_email: Option<String>,
}

/// What to change about a candidate; `None` leaves it, a blank removes it.
#[derive(Debug, Clone, Default)]
pub struct CandidateChange {
    /// Name.
    pub name: Option<String>,
    /// E-mail.
    pub email: Option<String>,
    /// Phone.
    pub phone: Option<String>,
}

/// Something was named that this Ashby does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {what} `{name}`")]
pub struct NoSuch {
    /// What kind of thing.
    pub what: &'static str,
    /// What it was called.
    pub name: String,
}

fn no(what: &'static str, name: &str) -> NoSuch {
    NoSuch { what, name: name.to_owned() }
}

fn unless_blank(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) fn about_application(world: &World, application: &str) -> Value {
    json!({ "application": world.applications.get(application).map(|it| shape::application(world, it)) })
}

impl Account {
    /// Points every webhook made in the settings at this address; makes them if there are none.
    pub fn set_hook_url(&self, url: &str) {
        let mut world = self.lock();
        if !world.hooks.iter().any(|hook| hook.by_hand) {
            let secret = Some(self.inner.options.webhook_secret.clone()).filter(|secret| !secret.is_empty());
            let made = HOOK_TYPES.map(|kind| Hook {
                id: fresh_id(),
                kind: kind.to_owned(),
                url: url.to_owned(),
                secret: secret.clone(),
                enabled: true,
                by_hand: true,
            });
            world.hooks.extend(made);
        }
        for hook in world.hooks.iter_mut().filter(|hook| hook.by_hand) {
            url.clone_into(&mut hook.url);
        }
    }

    /// Adds a job, with the platform role in its role field and a recruiter, and returns its id. Sends nothing.
    pub async fn add_job<'a>(&self, title: &str, role: Option<&str>, recruiter: impl Into<Option<&'a str>>) -> String {
        let mut world = self.lock();
        let recruiter = recruiter.into().map(|email| world.user_by_email(email));
        let now = Timestamp::now();
        let mut job = Job { id: fresh_id(), title: title.to_owned(), recruiter, fields: Default::default(), created: now, updated: now };
        if let (Some(role), Some(field)) = (role, world.field(&self.inner.options.role_field)) {
            job.fields.insert(field.id.clone(), json!(role));
        }
        let id = job.id.clone();
        world.jobs.insert(id.clone(), job);
        id
    }

    /// Adds a candidate with an application in the first stage, sends `applicationSubmit`, and returns the application's id.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn add_candidate(&self, new: NewCandidate) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let job = if new.job.is_empty() { world.jobs.keys().next().cloned() } else { Some(new.job.clone()) };
        let job = job.filter(|id| world.jobs.contains_key(id)).ok_or_else(|| no("job", &new.job))?;
        let recruiter = new.recruiter_email.as_deref().map(|email| world.user_by_email(email));
        let (now, candidate, id) = (Timestamp::now(), fresh_id(), fresh_id());
        world.candidates.insert(
            candidate.clone(),
            Candidate {
                id: candidate.clone(),
                name: new.name,
                email: unless_blank(&new.email),
                phone: new.phone.as_deref().and_then(unless_blank),
                tags: Default::default(),
                notes: vec![],
                fields: Default::default(),
                created: now,
                updated: now,
            },
        );
        let application = Application {
            id: id.clone(),
            candidate,
            job,
            recruiter,
            stage: 0,
            status: Status::Active,
            archived: None,
            fields: Default::default(),
            history: vec![Stay { id: fresh_id(), stage: 0, entered: now, left: None }],
            created: now,
            // As old as what the webhook of the submission says: a click that follows is later.
            updated: now - SignedDuration::from_millis(1),
            revision: 0,
            last_hooks: vec![],
        };
        world.applications.insert(id.clone(), application);
        world.touch(&id);
        let data = about_application(&world, &id);
        self.emit(&mut world, Some(&id), vec![("applicationSubmit", data)]);
        Ok(id)
    }

    /// Moves an application to a stage by its title: `candidateStageChange` and the related `applicationUpdate`, and
    /// `candidateHire` if it is the hired stage.
    ///
    /// # Errors
    /// If there is no such application or stage.
    pub async fn move_stage(&self, application: &str, stage: &str) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let index = world.stage_by_title(stage).ok_or_else(|| no("stage", stage))?;
        self.change_stage(&mut world, application, index).ok_or_else(|| no("application", application))
    }

    /// Moves an application and sends no webhook, as if all of them were lost.
    ///
    /// # Errors
    /// As [`AshbySimulator::move_stage`].
    pub async fn move_unheard(&self, application: &str, stage: &str) -> Result<(), NoSuch> {
        let mut world = self.lock();
        let index = world.stage_by_title(stage).ok_or_else(|| no("stage", stage))?;
        if !world.applications.contains_key(application) {
            return Err(no("application", application));
        }
        world.enter_stage(application, index);
        Ok(())
    }

    pub(crate) fn change_stage(&self, world: &mut World, application: &str, stage: usize) -> Option<String> {
        world.enter_stage(application, stage);
        let hired = world.applications.get(application)?.status == Status::Hired;
        let data = about_application(world, application);
        let mut events = vec![("candidateStageChange", data.clone()), ("applicationUpdate", data.clone())];
        if hired {
            let mut hire = data;
            hire["offer"] = Value::Null;
            events.insert(0, ("candidateHire", hire));
        }
        Some(self.emit(world, Some(application), events))
    }

    /// Hires: three events with one id.
    ///
    /// # Errors
    /// If there is no such application.
    pub async fn hire(&self, application: &str) -> Result<String, NoSuch> {
        self.move_stage(application, "Hired").await
    }

    /// Archives (rejects).
    ///
    /// # Errors
    /// If there is no such application.
    pub async fn archive(&self, application: &str) -> Result<String, NoSuch> {
        self.move_stage(application, "Archived").await
    }

    /// Changes a candidate, named by their id or by an application's.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub async fn update_candidate(&self, id: &str, change: CandidateChange) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let candidate = world.candidate_id(id).ok_or_else(|| no("candidate", id))?;
        if let Some(it) = world.candidates.get_mut(&candidate) {
            if let Some(name) = change.name {
                it.name = name;
            }
            if let Some(email) = change.email {
                it.email = unless_blank(&email);
            }
            if let Some(phone) = change.phone {
                it.phone = unless_blank(&phone);
            }
            it.updated = Timestamp::now();
        }
        let mut action = String::new();
        for application in world.applications_of(&candidate) {
            action = self.application_updated(&mut world, &application);
        }
        Ok(action)
    }

    /// Gives an application another recruiter.
    ///
    /// # Errors
    /// If there is no such application.
    pub async fn set_recruiter(&self, application: &str, email: &str) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let recruiter = world.user_by_email(email);
        world.applications.get_mut(application).ok_or_else(|| no("application", application))?.recruiter = Some(recruiter);
        Ok(self.application_updated(&mut world, application))
    }

    /// Transfers an application to another job.
    ///
    /// # Errors
    /// If there is no such application or job.
    pub async fn transfer(&self, application: &str, job: &str) -> Result<String, NoSuch> {
        let mut world = self.lock();
        world.jobs.get(job).ok_or_else(|| no("job", job))?;
        job.clone_into(&mut world.applications.get_mut(application).ok_or_else(|| no("application", application))?.job);
        Ok(self.application_updated(&mut world, application))
    }

    fn application_updated(&self, world: &mut World, application: &str) -> String {
        world.touch(application);
        let data = about_application(world, application);
        self.emit(world, Some(application), vec![("applicationUpdate", data)])
    }

    /// Deletes a candidate (named by their id or an application's) with all applications.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub async fn delete(&self, id: &str) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let candidate = world.candidate_id(id).ok_or_else(|| no("candidate", id))?;
        world.candidates.remove(&candidate);
        world.applications.retain(|_, it| it.candidate != candidate);
        Ok(self.emit(&mut world, None, vec![("candidateDelete", json!({ "candidate": { "id": candidate } }))]))
    }

    /// Merges one candidate into another; the first is deleted, its applications go over.
    ///
    /// # Errors
    /// If there is no such candidate.
    pub async fn merge(&self, deleted: &str, kept: &str) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let deleted = world.candidate_id(deleted).ok_or_else(|| no("candidate", deleted))?;
        let kept = world.candidate_id(kept).ok_or_else(|| no("candidate", kept))?;
        world.candidates.remove(&deleted);
        for application in world.applications_of(&deleted) {
            if let Some(it) = world.applications.get_mut(&application) {
                kept.clone_into(&mut it.candidate);
            }
            world.touch(&application);
        }
        let data = json!({ "deletedCandidate": { "id": deleted }, "mergedCandidate": { "id": kept } });
        Ok(self.emit(&mut world, None, vec![("candidateMerge", data)]))
    }

    /// Sets or clears the platform role in a job's role field: `jobUpdate`.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn set_job_role<'a>(&self, job: &str, role: impl Into<Option<&'a str>>) -> Result<String, NoSuch> {
        let mut world = self.lock();
        let field = world.field(&self.inner.options.role_field).map(|field| field.id.clone()).unwrap_or_default();
        let it = world.jobs.get_mut(job).ok_or_else(|| no("job", job))?;
        it.updated = Timestamp::now();
        match role.into() {
            Some(role) => it.fields.insert(field, json!(role)),
            None => it.fields.remove(&field),
        };
        let data = json!({ "job": world.jobs.get(job).map(|it| shape::job(&world, it)) });
        Ok(self.emit(&mut world, None, vec![("jobUpdate", data)]))
    }

    /// Sends the webhooks of the last act on an application once more, byte for byte: a duplicate delivery.
    ///
    /// # Errors
    /// If there is no such application.
    pub async fn repeat_last_webhook(&self, application: &str) -> Result<(), NoSuch> {
        let world = self.lock();
        let bodies = &world.applications.get(application).ok_or_else(|| no("application", application))?.last_hooks;
        self.send(&world, bodies);
        Ok(())
    }
}
