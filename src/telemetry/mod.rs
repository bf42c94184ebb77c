//! Logs: to standard error, as lines for people or JSON for machines. What may be logged is said in the style guide: never a
//! candidate's name, an address, a token or a body. How a line gets there is in `lines.rs`.

mod lines;
mod repeats;
mod spans;

use crate::config::{Log, LogFormat, Traces};
use atshub_actors::spans::TARGET;
use lines::Lines;
use std::io::{self, IsTerminal, stderr};
use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt};

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
    /// The collector of spans cannot be sent to.
    #[error("`traces.endpoint` is not understood ({0}); use the address of an OpenTelemetry collector, for example http://127.0.0.1:4318")]
    Traces(String),
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

/// Begins to write logs, and to send spans if they are to be sent. A second call changes nothing: in tests several hubs share a process.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(log: &Log, traces: &Traces) -> Result<(), TelemetryError> {
    // What it has to say of itself it would print, and panic where that fails.
    let lines = fmt::layer().with_writer(Lines::to_standard_error()?).log_internal_errors(false);
    let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(colour).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    let lines = lines.with_filter(filter(&log.level)?).with_filter(filter_fn(|metadata| metadata.target() != TARGET));
    let spans = if traces.endpoint.is_empty() { None } else { Some(spans::to(&traces.endpoint)?) };
    let spans = spans.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(filter_fn(|m| m.target() == TARGET)));
    // Set already: by an earlier hub of this process, or by a test.
    let _ = tracing_subscriber::registry().with(lines).with(spans).try_init();
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

/// Sends the spans that were not sent yet, for a moment at most: before the runtime that they are sent on ends.
pub fn last_spans() {
    spans::flush();
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
