//! Requests that nobody well-meaning sends.

use super::{
    client::{get, post, raw, read},
    world::Making,
};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream};

const SIGNED: &str = "X-Signed: yes\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let world = Making::well().open();
    let large = vec![b'x'; 65 * 1024];
    let answer = post(world.address, "/hooks/acme", SIGNED, &large).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too_large"));
    let head = format!("POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n{SIGNED}\r\n");
    let chunk = [format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat();
    let answer = raw(world.address, &[head.as_bytes(), &chunk].concat()).await;
    assert_eq!((answer.status, answer.problem().as_str()), (413, "too_large"));
    let answer =
        raw(world.address, format!("POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nContent-Length: 9999999999999\r\n{SIGNED}\r\n").as_bytes())
            .await;
    assert_eq!(answer.status, 413);
    assert!(world.outbox().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_by_the_letter_is_given_up() {
    let world = Making::well().open();
    let began = Instant::now();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(format!("POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nContent-Length: 50\r\n{SIGNED}\r\nab").as_bytes()).await.unwrap();
    let answer = read(stream).await;
    assert_eq!((answer.status, answer.problem().as_str()), (408, "too_slow"));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_given_up() {
    let world = Making::well().open();
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nX-A: ").await.unwrap();
    assert_eq!(read(stream).await.status, 408);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_flood_leaves_room_for_the_others() {
    let mut making = Making::well();
    making.limits.max_in_hand = 8;
    making.limits.request_time = Duration::from_secs(15);
    let world = making.open();
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream
            .write_all(
                format!("POST /partner/acme/order HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Length: 3\r\n{SIGNED}\r\n")
                    .as_bytes(),
            )
            .await
            .unwrap();
        slow.push(stream);
    }
    // Known by their key, they are in hand before their body is here. Its share is a quarter of eight: the next one is turned away.
    let busy = async {
        loop {
            let answer = post(world.address, "/hooks/acme", SIGNED, b"d-1").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), busy).await.unwrap();
    assert_eq!((answer.problem().as_str(), answer.header("retry-after")), ("busy", Some("5")));
    assert_eq!(post(world.address, "/hooks/bare", SIGNED, b"d-2").await.status, 202);
    for mut stream in slow {
        stream.write_all(b"d-3").await.unwrap();
        assert_eq!(read(stream).await.status, 200);
    }
    assert_eq!(post(world.address, "/hooks/acme", SIGNED, b"d-4").await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_paths_and_methods_are_problems() {
    let world = Making::well().open();
    for (path, status) in [
        ("/hooks/ACME", 404),
        ("/hooks/..%2f..%2fetc", 404),
        ("/hooks/%00", 404),
        ("/hooks/a%0d%0aX-Evil:1", 404),
        ("/hooks/acme/more", 404),
        ("/hooks/", 404),
        ("/hooks", 404),
        ("/partner/acme", 404),
        ("/partner/acme/", 404),
        ("/partner/acme/../../etc", 404),
        ("/api/v1/tenants", 404),
    ] {
        let answer = post(world.address, path, SIGNED, b"x").await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        answer.problem();
        assert_eq!(answer.header("x-evil"), None);
    }
    let answer = get(world.address, "/hooks/acme").await;
    assert_eq!((answer.status, answer.problem().as_str()), (405, "wrong_method"));
    assert_eq!(post(world.address, "/livez", "", b"").await.problem(), "wrong_method");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let world = Making::well().open();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/1.1\r\nHost: hub\r\nContent-Length: -1\r\n\r\n",
        b"POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /hooks/acme HTTP/1.1\r\nHost: hub\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let answer = raw(world.address, bytes).await;
        assert!((400..500).contains(&answer.status), "{bytes:?}: {answer:?}");
    }
    assert_eq!(post(world.address, "/hooks/acme", SIGNED, b"d-1").await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_forbids_what_a_browser_might_do_with_it() {
    let world = Making::well().open();
    for path in ["/", "/livez", "/readyz", "/metrics", "/nothing", "/hooks/acme"] {
        let answer = get(world.address, path).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("server"), None);
    }
}
