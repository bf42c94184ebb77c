//! Everything that needs more than one crate: conformance suites, the README's walkthroughs, chaos. Real services.

mod bridge_examples;
mod broker_conformance;
mod clients;
mod connector_conformance;
mod deploy;
mod platform_client;
mod store_conformance;
mod supervision;
mod support;
mod walkthroughs;
