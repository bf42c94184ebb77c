//! How atshub touches the world: adapters for broker, store, platforms and ATSs, the HTTP doors, the command line, and
//! [`app`], the one place where they are joined to the actors. Adapters never import each other.

pub mod api;
pub mod app;
pub mod ats;
pub mod cli;
pub mod config;
pub mod credentials;
#[cfg(feature = "lab")]
pub mod demo;
pub mod embedded;
pub mod http;
pub mod hub;
pub mod platform;
pub mod postgres;
pub mod rabbitmq;
pub mod rail;
mod records;
pub mod sealing;
pub mod serving;
mod signals;
pub mod telemetry;
pub mod tls;

pub use records::kept;
