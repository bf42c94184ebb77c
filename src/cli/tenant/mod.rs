//! `atshub tenant`: customer accounts at ATSs.

mod add;
mod key;
mod list;
mod policy;
mod remove;
mod show;

use super::{exit::Ended, session::Session};
use atshub_schemas::TenantName;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List the tenants
    List,
    /// Show one tenant: settings, credentials, what its ATS can do
    Show {
        /// Which tenant
        name: TenantName,
    },
    /// Add a tenant
    Add(Box<add::Args>),
    /// Change settings of a tenant
    Set(add::SetArgs),
    /// Set, replace or delete a credential
    SetKey(key::SetArgs),
    /// Ask the ATS whether it accepts the credential, and which permissions are missing
    TestKey {
        /// Which tenant
        name: TenantName,
    },
    /// Remove a tenant and its credentials
    Remove(remove::Args),
}

/// Does it.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    match verb {
        Verb::List => list::run(session).await,
        Verb::Show { name } => show::run(&name, session).await,
        Verb::Add(args) => add::run(*args, session).await,
        Verb::Set(args) => add::set(args, session).await,
        Verb::SetKey(args) => key::set(args, session).await,
        Verb::TestKey { name } => key::test(&name, session).await,
        Verb::Remove(args) => remove::run(args, session).await,
    }
}
