//! The clients against the simulators, over real HTTP: what the fixtures of the conformance suite cannot show, because it
//! needs somebody on the other side who keeps state.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on says so by stopping; clippy exempts test functions, not what they call"
)]

mod ashby;
mod ashby_inbound;
mod karat;
