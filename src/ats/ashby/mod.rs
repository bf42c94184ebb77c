//! Ashby: webhooks and assessment-partner calls in, custom field, notes and assessment status out (developers.ashbyhq.com;
//! copies of its OpenAPI in api-evangelist/ashby).

mod client;
mod connector;
mod entry;
mod fields;
mod hook;
mod inbound;
mod inventory;
mod mapping;
mod partner;
#[cfg(test)]
mod written;

pub use entry::ENTRY;
