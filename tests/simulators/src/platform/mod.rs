//! The interview platform as a GraphQL server with introspection. It enforces the platform's own rules (duplicate guard
//! with link, phone, role, recruiter), keeps state, ages invitations, and misbehaves on order. It sends no e-mail.

mod door;
mod mutations;
mod nodes;
mod page;
mod queries;
mod words;
mod world;

use crate::{
    faults::Faults,
    ledger::Ledger,
    server::{self, Running},
};
use async_graphql::EnumType;
use jiff::SignedDuration;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use words::InterviewState;
use world::{Interview, World};

/// What the platform does about a second invitation of one person to one role while the interview of the first is live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard {
    /// It refuses it with a link to that interview, as the real one does.
    #[default]
    RefusesDoubles,
    /// It makes every one, and the ledger counts it: only what the caller does keeps a candidate from a second e-mail.
    Absent,
}

/// How the platform starts.
#[derive(Debug, Clone)]
pub struct PlatformOptions {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The token it accepts.
    pub token: String,
    /// Roles: id and name.
    pub roles: Vec<(String, String)>,
    /// Name of the token's user, which is what `me` answers and who recruits.
    pub account_name: String,
    /// E-mail of the token's user: inviting that address is refused.
    pub account_email: String,
    /// What it does about doubles.
    pub guard: Guard,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: "platform-token".to_owned(),
            roles: vec![("1201".to_owned(), "Backend engineer".to_owned()), ("1202".to_owned(), "Frontend engineer".to_owned())],
            account_name: "Rae Recruiter".to_owned(),
            account_email: "rae@platform.example".to_owned(),
            guard: Guard::default(),
        }
    }
}

/// State that the schema and the controls share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    world: Arc<Mutex<World>>,
    pub(crate) ledger: Ledger,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name that the platform does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There is no such candidacy.
    #[error("no candidacy `{0}`")]
    Candidacy(String),
    /// There is no such interview state.
    #[error("no interview state `{0}`")]
    State(String),
}

/// What a test may do to the platform while it runs, and see of it. Clones control the same platform.
#[derive(Debug, Clone)]
pub struct Controls {
    shared: Shared,
    faults: Faults,
    token: String,
    revoked: Arc<Mutex<bool>>,
    base_url: String,
}

/// The running platform. It stops when it is stopped or dropped.
#[derive(Debug)]
pub struct PlatformSimulator {
    controls: Controls,
    running: Running,
}

impl PlatformSimulator {
    /// Starts it; when this returns it answers.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn start(options: PlatformOptions) -> io::Result<Self> {
        let (listener, address) = server::bind(options.listen)?;
        let base_url = format!("http://{address}");
        let mut world = World::new(base_url.clone(), (&options.account_name, &options.account_email), &options.roles);
        world.guard = options.guard;
        let shared = Shared { world: Arc::new(Mutex::new(world)), ledger: Ledger::default() };
        let controls =
            Controls { shared: shared.clone(), faults: Faults::default(), token: options.token, revoked: Arc::default(), base_url };
        let (schema, handle) = (door::schema(shared), controls.clone());
        let running = server::serve(listener, controls.ledger(), controls.faults.clone(), move |config| {
            door::routes(config, schema.clone(), handle.clone());
        })?;
        Ok(Self { controls, running })
    }

    /// A handle for other tasks.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Stops it, dropping calls that hang.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

impl Deref for PlatformSimulator {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl Controls {
    /// The GraphQL endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/api/v1/graphql", self.base_url)
    }

    /// The server's root, where `/ledger` and `/faults` are.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.base_url.clone()
    }

    /// The token it accepts.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What happened.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.ledger.clone()
    }

    /// Misbehaviour, by root field: `createInvitation`, `candidacies`, `roles`, `me`, …, or `*`.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// What it does about doubles.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.shared.lock().guard
    }

    /// Does this about doubles from now on.
    pub fn set_guard(&self, guard: Guard) {
        self.shared.lock().guard = guard;
    }

    /// Refuses the token with 401 from now on.
    pub fn revoke_token(&self) {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Accepts the token again.
    pub fn restore_token(&self) {
        *self.revoked.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    pub(crate) fn accepts(&self, token: &str) -> bool {
        token == self.token && !*self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a role, or brings an archived one back.
    pub fn add_role(&self, id: &str, name: &str) {
        self.shared.lock().put_role(id, name);
    }

    /// Renames a role.
    pub fn rename_role(&self, id: &str, name: &str) {
        self.shared.lock().put_role(id, name);
    }

    /// Archives a role: it is no longer listed, and inviting for it is refused.
    pub fn archive_role(&self, id: &str) {
        let mut world = self.shared.lock();
        let now = world.now();
        if let Some(role) = world.roles.iter_mut().find(|role| role.id == id) {
            (role.archived, role.updated_at) = (true, now);
        }
    }

    /// Moves a candidacy's latest interview to a state, in the platform's own word (`SCHEDULED`, `SHIPPED`, …), with the
    /// times and the result that go with it.
    ///
    /// # Errors
    /// If there is no such candidacy or state.
    pub fn set_interview_state(&self, candidacy: &str, state: &str) -> Result<(), Unknown> {
        let known = InterviewState::items().iter().find(|item| item.name == state).map(|item| item.value);
        let state = known.ok_or_else(|| Unknown::State(state.to_owned()))?;
        let mut world = self.shared.lock();
        let now = world.now();
        world.candidacy_mut(candidacy).ok_or_else(|| Unknown::Candidacy(candidacy.to_owned()))?.advance(state, now);
        Ok(())
    }

    /// Lets the candidate do a finished interview again: a second interview of the same candidacy.
    ///
    /// # Errors
    /// If there is no such candidacy.
    pub fn offer_redo(&self, candidacy: &str) -> Result<(), Unknown> {
        let mut world = self.shared.lock();
        let (now, id) = (world.now(), world.fresh_id());
        let candidacy = world.candidacy_mut(candidacy).ok_or_else(|| Unknown::Candidacy(candidacy.to_owned()))?;
        candidacy.interviews.push(Interview::new(id, now, true));
        candidacy.touch(now);
        Ok(())
    }

    /// The state of a candidacy's latest interview, in the platform's word.
    #[must_use]
    pub fn interview_state(&self, candidacy: &str) -> Option<String> {
        let mut world = self.shared.lock();
        world.expire();
        let state = world.candidacy_mut(candidacy)?.interviews.last()?.state;
        InterviewState::items().iter().find(|item| item.value == state).map(|item| item.name.to_owned())
    }

    /// The candidacies of a person, by e-mail.
    #[must_use]
    pub fn candidacies_of(&self, email: &str) -> Vec<String> {
        self.shared.lock().candidacies.iter().filter(|it| it.email.eq_ignore_ascii_case(email)).map(|it| it.id.to_string()).collect()
    }

    /// Moves the platform's clock ahead: invitations of 28 days are then timed out.
    pub fn age(&self, by: Duration) {
        let mut world = self.shared.lock();
        world.ahead = world.ahead.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX));
        world.expire();
    }
}
