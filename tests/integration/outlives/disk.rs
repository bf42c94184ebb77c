//! The disk is full.

use super::{Stage, broker::readiness, runtime};
use crate::support::{crowd::Crowd, hub::until, hub_process::HubProcess, postgres::TestDatabase, services::RabbitNode};
use atshub::embedded::store::SqliteStore;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Room for the embedded broker and store, and for some hundreds of candidacies.
const ROOM: &str = "24m";

/// The same command with a small disk of its own at this folder, which nobody else sees; what the folder held is on it.
fn on_a_small_disk(command: &Command, folder: &Path, log: &Path) -> Command {
    let mut inside = Command::new("unshare");
    let mount =
        format!("set -e; cp -r \"$0\" \"$0.kept\"; mount -t tmpfs -o size={ROOM} tmpfs \"$0\"; cp -r \"$0.kept/.\" \"$0\"; exec \"$@\"");
    inside.args(["--map-root-user", "--mount", "--", "sh", "-c", &mount]).arg(folder);
    inside.arg(command.get_program()).args(command.get_args());
    let log = fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    inside
}

/// Takes all the room that is left.
fn fill(filler: &Path) {
    let mut file = fs::File::create(filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

#[test]
fn while_the_disk_of_an_embedded_hub_is_full_the_ats_keeps_its_webhooks_and_then_everything_is_done() {
    runtime().block_on(async {
        let stage = Stage::unknown(&["acme"]).await;
        let (place, data) = (stage.folder.path().join("hub"), stage.folder.path().join("hub/data"));
        fs::create_dir_all(&data).unwrap();
        stage.register(&["acme"], &SqliteStore::open(&data).unwrap()).await;
        let address = format!("embedded:{}", data.display());
        let mut hub = HubProcess::begin_by(&place, &address, &address, &stage.key(), |command| {
            on_a_small_disk(&command, &data, &place.join("hub.log"))
        });
        hub.ready().await;
        // The disk as the hub sees it.
        let disk = PathBuf::from(format!("/proc/{}/root{}", hub.pid(), data.display()));
        stage.world.point_at(&hub.url());
        let mut crowd = Crowd::of(&stage.world, 0).await;
        crowd.enter(5).await;
        crowd.is_shown_as_invited().await;

        let filler = disk.join("filler");
        fill(&filler);
        let ill = until(async || {
            let said = readiness(&hub.url()).await;
            said["store"]["up"] == false && said["store"]["cause"].as_str().is_some_and(|cause| cause.contains("full"))
        });
        assert!(ill.await, "{} {}", readiness(&hub.url()).await, hub.log_tail());
        let tried = stage.world.ashby[0].1.deliveries().attempts;
        crowd.enter(5).await;
        assert!(until(async || stage.world.ashby[0].1.deliveries().attempts > tried + 5).await, "nothing was sent");
        fs::remove_file(&filler).unwrap();
        crowd.is_shown_as_invited().await;
        assert_eq!(stage.world.ashby[0].1.deliveries().lost(), 0);
        hub.ready().await;
        assert!(hub.terminate().success(), "{}", hub.log_tail());
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}

#[test]
fn while_the_brokers_disk_is_full_webhooks_are_taken_and_then_everything_is_done() {
    runtime().block_on(async {
        let (node, database) = (RabbitNode::start(), TestDatabase::empty().await);
        let stage = Stage::new(&["acme"], &database.store().await).await;
        let mut hub = stage.hub(&node.url(), &database.url);
        hub.ready().await;
        let mut crowd = Crowd::of(&stage.world, 0).await;
        crowd.enter(5).await;
        crowd.is_shown_as_invited().await;

        // More than any disk has: the broker takes no publications, as when it is full.
        node.ctl(&["set_disk_free_limit", "1000000GB"]);
        let ill = until(async || {
            let said = readiness(&hub.url()).await;
            said["store"]["up"] == true && said["broker"]["up"] == false
        });
        assert!(ill.await, "{} {}", readiness(&hub.url()).await, hub.log_tail());
        crowd.enter(5).await;
        crowd.is_taken().await;
        node.ctl(&["set_disk_free_limit", "50MB"]);
        crowd.is_shown_as_invited().await;
        assert!(hub.terminate().success(), "{}", hub.log_tail());
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}
