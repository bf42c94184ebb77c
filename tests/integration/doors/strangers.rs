//! What somebody costs who does not know the secret: a look at the head, or some bytes for some seconds, and nothing that an ATS needs.

use super::{
    client::{begin, get, post, raw, read},
    world::{Making, store_that_is_away},
};
use std::{net::TcpListener, time::Duration};
use tokio::net::TcpStream;

const SIGNED: &str = "X-Signed: yes\r\n";
/// Looks like a signature, and is none.
const ALMOST: &str = "X-Signed: almost\r\n";
/// Longer than any of these tests: what ends, does not end because its time was over.
const LONG: Duration = Duration::from_secs(60);
/// As many as shut a tenant's door when places were given to strangers: its share is a quarter of these.
const SOCKETS: usize = 130;

/// The head of a webhook of so many bytes.
fn head(signature: &str, length: usize) -> String {
    format!("POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: {length}\r\n{signature}\r\n")
}

fn patient() -> Making {
    let mut making = Making::well();
    making.limits.request_time = LONG;
    making
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_signature_or_key_a_request_is_refused_before_its_body_is_read() {
    let world = patient().open();
    let endless = "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for path in ["/hooks/acme", "/partner/acme/roles", "/partner/acme/order"] {
        for rest in ["Content-Length: 65536\r\n\r\n", "Content-Length: 65536\r\nX-Signed: no\r\n\r\n", endless] {
            let answer = raw(world.address, format!("POST {path} HTTP/1.1\r\nHost: hub\r\n{rest}").as_bytes()).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "bad_signature"), "{path} {rest}");
        }
    }
    for (path, code) in [("/hooks/nobody", "unknown_tenant"), ("/hooks/silent", "no_inbound"), ("/partner/acme/nothing", "unknown_path")] {
        let answer = raw(world.address, format!("POST {path} HTTP/1.1\r\nHost: hub\r\n{SIGNED}{endless}").as_bytes()).await;
        assert_eq!(answer.problem(), code, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_a_partner_call_asks_neither_platform_nor_store() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let world = Making { store: store_that_is_away(Some(&silent)), ..Making::well() }.open();
    for path in ["roles", "order"] {
        let answer = post(world.address, &format!("/partner/acme/{path}"), ALMOST, b"{}").await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, "bad_signature"), "{path}");
    }
    assert_eq!(world.platform.asked(), 0);
    assert_eq!(silent.accept().map(drop).map_err(|error| error.kind()), Err(std::io::ErrorKind::WouldBlock), "the store was asked");
    assert_eq!(post(world.address, "/partner/acme/order", SIGNED, b"{}").await.problem(), "store_away");
    assert!(silent.accept().is_ok(), "with the key, it is");
    assert_eq!(post(world.address, "/partner/acme/roles", SIGNED, b"{}").await.status, 200);
    assert_eq!(world.platform.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_announce_a_body_and_send_nothing_take_nothing_from_anybody() {
    let world = patient().open();
    let mut idle = Vec::new();
    for signature in [ALMOST, SIGNED] {
        for _ in 0..SOCKETS {
            idle.push(begin(world.address, head(signature, 64 * 1024).as_bytes()).await);
        }
    }
    world.measures("atshub_door_unverified_bodies", 2 * SOCKETS as u64).await;
    assert_eq!(world.metric("atshub_door_unverified_bytes").await, 0, "what is announced costs nothing");
    for number in 0..50 {
        let answer = post(world.address, "/hooks/acme", SIGNED, format!("d-{number}").as_bytes()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    assert_eq!(post(world.address, "/partner/acme/order", SIGNED, b"{}").await.status, 200);
    assert_eq!(world.metric("atshub_door_unverified_bodies").await, 2 * SOCKETS as u64, "and they were there all the time");
    drop(idle);
    world.measures("atshub_door_unverified_bodies", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_strangers_are_within_one_number_of_bytes_and_a_webhook_always_finds_room() {
    let mut making = patient();
    making.limits.max_unverified = 4 * making.limits.max_body;
    let room = making.limits.max_unverified as u64;
    let world = making.open();
    let most = vec![b'x'; 60 * 1024];
    let mut slow: Vec<TcpStream> = Vec::new();
    for tenant in ["acme", "bare"] {
        for _ in 0..20 {
            let head = head(ALMOST, 64 * 1024).replace("/acme", &format!("/{tenant}"));
            slow.push(begin(world.address, &[head.as_bytes(), &most].concat()).await);
            let held = world.metric("atshub_door_unverified_bytes").await;
            assert!(held <= room, "{held} of {room}");
        }
        let answer = post(world.address, &format!("/hooks/{tenant}"), SIGNED, b"d-1").await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    // As large as a body may be, in two parts, so that it has to wait while others come.
    let whole = vec![b'z'; 64 * 1024];
    let mut honest = begin(world.address, &[head(SIGNED, whole.len()).as_bytes(), &whole[..1000]].concat()).await;
    tokio::io::AsyncWriteExt::write_all(&mut honest, &whole[1000..]).await.unwrap();
    let answer = read(honest).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let metrics = get(world.address, "/metrics").await.body;
    assert!(metrics.contains("atshub_door_requests_total{door=\"hook\",outcome=\"busy\"}"), "those before made room: {metrics}");
    drop(slow);
    world.measures("atshub_door_unverified_bytes", 0).await;
    world.measures("atshub_door_unverified_bodies", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_longest_makes_room_and_is_asked_to_come_again() {
    let mut making = patient();
    making.limits.max_unverified = 4 * making.limits.max_body;
    let world = making.open();
    let most = vec![b'x'; 60 * 1024];
    let first = begin(world.address, &[head(SIGNED, 64 * 1024).as_bytes(), &most].concat()).await;
    world.measures("atshub_door_unverified_bodies", 1).await;
    while world.metric("atshub_door_unverified_bytes").await < most.len() as u64 {}
    let later: Vec<TcpStream> = {
        let mut later = Vec::new();
        for _ in 0..6 {
            later.push(begin(world.address, &[head(ALMOST, 64 * 1024).as_bytes(), &most].concat()).await);
        }
        later
    };
    let answer = read(first).await;
    assert_eq!((answer.status, answer.problem().as_str(), answer.header("retry-after")), (503, "busy", Some("5")));
    drop(later);
}
