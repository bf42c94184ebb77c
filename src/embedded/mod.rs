//! Broker and store for a single process that needs nothing installed: two SQLite files in one folder, durable after
//! kill -9. Same ports and same conformance suites as RabbitMQ and PostgreSQL; not for more than one hub process.

mod alone;
pub mod backup;
pub mod broker;
mod damage;
pub mod store;

pub use alone::Alone;
