//! Chaos: the hub is killed, and its broker and store are, while candidates keep coming. What happened is counted at the
//! simulators: nothing lost, nothing twice.

use crate::support::{
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
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;

/// Kills of the hub in one run.
const KILLS: usize = 20;
/// Longest wait for everything to have happened.
const LIMIT: Duration = Duration::from_secs(240);
/// What Ashby counts its webhook retries in, here: a hub that is being started misses a few.
const RETRY_UNIT: Duration = Duration::from_millis(100);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Kills the hub each time so many more invitations were made, until the script has been played or it was killed often enough.
async fn kill_now_and_then(world: &World, hub: &mut HubProcess, every: usize, played: &AtomicBool) {
    let ledger = world.platform.ledger();
    while hub.kills < KILLS {
        let next = ledger.count("invitation") + every;
        // Whatever is not reached is not waited for: a kill in a quiet moment is a kill as well.
        let _ = ledger.wait_for(|effects| effects.len() >= next, Duration::from_secs(3)).await;
        hub.kill_and_restart();
        // Some kills hit a hub that is only starting.
        if !rand::random_bool(0.2) {
            hub.ready().await;
        }
        if played.load(Ordering::SeqCst) && ledger.count("invitation") == 0 {
            break;
        }
    }
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
async fn settle(world: &World, expected: &Expectations, hub: &HubProcess) {
    let complete = until_complete(world, expected, LIMIT, |_| {}).await;
    for (_, ats) in &world.ashby {
        assert_eq!(ats.deliveries().lost(), 0, "a webhook was answered so that Ashby gave it up");
    }
    // What would be doubled comes from leases and redeliveries that are still to run out; the longest is the relay's, 20 s.
    tokio::time::sleep(Duration::from_secs(22)).await;
    let lines = tally::compare(expected, &happened(world));
    let wrong: Vec<_> = lines.iter().filter(|line| !line.holds()).collect();
    if !wrong.is_empty() {
        twice(world);
    }
    assert!(complete && wrong.is_empty(), "complete: {complete}; {wrong:#?}\nthe hub's last words:\n{}", hub.log_tail());
    assert_eq!(hub.panics(), 0, "{}", hub.log_tail());
}

fn summary(world: &World, expected: &Expectations, hub: &HubProcess) {
    let (invitations, candidacies) = (world.platform.ledger().count("invitation"), expected.0.len());
    eprintln!("{candidacies} candidacies, {invitations} invitations, {} kills of the hub: 0 lost, 0 doubled", hub.kills);
}

async fn registered(world: &World, cast: &Cast, store: &dyn Store, key: &Path) {
    let sealer = Sealer::from_key_file_or_new(key).unwrap();
    world.register(cast, store, &sealer).await.unwrap();
}

/// Plays the script on a hub that is killed again and again.
async fn killed(world: World, cast: &Cast, mut hub: HubProcess, size: Size, every: usize) {
    let played = AtomicBool::new(false);
    world.point_at(&hub.url());
    let _ = cast;
    let (expected, ()) = tokio::join!(
        async {
            let expected = play(&world, size, |_| {}).await.unwrap();
            played.store(true, Ordering::SeqCst);
            expected
        },
        kill_now_and_then(&world, &mut hub, every, &played)
    );
    assert_eq!(hub.kills, KILLS);
    settle(&world, &expected, &hub).await;
    summary(&world, &expected, &hub);
}

#[test]
fn a_hub_killed_twenty_times_on_rabbitmq_and_postgresql_loses_nothing_and_doubles_nothing() {
    runtime().block_on(async {
        let (vhost, database, folder) = (VirtualHost::new(), TestDatabase::empty().await, tempfile::tempdir().unwrap());
        let cast = Cast::new(3, 3, "kill");
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let key = folder.path().join("seal.key");
        let store = database.store().await;
        registered(&world, &cast, &store, &key).await;
        let hub = HubProcess::start(folder.path(), &vhost.url(), &database.url, &key).await;
        let broker: Arc<dyn Broker> = Arc::new(RabbitBroker::connect(&vhost.url(), Handle::current(), Default::default()).await.unwrap());
        world.connect_bridges(&cast, &broker).unwrap();
        killed(world, &cast, hub, Size { ordinary: 333 }, 80).await;
        drop((vhost, database));
    });
}

#[test]
fn a_hub_killed_twenty_times_on_the_embedded_broker_and_store_loses_nothing_and_doubles_nothing() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let cast = Cast::new(6, 0, "kill");
        let world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let (key, data) = (folder.path().join("seal.key"), folder.path().join("data"));
        std::fs::create_dir_all(&data).unwrap();
        registered(&world, &cast, &SqliteStore::open(&data).unwrap(), &key).await;
        let address = format!("embedded:{}", data.display());
        let hub = HubProcess::start(folder.path(), &address, &address, &key).await;
        killed(world, &cast, hub, Size { ordinary: 333 }, 80).await;
    });
}

#[test]
fn a_crash_of_rabbitmq_and_one_of_postgresql_are_survived_without_restarting_the_hub() {
    runtime().block_on(async {
        let (mut node, mut server, folder) = (RabbitNode::start(), PostgresServer::start(), tempfile::tempdir().unwrap());
        let cast = Cast::new(2, 2, "crash");
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
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
        settle(&world, &expected.unwrap(), &hub).await;
    });
}
