//! What the simulated Ashby knows: records and how they hang together. No HTTP, no webhooks, no JSON shapes here.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(crate) fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) email: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) kind: &'static str,
}

/// A custom field. Values hang on the objects, by the field's id.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) object: &'static str,
}

pub(crate) type Fields = BTreeMap<String, Value>;

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) recruiter: Option<String>,
    pub(crate) fields: Fields,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Note {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) tags: BTreeSet<String>,
    pub(crate) notes: Vec<Note>,
    pub(crate) fields: Fields,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Hired,
    Archived,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Hired => "Hired",
            Self::Archived => "Archived",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Stay {
    pub(crate) id: String,
    pub(crate) stage: usize,
    pub(crate) entered: Timestamp,
    pub(crate) left: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(crate) struct Application {
    pub(crate) id: String,
    pub(crate) candidate: String,
    pub(crate) job: String,
    /// Overrides the job's recruiter.
    pub(crate) recruiter: Option<String>,
    pub(crate) stage: usize,
    pub(crate) status: Status,
    pub(crate) archived: Option<Timestamp>,
    pub(crate) fields: Fields,
    pub(crate) history: Vec<Stay>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    /// Grows with every change of any application: what sync tokens count.
    pub(crate) revision: u64,
    /// The webhooks of the recruiter's last act on it: action and exact body.
    pub(crate) last_hooks: Vec<(&'static str, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) enabled: bool,
    /// Made by an administrator in the settings, not over the API.
    pub(crate) by_hand: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Tag {
    pub(crate) id: String,
    pub(crate) title: String,
}

/// An assessment that was started from here, with the partner's last update of it.
#[derive(Debug, Clone)]
pub(crate) struct Assessment {
    pub(crate) application: String,
    pub(crate) kind: String,
    pub(crate) started: Option<i64>,
    pub(crate) update: Value,
}

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) plan: String,
    pub(crate) stages: Vec<Stage>,
    pub(crate) fields: Vec<Field>,
    pub(crate) users: Vec<User>,
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) candidates: BTreeMap<String, Candidate>,
    pub(crate) applications: BTreeMap<String, Application>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) assessments: BTreeMap<String, Assessment>,
    pub(crate) missing_permissions: BTreeSet<String>,
    pub(crate) revision: u64,
    /// Sync tokens from before this revision are expired.
    pub(crate) oldest_token: u64,
}

impl World {
    pub(crate) fn new(stages: &[String]) -> Self {
        let mut world = Self { plan: fresh_id(), ..Self::default() };
        for title in stages.iter().map(String::as_str).chain(["Hired", "Archived"]) {
            if world.stages.iter().all(|stage| stage.title != title) {
                let kind = match title {
                    "Offer" => "Offer",
                    "Hired" => "Hired",
                    "Archived" => "Archived",
                    "Application Review" => "PreInterviewScreen",
                    _ => "Active",
                };
                world.stages.push(Stage { id: fresh_id(), title: title.to_owned(), kind });
            }
        }
        world
    }

    pub(crate) fn field(&self, title: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.title == title)
    }

    pub(crate) fn add_field(&mut self, title: &str, object: &'static str) -> String {
        let known = self.fields.iter().find(|field| field.title == title && field.object == object);
        known.map(|field| field.id.clone()).unwrap_or_else(|| {
            let id = fresh_id();
            self.fields.push(Field { id: id.clone(), title: title.to_owned(), object });
            id
        })
    }

    /// The user with this address, made if there is none.
    pub(crate) fn user_by_email(&mut self, email: &str) -> String {
        if let Some(user) = self.users.iter().find(|user| user.email.eq_ignore_ascii_case(email)) {
            return user.id.clone();
        }
        let first = email.split(['@', '.']).next().unwrap_or_default();
        let first = first.chars().take(1).flat_map(char::to_uppercase).chain(first.chars().skip(1)).collect();
        let user = User { id: fresh_id(), first, last: "Recruiter".to_owned(), email: email.to_owned() };
        let id = user.id.clone();
        self.users.push(user);
        id
    }

    pub(crate) fn stage_by_title(&self, title: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.title == title)
    }

    /// The candidate with this id, or of the application with this id.
    pub(crate) fn candidate_id(&self, id: &str) -> Option<String> {
        let of_application = || self.applications.get(id).map(|application| application.candidate.clone());
        self.candidates.contains_key(id).then(|| id.to_owned()).or_else(of_application)
    }

    /// A candidate's applications, oldest first.
    pub(crate) fn applications_of(&self, candidate: &str) -> Vec<String> {
        self.applications.values().filter(|it| it.candidate == candidate).map(|it| it.id.clone()).collect()
    }

    /// Notes that an application was changed, for `updatedAt` and sync tokens.
    pub(crate) fn touch(&mut self, application: &str) {
        self.revision += 1;
        if let Some(it) = self.applications.get_mut(application) {
            // No two clicks of a recruiter fall into one millisecond, which is as fine as the API tells time.
            it.updated = Timestamp::now().max(it.updated + SignedDuration::from_millis(1));
            it.revision = self.revision;
        }
    }

    /// Puts an application into a stage; the stage's kind decides its status.
    pub(crate) fn enter_stage(&mut self, application: &str, stage: usize) {
        let now = Timestamp::now();
        let kind = self.stages.get(stage).map_or("Active", |stage| stage.kind);
        if let Some(it) = self.applications.get_mut(application) {
            if let Some(stay) = it.history.last_mut() {
                stay.left.get_or_insert(now);
            }
            it.history.push(Stay { id: fresh_id(), stage, entered: now, left: None });
            it.stage = stage;
            (it.status, it.archived) = match kind {
                "Hired" => (Status::Hired, None),
                "Archived" => (Status::Archived, Some(now)),
                _ => (Status::Active, None),
            };
        }
        self.touch(application);
    }
}
