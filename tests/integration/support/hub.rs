//! A whole hub for one test, on RabbitMQ and PostgreSQL or on the embedded pair, with a simulated outside; also the real
//! command line beside it. No expectations of its own.

use super::{
    postgres::{TestDatabase, client},
    rabbitmq::VirtualHost,
};
use atshub::{
    app::{self, Running, Tuning},
    config::{Address, Config},
    credentials::Sealer,
    demo::world::{Cast, World},
    http,
};
use atshub_actors::ports::{MessageView, Publication, QueueInfo, Store};
use atshub_schemas::{CONTENT_TYPE, Envelope, topology};
use atshub_simulators::{Effect, Ledger};
use std::{collections::BTreeMap, future::Future, path::Path, process::Output, sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::Semaphore, time::timeout};

/// Longer than any of this may take on a busy machine; only a failure waits so long.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// A call that is not answered within this time is unclear. The demonstration's value.
const CALL_LIMIT: Duration = Duration::from_secs(2);
/// What a simulated Ashby counts its webhook retries in.
const RETRY_UNIT: Duration = Duration::from_millis(100);
/// How often what has no bell (a broker's queue) is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Hubs on RabbitMQ at the same time: each has about ten quorum queues, and the broker's file handles are few.
static PLACES: Semaphore = Semaphore::const_new(2);

/// What a hub stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pair {
    /// RabbitMQ and PostgreSQL.
    Real,
    /// Both embedded, in a folder.
    Embedded,
}

/// The ground under a hub: gone when it is dropped.
pub(crate) struct Ground {
    pub(crate) config: Config,
    /// Addresses of broker and store that no proxy stands before.
    pub(crate) addresses: (String, String),
    folder: tempfile::TempDir,
    /// Where the broker is RabbitMQ.
    pub(crate) host: Option<VirtualHost>,
    _database: Option<TestDatabase>,
}

impl Ground {
    pub(crate) async fn new(pair: Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.seal.key_file = folder.path().join("seal.key");
        config.store.connections = 4;
        drop(Sealer::from_key_file_or_new(&config.seal.key_file).unwrap());
        let embedded = format!("embedded:{}", folder.path().display());
        let (mut addresses, mut services) = ((embedded.clone(), embedded), (None, None));
        if pair != Pair::Embedded {
            let (host, database) = (VirtualHost::new(), TestDatabase::empty().await);
            addresses = (host.url(), database.url.clone());
            services = (Some(host), Some(database));
        }
        (config.broker.url, config.store.url) = (Address::new(&addresses.0), Address::new(&addresses.1));
        Self { config, addresses, folder, host: services.0, _database: services.1 }
    }

    /// Its folder.
    pub(crate) fn place(&self) -> &Path {
        self.folder.path()
    }

    async fn outbox(&self) -> Outbox {
        match self.addresses.1.strip_prefix("embedded:") {
            None => Outbox::Postgres(client(&self.addresses.1).await),
            Some(folder) => Outbox::Embedded(rusqlite::Connection::open(Path::new(folder).join("hub.db")).unwrap()),
        }
    }

    /// A client of the broker beside the hub's own, on RabbitMQ.
    pub(crate) async fn amqp(&self) -> lapin::Connection {
        lapin::Connection::connect(&self.addresses.0, lapin::ConnectionProperties::default()).await.unwrap()
    }

    /// Changes something behind the store's back, in the words of each.
    pub(crate) async fn alter(&self, postgres: &str, sqlite: &str) {
        match self.outbox().await {
            Outbox::Postgres(client) => client.batch_execute(postgres).await.unwrap(),
            Outbox::Embedded(file) => file.execute_batch(sqlite).unwrap(),
        }
    }

    /// Runs the real command line on the same broker and store.
    pub(crate) async fn command(&self, words: &[&str]) -> Output {
        let (broker, store) = &self.addresses;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_atshub"));
        command.args(words).args(["--broker", broker, "--store", store]);
        command.env("ATSHUB_SEAL__KEY_FILE", &self.config.seal.key_file).current_dir(self.folder.path()).kill_on_drop(true);
        timeout(LIMIT, command.output()).await.expect("the command ends by itself").unwrap()
    }

    /// What a command prints that ends well.
    pub(crate) async fn says(&self, words: &[&str]) -> String {
        let output = self.command(words).await;
        let (said, talked) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert_eq!(output.status.code(), Some(0), "{words:?}: {said}{talked}");
        said
    }

    /// What `atshub message show` prints of a message.
    pub(crate) async fn shown(&self, id: &str) -> String {
        self.says(&["message", "show", id]).await
    }
}

/// A look behind the store, at the outbox.
enum Outbox {
    Postgres(tokio_postgres::Client),
    Embedded(rusqlite::Connection),
}

impl Outbox {
    /// Messages that are still to be published, those included that are being published just now.
    async fn unsent(&self) -> i64 {
        const SQL: &str =
            "select count(*) from outbox where sent_at is null and (effect_key is null or effect_key not like '%/unanswered')";
        match self {
            Self::Postgres(client) => client
                .query_one("select count(*) from waiting where effect_key is null or effect_key not like '%/unanswered'", &[])
                .await
                .unwrap()
                .get(0),
            Self::Embedded(file) => file.query_row(SQL, [], |row| row.get(0)).unwrap(),
        }
    }
}

/// A running hub with its outside.
pub(crate) struct Walk<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) running: Running,
    pub(crate) world: World,
}

/// Runs a hub with a cast of this test's own, and lets the test play. Afterwards everything is gone.
pub(crate) fn on_hub(pair: Pair, ashby: &[&str], bridges: &[&str], play: impl AsyncFnOnce(&mut Walk<'_>)) {
    on_hub_set(pair, |_| {}, ashby, bridges, play);
}

/// The same, with settings of the test's own.
pub(crate) fn on_hub_set(
    pair: Pair,
    set: impl FnOnce(&mut Config),
    ashby: &[&str],
    bridges: &[&str],
    play: impl AsyncFnOnce(&mut Walk<'_>),
) {
    let calls = http::Options { total_time: CALL_LIMIT, ..http::Options::default() };
    on_any_hub(pair, None, (Tuning { calls, ..Tuning::default() }, set), ashby, bridges, play);
}

/// The same with a hub that is tuned in another way.
pub(crate) fn on_tuned_hub(pair: Pair, tuning: Tuning, ashby: &[&str], bridges: &[&str], play: impl AsyncFnOnce(&mut Walk<'_>)) {
    on_any_hub(pair, None, (tuning, |_| {}), ashby, bridges, play);
}

/// The same on a store that an older version laid out and filled: by these statements, in the words of each. It is brought up to date
/// before the hub starts.
pub(crate) fn on_upgraded_hub(pair: Pair, old: (&str, &str), bridges: &[&str], play: impl AsyncFnOnce(&mut Walk<'_>)) {
    on_any_hub(pair, Some(old), (Tuning::default(), |_| {}), &[], bridges, play);
}

fn on_any_hub(
    pair: Pair,
    old: Option<(&str, &str)>,
    (tuning, set): (Tuning, impl FnOnce(&mut Config)),
    ashby: &[&str],
    bridges: &[&str],
    play: impl AsyncFnOnce(&mut Walk<'_>),
) {
    let cast = Cast { ashby: ashby.iter().map(ToString::to_string).collect(), bridges: bridges.iter().map(ToString::to_string).collect() };
    on_old_ground(pair, old, async |ground, handle| {
        let mut world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let mut config = ground.config.clone();
        set(&mut config);
        let running = app::start(&config, handle, tuning).await.unwrap();
        world.register(&cast, &*running.hub.store(), &running.sealer).await.unwrap();
        running.hub.reload().await.unwrap();
        world.connect_bridges(&cast, &running.broker).unwrap();
        world.point_at(&format!("http://{}", running.address));
        let mut walk = Walk { ground, running, world };
        play(&mut walk).await;
        let Walk { running, world, .. } = walk;
        drop(world);
        running.stop(Duration::from_secs(10)).await;
    });
}

/// Lets a test play in an actix system on ground of its own, its store laid out, with another runtime for input and output.
pub(crate) fn on_ground(pair: Pair, play: impl AsyncFnOnce(&Ground, Handle)) {
    on_old_ground(pair, None, play);
}

fn on_old_ground(pair: Pair, old: Option<(&str, &str)>, play: impl AsyncFnOnce(&Ground, Handle)) {
    let entry = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _place = (pair != Pair::Embedded).then(|| entry.block_on(PLACES.acquire()).unwrap());
    // Declared first, so that it goes last: the virtual host must not go before whoever is connected to it.
    let ground;
    let io = app::io_runtime(2).unwrap();
    ground = io.block_on(Ground::new(pair));
    let handle = io.handle().clone();
    actix::System::new().block_on(async {
        if let Some((postgres, sqlite)) = old {
            ground.alter(postgres, sqlite).await;
        }
        app::migrate(&ground.config, handle.clone()).await.unwrap();
        play(&ground, handle).await;
    });
    io.shutdown_timeout(Duration::from_secs(2));
}

fn publication(routing_key: String, id: &str, body: Vec<u8>) -> Publication {
    Publication {
        exchange: topology::EVENTS.into(),
        routing_key,
        message_id: id.into(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: body.into(),
    }
}

impl Walk<'_> {
    /// Publishes bytes on the exchange of facts, as a bridge does.
    pub(crate) async fn send_bytes(&self, routing_key: String, id: &str, body: Vec<u8>) {
        self.publish_all(vec![publication(routing_key, id, body)]).await;
    }

    /// Publishes facts, all at once.
    pub(crate) async fn send(&self, facts: &[Envelope]) {
        let publication = |fact: &Envelope| publication(fact.routing_key(), fact.id.as_str(), fact.encode().unwrap());
        self.publish_all(facts.iter().map(publication).collect()).await;
    }

    async fn publish_all(&self, messages: Vec<Publication>) {
        for answer in self.running.broker.publish(messages).await {
            answer.unwrap();
        }
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        self.running.hub.store()
    }

    /// The one view of a message, once it is in this state.
    pub(crate) async fn message(&self, id: &str, state: &str) -> MessageView {
        let mut last = Vec::new();
        let found = until(async || {
            last = self.store().message(id).await.unwrap();
            last.len() == 1 && last[0].state == state
        });
        assert!(found.await, "{id} is not {state}: {last:?}");
        last.remove(0)
    }

    /// Every queue there should be.
    pub(crate) async fn queues(&self) -> Vec<QueueInfo> {
        let shared = [topology::INVITES, topology::NOTICES, topology::RESULTS, topology::DEAD, topology::UNROUTED].map(str::to_owned);
        let tenants = self.store().tenants().await.unwrap();
        let own = tenants.iter().flat_map(|t| [topology::tenant_queue(&t.name), topology::commands_queue(&t.name)]);
        self.running.broker.queues(&shared.into_iter().chain(own).collect::<Vec<_>>()).await.unwrap()
    }

    /// Waits until nothing waits to be published, not even for its time, nothing waits in a queue, and nothing is in hand. These
    /// are three looks, one after the other, in the direction in which messages go; that nothing was done between them, and the
    /// same once more, says that none has gone past them.
    pub(crate) async fn nothing_is_left(&self) {
        let (outbox, mut left, mut rests) = (self.ground.outbox().await, String::new(), 0);
        let rested = until(async || {
            let done = self.done();
            let unsent = outbox.unsent().await;
            let waiting: Vec<_> = self.queues().await.into_iter().filter(|q| q.ready > 0 || q.unacked.unwrap_or(0) > 0).collect();
            let busy: Vec<_> =
                self.running.hub.board().snapshot().into_iter().filter(|c| c.in_hand > 0).map(|c| (c.name, c.in_hand)).collect();
            left = format!("to publish {unsent}, in queues {waiting:?}, in hand {busy:?}");
            rests = if unsent == 0 && waiting.is_empty() && busy.is_empty() && self.done() == done { rests + 1 } else { 0 };
            rests == 2
        });
        assert!(rested.await, "{left}");
    }

    fn done(&self) -> u64 {
        self.running.hub.board().snapshot().iter().map(|child| child.done).sum()
    }
}

/// Asks again and again, until it is so or the limit. For what has no bell.
pub(crate) async fn until(mut so: impl AsyncFnMut() -> bool) -> bool {
    let asking = async {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            looks.tick().await;
            if so().await {
                return;
            }
        }
    };
    timeout(LIMIT, asking).await.is_ok()
}

/// Waits for a signal, and fails with what was waited for.
pub(crate) async fn soon<T>(what: &str, signal: impl Future<Output = T>) -> T {
    timeout(LIMIT, signal).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}

/// Waits for effects in a ledger; fails with what there was.
pub(crate) async fn happens(ledger: &Ledger, what: &str, enough: impl FnMut(&[Effect]) -> bool) {
    if let Err(seen) = ledger.wait_for(enough, LIMIT).await {
        panic!("in vain: {what}; there was {seen:#?}");
    }
}

/// The values of one kind of effect on one subject, in order.
pub(crate) fn values(ledger: &Ledger, kind: &str, subject: &str) -> Vec<String> {
    let of = |effect: &Effect| effect.kind == kind && effect.subject == subject;
    ledger
        .effects()
        .iter()
        .filter(|effect| of(effect))
        .map(|effect| effect.value.as_str().map_or_else(|| effect.value.to_string(), str::to_owned))
        .collect()
}
