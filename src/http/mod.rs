//! The hub's one HTTP client: time limits, size limits, TLS provider, its own threads. What can go wrong is turned into a
//! [`Failure`] in `translate.rs` and nowhere else. It never repeats a request: that is for the actors to decide.

mod body;
mod translate;

use crate::tls::Tls;
use atshub_actors::{failure::Failure, flight, lease::Lease, meters::meters, spans};
use atshub_schemas::text::{read_answer, trimmed};
use body::LeasedBody;
use bytes::{Bytes, BytesMut};
use reqwest::{
    Body, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION},
    redirect,
};
use serde_json::Value;
use std::time::Duration;
use tokio::{runtime::Handle, task::AbortHandle, time::Instant};
use tracing::{Instrument, Span};

/// Same-host redirects followed before giving up.
const MAX_REDIRECTS: usize = 3;
/// Idle connections kept for each host.
const IDLE_PER_HOST: usize = 16;
/// How long an idle connection is kept: shorter than the 60 s after which common load balancers drop theirs.
const IDLE_TIME: Duration = Duration::from_secs(50);

/// Limits of every request.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Until the connection stands, TLS included.
    pub connect_time: Duration,
    /// From the first byte sent to the last one read, redirects included.
    pub total_time: Duration,
    /// Largest answer read, in bytes.
    pub max_answer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_time: Duration::from_secs(5), total_time: Duration::from_secs(20), max_answer: 1024 * 1024 }
    }
}

/// The client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    client: reqwest::Client,
    io: Handle,
    options: Options,
    lease: Lease,
}

/// Whether a request may change something on the other side. Decides what a missing answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads: without an answer, nothing has happened.
    Reads,
    /// It acts: without an answer, it may have happened all the same.
    Acts,
}

/// A request with a JSON body. `Debug` shows neither headers nor body: they hold credentials and personal data.
pub struct Call {
    /// What it is, for failures and logs: a method or operation name, never data.
    name: &'static str,
    url: Url,
    effect: Effect,
    headers: HeaderMap,
    body: Value,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("name", &self.name).field("effect", &self.effect).finish_non_exhaustive()
    }
}

impl Call {
    /// A POST of this JSON, the only kind that Ashby's API and GraphQL have.
    #[must_use]
    pub fn post(name: &'static str, url: Url, effect: Effect, body: Value) -> Self {
        Self { name, url, effect, headers: HeaderMap::new(), body }
    }

    /// With `Authorization`; the value is kept out of every log.
    ///
    /// # Errors
    /// [`Failure::Unauthorized`] if the credential holds characters that no header can carry.
    pub fn authorization(mut self, value: &str) -> Result<Self, Failure> {
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Failure::Unauthorized { detail: "the credential holds characters that cannot be sent; set it again".into() })?;
        value.set_sensitive(true);
        self.headers.insert(reqwest::header::AUTHORIZATION, value);
        Ok(self)
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Http {
    /// The client; its connections live on `io`, whichever thread asks.
    ///
    /// # Errors
    /// If the TLS set-up of the machine cannot be used (no root certificates, for example).
    pub fn new(io: Handle, options: Options) -> Result<Self, String> {
        Self::trusting(io, options, &Tls::default())
    }

    /// The same with authorities beside the system's.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn trusting(io: Handle, options: Options, tls: &Tls) -> Result<Self, String> {
        // An `Err` only says that another part of the process was first, with the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("atshub/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_time)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .pool_idle_timeout(IDLE_TIME)
            .redirect(redirect::Policy::none());
        let authorities: Result<Vec<_>, _> = tls.authorities().iter().map(|der| reqwest::Certificate::from_der(der)).collect();
        let client = authorities
            .map(|authorities| if authorities.is_empty() { client } else { client.tls_certs_merge(authorities) })
            .and_then(reqwest::ClientBuilder::build)
            .map_err(|error| format!("the HTTP client cannot be made: {}", translate::causes(&error)))?;
        Ok(Self { client, io, options, lease: Lease::unlimited() })
    }

    /// The longest that a call takes, from its first byte to its last.
    #[must_use]
    pub fn longest_call(&self) -> Duration {
        self.options.connect_time + self.options.total_time
    }

    /// The same client, whose requests that [act](Effect::Acts) are sent only while the lease holds.
    #[must_use]
    pub fn under(&self, lease: Lease) -> Self {
        Self { lease, ..self.clone() }
    }

    /// The runtime that requests run on.
    #[must_use]
    pub fn io(&self) -> &Handle {
        &self.io
    }

    /// Sends, and reads the whole answer, whatever its status. The work is done on the client's own runtime: a caller's
    /// thread that stands still holds up no connection. Dropping the future gives a request up that only reads; one that acts runs
    /// to its end, as a [flight](atshub_actors::flight) of the work that it belongs to. A redirect is followed only where the same
    /// request goes to the same place again: another host must not see the credential, and a POST must not become a GET.
    ///
    /// # Errors
    /// [`Failure::Transient`]: no connection, no time left, an answer cut short, a lease that has run out; `acted` if it was sent
    /// and it [acts](Effect::Acts).
    pub async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let (name, effect) = (call.name, call.effect);
        let flight = flight::depart().filter(|_| effect == Effect::Acts);
        let http = self.clone();
        let span = spans::of_call(name);
        let work = async move {
            let began = Instant::now();
            let answer = http.exchange(call).await;
            let (outcome, took) = (class(&answer), began.elapsed());
            meters().call(name, outcome, took);
            tracing::debug!(call = name, outcome, took_ms = took.as_millis(), "called");
            Span::current().record("outcome", outcome);
            drop(flight);
            answer
        };
        let task = self.io.spawn(work.instrument(span));
        let _give_up = (effect == Effect::Reads).then(|| AbortOnDrop(task.abort_handle()));
        task.await.unwrap_or_else(|error| {
            Err(if error.is_panic() {
                Failure::Bug { detail: format!("the HTTP client panicked in `{name}`") }
            } else {
                translate::no_answer(name, effect, true, "the hub is shutting down")
            })
        })
    }

    /// Sends, and gives the JSON of a 2xx answer.
    ///
    /// # Errors
    /// As [`Http::send`], and the status translated: see `translate.rs`.
    pub async fn json(&self, call: Call) -> Result<Value, Failure> {
        let (name, effect) = (call.name, call.effect);
        let answer = self.send(call).await?;
        check(name, effect, &answer)?;
        read_answer(&answer.body).map_err(|_| translate::not_understood(name, effect, "its answer is not JSON"))
    }

    async fn exchange(&self, call: Call) -> Result<Answer, Failure> {
        let Call { name, mut url, effect, headers, body } = call;
        let bytes = serde_json::to_vec(&body).map_err(|_| Failure::Bug { detail: format!("`{name}` has a body that is not JSON") })?;
        let (bytes, until) = (Bytes::from(bytes), Instant::now() + self.options.total_time);
        let mut hops = 0;
        loop {
            let body = match effect {
                Effect::Reads => Body::from(bytes.clone()),
                Effect::Acts => Body::wrap(LeasedBody { bytes: bytes.clone(), lease: self.lease.clone() }),
            };
            let request = self
                .client
                .post(url.clone())
                .timeout(until.saturating_duration_since(Instant::now()))
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json")
                .headers(headers.clone())
                .body(body);
            let response = request.send().await.map_err(|error| translate::transport(name, effect, &error))?;
            match same_place_again(&url, &response).filter(|_| hops < MAX_REDIRECTS) {
                Some(elsewhere) => (url, hops) = (elsewhere, hops + 1),
                None => return self.read(name, effect, response).await,
            }
        }
    }

    async fn read(&self, name: &str, effect: Effect, mut response: reqwest::Response) -> Result<Answer, Failure> {
        let max_answer = self.options.max_answer;
        let too_large = || translate::not_understood(name, effect, &format!("its answer is larger than {max_answer} bytes"));
        if response.content_length().is_some_and(|length| length > max_answer as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| translate::transport(name, effect, &error))? {
            if body.len() + chunk.len() > max_answer {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status().as_u16(), headers: std::mem::take(response.headers_mut()), body: body.freeze() })
    }
}

/// What a status means, for callers that read the body of a failed answer themselves. `Ok` for 2xx.
///
/// # Errors
/// See `translate.rs`.
pub fn check(name: &str, effect: Effect, answer: &Answer) -> Result<(), Failure> {
    translate::status(name, effect, answer, jiff::Timestamp::now())
}

/// How a call ended, as the label of what it took.
fn class(answer: &Result<Answer, Failure>) -> &'static str {
    match answer.as_ref().map(|answer| answer.status) {
        Ok(200..=299) => "2xx",
        Ok(300..=399) => "3xx",
        Ok(400..=499) => "4xx",
        Ok(_) => "5xx",
        Err(_) => "none",
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Where a redirect leads, if the same request may go there.
fn same_place_again(from: &Url, response: &reqwest::Response) -> Option<Url> {
    let to = from.join(response.headers().get(LOCATION)?.to_str().ok()?).ok()?;
    let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
    // The two that keep the method (RFC 9110 §15.4.8, §15.4.9).
    (matches!(response.status().as_u16(), 307 | 308) && place(from) == place(&to)).then_some(to)
}

/// An address from a setting: absolute, http or https, without user, password, query or fragment.
///
/// # Errors
/// A sentence that says what a right value looks like; it never repeats the value, which may hold a password.
pub fn base_url(value: &str) -> Result<Url, String> {
    let wanted = "use an absolute address such as https://acme.example.org, without user, password, query or fragment";
    let url = Url::parse(trimmed(value)).map_err(|error| format!("is not an address ({error}); {wanted}"))?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain { Ok(url) } else { Err(format!("cannot be used; {wanted}")) }
}

/// The machine to which a credential would go in clear text, if such an address is called: plain HTTP, and not this machine.
#[must_use]
pub fn clear_text(address: &str) -> Option<String> {
    let url = Url::parse(trimmed(address)).ok().filter(|url| url.scheme() == "http")?;
    url.host_str().filter(|host| !crate::config::is_this_machine(host)).map(str::to_owned)
}

#[cfg(test)]
mod tests;
