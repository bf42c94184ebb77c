//! Karat, by its public GraphQL API (Karat/api-docs, Postman collection; Karat/api-sdk, Python client). What the API
//! lacks, the row of capabilities says; nothing outside this folder knows of GraphQL.

mod cache;
mod candidacies;
mod client;
mod endpoint;
mod entry;
mod errors;
mod graphql;
pub mod vocabulary;

pub use client::Karat;
pub use entry::ENTRY;
