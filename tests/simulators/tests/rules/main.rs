//! The simulators' own rules, asked over HTTP as the hub would ask.

mod ashby_api;
mod ashby_hooks;
mod platform;
mod receiver;
