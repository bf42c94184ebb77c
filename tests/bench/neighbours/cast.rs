//! Who takes part: the simulated platform, tenants behind bridges and behind simulated Ashby accounts, and what they send.

use crate::{
    Size,
    ground::{Ground, Hub},
    load::{Arrival, Published},
};
use atshub::{
    demo::{
        self,
        tally::{Expectations, Expected, Happened, Place},
        world::{Cast, ROLES, TRIGGER, World},
    },
    rabbitmq::RabbitBroker,
};
use atshub_actors::ports::{Broker, Publication};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, ExternalId, Line, Message, TenantName,
    fact::{Application, ApplicationChange, Candidate, Job, Person, Stage},
    topology,
};
use atshub_simulators::{
    Ledger,
    ashby::{Account, NewCandidate},
};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

/// Bridges that go bad, from the first on; then as many Ashby accounts as are named in [`BAD_ASHBY`].
pub(crate) const BAD_BRIDGES: usize = 3;
/// Ashby accounts that go bad, from the first on.
pub(crate) const BAD_ASHBY: usize = 2;
/// Publications under way at once while a burst or a flood is sent.
const AT_ONCE: usize = 64;
/// How often ledgers and queues are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// What Ashby counts its webhook retries in, here.
const RETRY_UNIT: Duration = Duration::from_millis(100);
/// How a status begins that says: invited.
const INVITED: &str = "Invited";

/// How a tenant's candidates come to the hub.
#[derive(Clone)]
enum Door {
    Bridge(Arc<dyn Broker>),
    Ashby { account: Account, job: String },
}

struct Tenant {
    name: TenantName,
    door: Door,
    ledger: Ledger,
    well: bool,
}

/// The outside of the hub.
pub(crate) struct Outside {
    cast: Cast,
    world: World,
    tenants: Vec<Tenant>,
    expectations: Expectations,
    expected: HashMap<String, usize>,
    bursts: usize,
}

impl Outside {
    /// Starts simulators and registers the tenants.
    pub(crate) async fn start(size: &Size, ground: &Ground) -> Self {
        let names = |kind: &str, count: usize| (0..count).map(|n| format!("{kind}-{n:03}")).collect();
        let cast = Cast { ashby: names("ashby", size.ashby), bridges: names("bridge", size.tenants - size.ashby) };
        let world = World::start(&cast, RETRY_UNIT).await.unwrap();
        world.register(&cast, &ground.store, &ground.sealer).await.unwrap();
        Self { cast, world, tenants: Vec::new(), expectations: Expectations::default(), expected: HashMap::new(), bursts: 0 }
    }

    /// Connects bridges and webhooks, and waits until the hub consumes every tenant's queue and every bridge its own.
    pub(crate) async fn connected(mut self, ground: &Ground, hub: &Hub) -> Self {
        let broker = RabbitBroker::connect(&ground.node.url(), Handle::current(), Default::default()).await.unwrap();
        let broker: Arc<dyn Broker> = Arc::new(broker);
        self.world.connect_bridges(&self.cast, &broker).unwrap();
        self.world.point_at(&hub.url());
        for (at, bridge) in self.world.bridges.iter().enumerate() {
            let (name, ledger) = (bridge.tenant().clone(), bridge.ledger());
            self.tenants.push(Tenant { name, ledger, door: Door::Bridge(Arc::clone(&broker)), well: at >= BAD_BRIDGES });
        }
        for (at, (name, ats)) in self.world.ashby.iter().enumerate() {
            let job = ats.add_job("Backend engineer", Some(ROLES[0].0), "recruiter@example.org").await;
            let door = Door::Ashby { account: ats.account(), job };
            self.tenants.push(Tenant { name: name.clone(), ledger: ats.ledger(), door, well: at >= BAD_ASHBY });
        }
        let mut wanted: Vec<String> = self.tenants.iter().map(|t| topology::tenant_queue(&t.name)).collect();
        wanted.extend(self.world.bridges.iter().map(|b| topology::commands_queue(b.tenant())));
        while !wanted.is_empty() {
            tokio::time::sleep(LOOK).await;
            let consumed = broker.queues(&wanted).await.unwrap();
            wanted.retain(|name| !consumed.iter().any(|queue| queue.name == *name && queue.consumers > 0));
        }
        self
    }

    pub(crate) fn is_well(&self, tenant: usize) -> bool {
        self.tenants[tenant].well
    }

    pub(crate) fn name(&self, tenant: usize) -> &TenantName {
        &self.tenants[tenant].name
    }

    /// The Ashby accounts that are to go bad, with their places among the tenants.
    pub(crate) fn bad_ashby(&self) -> Vec<(usize, Account)> {
        let first = self.tenants.len() - self.world.ashby.len();
        self.world.ashby.iter().take(BAD_ASHBY).enumerate().map(|(at, (_, ats))| (first + at, ats.account())).collect()
    }

    /// How many statuses that say `Invited` a tenant's ATS shows.
    pub(crate) fn invitations_of(&self, tenant: usize) -> usize {
        self.tenants[tenant].ledger.effects().iter().filter(|e| says_invited(e)).count()
    }

    /// Sends one candidate by its tenant's own way.
    pub(crate) fn send(&self, arrival: Arrival) -> impl Future<Output = Published> + Send + use<> {
        let tenant = &self.tenants[arrival.tenant];
        let (name, door) = (tenant.name.clone(), tenant.door.clone());
        async move {
            let person = format!("c-{}", arrival.number);
            let after = arrival.at;
            match door {
                Door::Bridge(broker) => {
                    let (envelope, place) = moved(&name, &person);
                    let at = Timestamp::now();
                    publish(&*broker, vec![publication(topology::EVENTS, &envelope)]).await;
                    Published { place, tenant: arrival.tenant, at, after }
                }
                Door::Ashby { account, job } => {
                    let email = format!("{person}@{name}.example");
                    let new = NewCandidate { name: format!("Candidate {person}"), email: email.clone(), job, ..NewCandidate::default() };
                    let application = account.add_candidate(new).await.unwrap();
                    let at = Timestamp::now();
                    account.move_stage(&application, TRIGGER).await.unwrap();
                    let place = Place { tenant: name.to_string(), application, email };
                    Published { place, tenant: arrival.tenant, at, after }
                }
            }
        }
    }

    /// Sends so many candidates at once, spread over the well tenants, and waits until all is done.
    pub(crate) async fn burst(&mut self, count: usize, hub: &mut Hub) {
        let well: Vec<usize> = (0..self.tenants.len()).filter(|at| self.is_well(*at)).collect();
        self.bursts += 1;
        let first = self.bursts * 1_000_000;
        let arrivals =
            (0..count).map(|n| Arrival { at: Duration::ZERO, tenant: well[n % well.len()], number: first + n }).collect::<Vec<_>>();
        let published: Vec<Published> = stream::iter(arrivals).map(|arrival| self.send(arrival)).buffer_unordered(AT_ONCE).collect().await;
        self.expect(&published);
        let complete = self.until_complete(Duration::from_secs(180), |_, _| {}).await;
        assert!(complete, "the burst was not done in time; the hub's last words:\n{}", hub.last_words());
    }

    /// What was sent by well tenants is to be counted.
    pub(crate) fn expect(&mut self, published: &[Published]) {
        for sent in published.iter().filter(|sent| self.tenants[sent.tenant].well) {
            let invitations = BTreeMap::from([(ROLES[0].0.to_owned(), 1)]);
            let statuses = ["Received", INVITED].map(str::to_owned).to_vec();
            let expected = Expected { case: "invited", invitations, statuses, invited_notes: 1, asked_again: 0 };
            self.expectations.0.insert(sent.place.clone(), expected);
            *self.expected.entry(sent.place.tenant.clone()).or_default() += 1;
        }
    }

    /// Waits until every well candidate's status and note are written, or the limit. True if it is so. Says every ten seconds how many
    /// are still to come, and of which tenants.
    pub(crate) async fn until_complete(&self, limit: Duration, mut left: impl FnMut(usize, &[&str])) -> bool {
        let waiting = async {
            let mut told = Instant::now();
            loop {
                let (mut missing, mut of) = (0, Vec::new());
                for (tenant, expected) in self.tenants.iter().filter_map(|t| Some((t, *self.expected.get(t.name.as_str())?))) {
                    let effects = tenant.ledger.effects();
                    let statuses = effects.iter().filter(|e| says_invited(e)).count();
                    let notes = effects.iter().filter(|e| e.kind == "note").count();
                    let here = expected.saturating_sub(statuses) + expected.saturating_sub(notes);
                    if here > 0 {
                        missing += here;
                        of.push(tenant.name.as_str());
                    }
                }
                if missing == 0 {
                    return;
                }
                if told.elapsed() > Duration::from_secs(10) {
                    told = Instant::now();
                    left(missing, &of);
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(limit, waiting).await.is_ok()
    }

    pub(crate) fn expectations(&self) -> &Expectations {
        &self.expectations
    }

    /// What happened to the well tenants.
    pub(crate) fn happened(&self) -> Happened {
        let well: HashMap<&str, ()> = self.tenants.iter().filter(|t| t.well).map(|t| (t.name.as_str(), ())).collect();
        let mut happened = demo::happened(&self.world);
        happened.ats.retain(|tenant, _| well.contains_key(tenant.as_str()));
        let theirs = |email: &str| email.split_once('@').and_then(|(_, host)| well.get(host.strip_suffix(".example")?)).is_some();
        happened.platform.retain(|effect| theirs(&effect.subject));
        happened
    }

    /// When each application's ATS first said `Invited`, by `<tenant>/<application>`.
    pub(crate) fn invited(&self) -> HashMap<String, Timestamp> {
        let mut found = HashMap::new();
        for tenant in &self.tenants {
            for effect in tenant.ledger.effects().iter().filter(|e| says_invited(e)) {
                found.entry(format!("{}/{}", tenant.name, effect.subject)).or_insert(effect.at);
            }
        }
        found
    }
}

fn says_invited(effect: &atshub_simulators::Effect) -> bool {
    effect.kind == "status" && effect.value.as_str().is_some_and(|text| text.starts_with(INVITED))
}

/// A fact as a bridge publishes it, and where its effects will be found.
pub(crate) fn moved(tenant: &TenantName, person: &str) -> (Envelope, Place) {
    let (application, email) = (format!("a-{person}"), format!("{person}@{tenant}.example"));
    let words = |text: &str| Line::new(text).unwrap();
    let fact = ApplicationChange {
        application: Application {
            id: ExternalId::new(application.as_str()).unwrap(),
            url: Some(format!("https://ats.example/{tenant}/{application}").parse().unwrap()),
            status: None,
        },
        candidate: Some(Candidate {
            id: Some(ExternalId::new(format!("p-{person}")).unwrap()),
            name: Some(words(&format!("Candidate {person}"))),
            email: Some(email.parse().unwrap()),
            ..Candidate::default()
        }),
        job: Some(Job {
            id: Some("j-1".parse().unwrap()),
            title: Some(words("Backend engineer")),
            role: Some(words(ROLES[0].1)),
            ..Job::default()
        }),
        recruiter: Some(Person { id: None, name: None, email: Some("recruiter@example.org".parse().unwrap()) }),
        grader: None,
        from_stage: None,
        to_stage: Some(Stage { id: None, name: Some(words(TRIGGER)) }),
        reason: None,
    };
    let source = words(&format!("/bridges/bench/{tenant}"));
    let mut envelope = Envelope::new(source, tenant.clone(), Timestamp::now(), Message::ApplicationMoved(fact));
    envelope.subject = ExternalId::new(format!("application/{application}")).ok();
    (envelope, Place { tenant: tenant.to_string(), application, email })
}

pub(crate) fn publication(exchange: &str, envelope: &Envelope) -> Publication {
    Publication {
        exchange: exchange.to_owned(),
        routing_key: envelope.routing_key(),
        message_id: envelope.id.to_string(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: envelope.encode().unwrap().into(),
    }
}

/// Publishes until the broker has all of it.
pub(crate) async fn publish(broker: &dyn Broker, mut messages: Vec<Publication>) {
    loop {
        let answers = broker.publish(messages.clone()).await;
        let mut kept = answers.iter();
        messages.retain(|_| kept.next().is_some_and(Result::is_err));
        if messages.is_empty() {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}
