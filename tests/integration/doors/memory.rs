//! The memory of a hub of its own while strangers send it hundreds of bodies at once.

use super::client::{begin, raw};
use crate::support::{build::record, hub_process::HubProcess};
use atshub::{credentials::Sealer, embedded::store::SqliteStore};
use atshub_actors::ports::{Store, TenantRecord};
use futures_util::{StreamExt, stream::FuturesUnordered};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{fs, net::SocketAddr, time::Duration};
use tokio::{io::AsyncReadExt, task::JoinHandle, time::timeout};

/// Bodies at once: as many as ended a hub with 1 GiB of memory, in four tenants' names.
const BODIES: usize = 488;
const TENANTS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
const BODY: usize = 1024 * 1024;
/// Waves, one after the other: what does not go back would add up.
const WAVES: usize = 3;
/// `http.max_unverified_bytes`.
const BUDGET: u64 = 64 * MIB;
const MIB: u64 = 1024 * 1024;
/// What the HTTP server reads ahead for one connection, and everything else that a connection costs.
const PER_CONNECTION: u64 = 512 * 1024;
/// The store, the broker and everything else that happens meanwhile.
const REST: u64 = 64 * MIB;
/// What has glibc's allocator give back more of what was large.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];
const SECRET: &str = "hook-secret-of-acme";

/// A line of `/proc/<pid>/status` (proc(5)), in bytes.
fn memory(hub: &HubProcess, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", hub.pid())).unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':')).unwrap_or_else(|| panic!("{status}"));
    value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn request(tenant: &str, signature: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /hooks/{tenant} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {}\r\nAshby-Signature: {signature}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A webhook as Ashby signs it; another one for each number.
fn webhook(number: usize) -> Vec<u8> {
    let fixture: serde_json::Value = serde_json::from_str(include_str!("../../../src/ats/ashby/fixtures/hook-stage-change.json")).unwrap();
    let mut body = fixture["body"].clone();
    body["webhookActionId"] = format!("wa-{number}").into();
    let body = serde_json::to_vec(&body).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&body);
    request("acme", &format!("sha256={}", hex::encode(mac.finalize().into_bytes())), &body)
}

/// All but the last byte of a body that nobody signed, on a connection that is held until the hub ends it, or the test.
fn stranger(address: SocketAddr, number: usize) -> JoinHandle<()> {
    tokio::spawn(async move {
        let whole = request(TENANTS[number % TENANTS.len()], &format!("sha256={}", "0".repeat(64)), &vec![b'x'; BODY]);
        let mut stream = begin(address, &whole[..whole.len() - 1]).await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_large_bodies_that_nobody_signed_cost_bounded_memory_wave_after_wave() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("seal.key");
    let sealer = Sealer::from_key_file_or_new(&key).unwrap();
    let place = folder.path().join("data");
    fs::create_dir(&place).unwrap();
    let store = SqliteStore::open(&place).unwrap();
    for name in TENANTS {
        let owner = format!("tenant/{name}");
        store.put_secret(sealer.seal(&owner, "webhook_secret", SECRET).unwrap()).await.unwrap();
        assert!(store.put_tenant(TenantRecord { ats: "ashby".into(), ..record(name) }, None).await.unwrap());
    }
    drop(store);
    let embedded = format!("embedded:{}", place.display());
    // As the container and the unit have it.
    let mut hub = HubProcess::begin_by(folder.path(), &embedded, &embedded, &key, |mut command| {
        command.envs(ALLOCATOR);
        command
    });
    hub.ready().await;
    let address: SocketAddr = hub.url().trim_start_matches("http://").parse().unwrap();

    // With what an ATS sends the hub is as large as it is at work.
    let mut sent = 0;
    let mut webhooks = async |count: usize| {
        for _ in 0..count {
            sent += 1;
            let answer = raw(address, &webhook(sent)).await;
            assert_eq!(answer.status, 202, "{answer:?}\n{}", hub.log_tail());
        }
    };
    webhooks(20).await;
    let before = memory(&hub, "VmRSS");
    let most = before + BUDGET + BODIES as u64 * PER_CONNECTION + REST;
    assert!(most < BODIES as u64 * BODY as u64, "it would not be noticed that all are kept");
    for wave in 1..=WAVES {
        let mut strangers: FuturesUnordered<_> = (0..BODIES).map(|number| stranger(address, number)).collect();
        webhooks(20).await;
        // Those that made room for others hear so; the rest, what there is room for, is on its way.
        let told = strangers.by_ref().take(BODIES - (BUDGET / BODY as u64) as usize).count();
        timeout(Duration::from_secs(60), told).await.unwrap_or_else(|_| panic!("wave {wave}: the hub keeps them all"));
        webhooks(20).await;
        strangers.iter().for_each(JoinHandle::abort);
        strangers.count().await;
        let peak = memory(&hub, "VmHWM");
        assert!(peak <= most, "wave {wave}: {} MiB at most, {} MiB before it, of {} MiB", peak / MIB, before / MIB, most / MIB);
    }
    assert_eq!(hub.panics(), 0, "{}", hub.log_tail());
    assert!(hub.terminate().success());
}

#[test]
fn the_container_and_the_unit_set_the_allocator_as_this_was_measured_with() {
    for (file, text) in [
        ("deploy/Containerfile", include_str!("../../../deploy/Containerfile")),
        ("deploy/atshub.service", include_str!("../../../deploy/atshub.service")),
    ] {
        for (name, value) in ALLOCATOR {
            assert!(text.contains(&format!("{name}={value}")), "{file} does not set {name}");
        }
    }
}
