//! `/`, as a program reads it; `tests/browser` looks at it with a browser.

use super::{client::get, health::row, world::Making};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_hub_says_what_to_do_next() {
    let world = Making::well().open();
    let page = get(world.address, "/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(page.body.contains("atshub tenant add acme --ats"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_cause_says_it_stays_text() {
    let evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>";
    let world = Making { rows: vec![row("acme", "backing_off", Some(evil))], ..Making::well() }.open();
    let page = get(world.address, "/").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
}
