//! The command line: `atshub <noun> <verb>`. One file per noun; this one is the table of contents. Data goes to standard
//! output, talk to standard error ([`out`]), and how a command ended is its exit code ([`exit`]).

mod backup;
mod broker;
mod candidate;
mod check;
mod config;
#[cfg(feature = "lab")]
mod demo;
#[cfg(feature = "lab")]
mod drill;
pub mod exit;
mod key_input;
mod live;
mod message;
mod migrate;
#[cfg(test)]
mod named;
pub mod out;
mod platform;
mod process;
mod publish;
mod queue;
mod schema;
mod seal;
mod serve;
mod session;
#[cfg(feature = "lab")]
mod simulate;
mod tenant;

use crate::config::{Sources, load};
use clap::{Parser, Subcommand};
use exit::{Ended, Exit, Stop};
use out::{Format, Out};
use session::Session;
use std::{ffi::OsString, path::PathBuf};

/// Stands between applicant tracking systems and a technical-interview platform.
#[derive(Debug, Parser)]
#[command(name = "atshub", version, propagate_version = true, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 cancelled, 3 partly done, 4 not allowed, 5 not found, 64 wrong usage.\n\
    Begin with `atshub demo`, or with `atshub config default` and `atshub serve`.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Configuration file [default: atshub.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Broker, over `broker.url` of the configuration; an address with a password is safer in ATSHUB_BROKER__URL
    #[arg(long, global = true, value_name = "URL")]
    broker: Option<String>,
    /// Store, over `store.url` of the configuration; an address with a password is safer in ATSHUB_STORE__URL
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// Form of the data on standard output
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the hub
    Serve(serve::Args),
    /// Run the hub with a simulated platform and simulated ATSs, and send scripted traffic
    #[cfg(feature = "lab")]
    Demo(demo::Args),
    /// Lay out the store for this version
    Migrate,
    /// Copy the embedded store and broker into a new folder, also while a hub works on them
    Backup(backup::Args),
    /// Accounts at the interview platform
    #[command(subcommand)]
    Platform(platform::Verb),
    /// Customer accounts at ATSs
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// People, as the hub knows them
    #[command(subcommand)]
    Candidate(candidate::Verb),
    /// Running hub processes
    #[command(subcommand)]
    Process(process::Verb),
    /// The key that seals credentials
    #[command(subcommand)]
    Seal(seal::Verb),
    /// Whose the broker is
    #[command(subcommand)]
    Broker(broker::Verb),
    /// Queues of the broker
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Single messages
    #[command(subcommand)]
    Message(message::Verb),
    /// Publish facts, one envelope (CloudEvents JSON) per line
    Publish(publish::Args),
    /// Message types, and what belongs into them
    #[command(subcommand)]
    Schema(schema::Verb),
    /// Settings
    #[command(subcommand)]
    Config(config::Verb),
    /// Is it well?
    #[command(subcommand)]
    Check(check::Verb),
    #[cfg(feature = "lab")]
    /// Make a fault on purpose, and watch how the hub copes; for tenants that are sandboxes
    Drill(drill::Args),
    #[cfg(feature = "lab")]
    /// Run one simulator alone
    Simulate(simulate::Args),
}

/// Runs what the arguments ask for.
pub async fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            Out::parser(&error);
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    let out = Out::new(cli.output);
    let ended = tokio::select! {
        ended = obey(cli, out) => ended,
        () = interrupted() => Err(Stop { exit: Exit::Cancelled, text: "interrupted".into(), next: None }),
    };
    ended.unwrap_or_else(|stop| {
        out.stop(&stop);
        stop.exit
    })
}

async fn obey(cli: Cli, out: Out) -> Ended {
    let mut sources = Sources::of_process(cli.config);
    #[cfg(feature = "lab")]
    let (broker, store) = (cli.broker.clone(), cli.store.clone());
    sources.flags.extend(cli.broker.map(|url| ("--broker", "broker.url", url)));
    sources.flags.extend(cli.store.map(|url| ("--store", "store.url", url)));
    // These need no configuration: they work where it is wrong.
    match cli.command {
        Command::Config(verb) => return config::run(&verb, &sources, out),
        Command::Schema(verb) => return schema::run(&verb, out),
        #[cfg(feature = "lab")]
        Command::Simulate(args) => return simulate::run(args, out).await,
        Command::Serve(ref args) => sources.flags.extend(args.listen().map(|address| ("--listen", "http.listen", address))),
        _ => {}
    }
    let session = Session { loaded: load(&sources)?, out };
    match cli.command {
        Command::Serve(args) => serve::run(args, session).await,
        #[cfg(feature = "lab")]
        Command::Demo(args) => demo::run(args, broker, store, session).await,
        Command::Migrate => migrate::run(&session).await,
        Command::Backup(args) => backup::run(args, &session).await,
        Command::Platform(verb) => platform::run(verb, &session).await,
        Command::Tenant(verb) => Box::pin(tenant::run(verb, &session)).await,
        Command::Candidate(verb) => candidate::run(verb, &session).await,
        Command::Process(verb) => process::run(verb, &session).await,
        Command::Seal(verb) => seal::run(verb, &session).await,
        Command::Broker(verb) => broker::run(verb, &session).await,
        Command::Queue(verb) => queue::run(verb, &session).await,
        Command::Message(verb) => message::run(verb, &session).await,
        Command::Publish(args) => publish::run(args, &session).await,
        #[cfg(feature = "lab")]
        Command::Drill(args) => Box::pin(drill::run(args, &session)).await,
        Command::Check(verb) => check::run(verb, &session).await,
        Command::Config(_) | Command::Schema(_) => Ok(Exit::Done),
        #[cfg(feature = "lab")]
        Command::Simulate(_) => Ok(Exit::Done),
    }
}

/// Ctrl-C. `serve`, `demo` and `simulate` hear it themselves and drain; they ask for this to be left alone by [`QUIET`].
async fn interrupted() {
    loop {
        if tokio::signal::ctrl_c().await.is_err() {
            return std::future::pending().await;
        }
        if !QUIET.load(std::sync::atomic::Ordering::SeqCst) {
            return;
        }
    }
}

/// Set by commands that end in an orderly way when interrupted.
static QUIET: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// This command handles signals itself.
fn handles_signals() {
    QUIET.store(true, std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
