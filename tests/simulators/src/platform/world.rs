//! What the platform knows and the rules it enforces. No GraphQL and no HTTP here.
//!
//! Choices where the published documents are silent: an invitation with the ATS address of an earlier, finished candidacy
//! of the same person and role adds an interview to it, any other makes a new candidacy; a blank phone counts as none. Without
//! its guard against doubles it does the same while the earlier interview is still live.

use super::{
    Guard,
    words::{CandidacyStatus, ClientUserType, InterviewState},
};
use jiff::{SignedDuration, Timestamp};

/// How long an invitation may wait for its interview.
pub(crate) const INVITATION_LIFE: SignedDuration = SignedDuration::from_hours(28 * 24);
const SHORTEST_PHONE: usize = 7;

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) id: u64,
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) group: u64,
    pub(crate) archived: bool,
    pub(crate) demo: bool,
    pub(crate) updated_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) kind: ClientUserType,
    pub(crate) disabled: bool,
    pub(crate) created_at: Timestamp,
}

#[derive(Debug, Clone)]
pub(crate) struct Interview {
    pub(crate) id: u64,
    pub(crate) state: InterviewState,
    pub(crate) created_at: Timestamp,
    pub(crate) start_time: Option<Timestamp>,
    pub(crate) end_time: Option<Timestamp>,
    pub(crate) shipped_time: Option<Timestamp>,
    pub(crate) recommendation: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) is_redo: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Candidacy {
    pub(crate) id: u64,
    pub(crate) person: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) resume: Option<String>,
    pub(crate) ats_url: Option<String>,
    pub(crate) role: String,
    pub(crate) recruiter: u64,
    pub(crate) status: CandidacyStatus,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) last_status_update: Timestamp,
    pub(crate) interviews: Vec<Interview>,
}

/// An invitation as it was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) phone: Option<String>,
    pub(crate) ats_url: Option<String>,
    pub(crate) resume: Option<String>,
}

/// An invitation that was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) candidacy: u64,
    pub(crate) interview: u64,
    pub(crate) link: String,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) base_url: String,
    pub(crate) groups: Vec<Group>,
    pub(crate) roles: Vec<Role>,
    pub(crate) users: Vec<User>,
    pub(crate) candidacies: Vec<Candidacy>,
    pub(crate) ahead: SignedDuration,
    pub(crate) guard: Guard,
    next_id: u64,
}

impl World {
    pub(crate) fn new(base_url: String, account: (&str, &str), roles: &[(String, String)]) -> Self {
        let now = Timestamp::now();
        let mut world = Self {
            base_url,
            groups: vec![],
            roles: vec![],
            users: vec![],
            candidacies: vec![],
            ahead: SignedDuration::ZERO,
            guard: Guard::default(),
            next_id: 1000,
        };
        let group = world.fresh_id();
        world.groups.push(Group { id: group, name: "Engineering".to_owned() });
        let user = world.fresh_id();
        let (name, email) = (account.0.to_owned(), account.1.to_owned());
        world.users.push(User { id: user, name, email, kind: ClientUserType::Admin, disabled: false, created_at: now });
        for (id, name) in roles {
            world.put_role(id, name);
        }
        world
    }

    pub(crate) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.ahead).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn link(&self, interview: u64) -> String {
        format!("{}/interviews/{interview}", self.base_url)
    }

    pub(crate) fn put_role(&mut self, id: &str, name: &str) {
        let (now, group) = (self.now(), self.groups.first().map_or(0, |group| group.id));
        match self.roles.iter_mut().find(|role| role.id == id) {
            Some(role) => (role.name, role.archived, role.updated_at) = (name.to_owned(), false, now),
            None => {
                self.roles.push(Role { id: id.to_owned(), name: name.to_owned(), group, archived: false, demo: false, updated_at: now });
            }
        }
    }

    pub(crate) fn role(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    pub(crate) fn user(&self, id: u64) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    pub(crate) fn candidacy_mut(&mut self, id: &str) -> Option<&mut Candidacy> {
        let id: u64 = id.parse().ok()?;
        self.candidacies.iter_mut().find(|candidacy| candidacy.id == id)
    }

    /// Makes an invitation, or says in the platform's own words why not.
    pub(crate) fn invite(&mut self, wish: Wish) -> Result<Made, String> {
        self.expire();
        let email = wish.email.trim().to_owned();
        if wish.name.trim().is_empty() {
            return Err("Name can't be blank".to_owned());
        }
        if !email.contains('@') {
            return Err("Email is invalid".to_owned());
        }
        if self.role(&wish.role).is_none_or(|role| role.archived) {
            return Err("Missing or invalid Karat role on the job.".to_owned());
        }
        if wish.phone.as_deref().is_some_and(|phone| (1..SHORTEST_PHONE).contains(&phone.trim().chars().count())) {
            return Err(format!("Phone is too short (minimum is {SHORTEST_PHONE} characters)."));
        }
        let recruiter = self.users.first().map_or(0, |user| user.id);
        if self.user(recruiter).is_some_and(|user| user.email.eq_ignore_ascii_case(&email)) {
            return Err("Recruiter and candidate can't be the same.".to_owned());
        }
        let same = |it: &&Candidacy| it.email.eq_ignore_ascii_case(&email) && it.role == wish.role;
        let live = self.candidacies.iter().filter(same).flat_map(|it| &it.interviews).find(|interview| interview.state.is_live());
        if let Some(live) = live.filter(|_| self.guard == Guard::RefusesDoubles) {
            return Err(format!(
                "Invite failed: Role already has an active interview for this candidate. \
                 Please visit this interview to make changes to it. {}",
                self.link(live.id)
            ));
        }
        let (now, interview) = (self.now(), self.fresh_id());
        let again = self.candidacies.iter().position(|it| same(&it) && it.ats_url == wish.ats_url);
        let at = match again {
            Some(at) => at,
            None => {
                let known = self.candidacies.iter().find(|it| it.email.eq_ignore_ascii_case(&email)).map(|it| it.person);
                let (person, id) = (known.unwrap_or_else(|| self.fresh_id()), self.fresh_id());
                self.candidacies.push(Candidacy {
                    id,
                    person,
                    name: wish.name,
                    email,
                    resume: wish.resume,
                    ats_url: wish.ats_url,
                    role: wish.role,
                    recruiter,
                    status: CandidacyStatus::InterviewPending,
                    created_at: now,
                    updated_at: now,
                    last_status_update: now,
                    interviews: vec![],
                });
                self.candidacies.len() - 1
            }
        };
        let candidacy = &mut self.candidacies[at];
        candidacy.interviews.push(Interview::new(interview, now, false));
        candidacy.status = CandidacyStatus::InterviewPending;
        candidacy.touch(now);
        Ok(Made { candidacy: candidacy.id, interview, link: self.link(interview) })
    }

    /// Times out what has waited too long, by the platform's own clock.
    pub(crate) fn expire(&mut self) {
        let now = self.now();
        for candidacy in &mut self.candidacies {
            let overdue = |it: &&mut Interview| it.state.is_live() && now.duration_since(it.created_at) >= INVITATION_LIFE;
            if let Some(interview) = candidacy.interviews.iter_mut().find(overdue) {
                interview.state = InterviewState::Cancelled;
                interview.end_time = Some(now);
                candidacy.status = CandidacyStatus::Inactive;
                candidacy.touch(now);
            }
        }
    }
}

impl Interview {
    pub(crate) fn new(id: u64, now: Timestamp, is_redo: bool) -> Self {
        Self {
            id,
            state: InterviewState::Scheduling,
            created_at: now,
            start_time: None,
            end_time: None,
            shipped_time: None,
            recommendation: None,
            summary: None,
            is_redo,
        }
    }
}

impl Candidacy {
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.updated_at = now;
        self.last_status_update = now;
    }

    /// Moves the latest interview on, with the times and the result that go with it.
    pub(crate) fn advance(&mut self, state: InterviewState, now: Timestamp) {
        const UNTIL_INTERVIEW: SignedDuration = SignedDuration::from_hours(48);
        let Some(interview) = self.interviews.last_mut() else { return };
        interview.state = state;
        match state {
            InterviewState::Scheduling => interview.start_time = None,
            InterviewState::Scheduled | InterviewState::Rescheduled => interview.start_time = now.saturating_add(UNTIL_INTERVIEW).ok(),
            InterviewState::Interviewing => interview.start_time = Some(now),
            InterviewState::Cancelled => interview.end_time = Some(now),
            InterviewState::Shipped => {
                interview.start_time.get_or_insert(now);
                interview.end_time.get_or_insert(now);
                interview.shipped_time = Some(now);
                interview.recommendation.get_or_insert_with(|| "PASS".to_owned());
                interview.summary.get_or_insert_with(|| "Solved both questions with little help.".to_owned());
            }
            InterviewState::Processing
            | InterviewState::Creating
            | InterviewState::AwaitingQc
            | InterviewState::Qc
            | InterviewState::Hold
            | InterviewState::FinalCheck
            | InterviewState::ContentCheck
            | InterviewState::ReadyToShip
            | InterviewState::Shipping => {
                interview.end_time.get_or_insert(now);
            }
        }
        self.status = match state {
            InterviewState::Shipped => CandidacyStatus::InterviewReadyToReview,
            InterviewState::Cancelled => CandidacyStatus::Inactive,
            _ => CandidacyStatus::InterviewPending,
        };
        self.touch(now);
    }
}
