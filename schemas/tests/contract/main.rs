//! The wire contract, tried: the committed files are current, old messages still decode, bad ones are refused by name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where it fails; clippy sees that in test functions only"
)]

mod agreement;
mod asyncapi;
mod committed;
#[path = "../../../tests/fuzz/damage.rs"]
mod damage;
mod fuzz;
mod hostile;
mod refusals;
mod support;
