//! The rail between store and broker, over their ports: the only decoder of deliveries ([`consumer`]), the only publisher
//! ([`relay`]), and the recorder of dead letters and messages for nobody ([`strays`]). What is set aside is recorded by `parking`.
//!
//! Knows no tenant, no ATS, no platform.

pub mod again;
pub mod ahead;
mod confirmed;
pub mod consumer;
mod lines;
pub(crate) mod parking;
pub mod relay;
pub mod strays;
mod told;
mod windows;
