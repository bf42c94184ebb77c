//! Logs: to standard error, as lines for people or JSON for machines. What may be logged is said in the style guide: never a
//! candidate's name, an address, a token or a body. How a line gets there is in `lines.rs`.

mod lines;
mod repeats;

use crate::config::{Log, LogFormat};
use lines::Lines;
use std::io::{self, IsTerminal, stderr};
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

/// Crates that are the hub's own; one plain word as level means these, and everybody else speaks up only to warn.
const OWN: [&str; 3] = ["atshub", "atshub_actors", "atshub_simulators"];

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level is not understood.
    #[error("`log.level` is not understood ({0}); use error, warn, info, debug or trace")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The thread that writes them could not be made.
    #[error("the log cannot be begun: {0}")]
    Thread(#[from] io::Error),
}

/// Which lines are written.
fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let plain = !level.contains(['=', ',']);
    let mut directives = if plain && !level.trim().is_empty() {
        let own: Vec<String> = OWN.iter().map(|name| format!("{name}={level}")).collect();
        format!("warn,{}", own.join(","))
    } else {
        level.to_owned()
    };
    // At `warn` the broker's client logs every message that comes back with its body, which is a candidate's data; at `error`
    // what the adapter only asked to know, such as a queue that is not there. What goes wrong the adapter says.
    if !level.contains("lapin") {
        directives.push_str(",lapin=off");
    }
    Ok(EnvFilter::try_new(directives)?)
}

/// Begins to write logs. A second call changes nothing: in tests several hubs share a process.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(log: &Log) -> Result<(), TelemetryError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.level)?).with_writer(Lines::to_standard_error()?);
    // What it has to say of itself it would print, and panic where that fails.
    let builder = builder.log_internal_errors(false);
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // Set already: by an earlier hub of this process, or by a test.
    let _ = match log.format {
        LogFormat::Text => builder.with_ansi(colour).finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// Log lines that were dropped because nobody read them, or they could not be written.
#[must_use]
pub fn dropped_lines() -> u64 {
    Lines::begun().map_or(0, Lines::dropped)
}

/// Says a line to the person at the terminal by the way of the log, in its order; false if no log was begun. So a process whose standard
/// error nobody reads can still end.
#[must_use]
pub fn say(line: &str) -> bool {
    Lines::begun().map(|lines| lines.put(format!("{line}\n").as_bytes())).is_some()
}

/// Waits until the log is written, for a moment at most: before the process ends.
pub fn flush() {
    if let Some(lines) = Lines::begun() {
        lines.flush();
    }
}

/// A panic is one line like any. No backtrace: looking its names up keeps an actor's thread busy for so long that it counts as
/// standing still, and the neighbours of a tenant that panics would move for it.
fn panicked(panic: &std::panic::PanicHookInfo<'_>) {
    let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    tracing::error!(thread, "panicked at {place}: {}", panic.payload_as_str().unwrap_or("without words"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_level_is_for_the_hub_and_quiets_the_rest() {
        let shown = filter("debug").unwrap().to_string();
        assert!(shown.contains("atshub=debug") && shown.contains("atshub_actors=debug") && shown.contains("warn"), "{shown}");
        for level in ["info", "info,atshub::rail=debug", ""] {
            assert!(filter(level).unwrap().to_string().contains("lapin=off"), "bodies of messages are in its warnings: {level}");
        }
        assert_eq!(filter("lapin=trace").unwrap().to_string(), "lapin=trace");
        assert!(filter("atshub=loud").is_err());
    }
}
