//! A hub that is started before its broker and store are: it waits for the store, says so, and begins by itself; without a broker it
//! takes webhooks. What waiting does not mend ends it at once.

use crate::support::{hub::until, hub_process::HubProcess, postgres::TestDatabase, rabbitmq::VirtualHost, services};
use atshub::credentials::Sealer;
use std::{net::SocketAddr, path::PathBuf, process::Command, time::Duration};
use tokio::net::{TcpListener, TcpStream};

fn sealing_key(folder: &tempfile::TempDir) -> PathBuf {
    let key = folder.path().join("seal.key");
    drop(Sealer::from_key_file_or_new(&key).unwrap());
    key
}

/// An address at which nobody is yet.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], services::free_port()))
}

/// From now on, whoever connects there is connected to `target`.
async fn comes(there: SocketAddr, target: String) {
    let listener = TcpListener::bind(there).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let Ok(mut far) = TcpStream::connect(&target).await else { continue };
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
}

fn place_of(url: &str) -> String {
    let place = url.split_once('@').unwrap().1;
    place.split(['/', '?']).next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_waits_for_its_broker_and_store_and_begins_when_they_come() {
    let (database, host, folder) = (TestDatabase::empty().await, VirtualHost::new(), tempfile::tempdir().unwrap());
    drop(database.store().await);
    let (store_place, broker_place) = (nobody(), nobody());
    let broker_url = host.url().replacen(&place_of(&host.url()), &broker_place.to_string(), 1);
    let mut hub = HubProcess::begin(folder.path(), &broker_url, &database.url_at(store_place), &sealing_key(&folder));
    let client = atshub_simulators::loopback_client(Duration::from_secs(5)).unwrap();
    let status = async |path: &str| match client.get(format!("{}{path}", hub.url())).send().await {
        Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
        Err(_) => (0, String::new()),
    };
    let up = |body: &str, part: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()[part]["up"] == true;

    assert!(until(async || status("/readyz").await.0 == 503).await, "{}", hub.log_tail());
    let (_, body) = status("/readyz").await;
    assert!(!up(&body, "store") && !up(&body, "broker"), "{body}");
    assert!(body.contains("failed to open the store") && body.contains("failed to open the broker"), "{body}");
    assert_eq!((status("/livez").await.0, status("/hooks/acme").await.0), (200, 503));
    assert!(hub.logged("the hub starts when the store is there"), "{}", hub.log_tail());

    comes(store_place, place_of(&database.url)).await;
    assert!(until(async || up(&status("/readyz").await.1, "store")).await, "{}", hub.log_tail());
    assert_eq!(status("/readyz").await.0, 503);
    comes(broker_place, place_of(&host.url())).await;
    hub.ready().await;
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_waits_stops_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let broker = format!("embedded:{}", folder.path().display());
    let mut hub = HubProcess::begin(folder.path(), &broker, &format!("postgres://postgres@{}/x", nobody()), &sealing_key(&folder));
    assert!(until(async || hub.logged("looking again in")).await, "{}", hub.log_tail());
    assert!(hub.terminate().success(), "{}", hub.log_tail());
}

#[test]
fn what_waiting_does_not_mend_ends_the_hub_at_once_although_something_else_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let key = sealing_key(&folder);
    let (away, listen) = (nobody(), nobody());
    let serve = |broker: &str, store: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
        command.args(["serve", "--broker", broker, "--store", store, "--listen", &listen.to_string()]);
        command.env("ATSHUB_SEAL__KEY_FILE", &key).current_dir(folder.path());
        let ended = command.output().unwrap();
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let broker_away = format!("amqp://guest:guest@{away}/%2f");
    let no_database = "postgres://postgres@127.0.0.1:5432/no_database_of_that_name";
    let said = serve(&broker_away, no_database);
    assert!(said.contains("failed to open the store") && said.contains("does not exist"), "{said}");
    let store_away = format!("postgres://postgres@{away}/x");
    let said = serve("amqp://guest:wrong@127.0.0.1:5672/%2f", &store_away);
    assert!(said.contains("failed to open the broker") && said.contains("check user and password"), "{said}");
}
