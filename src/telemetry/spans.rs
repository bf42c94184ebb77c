//! Where spans go: to an OpenTelemetry collector, by OTLP over HTTP (opentelemetry.io/docs/specs/otlp), if one is set. In batches, from a
//! thread of the exporter's own; a collector that is away or slow costs spans and nothing else.

use super::TelemetryError;
use async_trait::async_trait;
use atshub_actors::spans::{self, Joints};
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::{KeyValue, propagation::TextMapPropagator, trace::TracerProvider as _};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use std::{collections::HashMap, sync::OnceLock, time::Duration};
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Longest time for one batch.
const SEND: Duration = Duration::from_secs(10);
/// Longest wait at the end for the last batch.
const LAST: Duration = Duration::from_secs(2);
/// The header, and the field of messages.
const TRACEPARENT: &str = "traceparent";

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Begins to send spans to the collector at this address; gives what turns them into those of OpenTelemetry.
pub(super) fn to(endpoint: &str) -> Result<SdkTracer, TelemetryError> {
    let failed = |why: &dyn std::fmt::Display| TelemetryError::Traces(format!("`{endpoint}`: {why}"));
    // An `Err` only says that another part of the process was first, with the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().user_agent(concat!("atshub/", env!("CARGO_PKG_VERSION"))).timeout(SEND).build();
    let client = Sender { client: client.map_err(|error| failed(&error))?, io: Handle::current() };
    let exporter = SpanExporter::builder().with_http().with_http_client(client);
    let exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/'))).with_timeout(SEND).build();
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "atshub"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ]);
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter.map_err(|error| failed(&error))?).with_resource(resource.build()).build();
    let tracer = provider.tracer("atshub");
    // A second hub of the same process, in tests, sends to where the first one does.
    let _ = PROVIDER.set(provider);
    spans::begin(Joints { adopt, current });
    Ok(tracer)
}

/// Sends what was not sent yet, for a moment at most.
pub(super) fn flush() {
    if let Some(provider) = PROVIDER.get() {
        // What is not taken now is lost; the collector's absence was said already.
        let _ = provider.shutdown_with_timeout(LAST);
    }
}

/// Goes on from a message's `traceparent`; from one that is none, nothing.
fn adopt(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // A span that is not recorded has no parent to be given.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}

fn current() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Sends batches on the program's own runtime: the exporter's thread has none.
#[derive(Debug)]
struct Sender {
    client: reqwest::Client,
    io: Handle,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, request) = (self.client.clone(), reqwest::Request::try_from(request)?);
        let sent = self.io.spawn(async move {
            let mut answer = client.execute(request).await?.error_for_status()?;
            let headers = std::mem::take(answer.headers_mut());
            let mut response = Response::builder().status(answer.status());
            if let Some(all) = response.headers_mut() {
                *all = headers;
            }
            Ok::<_, HttpError>(response.body(answer.bytes().await?)?)
        });
        sent.await?
    }
}
