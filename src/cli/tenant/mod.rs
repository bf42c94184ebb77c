//! `atshub tenant`: customer accounts at ATSs.

mod act;
mod add;
mod check;
mod doing;
mod grace;
mod key;
mod list;
mod policy;
mod remove;
mod settings;
mod show;
mod unset;

pub(super) use act::{let_go_on, tell};

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
    /// Take settings of a tenant back: they are as by default again
    Unset(unset::Args),
    /// List every setting that a tenant can have, with its default and what it means
    Settings(settings::Args),
    /// Look up at the ATS and the platform what the settings name: stages, fields, roles, credentials
    Check {
        /// Which tenant
        name: TenantName,
    },
    /// Set, replace or delete a credential
    SetKey(key::SetArgs),
    /// Ask the ATS whether it accepts the credential, and which permissions are missing
    TestKey {
        /// Which tenant
        name: TenantName,
    },
    /// Make a tenant's actor anew
    Restart(act::Args),
    /// Stop a tenant; its messages wait at the broker
    Pause(act::AsideArgs),
    /// Let a paused or draining tenant go on
    Resume(act::Args),
    /// Set a tenant aside until somebody releases it; its messages wait at the broker
    Quarantine(act::AsideArgs),
    /// Let a quarantined tenant go on
    Release(act::Args),
    /// Finish what is in hand, then pause
    Drain(act::AsideArgs),
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
        Verb::Unset(args) => unset::run(args, session).await,
        Verb::Settings(args) => settings::run(&args, session),
        Verb::Check { name } => check::run(&name, session).await,
        Verb::SetKey(args) => key::set(args, session).await,
        Verb::TestKey { name } => key::test(&name, session).await,
        Verb::Restart(args) => act::run(&act::RESTART, args, session).await,
        Verb::Pause(args) => act::aside(&act::PAUSE, args, session).await,
        Verb::Resume(args) => act::run(&act::RESUME, args, session).await,
        Verb::Quarantine(args) => act::aside(&act::QUARANTINE, args, session).await,
        Verb::Release(args) => act::run(&act::RELEASE, args, session).await,
        Verb::Drain(args) => act::aside(&act::DRAIN, args, session).await,
        Verb::Remove(args) => remove::run(args, session).await,
    }
}
