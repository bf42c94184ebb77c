//! The simulators' own rules, asked over HTTP as the hub would ask.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it is, also in its helpers")]

mod ashby_api;
mod ashby_hooks;
mod platform;
mod receiver;
