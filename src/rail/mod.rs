//! The rail between store and broker, over their ports: the only decoder of deliveries ([`consumer`]), the only publisher
//! ([`relay`]), and the recorder of dead letters and messages for nobody ([`strays`]).
//!
//! Knows no tenant, no ATS, no platform.

pub mod consumer;
pub mod relay;
pub mod strays;
