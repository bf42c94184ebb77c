//! `atshub demo`: the hub with a simulated world around it.

use super::{
    exit::{Ended, Exit, Stop},
    out::{Listing, Out},
    session::Session,
};
use crate::{
    demo::{self, DemoError, Options, Summary},
    telemetry,
};
use atshub_simulators::platform::Guard;
use serde_json::json;
use std::net::SocketAddr;

/// The level of logs that is not asked for: the script's faults would fill the screen with warnings.
const QUIET: &str = "error";

/// Arguments of `demo`. Broker and store are embedded in a folder of their own unless `--broker` or `--store` says otherwise.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Play the script once, print what happened, and exit 0 only if every expected effect happened exactly once
    #[arg(long)]
    once: bool,
    /// Makes the simulated platform take every invitation: nothing but the hub itself keeps a candidate from a second one
    #[arg(long)]
    no_guard: bool,
    /// Where the doors and the status page are; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

/// Runs the demonstration. `broker` and `store` are those of the command line alone: what a configuration names is in use.
pub(super) async fn run(args: Args, broker: Option<String>, store: Option<String>, session: Session) -> Ended {
    let mut log = session.loaded.config.log.clone();
    if log == crate::config::Config::default().log {
        log.level = QUIET.to_owned();
    }
    telemetry::init(&log, &session.loaded.config.traces).map_err(Stop::usage)?;
    session.loaded.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    super::handles_signals();
    let out = session.out;
    let guard = if args.no_guard { Guard::Absent } else { Guard::RefusesDoubles };
    let options = Options { once: args.once, broker, store, listen: Some(args.listen), guard };
    // A thread of its own: the hub runs in an actix system, which brings its runtime.
    let played = tokio::task::spawn_blocking(move || demo::run(&options, |what| out.say(what))).await;
    match played {
        Ok(Ok(Some(summary))) => ended(&summary, out),
        Ok(Ok(None)) => Ok(Exit::Done),
        Ok(Err(error)) => Err(stop(error)),
        Err(_) => Err(Stop::failed("the demonstration's own thread panicked; its last words are above")),
    }
}

fn stop(error: DemoError) -> Stop {
    match error {
        DemoError::App(error) => error.into(),
        error @ DemoError::InUse(_) => Stop::usage(error),
        other => Stop::failed(other),
    }
}

fn ended(summary: &Summary, out: Out) -> Ended {
    let columns = ["case", "candidacies", "expected", "once", "overtaken", "missing", "doubled", "unexpected", "holds"];
    let mut listing = Listing::new(&columns, "nothing was played");
    for line in &summary.lines {
        let holds = if line.holds() { "yes" } else { "NO" };
        listing.row(vec![
            json!(line.case),
            json!(line.candidacies),
            json!(line.expected),
            json!(line.once),
            json!(line.overtaken),
            json!(line.missing),
            json!(line.doubled),
            json!(line.unexpected),
            json!(holds),
        ]);
    }
    let parked = summary.parked.iter().map(|(code, counts)| (format!("parked as {code}"), *counts));
    for (case, (wanted, seen)) in parked.chain([("faults of platform and ATS".to_owned(), summary.faults)]) {
        let holds = if wanted == seen { "yes" } else { "NO" };
        let (missing, over) = (wanted.saturating_sub(seen), seen.saturating_sub(wanted));
        let (doubled, unexpected) = if wanted == 0 { (0, over) } else { (over, 0) };
        listing.row(vec![
            json!(case),
            json!(0),
            json!(wanted),
            json!(seen.min(wanted)),
            json!(0),
            json!(missing),
            json!(doubled),
            json!(unexpected),
            json!(holds),
        ]);
    }
    out.list(&listing)?;
    out.say(format!(
        "{} tenants, {} candidacies; first invitation after {:.1} s, everything after {:.1} s; effects are counted at the simulators",
        summary.tenants, summary.candidacies, summary.first_invitation_s, summary.complete_s
    ));
    if summary.holds() {
        out.say("every expected effect happened exactly once");
        return Ok(Exit::Done);
    }
    Err(Stop::failed("not every expected effect happened exactly once").next("ATSHUB_LOG__LEVEL=info shows what the hub did"))
}
