//! `atshub schema`: the message types, for bridge authors.

use super::{
    exit::{Ended, Exit},
    out::{Listing, Out},
    session::unknown,
};
use atshub_schemas::{Family, catalog};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List every message type
    List,
    /// Print the JSON Schema of one type
    Show {
        /// For example application.moved.v1
        #[arg(value_name = "TYPE")]
        kind: String,
    },
    /// Print the AsyncAPI document of exchanges, queues and messages
    Asyncapi,
}

/// Lists or prints.
pub(super) fn run(verb: &Verb, out: Out) -> Ended {
    match verb {
        Verb::List => {
            let mut listing = Listing::new(&["type", "published_by", "exchange", "summary"], "");
            for entry in catalog::CATALOG {
                let by = match entry.family {
                    Family::Fact => "producers",
                    Family::Answer => "bridges",
                    Family::Command | Family::Internal | Family::Lifecycle => "the hub",
                    Family::Control => "operators",
                };
                listing.row(vec![entry.kind.into(), by.into(), entry.family.exchange().into(), entry.summary.into()]);
            }
            out.list(&listing)?;
        }
        Verb::Show { kind } => {
            let known: Vec<String> = catalog::CATALOG.iter().map(|entry| entry.kind.to_owned()).collect();
            let entry = catalog::entry(kind).ok_or_else(|| unknown("message type", kind, &known, "atshub schema list"))?;
            out.document(&atshub_schemas::generate::envelope_schema(entry))?;
        }
        Verb::Asyncapi => out.document(&atshub_schemas::generate::asyncapi_bundled())?,
    }
    Ok(Exit::Done)
}
