//! One simulator alone, as a process of its own: for bridge authors, and for tests that must not share the hub's process.

use crate::{
    ashby::{AshbyOptions, AshbySimulator},
    platform::{Guard, PlatformOptions, PlatformSimulator},
};
use serde_json::{Value, json};
use std::{io, net::SocketAddr};

/// Every simulator there is, as `atshub simulate` names them.
const KNOWN: &str = "`platform` and `ats ashby`";

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// There is no such simulator.
    #[error("no simulator `{0}`: there are {KNOWN}")]
    Unknown(String),
    /// It has no guard against doubles that could be left out.
    #[error("only the simulator `platform` has a guard against doubles, which can be left out")]
    NoGuard,
    /// It could not listen there.
    #[error("the simulator could not listen on `{listen}`")]
    Listen {
        /// Where.
        listen: SocketAddr,
        /// Why not.
        source: io::Error,
    },
}

#[derive(Debug)]
enum Kind {
    Platform(PlatformSimulator),
    Ashby(AshbySimulator),
}

/// A simulator that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Simulation {
    kind: Kind,
}

/// Starts a simulator: `platform`, or `ats` with the ATS's name. `guard` is what a platform does about doubles. Print
/// [`Simulation::announcement`], wait, then stop it.
///
/// # Errors
/// If there is no such simulator, it has no such guard, or its address is taken.
pub async fn simulate(kind: &str, name: Option<&str>, guard: Guard, listen: SocketAddr) -> Result<Simulation, SimulateError> {
    let failed = |source| SimulateError::Listen { listen, source };
    let kind = match (kind, name) {
        ("platform", None | Some("karat")) => {
            let options = PlatformOptions { listen, guard, ..PlatformOptions::default() };
            Kind::Platform(PlatformSimulator::start(options).await.map_err(failed)?)
        }
        ("ats", Some("ashby")) if guard == Guard::Absent => return Err(SimulateError::NoGuard),
        ("ats", Some("ashby")) => {
            let options = AshbyOptions { listen, ..AshbyOptions::default() };
            Kind::Ashby(AshbySimulator::start(options).await.map_err(failed)?)
        }
        (kind, name) => return Err(SimulateError::Unknown([Some(kind), name].into_iter().flatten().collect::<Vec<_>>().join(" "))),
    };
    Ok(Simulation { kind })
}

impl Simulation {
    /// What to print as the first line: at least `url` and `token`.
    #[must_use]
    pub fn announcement(&self) -> Value {
        match &self.kind {
            Kind::Platform(it) => json!({ "url": it.url(), "token": it.token(), "ledger": format!("{}/ledger", it.base_url()) }),
            Kind::Ashby(it) => json!({
                "url": it.url(), "token": it.api_key(), "webhook_secret": it.webhook_secret(), "ledger": format!("{}/ledger", it.url())
            }),
        }
    }

    /// Stops it and waits until it has stopped.
    pub async fn stop(self) {
        match self.kind {
            Kind::Platform(it) => it.stop().await,
            Kind::Ashby(it) => it.stop().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn every_simulator_announces_where_it_is_and_leaves_its_address_free() {
        for (kind, name) in [("platform", None), ("ats", Some("ashby"))] {
            let simulation = simulate(kind, name, Guard::default(), ANYWHERE).await.unwrap();
            let said = simulation.announcement();
            assert!(said["token"].as_str().is_some_and(|token| !token.is_empty()));
            let url = said["ledger"].as_str().unwrap().to_owned();
            let address: SocketAddr = url.trim_start_matches("http://").trim_end_matches("/ledger").parse().unwrap();
            assert!(matches!(simulate(kind, name, Guard::default(), address).await, Err(SimulateError::Listen { .. })));
            simulation.stop().await;
            TcpListener::bind(address).unwrap();
        }
    }

    #[tokio::test]
    async fn an_unknown_simulator_is_refused_with_those_there_are() {
        let why = simulate("ats", Some("lever"), Guard::default(), ANYWHERE).await.unwrap_err().to_string();
        assert_eq!(why, "no simulator `ats lever`: there are `platform` and `ats ashby`");
    }

    #[tokio::test]
    async fn a_guard_that_a_simulator_does_not_have_cannot_be_left_out() {
        let why = simulate("ats", Some("ashby"), Guard::Absent, ANYWHERE).await.unwrap_err().to_string();
        assert!(why.contains("`platform`"), "{why}");
    }
}
