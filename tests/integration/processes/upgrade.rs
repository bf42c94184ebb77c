//! A running pair of processes is upgraded, and rolled back, one process at a time and under load. By hand with the binary of an older
//! release of the same minor version: `ATSHUB_TEST_OLD=<path> cargo test --test integration processes::upgrade -- --nocapture`. Without one,
//! the binary under test stands in for it, and what is tried is that processes are replaced.

use super::stage::{Stage, on_stage_laid_out};
use crate::support::{guards::with_and_without_guard, hub::happens, hub_process::HubProcess};
use atshub::demo::script::{Size, play};
use atshub_simulators::platform::Guard;
use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Candidates of each tenant: enough for every step to be taken among them.
const SIZE: Size = Size { ordinary: 100 };
/// Invitations from one step to the next.
const STEP: usize = 60;

with_and_without_guard! {
    a_running_pair_is_upgraded_and_rolled_back_under_load_and_nothing_is_lost_or_doubled
}

fn new() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_atshub"))
}

fn old() -> PathBuf {
    std::env::var_os("ATSHUB_TEST_OLD").map_or_else(new, PathBuf::from)
}

/// Brings the schema up to date, as far as this program knows it.
fn migrate(program: &Path, store: &str) {
    let ended = Command::new(program).args(["--store", store, "migrate"]).stdin(Stdio::null()).output().unwrap();
    assert!(ended.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&ended.stderr));
}

/// What processes are started with.
struct Place<'a> {
    folder: &'a Path,
    broker: String,
    store: &'a str,
}

impl Place<'_> {
    /// A process of this program, ready.
    async fn start(&self, program: &Path) -> HubProcess {
        let folder = tempfile::Builder::new().prefix("hub-").tempdir_in(self.folder).unwrap().keep();
        let log = folder.join("hub.log");
        let mut hub = HubProcess::begin_by(&folder, &self.broker, self.store, &self.folder.join("seal.key"), |command| {
            let mut of = Command::new(program);
            let log = OpenOptions::new().create(true).append(true).open(&log).unwrap();
            of.args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
            of
        });
        hub.ready().await;
        hub
    }
}

/// Tells a process to stop, and waits until it has.
async fn stop(mut hub: HubProcess) {
    let (ended, hub) = tokio::task::spawn_blocking(move || (hub.terminate(), hub)).await.unwrap();
    assert!(ended.success(), "{}", hub.log_tail());
}

fn a_running_pair_is_upgraded_and_rolled_back_under_load_and_nothing_is_lost_or_doubled(guard: Guard) {
    on_stage_laid_out(
        "upgrade",
        async |database| migrate(&old(), &database.url),
        async |stage| {
            let Stage { world, hubs, vhost, database, folder, .. } = stage;
            world.platform.set_guard(guard);
            let place = Place { folder: folder.path(), broker: vhost.url(), store: &database.url };
            for _ in 0..2 {
                hubs.push(place.start(&old()).await);
            }
            world.point_at(&hubs[0].url());
            let ledger = world.platform.ledger();
            let world = &*world;
            let (expected, ()) = tokio::join!(play(world, SIZE, |_| {}), async {
                happens(&ledger, "the script's effects", |effects| effects.len() >= STEP).await;
                migrate(&new(), &database.url);
                for (step, program) in (2..).zip([new(), new(), old(), old()]) {
                    happens(&ledger, "the script's effects", |effects| effects.len() >= step * STEP).await;
                    // The other is ready and has the webhooks before the first is told to stop.
                    hubs.push(place.start(&program).await);
                    world.point_at(&hubs[1].url());
                    stop(hubs.remove(0)).await;
                }
            });
            let expected = expected.unwrap();
            stage.complete(&expected).await;
            stage.at_rest().await;
            stage.holds(&expected);
            assert!(stage.hubs.iter().all(|hub| hub.panics() == 0), "{}", stage.hubs[0].log_tail());
        },
    );
}
