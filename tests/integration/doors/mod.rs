//! The HTTP doors, over real sockets: what is accepted is durable before it is answered, our own faults are 503, and hostile
//! requests cost little and change nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests: what fails here fails the test")]

mod client;
mod health;
mod hooks;
mod hostile;
mod memory;
mod page;
mod partner;
mod strangers;
mod world;
