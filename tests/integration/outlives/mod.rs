//! What was accepted outlives a broker that is away or lost, a store that goes back to an older state, and a clock that was wrong:
//! every candidate is invited, and nobody twice.

mod broker;
mod clock;
mod disk;
mod going_back;

use crate::support::hub_process::HubProcess;
use atshub::{
    credentials::Sealer,
    demo::world::{Cast, World},
};
use atshub_actors::ports::Store;
use std::{path::PathBuf, time::Duration};

/// What Ashby counts its webhook retries in, here.
const RETRY_UNIT: Duration = Duration::from_millis(100);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An outside with these Ashby accounts, known to a store; and the folder with the sealing key.
struct Stage {
    world: World,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new(accounts: &[&str], store: &dyn Store) -> Self {
        let stage = Self::unknown(accounts).await;
        stage.register(accounts, store).await;
        stage
    }

    async fn unknown(accounts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = World::start(&Self::cast(accounts), RETRY_UNIT).await.unwrap();
        Self { world, folder }
    }

    fn cast(accounts: &[&str]) -> Cast {
        Cast { ashby: accounts.iter().map(ToString::to_string).collect(), bridges: Vec::new() }
    }

    async fn register(&self, accounts: &[&str], store: &dyn Store) {
        let sealer = Sealer::from_key_file_or_new(&self.key()).unwrap();
        self.world.register(&Self::cast(accounts), store, &sealer).await.unwrap();
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("seal.key")
    }

    /// A hub on these, not waited for; webhooks go to it from now on.
    fn hub(&self, broker: &str, store: &str) -> HubProcess {
        let place = tempfile::Builder::new().prefix("hub-").tempdir_in(self.folder.path()).unwrap().keep();
        let hub = HubProcess::begin(&place, broker, store, &self.key());
        self.world.point_at(&hub.url());
        hub
    }
}
