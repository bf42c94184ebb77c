//! Doors with an ATS and a platform that do what a test tells them, over the embedded store and broker, or over ones that are away.

use super::client::get;
use crate::support::build::record;
use async_trait::async_trait;
use atshub::{
    api::{self, Directory, Doors, Limits, TenantDoor, TenantRow},
    ats::{Account, Call, Claim, Entry, Head, Heard, Inbound, Known, PartnerAnswer, PartnerContext, Refused},
    credentials::Secrets,
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
    http::{Http, Options},
    rabbitmq::{RabbitBroker, RabbitOptions},
};
use atshub_actors::{
    domain::Policy,
    failure::Failure,
    ports::{
        Broker, Capabilities, ClaimedRow, Feature, Invitation, InvitationRequest, Platform, PlatformCapabilities, PlatformRole, Store,
        SystemClock, TenantRecord,
    },
    supervision::ThreadSnapshot,
};
use atshub_schemas::{Envelope, ExternalId, Line, TenantName, samples};
use jiff::Timestamp;
use serde_json::json;
use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;

const NO: Feature = Feature::No("not in this test");
static CAPABILITIES: Capabilities = Capabilities {
    invite_by_webhook: NO,
    assessment_partner: NO,
    status_field: NO,
    notes: NO,
    cancel: NO,
    roles_in_step: NO,
    person_follow: NO,
    recruiter_updates: NO,
    follower_list: NO,
    hiring_team: NO,
    profile_url_match: NO,
    result_fields: NO,
    read_application: NO,
    normal_delay_seconds: Some(1),
};

const ENTRY: Entry = Entry {
    kind: "scripted",
    name: "Scripted",
    capabilities: &CAPABILITIES,
    settings: &[],
    address: None,
    secrets: &[],
    connect: |_| Err("not in this test".into()),
    inbound: Some(&Scripted),
    delegates: false,
    fixtures: "",
};
static SCRIPTED: Entry = ENTRY;
static SILENT: Entry = Entry { inbound: None, ..ENTRY };

/// Webhooks are signed by the header `x-signed`: `yes` fits every body, `almost` none, anything else is no signature. What a webhook says
/// is its body, in the words below. Partner calls show `yes` in the same header, as a key.
struct Scripted;

impl Inbound for Scripted {
    fn claim(&self, _: &Account, call: Call<'_>, head: Head<'_>, _: Timestamp) -> Result<Claim, Refused> {
        match (call, head.header("x-signed")) {
            (Call::Hook, Some("yes" | "almost")) => Ok(Claim::Signed),
            (Call::Partner(_), Some("yes")) => Ok(Claim::Proven),
            _ => Err(unknown_sender()),
        }
    }

    fn signed(&self, _: &Account, _: Call<'_>, head: Head<'_>, _: &[u8], _: Timestamp) -> Result<(), Refused> {
        if head.header("x-signed") == Some("yes") { Ok(()) } else { Err(unknown_sender()) }
    }

    fn hook(&self, account: &Account, request: &Known, now: Timestamp) -> Result<Heard, Refused> {
        match request.body() {
            b"ping" => Ok(Heard::Nothing("a ping".into())),
            b"panic" => panic!("as told"),
            b"stray" => Ok(Heard::Facts(vec![fact("somebody-else", "stray", now)])),
            // The beginning of a large one is its id.
            body => {
                let id = String::from_utf8_lossy(&body[..body.len().min(100)]);
                Ok(Heard::Facts(vec![fact(account.tenant.as_str(), &id, now)]))
            }
        }
    }

    fn partner_needs_roles(&self, path: &str) -> Option<bool> {
        match path {
            "roles" => Some(true),
            "order" => Some(false),
            _ => None,
        }
    }

    fn partner_application(&self, path: &str, _: &Known) -> Option<ExternalId> {
        (path == "order").then(|| ExternalId::new("8842").unwrap())
    }

    fn partner(
        &self,
        account: &Account,
        path: &str,
        _: &Known,
        context: PartnerContext<'_>,
        now: Timestamp,
    ) -> Result<PartnerAnswer, Refused> {
        let facts = if path == "order" { vec![fact(account.tenant.as_str(), "order-1", now)] } else { Vec::new() };
        let roles: Vec<&str> = context.roles.iter().map(|role| role.id.as_str()).collect();
        Ok(PartnerAnswer { status: 200, body: json!({ "roles": roles, "live": context.application.live }), facts })
    }
}

fn unknown_sender() -> Refused {
    Refused { status: 401, code: "bad_signature", detail: "the signature does not fit".into(), next_step: "set the secret again".into() }
}

fn fact(tenant: &str, id: &str, now: Timestamp) -> Envelope {
    let message = samples::sample("application.moved.v1").unwrap().message;
    let mut fact = Envelope::new(Line::new("/ats/scripted").unwrap(), TenantName::new(tenant).unwrap(), now, message);
    fact.id = atshub_schemas::MessageId::new(id).unwrap();
    fact
}

/// Knows one role, and how often it was asked.
#[derive(Default)]
pub(super) struct OneRole(AtomicUsize);

impl OneRole {
    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Platform for OneRole {
    fn capabilities(&self) -> PlatformCapabilities {
        PlatformCapabilities { idempotency_key: false, cancel: false, schedule: false, webhooks: false, recruiter: false }
    }
    async fn invite(&self, _: &InvitationRequest) -> Result<Invitation, Failure> {
        Err(Failure::transient("not in this test"))
    }
    async fn find(&self, _: &InvitationRequest) -> Result<Option<Invitation>, Failure> {
        Err(Failure::transient("not in this test"))
    }
    async fn roles_now(&self) -> Result<Vec<PlatformRole>, Failure> {
        self.roles().await
    }

    async fn roles(&self) -> Result<Vec<PlatformRole>, Failure> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(vec![PlatformRole { id: ExternalId::new("1201").unwrap(), name: Line::new("Backend").unwrap() }])
    }
    async fn whoami(&self) -> Result<String, Failure> {
        Err(Failure::transient("not in this test"))
    }
}

/// Tenants: `acme` as usual, `silent` whose ATS never calls, `bare` without a platform.
pub(super) struct Tenants {
    http: Http,
    platform: Arc<OneRole>,
    pub(super) rows: Vec<TenantRow>,
}

impl Directory for Tenants {
    fn tenant(&self, name: &str) -> Option<TenantDoor> {
        let (entry, platform): (_, Option<Arc<dyn Platform>>) = match name {
            "acme" => (&SCRIPTED, Some(Arc::clone(&self.platform) as Arc<dyn Platform>)),
            "silent" => (&SILENT, None),
            "bare" => (&SCRIPTED, None),
            _ => return None,
        };
        let tenant = TenantName::new(name).unwrap();
        let record = TenantRecord { ats: entry.kind.into(), ..record(name) };
        let account =
            Account { tenant, policy: Arc::new(Policy::default()), secrets: Secrets::new(BTreeMap::new()), http: self.http.clone() };
        Some(TenantDoor { record: Arc::new(record), account, entry, platform })
    }

    fn snapshot(&self) -> Vec<TenantRow> {
        self.rows.clone()
    }

    fn restarts(&self) -> BTreeMap<String, u64> {
        [("panic".to_owned(), 3)].into()
    }

    fn threads(&self) -> Vec<ThreadSnapshot> {
        vec![ThreadSnapshot { number: 1, name: "shared/1".into(), beat_age_ms: 50 }]
    }
}

/// Running doors; closed when dropped.
pub(super) struct World {
    pub(super) address: SocketAddr,
    pub(super) store: Arc<dyn Store>,
    pub(super) platform: Arc<OneRole>,
    handle: actix_web::dev::ServerHandle,
}

impl Drop for World {
    fn drop(&mut self) {
        let stopping = self.handle.stop(false);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(stopping);
        }
    }
}

/// What a world is made of.
pub(super) struct Making {
    pub(super) store: Arc<dyn Store>,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) limits: Limits,
    pub(super) rows: Vec<TenantRow>,
}

impl Making {
    /// Everything is well.
    pub(super) fn well() -> Self {
        Self {
            store: Arc::new(SqliteStore::open_in_memory().unwrap()),
            broker: Arc::new(EmbeddedBroker::open_in_memory().unwrap()),
            limits: Limits {
                max_body: 64 * 1024,
                request_time: Duration::from_secs(1),
                commit_time: Duration::from_millis(500),
                ..Limits::default()
            },
            rows: Vec::new(),
        }
    }

    pub(super) fn open(self) -> World {
        let http = Http::new(Handle::current(), Options::default()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (store, platform) = (Arc::clone(&self.store), Arc::<OneRole>::default());
        let doors = Doors {
            store: self.store,
            broker: self.broker,
            directory: Arc::new(Tenants { http, platform: Arc::clone(&platform), rows: self.rows }),
            clock: Arc::new(SystemClock),
            limits: self.limits,
            alive: Duration::from_secs(10),
        };
        let server = api::server(doors, listener, 1).unwrap();
        let handle = server.handle();
        tokio::spawn(server);
        World { address, store, platform, handle }
    }
}

impl World {
    /// A number at `/metrics`.
    pub(super) async fn metric(&self, name: &str) -> u64 {
        let text = get(self.address, "/metrics").await.body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).parse().unwrap()
    }

    /// Waits until a number at `/metrics` is this.
    pub(super) async fn measures(&self, name: &str, wanted: u64) {
        let so = async { while self.metric(name).await != wanted {} };
        tokio::time::timeout(Duration::from_secs(20), so).await.unwrap_or_else(|_| panic!("{name} is never {wanted}"));
    }

    /// What waits to be published.
    pub(super) async fn outbox(&self) -> Vec<ClaimedRow> {
        self.store.claim(Timestamp::now(), 100, 100, Duration::from_secs(60)).await.unwrap()
    }
}

/// A broker that nobody answers for.
pub(super) async fn broker_that_is_away() -> Arc<dyn Broker> {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = RabbitOptions { wait_for_broker: false, ..RabbitOptions::default() };
    Arc::new(RabbitBroker::connect(&format!("amqp://guest:guest@{closed}/"), Handle::current(), options).await.unwrap())
}

/// PostgreSQL at an address where nobody answers; at one where somebody listens and never speaks, if `silent`.
pub(super) fn store_that_is_away(silent: Option<&TcpListener>) -> Arc<dyn Store> {
    let place = match silent {
        Some(listener) => listener.local_addr().unwrap(),
        None => TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
    };
    let options = atshub::postgres::PostgresOptions::default();
    Arc::new(atshub::postgres::PostgresStore::lazy(&format!("postgres://nobody@{place}/none"), Handle::current(), &options).unwrap())
}
