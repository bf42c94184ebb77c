//! Chaos: the hub is killed, and its broker and store are, while candidates keep coming. What happened is counted at the
//! simulators: nothing lost, nothing twice; also on a platform that has no guard of its own, and acts on calls long after whoever made
//! them was killed. Longer, by hand (some minutes each, one after the other):
//! `ATSHUB_TEST_KILLS=20 ATSHUB_TEST_CANDIDACIES=2000 cargo test --test integration chaos -- --test-threads 1 --nocapture`.

use crate::support::{
    guards::with_and_without_guard,
    hub::until,
    hub_process::HubProcess,
    postgres::TestDatabase,
    rabbitmq::VirtualHost,
    services::{PostgresServer, RabbitNode},
};
use atshub::{
    credentials::Sealer,
    demo::{
        happened,
        script::{Size, play},
        tally::{self, Expectations},
        until_complete,
        world::{Cast, World},
    },
    embedded::store::SqliteStore,
    postgres::PostgresStore,
    rabbitmq::RabbitBroker,
};
use atshub_actors::ports::{Broker, Store};
use atshub_simulators::{Fault, platform::Guard};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Kills of the hub in one run, and candidacies, on a platform without a guard; `ATSHUB_TEST_KILLS` and `ATSHUB_TEST_CANDIDACIES` say
/// otherwise.
const GUARDLESS: (usize, usize) = (8, 400);
/// The same on a platform that refuses doubles itself, where less can show.
const GUARDED: (usize, usize) = (3, 150);
/// Tenants that the candidacies are shared out to.
const TENANTS: usize = 6;
/// Longest wait for everything to have happened.
const LIMIT: Duration = Duration::from_secs(240);
/// Calls on their way when the hub is killed, and how long after they came the platform acts on them: well within the time that the hub
/// gives a call, and long after the killed hub is back.
const LATE: (usize, Duration) = (2, Duration::from_secs(7));
/// Longest lease of a relay: what a killed one had claimed is published again after that.
const RELAY_LEASE: Duration = Duration::from_secs(20);
/// What Ashby counts its webhook retries in, here: a hub that is being started misses a few.
const RETRY_UNIT: Duration = Duration::from_millis(100);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// How often the hub is killed, and over how many candidacies.
#[derive(Debug, Clone, Copy)]
struct Ordeal {
    kills: usize,
    candidacies: usize,
}

impl Ordeal {
    fn on(guard: Guard) -> Self {
        let asked = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: `{text}`")));
        let (kills, candidacies) = if guard == Guard::Absent { GUARDLESS } else { GUARDED };
        Self {
            kills: asked("ATSHUB_TEST_KILLS").unwrap_or(kills),
            candidacies: asked("ATSHUB_TEST_CANDIDACIES").unwrap_or(candidacies).max(TENANTS),
        }
    }

    fn size(self) -> Size {
        Size { ordinary: self.candidacies / TENANTS }
    }

    /// Invitations between two kills, so that most kills are over before the last candidacy is.
    fn every(self) -> usize {
        (self.candidacies * 4 / (self.kills.max(1) * 5)).max(1)
    }
}

/// Kills the hub each time so many more invitations were made, until it was killed often enough. Some of its calls are on their way then,
/// and the platform acts on them when the next hub is there already.
async fn kill_now_and_then(world: &World, hub: &mut HubProcess, ordeal: Ordeal) {
    let (ledger, faults) = (world.platform.ledger(), world.platform.faults());
    while hub.kills < ordeal.kills {
        let next = ledger.count("invitation") + ordeal.every();
        // Whatever is not reached is not waited for: a kill in a quiet moment is a kill as well.
        let _ = ledger.wait_for(|effects| effects.len() >= next, Duration::from_secs(3)).await;
        faults.next("createInvitation", Fault::Slow(LATE.1), LATE.0);
        let on_their_way = async {
            while faults.pending() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), on_their_way).await;
        hub.kill_and_restart();
        // Some kills hit a hub that is only starting.
        if !rand::random_bool(0.2) {
            hub.ready().await;
        }
    }
    faults.clear();
    hub.ready().await;
}

/// Says what came twice, in which order.
fn twice(world: &World) {
    for (tenant, ats) in &world.ashby {
        let effects = ats.ledger().effects();
        let of: BTreeMap<&str, Vec<_>> = effects.iter().fold(BTreeMap::new(), |mut of, e| {
            of.entry(e.subject.as_str()).or_default().push((e.kind.as_str(), e.value.to_string(), e.at));
            of
        });
        for (subject, seen) in of {
            let values: BTreeSet<_> = seen.iter().map(|(kind, value, _)| (kind, value)).collect();
            if values.len() < seen.len() {
                eprintln!("{tenant}, {subject}: {seen:#?}");
            }
        }
    }
}

/// Waits for the end, then says what is wrong with it.
async fn settle(world: &World, expected: &Expectations, hub: &HubProcess, store: &dyn Store) {
    let complete = until_complete(world, expected, LIMIT, |_| {}).await;
    for (_, ats) in &world.ashby {
        assert_eq!(ats.deliveries().lost(), 0, "a webhook was answered so that Ashby gave it up");
    }
    // What would be doubled comes from leases and redeliveries that are still to run out: the relay's first, which nobody shows, then
    // those of attempts, whose messages wait to be sent again.
    tokio::time::sleep(RELAY_LEASE + Duration::from_secs(2)).await;
    let rests = until(async || store.next_due().await.is_ok_and(|due| due.is_none())).await;
    let lines = tally::compare(expected, &happened(world));
    let wrong: Vec<_> = lines.iter().filter(|line| !line.holds()).collect();
    if !wrong.is_empty() {
        twice(world);
    }
    let (lost, doubled) = wrong.iter().fold((0, 0), |sum, line| (sum.0 + line.missing, sum.1 + line.doubled + line.unexpected));
    eprintln!(
        "{:?}: {} candidacies, {} invitations, {} kills of the hub: {lost} lost, {doubled} doubled",
        world.platform.guard(),
        expected.0.len(),
        world.platform.ledger().count("invitation"),
        hub.kills
    );
    let summary = format!("complete: {complete}, at rest: {rests}; {wrong:#?}");
    assert!(complete && rests && wrong.is_empty(), "{summary}\nthe hub's last words:\n{}", hub.log_tail());
    assert_eq!(hub.panics(), 0, "{}", hub.log_tail());
}

async fn registered(world: &World, cast: &Cast, store: &dyn Store, key: &Path) {
    let sealer = Sealer::from_key_file_or_new(key).unwrap();
    world.register(cast, store, &sealer).await.unwrap();
}

/// Plays the script on a hub that is killed again and again.
async fn killed(world: &World, mut hub: HubProcess, store: &dyn Store, guard: Guard) {
    let (ordeal, began) = (Ordeal::on(guard), Instant::now());
    world.platform.set_guard(guard);
    world.point_at(&hub.url());
    let (expected, ()) = tokio::join!(play(world, ordeal.size(), |_| {}), kill_now_and_then(world, &mut hub, ordeal));
    assert_eq!(hub.kills, ordeal.kills);
    settle(world, &expected.unwrap(), &hub, store).await;
    eprintln!("by itself, within {:.0} s of the first candidate, the wait for leases included", began.elapsed().as_secs_f64());
}

with_and_without_guard! {
    a_hub_killed_again_and_again_on_rabbitmq_and_postgresql_loses_nothing_and_doubles_nothing
    a_hub_killed_again_and_again_on_the_embedded_broker_and_store_loses_nothing_and_doubles_nothing
    a_crash_of_rabbitmq_and_one_of_postgresql_are_survived_without_restarting_the_hub
}

fn a_hub_killed_again_and_again_on_rabbitmq_and_postgresql_loses_nothing_and_doubles_nothing(guard: Guard) {
    runtime().block_on(async {
        let (vhost, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, tempfile::tempdir().unwrap());
        let cast = Cast::new(TENANTS / 2, TENANTS / 2, "kill");
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let key = folder.path().join("seal.key");
        let store = database.store().await;
        registered(&world, &cast, &store, &key).await;
        let hub = HubProcess::start(folder.path(), &vhost.url(), &database.url, &key).await;
        let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::connect(&vhost.url(), Handle::current(), Default::default()).await.unwrap());
        world.connect_bridges(&cast, &broker).unwrap();
        killed(&world, hub, &store, guard).await;
        drop((world, broker, store));
        drop((vhost, database));
    });
}

fn a_hub_killed_again_and_again_on_the_embedded_broker_and_store_loses_nothing_and_doubles_nothing(guard: Guard) {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let cast = Cast::new(TENANTS, 0, "kill");
        let world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let (key, data) = (folder.path().join("seal.key"), folder.path().join("data"));
        std::fs::create_dir_all(&data).unwrap();
        let store = SqliteStore::open(&data).unwrap();
        registered(&world, &cast, &store, &key).await;
        let address = format!("embedded:{}", data.display());
        let hub = HubProcess::start(folder.path(), &address, &address, &key).await;
        killed(&world, hub, &store, guard).await;
    });
}

fn a_crash_of_rabbitmq_and_one_of_postgresql_are_survived_without_restarting_the_hub(guard: Guard) {
    runtime().block_on(async {
        let (mut node, mut server, folder) = (RabbitNode::start(), PostgresServer::start(), tempfile::tempdir().unwrap());
        let cast = Cast::new(2, 2, "crash");
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
        world.platform.set_guard(guard);
        let key = folder.path().join("seal.key");
        let store = PostgresStore::connect(&server.url(), Handle::current(), Default::default()).await.unwrap();
        store.migrate().await.unwrap();
        registered(&world, &cast, &store, &key).await;
        let hub = HubProcess::start(folder.path(), &node.url(), &server.url(), &key).await;
        let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::connect(&node.url(), Handle::current(), Default::default()).await.unwrap());
        world.connect_bridges(&cast, &broker).unwrap();
        world.point_at(&hub.url());
        let ledger = world.platform.ledger();
        let (expected, ()) = tokio::join!(play(&world, Size { ordinary: 150 }, |_| {}), async {
            let _ = ledger.wait_for(|effects| effects.len() >= 60, Duration::from_secs(30)).await;
            tokio::task::block_in_place(|| node.crash_and_restart());
            let _ = ledger.wait_for(|effects| effects.len() >= 200, Duration::from_secs(30)).await;
            tokio::task::block_in_place(|| server.crash_and_restart());
        });
        settle(&world, &expected.unwrap(), &hub, &store).await;
    });
}
