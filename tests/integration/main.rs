//! Everything that needs more than one crate: conformance suites, the README's walkthroughs, chaos. Real services.

mod bridge_examples;
mod broker_conformance;
mod connector_conformance;
mod store_conformance;
mod support;
