//! What `deploy/` promises: a bridge's broker user may do what its tenant's bridge needs and nothing else, and the files
//! say what its README says. But for `bounds` and `environment`, it does not test the hub: exchanges and queues are declared by the tests, as the hub
//! declares them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

mod bounds;
mod broker;
mod broker_rights;
mod environment;
mod files;
