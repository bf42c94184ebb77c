//! `cargo bench --bench crowd`: what five thousand tenants in one process cost: memory each, the time until all consume (with
//! queues still to be declared, and with queues that stand), the processor at rest, and the broker's memory.
//!
//! `-- --tenants 5000 --rest 30`. Progress goes to standard error, the table to standard output.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark stops where it fails, and prints what it found"
)]

#[path = "../arguments.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod arguments;
#[path = "../ground.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod ground;
#[path = "../../integration/support/services.rs"]
#[allow(dead_code, reason = "benchmarks crash no services")]
mod services;
#[path = "../usage.rs"]
#[allow(dead_code, reason = "shared: not every benchmark uses all of it")]
mod usage;

use arguments::Arguments;
use atshub::rabbitmq::RabbitBroker;
use atshub_actors::{
    domain::Policy,
    ports::{Broker, PlatformAccount, Standing, Store, TenantRecord},
};
use atshub_schemas::{TenantName, topology};
use futures_util::{StreamExt, TryStreamExt, stream};
use ground::{Ground, Hub, Shares};
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use usage::{Usage, mib};

/// Tenants written at the same time.
const AT_ONCE: usize = 8;
/// The platform account that all of them invite by. Nobody is there, and nobody is asked.
const ACCOUNT: &str = "main";
const NOWHERE: &str = "http://127.0.0.1:9";
/// How often the broker is asked who consumes.
const LOOK: Duration = Duration::from_millis(250);
/// Longest wait for all to consume.
const LIMIT: Duration = Duration::from_secs(900);

/// A hub with all its tenants consuming.
struct Start {
    /// Until the broker served a new connection: after thousands of consumers left, it is busy with that first.
    served: Duration,
    /// From the start of the process to its first answer.
    ready: Duration,
    /// From the start of the process to the last consumer.
    consuming: Duration,
    /// Processor time until then.
    cpu: Duration,
    /// What it uses after its rest.
    rested: Usage,
    /// Processors during the rest.
    shares: Shares,
    files: usize,
    /// Times that the broker did not answer the hub within its limit.
    silences: usize,
    broker: Usage,
    /// How long the drain took.
    stopped: Duration,
}

fn main() {
    let Some(arguments) = Arguments::read() else { return };
    let tenants = arguments.number("tenants").unwrap_or(5000);
    let rest = Duration::from_secs(arguments.number("rest").unwrap_or(30) as u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let ground = Ground::new().await;
        eprintln!("no tenants");
        let nobody = start(&ground, &[], rest).await;
        eprintln!("registering {tenants} tenants");
        let names: Vec<TenantName> = (0..tenants).map(|n| TenantName::new(format!("crowd-{n:05}")).unwrap()).collect();
        register(&ground, &names).await;
        eprintln!("first start: {tenants} queues are to be declared");
        let first = start(&ground, &names, rest).await;
        eprintln!("second start: the queues stand");
        let second = start(&ground, &names, rest).await;
        print(tenants, rest, &nobody, &first, &second);
    });
}

/// Ashby tenants: one queue each, credentials to be opened, and an address where nobody is.
async fn register(ground: &Ground, names: &[TenantName]) {
    let now = Timestamp::now();
    let account = PlatformAccount { name: ACCOUNT.into(), kind: "karat".into(), url: NOWHERE.into(), updated_at: now };
    ground.store.put_platform(account).await.unwrap();
    ground.store.put_secret(ground.sealer.seal(&format!("platform/{ACCOUNT}"), "token", "bench").unwrap()).await.unwrap();
    let writing = stream::iter(names).map(|name| async move {
        let policy = Policy {
            trigger_stages: vec!["Assessment".into()],
            connector: [("api_base".to_owned(), NOWHERE.to_owned())].into(),
            ..Policy::default()
        };
        let record = TenantRecord {
            name: name.clone(),
            ats: "ashby".into(),
            platform: ACCOUNT.into(),
            policy,
            unreadable: None,
            standing: Standing::Active,
            stood: 0,
            cause: None,
            until: None,
            version: 0,
            created_at: now,
            updated_at: now,
        };
        assert!(ground.store.put_tenant(record, None).await?);
        for secret in ["api_key", "webhook_secret"] {
            ground.store.put_secret(ground.sealer.seal(&format!("tenant/{name}"), secret, "bench").unwrap()).await?;
        }
        Ok::<(), atshub_actors::ports::StoreError>(())
    });
    writing.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.unwrap();
}

/// Starts the hub, waits until every tenant's queue has its consumer, lets it rest, looks at it, and stops it.
async fn start(ground: &Ground, names: &[TenantName], rest: Duration) -> Start {
    let began = Instant::now();
    while RabbitBroker::connect(&ground.node.url(), Handle::current(), Default::default()).await.is_err() {
        assert!(began.elapsed() < LIMIT, "the broker serves no connection");
    }
    let served = began.elapsed();
    let began = Instant::now();
    let hub = ground.hub().await;
    let ready = began.elapsed();
    let consuming = all_consuming(ground, &hub, names, began).await;
    let cpu = hub.usage().cpu;
    eprintln!("ready after {:.1} s, all consuming after {:.1} s; resting", ready.as_secs_f64(), consuming.as_secs_f64());
    tokio::time::sleep(rest / 3).await; // what the start left to be done is done
    let before = ground.spent(&hub);
    tokio::time::sleep(rest).await;
    let shares = before.until(&ground.spent(&hub));
    let (rested, files, broker) = (hub.usage(), hub.files(), usage::of_tree(ground.node.pid()));
    let silences = hub.said("no answer within");
    let stopped = hub.stop().await;
    Start { served, ready, consuming, cpu, rested, shares, files, silences, broker, stopped }
}

async fn all_consuming(ground: &Ground, hub: &Hub, names: &[TenantName], began: Instant) -> Duration {
    let broker = RabbitBroker::connect(&ground.node.url(), Handle::current(), Default::default()).await.unwrap();
    let mut wanted: Vec<String> = names.iter().map(topology::tenant_queue).chain([topology::INVITES.to_owned()]).collect();
    // From the last one on: whoever consumes last is asked first, and the others are asked once.
    while let Some(last) = wanted.last().cloned() {
        // A broker that has thousands of queues to begin with may be too busy to answer in time; it is asked again.
        let found = broker.queues(&[last]).await.inspect_err(|error| eprintln!("{error}"));
        if found.is_ok_and(|found| found.iter().any(|queue| queue.consumers > 0)) {
            wanted.pop();
            continue;
        }
        assert!(began.elapsed() < LIMIT, "{} queues have no consumer; the hub's last words:\n{}", wanted.len(), hub.last_words());
        tokio::time::sleep(LOOK).await;
    }
    began.elapsed()
}

fn print(tenants: usize, rest: Duration, nobody: &Start, first: &Start, second: &Start) {
    println!("crowd at {}: {tenants} tenants in one process, quorum queues, one broker node", ground::commit());
    println!("{:<50}{:>12}{:>14}{:>14}", "", "no tenants", "first start", "second start");
    let line = |what: &str, of: &dyn Fn(&Start) -> f64, digits: usize| {
        let [a, b, c] = [nobody, first, second].map(|start| format!("{:.digits$}", of(start)));
        println!("{what:<50}{a:>12}{b:>14}{c:>14}");
    };
    line("until the broker served a new connection, s", &|s| s.served.as_secs_f64(), 1);
    line("from start to ready, s", &|s| s.ready.as_secs_f64(), 1);
    line("from start to all consuming, s", &|s| s.consuming.as_secs_f64(), 1);
    line("hub's processor time until then, s", &|s| s.cpu.as_secs_f64(), 1);
    line("hub's memory at rest, MiB", &|s| mib(s.rested.memory), 1);
    let each = |s: &Start| s.rested.memory.saturating_sub(nobody.rested.memory) as f64 / 1024.0 / tenants as f64;
    line("the same per tenant, KiB", &each, 1);
    line("times the broker was too busy to answer the hub", &|s| s.silences as f64, 0);
    line("hub's open files at rest", &|s| s.files as f64, 0);
    line(&format!("hub's processor at rest over {} s, % of one", rest.as_secs()), &|s| s.shares.hub, 1);
    line("broker's processor at rest, % of one", &|s| s.shares.broker, 1);
    line("database's processor at rest, % of one", &|s| s.shares.database, 1);
    line("others on this machine at rest (noise), % of one", &|s| s.shares.others, 1);
    line("broker's memory at rest, MiB", &|s| mib(s.broker.memory), 1);
    let queue = |s: &Start| s.broker.memory.saturating_sub(nobody.broker.memory) as f64 / 1024.0 / tenants as f64;
    line("the same per tenant, KiB", &queue, 1);
    line("drain, s", &|s| s.stopped.as_secs_f64(), 1);
}
