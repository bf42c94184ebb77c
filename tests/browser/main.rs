//! The status page in a real browser: what a person sees, that hostile text stays text, and that the browser has nothing to
//! complain of. Needs Chromium: `CHROMIUM`, else `/usr/bin/chromium` (`deploy/dev-services` installs it).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

use atshub::{
    api::{self, Directory, Doors, Limits, TenantDoor, TenantRow},
    embedded::{broker::EmbeddedBroker, store::SqliteStore},
};
use atshub_actors::{
    ports::{Broker, QueueSpec, SystemClock},
    supervision::ThreadSnapshot,
};
use atshub_schemas::topology;
use std::{collections::BTreeMap, env, net::TcpListener, path::Path, process::Stdio, sync::Arc, time::Duration};
use tokio::{process::Command, time::timeout};

/// Longest run of a browser.
const PATIENCE: Duration = Duration::from_secs(60);

struct Rows(Vec<TenantRow>);

impl Directory for Rows {
    fn tenant(&self, _: &str) -> Option<TenantDoor> {
        None
    }
    fn snapshot(&self) -> Vec<TenantRow> {
        self.0.clone()
    }
    fn restarts(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }
    fn threads(&self) -> Vec<ThreadSnapshot> {
        Vec::new()
    }
}

fn row(name: &str, phase: &str, generation: u64, restarts: u32, cause: Option<&str>) -> TenantRow {
    TenantRow {
        name: name.into(),
        ats: "Ashby".into(),
        phase: phase.into(),
        generation,
        restarts,
        cause: cause.map(Into::into),
        in_flight: 2,
        next_start: None,
        breakers: Vec::new(),
        oldest: None,
        held_since: None,
    }
}

/// Doors with these tenants; the page's address.
async fn page(rows: Vec<TenantRow>) -> (String, actix_web::dev::ServerHandle) {
    let broker = EmbeddedBroker::open_in_memory().unwrap();
    for row in &rows {
        let name = topology::tenant_queue(&atshub_schemas::TenantName::new(row.name.clone()).unwrap());
        broker.declare(QueueSpec { name, single_consumer: true, bindings: Vec::new(), expires: None }).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let doors = Doors {
        store: Arc::new(SqliteStore::open_in_memory().unwrap()),
        broker: Arc::new(broker),
        directory: Arc::new(Rows(rows)),
        clock: Arc::new(SystemClock),
        limits: Limits::default(),
        alive: Duration::from_secs(10),
    };
    let server = api::server(doors, listener, 1).unwrap();
    let handle = server.handle();
    tokio::spawn(server);
    (format!("http://{address}/"), handle)
}

/// Runs the browser once, with a profile of its own; what it printed, and what its console said.
async fn browse(url: &str, arguments: &[&str]) -> (String, String) {
    let browser = env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    assert!(Path::new(&browser).exists(), "no browser at {browser}: run deploy/dev-services, or set CHROMIUM");
    let profile = tempfile::tempdir().unwrap();
    let mut command = Command::new(browser);
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--enable-logging=stderr"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await.expect("the browser did not end").unwrap();
    let console = String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains(":CONSOLE")).collect::<Vec<_>>().join("\n");
    (String::from_utf8_lossy(&output.stdout).into_owned(), console)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_is_well_and_what_is_not() {
    let (url, _doors) = page(vec![
        row("acme", "running", 1, 0, None),
        row("globex", "backing_off", 4, 3, Some("the actor panicked: index out of bounds")),
        row("initech", "paused", 1, 0, Some("the ATS does not accept the credential (403)")),
    ])
    .await;
    let (dom, console) = browse(&url, &["--dump-dom"]).await;
    for text in [
        "acme",
        "running",
        "globex",
        "backing off",
        "the actor panicked: index out of bounds",
        "403",
        "atshub.tenant.acme",
        "store up",
        "broker up",
        "up since",
    ] {
        assert!(dom.contains(text), "{text} is not in\n{dom}");
    }
    let place = |text: &str| dom.find(&format!("<td>{text}</td>")).unwrap();
    assert!(place("globex") < place("initech") && place("initech") < place("acme"), "trouble comes first");
    assert_eq!(console, "", "the browser's console");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_a_cause_is_shown_and_does_nothing() {
    let evil = "</td></table><script>document.body.id='hacked'</script><img src=x onerror=\"document.body.id='hacked'\"><style>*{display:none}</style>";
    let (url, _doors) = page(vec![row("acme", "quarantined", 6, 6, Some(evil))]).await;
    let (dom, console) = browse(&url, &["--dump-dom"]).await;
    assert!(dom.contains("&lt;script&gt;document.body.id='hacked'&lt;/script&gt;"), "{dom}");
    assert!(!dom.contains("<script") && !dom.contains("<img") && !dom.contains("id=\"hacked\""), "{dom}");
    assert_eq!(dom.matches("<style").count(), 1, "{dom}");
    assert_eq!(console, "", "the browser's console");
}

/// Draws the page, light and dark; the pictures are left in `target/tmp` for a look.
async fn draw(url: &str, name: &str) {
    for (scheme, setting) in [("light", 1), ("dark", 0)] {
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{scheme}.png"));
        let screenshot = format!("--screenshot={}", picture.display());
        let scheme = format!("--blink-settings=preferredColorScheme={setting}");
        let (_, console) = browse(url, &[&screenshot, &scheme, "--window-size=1200,1000"]).await;
        // A style that the page's policy refused would be said on the console.
        assert_eq!(console, "", "the browser's console");
        let drawn = std::fs::read(&picture).unwrap();
        assert!(drawn.starts_with(b"\x89PNG") && drawn.len() > 10_000, "{} bytes", drawn.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_page_is_drawn_in_its_own_style() {
    let (url, _doors) = page(Vec::new()).await;
    draw(&url, "empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_page_is_drawn_in_its_own_style() {
    let rows = vec![
        row("acme", "running", 1, 0, None),
        row("globex", "backing_off", 4, 3, Some("the actor panicked: index out of bounds: the len is 3 but the index is 7")),
        row("hooli-with-a-name-as-long-as-a-name-can-be-that-is-63-letters", "starting", 1, 0, None),
        row(
            "initech",
            "paused",
            1,
            0,
            Some("the ATS does not accept the credential (403 missing_endpoint_permission); `atshub tenant set-key initech`"),
        ),
        row("umbrella", "disabled", 0, 0, Some("its credential `api_key` was deleted")),
    ];
    let (url, _doors) = page(rows).await;
    draw(&url, "full").await;
}
