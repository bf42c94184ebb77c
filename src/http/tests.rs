//! What each kind of answer, and each way of not answering, becomes. Against real sockets on loopback.

use super::{translate, *};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

fn client(options: Options) -> Http {
    Http::new(Handle::current(), options).unwrap()
}

fn call(url: &str, effect: Effect) -> Call {
    Call::post("probe", Url::parse(url).unwrap(), effect, serde_json::json!({"a": 1}))
}

async fn read_request(socket: &mut TcpStream) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(b"{\"a\":1}") {
        let n = socket.read(&mut buffer).await.unwrap();
        assert!(n > 0, "the request ended early");
        seen.extend_from_slice(&buffer[..n]);
    }
}

/// A server that reads each request and answers with these bytes, then closes.
async fn server(answer: impl Into<Vec<u8>>) -> String {
    let (listener, answer) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), answer.into());
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            read_request(&mut socket).await;
            let _ = socket.write_all(&answer).await;
            let _ = socket.shutdown().await;
        }
    });
    url
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn failure(answer: String, effect: Effect) -> Failure {
    let url = server(answer).await;
    client(Options::default()).json(call(&url, effect)).await.expect_err("the answer is a failure")
}

#[tokio::test]
async fn a_2xx_answer_gives_its_json() {
    let url = server(http("200 OK", "", r#"{"ok":true}"#)).await;
    assert_eq!(client(Options::default()).json(call(&url, Effect::Acts)).await.unwrap(), serde_json::json!({"ok": true}));
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    use Effect::{Acts, Reads};
    let table = [
        ("302 Found", "location: http://example.invalid/\r\n", Acts, "http_302"),
        ("307 Temporary Redirect", "location: http://example.invalid/\r\n", Acts, "http_307"),
        ("400 Bad Request", "", Reads, "http_400"),
        ("401 Unauthorized", "", Reads, "transient"),
        ("401 Unauthorized", "www-authenticate: Basic realm=\"proxy\"\r\n", Reads, "transient"),
        ("403 Forbidden", "", Reads, "transient"),
        ("403 Forbidden", "content-type: text/html\r\n", Acts, "unclear"),
        ("404 Not Found", "", Reads, "http_404"),
        ("408 Request Timeout", "", Acts, "transient"),
        ("429 Too Many Requests", "", Acts, "rate_limited"),
        ("500 Internal Server Error", "", Reads, "transient"),
        ("500 Internal Server Error", "", Acts, "unclear"),
        ("503 Service Unavailable", "", Acts, "unclear"),
        ("503 Service Unavailable", "retry-after: 7\r\n", Acts, "rate_limited"),
        ("504 Gateway Timeout", "", Reads, "transient"),
    ];
    for (status, headers, effect, code) in table {
        let failure = failure(http(status, headers, "secret words"), effect).await;
        assert_eq!(failure.code(), code, "{status} {effect:?}");
        assert!(!format!("{failure:?}").contains("secret"), "no body in a failure: {failure:?}");
    }
}

#[test]
fn retry_after_is_read_in_both_forms_and_bounded() {
    let now: jiff::Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    let table = [
        (Some("7"), 7),
        (Some("0"), 1),
        (Some("999999999999"), 3600),
        (Some("-5"), 30),
        (Some("soon"), 30),
        (Some("Mon, 23 Nov 2026 10:01:30 GMT"), 90),
        (Some("Mon, 23 Nov 2026 09:00:00 GMT"), 1),
        (None, 30),
    ];
    for (value, seconds) in table {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert("retry-after", value.parse().unwrap());
        }
        let answer = Answer { status: 429, headers, body: Bytes::new() };
        let expected = Failure::RateLimited { retry_after: Duration::from_secs(seconds) };
        assert_eq!(translate::status("probe", Effect::Acts, &answer, now), Err(expected), "{value:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed_for_reads_and_unclear_for_acts() {
    assert_eq!(failure(http("200 OK", "", "<html>"), Effect::Reads).await.code(), "malformed");
    assert_eq!(failure(http("200 OK", "", "<html>"), Effect::Acts).await.code(), "unclear");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let options = Options { max_answer: 100, ..Options::default() };
    let long = format!("\"{}\"", "x".repeat(200));
    let with_length = server(http("200 OK", "", &long)).await;
    let without_length = server(format!("HTTP/1.1 200 OK\r\n\r\n{long}")).await;
    for url in [with_length, without_length] {
        let failure = client(options).json(call(&url, Effect::Reads)).await.unwrap_err();
        assert!(failure.to_string().contains("larger than 100 bytes"), "{failure}");
    }
}

#[tokio::test]
async fn a_refused_connection_cannot_have_acted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let failure = client(Options::default()).json(call(&url, Effect::Acts)).await.unwrap_err();
    assert_eq!(failure.code(), "transient", "{failure}");
}

#[tokio::test]
async fn an_unknown_host_and_a_broken_tls_handshake_cannot_have_acted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    for url in ["http://no-such-host.invalid/", &no_tls] {
        let failure = client(Options::default()).json(call(url, Effect::Acts)).await.unwrap_err();
        assert_eq!(failure.code(), "transient", "{url}: {failure}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_may_have_acted() {
    for partial in ["", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":"] {
        assert_eq!(failure(partial.into(), Effect::Acts).await.code(), "unclear");
        assert_eq!(failure(partial.into(), Effect::Reads).await.code(), "transient");
    }
}

/// A server that never answers, and reports when a connection is dropped.
async fn silent() -> (String, mpsc::Receiver<&'static str>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (tell, told) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            read_request(&mut socket).await;
            tell.send("asked").await.unwrap();
            let _ = socket.read(&mut [0; 16]).await;
            tell.send("dropped").await.unwrap();
        }
    });
    (url, told)
}

#[tokio::test]
async fn no_answer_in_time_may_have_acted() {
    let (url, _told) = silent().await;
    let options = Options { total_time: Duration::from_millis(100), ..Options::default() };
    assert_eq!(client(options).json(call(&url, Effect::Acts)).await.unwrap_err().code(), "unclear");
    assert_eq!(client(options).json(call(&url, Effect::Reads)).await.unwrap_err().code(), "transient");
}

#[tokio::test]
async fn a_request_is_given_up_when_its_caller_goes_away() {
    let (url, mut told) = silent().await;
    let http = client(Options::default());
    let caller = tokio::spawn(async move { http.json(call(&url, Effect::Reads)).await });
    assert_eq!(told.recv().await, Some("asked"));
    caller.abort();
    assert_eq!(told.recv().await, Some("dropped"));
}

#[test]
fn a_caller_whose_thread_stands_still_holds_up_no_request() {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let answered = Arc::new(AtomicBool::new(false));
    let seen = answered.clone();
    let url = io.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await;
            gone.await.unwrap();
            socket.write_all(http("200 OK", "", "{}").as_bytes()).await.unwrap();
            socket.shutdown().await.unwrap();
            // The client closes its side only once it has read the answer.
            let _ = socket.read(&mut [0; 16]).await;
            seen.store(true, Ordering::SeqCst);
        });
        url
    });
    let http = Http::new(io.handle().clone(), Options::default()).unwrap();
    let arbiter = tokio::runtime::Builder::new_current_thread().build().unwrap();
    arbiter.block_on(async {
        let mut answer = Box::pin(http.json(call(&url, Effect::Reads)));
        assert!(futures_util::poll!(&mut answer).is_pending());
        go.send(()).unwrap();
        // From here on this thread polls nothing, as an arbiter does that stands still; the request goes on without it.
        while !answered.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        answer.await.unwrap();
    });
}

#[tokio::test]
async fn a_redirect_within_the_host_keeps_method_and_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for answer in [http("308 Permanent Redirect", "location: /y\r\nconnection: close\r\n", ""), http("200 OK", "", "{}")] {
            let (mut socket, _) = listener.accept().await.unwrap();
            read_request(&mut socket).await;
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    client(Options::default()).json(call(&url, Effect::Acts)).await.unwrap();
}

/// Everything that comes on one connection until the other side ends it.
async fn all_of(mut socket: TcpStream) -> String {
    let mut seen = Vec::new();
    // One that is given up in the middle may be reset.
    let _ = socket.read_to_end(&mut seen).await;
    String::from_utf8(seen).unwrap()
}

#[tokio::test]
async fn a_request_whose_lease_runs_out_on_its_way_to_the_connection_is_not_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let lease = Lease::until(std::time::Instant::now() + Duration::from_secs(3600));
    let leased = client(Options::default()).under(lease.clone());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        // The process stands still; when it goes on, the request is on its way to the same place again.
        lease.renew(std::time::Instant::now());
        socket.write_all(http_307().as_bytes()).await.unwrap();
        drop(socket);
        let (socket, _) = listener.accept().await.unwrap();
        let acts = all_of(socket).await;
        let (mut socket, _) = listener.accept().await.unwrap();
        read_request(&mut socket).await;
        socket.write_all(http("200 OK", "", "{}").as_bytes()).await.unwrap();
        acts
    });
    let failure = leased.json(call(&url, Effect::Acts)).await.unwrap_err();
    assert!(failure.to_string().contains("may not act any more"), "{failure}");
    // What only reads is nobody's loss.
    leased.json(call(&url, Effect::Reads)).await.unwrap();
    let sent = server.await.unwrap();
    assert!(!sent.contains(r#"{"a":1}"#), "{sent}");
}

fn http_307() -> String {
    http("307 Temporary Redirect", "location: /again\r\nconnection: close\r\n", "")
}

#[tokio::test]
async fn a_redirect_without_end_is_given_up() {
    let url = server(http_307()).await;
    let failure = client(Options::default()).json(call(&url, Effect::Reads)).await.unwrap_err();
    assert_eq!(failure.code(), "http_307", "{failure}");
}

#[test]
fn a_call_shows_no_credential_when_printed() {
    let call = call("http://127.0.0.1/", Effect::Acts).authorization("Bearer hush").unwrap();
    assert!(!format!("{call:?}").contains("hush"));
}

#[test]
fn addresses_from_settings_are_checked_without_being_repeated() {
    assert!(base_url(" https://acme.karat.io ").is_ok());
    for bad in ["acme.karat.io", "ftp://acme", "https://u:hush@acme", "https://acme/?token=hush", "https://acme/#hush", "", "mailto:a@b"] {
        let error = base_url(bad).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
