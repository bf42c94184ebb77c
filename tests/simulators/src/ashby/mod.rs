//! Ashby as its documents describe it: the RPC-style API with Basic authentication and 200-with-`success:false` errors,
//! signed webhooks with Ashby's rules for trying again, and the calls it makes to an assessment partner. People's acts are
//! methods of [`Account`]. Not simulated: offers, interview schedules, confidential jobs.

mod api;
mod control;
mod hooks;
mod partner;
mod recruiter;
mod shape;
mod world;

use crate::{
    faults::Faults,
    ledger::Ledger,
    server::{self, Running},
};
pub use hooks::Deliveries;
pub use partner::PartnerCallFailed;
pub use recruiter::{CandidateChange, NewCandidate, NoSuch};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};
use world::World;

/// The one archive reason there is.
pub(crate) const ARCHIVE_REASON: &str = "00000000-0000-4000-8000-00000000000b";

/// How this Ashby starts.
#[derive(Debug, Clone)]
pub struct AshbyOptions {
    /// Where to listen; port 0 takes any.
    pub listen: SocketAddr,
    /// The API key it accepts.
    pub api_key: String,
    /// Secret of the webhooks made in the settings; blank for unsigned webhooks.
    pub webhook_secret: String,
    /// Where those webhooks go; `None` sends none until [`Account::set_hook_url`].
    pub hook_url: Option<String>,
    /// The assessment partner's base URL.
    pub partner_base_url: Option<String>,
    /// The partner's key, sent as the user of Basic authentication.
    pub partner_key: Option<String>,
    /// Titles of the interview plan's stages, in order; `Hired` and `Archived` are added.
    pub stages: Vec<String>,
    /// Title of the application's custom field for the status.
    pub status_field: String,
    /// Title of the job's custom field for the platform role.
    pub role_field: String,
    /// What a retry's wait is counted in: ten seconds at Ashby.
    pub retry_unit: Duration,
    /// How long a webhook's receiver may take. Ashby's own limit is not published.
    pub hook_timeout: Duration,
    /// API calls per minute, then 429; `None` for no limit (Ashby publishes no number).
    pub rate_limit_per_minute: Option<u32>,
    /// Whether an API write to an application sends `applicationUpdate`, as any change of a field does.
    pub echo_writes: bool,
}

impl Default for AshbyOptions {
    fn default() -> Self {
        let stages = ["Application Review", "Phone screen", "Karat Assessment", "Onsite", "Offer", "Hired", "Archived"];
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            api_key: "ashby-key".to_owned(),
            webhook_secret: "ashby-secret".to_owned(),
            hook_url: None,
            partner_base_url: None,
            partner_key: None,
            stages: stages.map(str::to_owned).to_vec(),
            status_field: "Karat Status".to_owned(),
            role_field: "Karat Role".to_owned(),
            retry_unit: Duration::from_secs(10),
            hook_timeout: Duration::from_secs(10),
            rate_limit_per_minute: None,
            echo_writes: true,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) options: AshbyOptions,
    url: String,
    world: Mutex<World>,
    partner: Mutex<(Option<String>, Option<String>)>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    pub(crate) client: reqwest::Client,
    pub(crate) runtime: Handle,
    pub(crate) sending: Semaphore,
    pub(crate) deliveries: watch::Sender<Deliveries>,
    pub(crate) closing: watch::Sender<bool>,
    pub(crate) window: Mutex<api::Window>,
}

/// One customer's Ashby: what people do in it, and what there is to see. Clones are the same account.
#[derive(Debug, Clone)]
pub struct Account {
    pub(crate) inner: Arc<Inner>,
}

/// The running Ashby. It stops when it is stopped or dropped, and with it every webhook that waits for another attempt.
#[derive(Debug)]
pub struct AshbySimulator {
    account: Account,
    running: Option<Running>,
}

impl AshbySimulator {
    /// Starts it; when this returns it answers.
    ///
    /// # Errors
    /// If it cannot listen there.
    pub async fn start(options: AshbyOptions) -> io::Result<Self> {
        let (listener, address) = server::bind(options.listen)?;
        let mut world = World::new(&options.stages);
        world.add_field(&options.status_field, "Application");
        world.add_field(&options.role_field, "Job");
        let hook_url = options.hook_url.clone();
        let account = Account {
            inner: Arc::new(Inner {
                url: format!("http://{address}"),
                world: Mutex::new(world),
                partner: Mutex::new((options.partner_base_url.clone(), options.partner_key.clone())),
                ledger: Ledger::default(),
                faults: Faults::default(),
                client: server::loopback_client(options.hook_timeout)?,
                runtime: Handle::current(),
                sending: Semaphore::new(hooks::PARALLEL),
                deliveries: watch::Sender::new(Deliveries::default()),
                closing: watch::Sender::new(false),
                window: Mutex::new(api::Window::default()),
                options,
            }),
        };
        if let Some(url) = hook_url {
            account.set_hook_url(&url);
        }
        let routes = account.clone();
        let running = server::serve(listener, account.ledger(), account.inner.faults.clone(), move |config| {
            control::routes(config, &routes);
            api::routes(config, &routes);
        })?;
        Ok(Self { account, running: Some(running) })
    }

    /// A handle for other tasks.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account.clone()
    }

    /// Stops it, dropping calls that hang and webhooks that wait.
    pub async fn stop(mut self) {
        self.inner.closing.send_replace(true);
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
    }
}

impl Drop for AshbySimulator {
    fn drop(&mut self) {
        self.account.inner.closing.send_replace(true);
    }
}

impl Deref for AshbySimulator {
    type Target = Account;

    fn deref(&self) -> &Account {
        &self.account
    }
}

impl Account {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.inner.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The API's base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.inner.url.clone()
    }

    /// The API key it accepts.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.inner.options.api_key
    }

    /// The secret that signs the webhooks made in the settings.
    #[must_use]
    pub fn webhook_secret(&self) -> &str {
        &self.inner.options.webhook_secret
    }

    /// What happened.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.inner.ledger.clone()
    }

    /// Misbehaviour, by method: `customField.setValue`, `candidate.createNote`, …, or `*`.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// Sets the assessment partner's address and key.
    pub fn set_partner(&self, base_url: &str, key: &str) {
        *self.inner.partner.lock().unwrap_or_else(PoisonError::into_inner) = (Some(base_url.to_owned()), Some(key.to_owned()));
    }

    /// Adds a custom field to `Application`, `Candidate` or `Job` and returns its id; the existing one's if there is one.
    pub fn add_custom_field(&self, title: &str, object: &'static str) -> String {
        self.lock().add_field(title, object)
    }

    /// Takes a permission (`candidatesWrite`, `jobsRead`, …) from the API key: its calls then answer 403.
    pub fn revoke_permission(&self, permission: &str) {
        self.lock().missing_permissions.insert(permission.to_owned());
    }

    /// Gives it back.
    pub fn grant_permission(&self, permission: &str) {
        self.lock().missing_permissions.remove(permission);
    }

    /// Makes all sync tokens given so far useless.
    pub fn expire_sync_tokens(&self) {
        let mut world = self.lock();
        world.revision += 1;
        world.oldest_token = world.revision;
    }

    /// The value of an application's custom field, by the field's title, as text.
    #[must_use]
    pub fn field_value(&self, application: &str, field: &str) -> Option<String> {
        let world = self.lock();
        let value = world.applications.get(application)?.fields.get(&world.field(field)?.id)?;
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// The candidate's notes, oldest first; the candidate is named by their id or an application's.
    #[must_use]
    pub fn notes(&self, id: &str) -> Vec<String> {
        let world = self.lock();
        let candidate = world.candidate_id(id).and_then(|id| world.candidates.get(&id));
        candidate.map(|it| it.notes.iter().map(|note| note.text.clone()).collect()).unwrap_or_default()
    }

    /// The candidate's tags, by title.
    #[must_use]
    pub fn tags(&self, id: &str) -> Vec<String> {
        let world = self.lock();
        let Some(candidate) = world.candidate_id(id).and_then(|id| world.candidates.get(&id)) else { return vec![] };
        world.tags.iter().filter(|tag| candidate.tags.contains(&tag.id)).map(|tag| tag.title.clone()).collect()
    }

    /// The id of the candidate who has this application.
    #[must_use]
    pub fn candidate_of(&self, application: &str) -> Option<String> {
        self.lock().applications.get(application).map(|it| it.candidate.clone())
    }
}
