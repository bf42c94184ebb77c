//! Spans go to a collector, joined by the messages' traceparent; one that is away costs spans and nothing else.

use super::{Ground, runtime};
use crate::support::hub::until;
use actix_web::{App, HttpResponse, HttpServer, web};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message as _;
use std::{
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
};

/// A collector that keeps what comes.
fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let (listener, spans) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::<Mutex<Vec<Span>>>::default());
    let (address, kept) = (listener.local_addr().unwrap(), Arc::clone(&spans));
    let take = move |body: web::Bytes| {
        let resources = ExportTraceServiceRequest::decode(body).unwrap().resource_spans;
        kept.lock().unwrap().extend(resources.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans));
        std::future::ready(HttpResponse::Ok())
    };
    let app = move || App::new().app_data(web::PayloadConfig::new(4 << 20)).route("/v1/traces", web::post().to(take.clone()));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { HttpServer::new(app).workers(1).disable_signals().listen(listener).unwrap().run().await })
    });
    (format!("http://{address}"), spans)
}

/// A hub that sends its spans there invites ten candidates, and stops when it is told to.
async fn works(endpoint: &str, folder: &Path) {
    let ground = Ground::new(folder).await;
    let (mut hub, crowd) = ground
        .invites(folder, |mut command| {
            command.env("ATSHUB_TRACES__ENDPOINT", endpoint);
            command
        })
        .await;
    assert!(hub.terminate().success(), "{}", hub.log_tail());
    assert_eq!(crowd.wrong(), [""; 0]);
}

#[test]
fn from_webhook_to_status_a_candidacy_is_one_trace() {
    let (folder, (endpoint, spans)) = (tempfile::tempdir().unwrap(), collector());
    runtime().block_on(async {
        works(&endpoint, folder.path()).await;
        let is_whole = || {
            let spans = spans.lock().unwrap();
            let mut invitations = spans.iter().filter(|span| span.name == "createInvitation");
            invitations.clone().count() >= 10
                && invitations.all(|call| {
                    let of_trace = |name: &str| spans.iter().find(|span| span.trace_id == call.trace_id && span.name == name);
                    let request = of_trace("invite.requested.v1");
                    let parents = [of_trace("hook"), of_trace("application.moved.v1"), request, Some(call)];
                    let all_there = parents.iter().all(Option::is_some) && of_trace("writeback.requested.v1").is_some();
                    all_there && parents.windows(2).all(|pair| pair[1].unwrap().parent_span_id == pair[0].unwrap().span_id)
                })
        };
        assert!(until(async || is_whole()).await, "{:#?}", spans.lock().unwrap().iter().map(|s| &s.name).collect::<Vec<_>>());
    });
    let told = format!("{:?}", spans.lock().unwrap());
    assert!(!told.contains(".example") && !told.contains("Candidate "), "ids alone");
}

#[test]
fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // Nobody listens there any more.
    let away = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    runtime().block_on(works(&format!("http://{away}"), folder.path()));
}
