//! Runs the demonstration: opens a hub on what is asked for, plays the script, and either tallies once or plays on.

use super::{
    happened, script,
    tally::{self, Expectations},
    until_complete,
    world::{Cast, PREFIX, World, WorldError},
};
use crate::{
    app::{self, AppError, Running, Tuning},
    config::{Address, Config},
    credentials::{Sealer, forget_all},
    http,
};
use atshub_actors::{
    ports::{Store, StoreError},
    supervision::RestartPolicy,
};
use atshub_simulators::{ashby::NewCandidate, platform::Guard};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

/// Longest wait for everything expected to have happened. Faults of the script cost one retry of up to ten seconds each.
const LIMIT: Duration = Duration::from_secs(120);
/// Everything at rest for so long means that nothing more will come.
const REST: Duration = Duration::from_secs(1);
/// What Ashby counts its webhook retries in, here.
const RETRY_UNIT: Duration = Duration::from_millis(200);
/// Codes under which the script has a message each set aside.
const PARKED: [&str; 2] = ["unknown_tenant", "undecodable_body"];
/// Ordinary candidates per tenant.
const ORDINARY: usize = 32;
/// Pause between two candidates of the traffic that goes on.
const PAUSE: Duration = Duration::from_millis(1500);

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Play the script once and tally.
    pub once: bool,
    /// The broker, if not the embedded one.
    pub broker: Option<String>,
    /// The store, if not the embedded one.
    pub store: Option<String>,
    /// Where the doors are to be; port 0 takes any.
    pub listen: Option<SocketAddr>,
    /// What the simulated platform does about doubles.
    pub guard: Guard,
}

/// What `--once` came to.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    /// A line per case, counted at the simulators.
    pub lines: Vec<tally::Line>,
    /// What had to be set aside, by code: expected and seen.
    pub parked: BTreeMap<String, (u64, u64)>,
    /// Faults of the simulators: ordered, and served. One that was not served has shown nothing.
    pub faults: (u64, u64),
    /// Seconds from the start of the hub to the first invitation.
    pub first_invitation_s: f64,
    /// Seconds from the start of the script to its last effect.
    pub complete_s: f64,
    /// Tenants.
    pub tenants: usize,
    /// Candidacies.
    pub candidacies: usize,
}

impl Summary {
    /// Whether every expected effect happened exactly once, and nothing else did.
    #[must_use]
    pub fn holds(&self) -> bool {
        let overtaken: usize = self.lines.iter().map(|line| line.overtaken).sum();
        overtaken <= script::STATUS_FAULTS
            && self.lines.iter().all(tally::Line::holds)
            && self.parked.values().all(|(wanted, seen)| wanted == seen)
            && self.faults.0 == self.faults.1
    }
}

/// Why there was no demonstration.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The hub did not start.
    #[error(transparent)]
    App(#[from] AppError),
    /// The simulated outside did not start.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The script slipped.
    #[error(transparent)]
    Script(#[from] script::ScriptError),
    /// The store did not answer.
    #[error("the store failed during the demonstration: {0}")]
    Store(#[from] StoreError),
    /// The store is in use.
    #[error(
        "the store holds `{0}`, which is no tenant of a demonstration; give the demonstration a database and a virtual host of its own"
    )]
    InUse(String),
}

/// Runs it. `say` hears what is going on. `None` without `--once`: it played on until it was told to stop.
///
/// # Errors
/// [`DemoError`].
pub fn run(options: &Options, say: impl Fn(&str)) -> Result<Option<Summary>, DemoError> {
    let io = app::io_runtime(2).map_err(AppError::from)?;
    let handle = io.handle().clone();
    let result = actix_rt::System::new().block_on(async {
        let began = std::time::Instant::now();
        let ending = format!("{:04x}", rand::random_range(0..=u16::MAX));
        let cast = Cast::new(3, 3, &ending);
        let folder = tempfile::tempdir().map_err(AppError::from)?;
        let config = configuration(options, folder.path());
        app::migrate(&config, handle.clone()).await?;
        let sealer = Arc::new(Sealer::forgetful());
        let calls = http::Options { total_time: Duration::from_secs(2), ..http::Options::default() };
        let restarts = RestartPolicy::default();
        {
            let store = app::open_store(&config, handle.clone()).await?;
            refuse_if_in_use(&*store).await?;
            // Of a demonstration that was cut off: its sealing key is forgotten.
            forget_all(&*store).await?;
        }
        let mut world = World::start(&cast, RETRY_UNIT).await?;
        world.platform.set_guard(options.guard);
        let running =
            app::start(&config, handle, Tuning { sealer: Some(Arc::clone(&sealer)), calls, restarts, ..Tuning::default() }).await?;
        let store = running.hub.store();
        world.register(&cast, &*store, &sealer).await?;
        running.hub.reload().await?;
        world.connect_bridges(&cast, &running.broker)?;
        world.point_at(&format!("http://{}", running.address));
        say(&format!("status page: http://{}/", running.address));
        if !options.once {
            say(&drill_line(&config));
        }
        let summary = if options.once { Some(once(&world, &running, &*store, began, &say).await?) } else { None };
        if summary.is_none() {
            play_on(&world, &running, &say).await?;
        }
        clean_up(&cast, &running, &*store).await?;
        drop(world);
        running.stop(Duration::from_secs(10)).await;
        Ok(summary)
    });
    io.shutdown_timeout(Duration::from_secs(2));
    result
}

fn configuration(options: &Options, folder: &std::path::Path) -> Config {
    let mut config = Config::default();
    let embedded = Address::new(format!("embedded:{}", folder.display()));
    config.broker.url = options.broker.as_deref().map_or_else(|| embedded.clone(), Address::new);
    config.store.url = options.store.as_deref().map_or(embedded, Address::new);
    config.hub.drills = true;
    config.http.listen = options.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    config
}

/// What to type in another terminal. The program is named by its path: whoever tries the demonstration has not installed it.
fn drill_line(config: &Config) -> String {
    let program = std::env::current_exe().map_or_else(|_| "atshub".to_owned(), |path| path.display().to_string());
    let (broker, store) = (config.broker.url.masked(), config.store.url.masked());
    format!("to see how it copes with a fault, in another terminal: {program} drill tenant-panic --broker {broker} --store {store}")
}

async fn refuse_if_in_use(store: &dyn Store) -> Result<(), DemoError> {
    let stranger = store.tenants().await?.into_iter().find(|t| !t.name.as_str().starts_with(PREFIX));
    stranger.map_or(Ok(()), |tenant| Err(DemoError::InUse(tenant.name.to_string())))
}

async fn once(
    world: &World,
    running: &Running,
    store: &dyn Store,
    began: std::time::Instant,
    say: &impl Fn(&str),
) -> Result<Summary, DemoError> {
    let before = store.parked_counts(None).await?;
    let ordered = script::misbehave(&world.platform, world.ashby.first().map(|(_, ats)| ats));
    let played = std::time::Instant::now();
    let mut expected = script::play(world, script::Size { ordinary: ORDINARY }, |what| say(what)).await?;
    let mut first = None;
    let mut look = |expected: &Expectations, seen: &tally::Happened| {
        if first.is_none() && !seen.platform.is_empty() {
            first = Some(began.elapsed().as_secs_f64());
            say(&format!("first invitation after {:.1} s", began.elapsed().as_secs_f64()));
        }
        let invitations = seen.platform.iter().filter(|e| e.kind == "invitation").count();
        tracing::debug!(invitations, of = expected.0.len(), "so far");
    };
    // In the middle of it all: whatever is in hand now is delivered again.
    running.broker.lose("the demonstration cuts the connection").await;
    say("the connection to the broker is cut; waiting until everything expected has happened, though faults cost some retries");
    until_complete(world, &expected, LIMIT, |seen| look(&expected, seen)).await;
    at_rest(running, store).await?;
    say("re-triggers, and second applications for the same role");
    script::play_again(world, &mut expected).await?;
    until_complete(world, &expected, LIMIT, |seen| look(&expected, seen)).await;
    at_rest(running, store).await?;
    let complete_s = played.elapsed().as_secs_f64();
    let seen = store.parked_counts(None).await?;
    let mut parked: BTreeMap<String, (u64, u64)> = PARKED.map(|code| (code.to_owned(), (1, 0))).into();
    for (code, count) in seen {
        let new = count.saturating_sub(before.get(&code).copied().unwrap_or(0));
        if new > 0 {
            parked.entry(code).or_default().1 = new;
        }
    }
    let left = world.platform.faults().pending() + world.ashby.iter().map(|(_, ats)| ats.faults().pending()).sum::<usize>();
    let faults = (ordered as u64, ordered.saturating_sub(left) as u64);
    let lines = tally::compare(&expected, &happened(world));
    let tenants = world.ashby.len() + world.bridges.len();
    Ok(Summary { lines, parked, faults, first_invitation_s: first.unwrap_or(f64::NAN), complete_s, tenants, candidacies: expected.0.len() })
}

/// Waits until nothing is in hand and nothing is due: an effect that is still to come, wanted or not, has come.
async fn at_rest(running: &Running, store: &dyn Store) -> Result<(), StoreError> {
    let (board, mut rested) = (running.hub.board(), std::time::Instant::now());
    let began = rested;
    while rested.elapsed() < REST && began.elapsed() < LIMIT {
        let idle = board.snapshot().iter().all(|row| row.in_hand == 0) && store.next_due().await?.is_none();
        if !idle {
            let busy: Vec<String> =
                board.snapshot().iter().filter(|r| r.in_hand > 0).map(|r| format!("{} {}", r.name, r.in_hand)).collect();
            tracing::debug!(?busy, next_due = ?store.next_due().await?, "not at rest");
            rested = std::time::Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Traffic without end: a candidate here, a candidate there, now and then one whose data is wrong.
async fn play_on(world: &World, running: &Running, say: &impl Fn(&str)) -> Result<(), DemoError> {
    script::play(world, script::Size { ordinary: 3 }, |what| say(what)).await?;
    say("playing on; Ctrl-C ends it");
    let mut stop = crate::signals::ToldToStop::hear().map_err(AppError::from)?;
    for n in 0u64.. {
        tokio::select! {
            () = stop.told() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        let (tenant, ats) = &world.ashby[usize::try_from(n).unwrap_or(0) % world.ashby.len()];
        let phone = n.is_multiple_of(7).then(|| "12345".to_owned());
        let new =
            NewCandidate { name: format!("Visitor {n}"), email: format!("visitor-{n}@{tenant}.example"), phone, ..NewCandidate::default() };
        let application = ats.add_candidate(new).await.map_err(script::ScriptError::from)?;
        ats.move_stage(&application, super::world::TRIGGER).await.map_err(script::ScriptError::from)?;
        if n.is_multiple_of(10) {
            say(&format!("{} invitations so far; http://{}/", world.platform.ledger().count("invitation"), running.address));
        }
    }
    Ok(())
}

/// Takes the demonstration's tenants out of a store and a broker that others may look at.
async fn clean_up(cast: &Cast, running: &Running, store: &dyn Store) -> Result<(), DemoError> {
    for name in cast.ashby.iter().chain(&cast.bridges) {
        if let Ok(tenant) = atshub_schemas::TenantName::new(name.as_str()) {
            store.remove_tenant(&tenant).await?;
        }
    }
    running.hub.reload().await?;
    // Its store and its sealing key are forgotten: what comes next on these services is to find them nobody's.
    forget_all(store).await?;
    if let Err(error) = running.broker.disown().await {
        tracing::debug!(%error, "the broker stays the demonstration's");
    }
    Ok(())
}
