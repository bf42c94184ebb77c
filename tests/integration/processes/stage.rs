//! Several hub processes on one RabbitMQ and one PostgreSQL, with the demonstration's outside; and ways to see who runs what.

use crate::support::{
    hub::{self, LIMIT},
    hub_process::HubProcess,
    postgres::{TestDatabase, client},
    rabbitmq::VirtualHost,
};
use atshub::{
    credentials::Sealer,
    demo::{
        happened, tally,
        tally::Expectations,
        until_complete,
        world::{Cast, World},
    },
    hub::owner,
    postgres::PostgresStore,
    rabbitmq::RabbitBroker,
};
use atshub_actors::{
    ports::{Broker, ProcessRecord, Store},
    supervision::Phase,
};
use atshub_schemas::{TenantName, topology};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;
use uuid::Uuid;

/// By what measure the tests call a process live: the hub's own.
const ALIVE: Duration = Duration::from_secs(10);
/// What Ashby counts its webhook retries in, here.
const RETRY_UNIT: Duration = Duration::from_millis(100);

/// Who runs which tenant.
pub(super) type Owners = BTreeMap<TenantName, Uuid>;

pub(super) struct Stage {
    pub(super) world: World,
    pub(super) hubs: Vec<HubProcess>,
    pub(super) store: PostgresStore,
    pub(super) vhost: VirtualHost,
    broker: Arc<dyn Broker>,
    pub(super) database: TestDatabase,
    pub(super) folder: tempfile::TempDir,
}

/// Lets a test play with six tenants and, to begin with, no hub.
pub(super) fn on_stage(ending: &str, play: impl AsyncFnOnce(&mut Stage)) {
    on_stage_laid_out(ending, async |database| drop(database.store().await), play);
}

/// The same on a database that is laid out by this.
pub(super) fn on_stage_laid_out(ending: &str, lay_out: impl AsyncFnOnce(&TestDatabase), play: impl AsyncFnOnce(&mut Stage)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (vhost, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, tempfile::tempdir().unwrap());
        let cast = Cast::new(3, 3, ending);
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
        lay_out(&database).await;
        let store = database.unmigrated().await;
        let sealer = Sealer::from_key_file_or_new(&folder.path().join("seal.key")).unwrap();
        world.register(&cast, &store, &sealer).await.unwrap();
        // The bridges' and our own: what a bridge is refused while its queue does not stand yet is not to meet us.
        let connect = async || Arc::new(RabbitBroker::connect(&vhost.url(), Handle::current(), Default::default()).await.unwrap());
        let bridges: Arc<dyn Broker> = connect().await;
        world.connect_bridges(&cast, &bridges).unwrap();
        let broker: Arc<dyn Broker> = connect().await;
        let mut stage = Stage { world, hubs: Vec::new(), store, vhost, broker, database, folder };
        play(&mut stage).await;
        stage.hubs.clear();
    });
}

impl Stage {
    /// Starts a hub on the broker and the store at these addresses; the first one gets the webhooks.
    pub(super) async fn start_hub_at(&mut self, broker: &str, store: &str) {
        let folder: PathBuf = self.folder.path().join(format!("hub-{}", self.hubs.len()));
        let key = self.folder.path().join("seal.key");
        let hub = HubProcess::start(&folder, broker, store, &key).await;
        if self.hubs.is_empty() {
            self.world.point_at(&hub.url());
        }
        self.hubs.push(hub);
    }

    pub(super) async fn start_hub(&mut self) {
        let (broker, store) = (self.vhost.url(), self.database.url.clone());
        self.start_hub_at(&broker, &store).await;
    }

    pub(super) async fn processes(&self) -> Vec<ProcessRecord> {
        self.store.processes(ALIVE).await.unwrap()
    }

    /// The process that a hub is.
    pub(super) async fn process(&self, hub: usize) -> Uuid {
        let end = format!(":{}", self.hubs[hub].pid());
        self.processes().await.into_iter().find(|p| p.name.ends_with(&end)).expect("the hub beats").process
    }

    fn tenants(&self) -> Vec<TenantName> {
        let ashby = self.world.ashby.iter().map(|(tenant, _)| tenant.clone());
        ashby.chain(self.world.bridges.iter().map(|bridge| bridge.tenant().clone())).collect()
    }

    /// How many tenants a hub says that it runs itself.
    async fn runs(&self, hub: usize) -> usize {
        let client = atshub_simulators::loopback_client(Duration::from_secs(5)).unwrap();
        let url = format!("{}/metrics", self.hubs[hub].url());
        let Ok(answer) = client.get(url).send().await else { return usize::MAX };
        let text = answer.text().await.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("atshub_tenants{phase=\"running\"} "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// Waits until these processes run the tenants, each of them those that are its own, and no more than those.
    pub(super) async fn shared_out_to(&self, hubs: &[usize]) -> Owners {
        let mut live = BTreeSet::new();
        for hub in hubs {
            live.insert(self.process(*hub).await);
        }
        let wanted: Owners = self.tenants().into_iter().map(|tenant| (tenant.clone(), owner(&live, &tenant).unwrap())).collect();
        let mut last = (Owners::new(), Vec::new());
        let shared = hub::until(async || {
            let children = self.store.children(None).await.unwrap().into_iter();
            let running = children.filter(|shown| shown.child.phase == Phase::Running);
            last.0 = running.filter_map(|s| Some((TenantName::new(s.child.name.strip_prefix("tenant/")?).ok()?, s.process))).collect();
            if last.0 != wanted {
                return false;
            }
            last.1.clear();
            for hub in hubs {
                last.1.push(self.runs(*hub).await);
            }
            last.1.iter().sum::<usize>() == wanted.len()
        });
        let shared = shared.await;
        assert!(shared, "the tenants are to be with {wanted:#?}; they are with {last:#?}\n{}", self.last_words());
        wanted
    }

    /// Lets the first hub be one that runs fewer tenants than the second, and gives the webhooks to it: the second is the one
    /// that something happens to.
    pub(super) async fn two_hubs_of_which_the_second_has_more(&mut self) -> Owners {
        self.start_hub().await;
        self.start_hub().await;
        let owners = self.shared_out_to(&[0, 1]).await;
        let first = self.process(0).await;
        if owners.values().filter(|process| **process == first).count() * 2 > owners.len() {
            self.hubs.swap(0, 1);
            self.world.point_at(&self.hubs[0].url());
        }
        owners
    }

    /// Waits until so many effects have happened on the platform.
    pub(super) async fn effects(&self, count: usize) {
        hub::happens(&self.world.platform.ledger(), "the script's effects", |effects| effects.len() >= count).await;
    }

    /// Waits until everything expected has happened.
    pub(super) async fn complete(&self, expected: &Expectations) {
        let complete = until_complete(&self.world, expected, LIMIT, |_| {}).await;
        let lines = tally::compare(expected, &happened(&self.world));
        let missing: Vec<_> = lines.iter().filter(|line| line.missing > 0).collect();
        assert!(complete, "missing: {missing:#?}\n{}", self.last_words());
    }

    /// Waits until nothing is left that could still have an effect: every row of the outbox was published and confirmed, also
    /// those that a process had claimed which then died; the queues are empty; nothing is in hand.
    pub(super) async fn at_rest(&self) {
        let behind = client(&self.database.url).await;
        let queues: Vec<String> = self.tenants().iter().map(topology::tenant_queue).chain([topology::INVITES.to_owned()]).collect();
        let mut last = String::new();
        let rest = hub::until(async || {
            let unsent: i64 = behind
                .query_one("select count(*) from waiting where effect_key is null or effect_key not like '%/unanswered'", &[])
                .await
                .unwrap()
                .get(0);
            let waiting: u64 = self.broker.queues(&queues).await.unwrap().iter().map(|queue| queue.ready).sum();
            let live: BTreeSet<Uuid> = self.processes().await.into_iter().filter(|p| p.live).map(|p| p.process).collect();
            let children = self.store.children(None).await.unwrap();
            let in_hand: usize = children.iter().filter(|c| live.contains(&c.process)).map(|c| c.child.in_hand).sum();
            last = format!("{unsent} rows to publish, {waiting} messages waiting, {in_hand} in hand");
            unsent == 0 && waiting == 0 && in_hand == 0
        });
        assert!(rest.await, "no rest: {last}\n{}", self.last_words());
    }

    /// Everything has happened once, each application's statuses in order, and no hub panicked.
    pub(super) fn holds(&self, expected: &Expectations) {
        let seen = happened(&self.world);
        let lines = tally::compare(expected, &seen);
        let wrong: Vec<_> = lines.iter().filter(|line| !line.holds()).collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", self.last_words());
        for effects in seen.ats.values() {
            let mut invited = BTreeSet::new();
            for effect in effects.iter().filter(|effect| effect.kind == "status") {
                match effect.value.as_str().unwrap_or_default() {
                    "Received" => assert!(!invited.contains(&effect.subject), "{} went back to `Received`", effect.subject),
                    text if text.starts_with("Invited") => drop(invited.insert(effect.subject.clone())),
                    _ => {}
                }
            }
        }
        for (_, ats) in &self.world.ashby {
            assert_eq!(ats.deliveries().lost(), 0, "a webhook was answered so that Ashby gave it up");
        }
        for hub in &self.hubs {
            assert_eq!(hub.panics(), 0, "{}", hub.log_tail());
        }
    }

    pub(super) fn last_words(&self) -> String {
        self.hubs.iter().enumerate().map(|(n, hub)| format!("hub {n} said last:\n{}\n", hub.log_tail())).collect()
    }
}
