//! The hub as a process among the things that an operating system does to one: signals, a log that nobody takes, few file handles, a
//! second process on the same folder. The binary itself, on real services where work is to be done.

mod log;
mod places;
mod signals;
mod spans;

use crate::support::{crowd::Crowd, hub_process::HubProcess, postgres::TestDatabase, rabbitmq::VirtualHost};
use atshub::{
    credentials::Sealer,
    demo::world::{Cast, World},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// Services, and an outside with one Ashby account, `acme`, that the store knows.
struct Ground {
    host: VirtualHost,
    database: TestDatabase,
    world: World,
    key: PathBuf,
}

impl Ground {
    async fn new(folder: &Path) -> Self {
        let (host, database, key) = (VirtualHost::new(), TestDatabase::empty().await, folder.join("seal.key"));
        let cast = Cast { ashby: vec!["acme".to_owned()], bridges: Vec::new() };
        let world = World::start(&cast, Duration::from_millis(100)).await.unwrap();
        world.register(&cast, &database.store().await, &Sealer::from_key_file_or_new(&key).unwrap()).await.unwrap();
        Self { host, database, world, key }
    }

    /// A hub on it that invites ten candidates.
    async fn invites(&self, folder: &Path, change: impl FnOnce(Command) -> Command) -> (HubProcess, Crowd<'_>) {
        let mut hub = HubProcess::begin_by(folder, &self.host.url(), &self.database.url, &self.key, change);
        self.world.point_at(&hub.url());
        hub.ready().await;
        let mut crowd = Crowd::of(&self.world, 0).await;
        crowd.enter(10).await;
        crowd.is_shown_as_invited().await;
        (hub, crowd)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
