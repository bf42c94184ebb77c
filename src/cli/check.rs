//! `atshub check`: is one part well? For health checks of containers, and for finding out where the way ends.

use super::{
    exit::{Ended, Exit, Stop},
    out::Listing,
    session::{ANSWER, Session},
};
use atshub_actors::ports::{BrokerError, BrokerHealth};
use clap::Subcommand;
use std::time::{Duration, Instant};

/// Longest wait for a hub to say that it lives. Shorter than the time limit of a container's health check.
const LIVE: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Ask a running hub whether it lives
    Live {
        /// Its address [default: http.listen of the configuration]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Open the store and have it take a write that changes nothing
    Store,
    /// Connect to the broker and have it take a publication that nobody gets
    Broker,
}

/// Checks.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let began = Instant::now();
    let (part, place) = match verb {
        Verb::Live { url } => ("hub", live(url, session).await?),
        Verb::Store => {
            let store = session.store().await?;
            store.ping().await?;
            ("store", session.loaded.config.store.url.masked())
        }
        Verb::Broker => {
            let broker = session.look_at_broker().await?;
            let mut health = broker.health();
            let up = tokio::time::timeout(ANSWER, health.wait_for(|health| matches!(health, BrokerHealth::Up { .. }))).await;
            if up.is_err() {
                let cause = match &*broker.health().borrow() {
                    BrokerHealth::Down { cause } => cause.clone(),
                    BrokerHealth::Up { .. } => "it came up too late".to_owned(),
                };
                return Err(Stop::failed(format!("the broker is away: {cause}")));
            }
            // Nothing may be laid out there yet: then there is nothing to publish to.
            match tokio::time::timeout(ANSWER, broker.takes()).await {
                Ok(Ok(()) | Err(BrokerError::Refused(_))) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(Stop::failed(format!("the broker gave no answer to a publication within {} s", ANSWER.as_secs()))),
            }
            ("broker", session.loaded.config.broker.url.masked())
        }
    };
    let mut listing = Listing::new(&["part", "place", "state", "milliseconds"], "");
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    listing.row(vec![part.into(), place.into(), "well".into(), took.into()]);
    session.out.list(&listing)?;
    Ok(Exit::Done)
}

/// Asks `/livez`; the address asked.
async fn live(url: Option<String>, session: &Session) -> Result<String, Stop> {
    let mut listen = session.loaded.config.http.listen;
    if listen.ip().is_unspecified() {
        // It listens everywhere, so here too.
        listen.set_ip(if listen.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    let base = url.unwrap_or_else(|| format!("http://{listen}"));
    let base = crate::http::base_url(&base).map_err(|why| Stop::usage(format!("--url {why}")))?;
    let url = base.join("livez").map_err(Stop::usage)?;
    // An `Err` only says that another part of the process was first, with the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(LIVE).no_proxy().build().map_err(Stop::failed)?;
    let next = "is it running? `atshub serve`, or its service, says why not";
    match client.get(url.clone()).send().await {
        Ok(answer) if answer.status().is_success() => Ok(url.to_string()),
        Ok(answer) => Err(Stop::failed(format!("{url} answered {}", answer.status())).next("is that address a hub's?")),
        Err(error) if error.is_timeout() => Err(Stop::failed(format!("{url} did not answer within {} s", LIVE.as_secs())).next(next)),
        Err(_) => Err(Stop::failed(format!("nobody answers at {url}")).next(next)),
    }
}
