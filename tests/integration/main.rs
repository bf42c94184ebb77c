//! Everything that needs more than one crate: conformance suites, the README's walkthroughs, chaos. Real services.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the suites' helpers: what they do not get is the test's failure"
)]

mod alone;
mod bridge_examples;
mod broker_conformance;
mod chaos;
mod clients;
mod connector_conformance;
#[path = "../fuzz/damage.rs"]
mod damage;
mod deploy;
mod doors;
mod doubles;
mod gate;
mod gone;
mod health;
mod no_field;
mod operators;
mod outlives;
mod platform_client;
mod pooler;
mod processes;
mod relay;
mod rivals;
mod settings;
mod store_conformance;
mod store_model;
mod supervision;
mod support;
mod tls;
mod topology;
mod unreadable;
mod upgrade;
mod waiting;
mod walkthroughs;
mod written;
