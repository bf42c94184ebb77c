//! The only place that prints. Data goes to standard output, in the form that was asked for; talk goes to standard error. A
//! reader that went away (`| head`) is no failure.

mod render;
mod safe;

pub use render::Listing;

use super::exit::Stop;
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::{
    io::{self, IsTerminal, Write, stderr, stdout},
    time::Duration,
};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// The forms in which data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// One JSON document a line.
    Jsonl,
    /// Comma-separated, with a header line.
    Csv,
}

/// Prints.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    format: Format,
    colour: bool,
}

/// Something that takes a moment. Shown on a terminal alone; gone when dropped.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Where it is now.
    pub fn now(&self, text: &str) {
        self.0.set_message(safe::line(text));
    }

    /// One more is done.
    pub fn done(&self, count: u64) {
        self.0.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

impl Out {
    /// In this form; colour only for a terminal that wants it (`NO_COLOR`, <https://no-color.org>).
    #[must_use]
    pub fn new(format: Format) -> Self {
        let colour = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { format, colour }
    }

    /// Prints a list of things.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn list(&self, listing: &Listing) -> Result<(), Stop> {
        match self.format {
            Format::Table => self.data(&render::table(listing)),
            Format::Json => self.data(&render::json(&Value::Array(render::objects(listing)))),
            Format::Jsonl => render::objects(listing).iter().try_for_each(|row| self.data(&render::jsonl(row))),
            Format::Csv => self.data(&render::csv(listing)),
        }
    }

    /// Prints one thing: as text for people, or as data.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn one(&self, text: &str, value: &Value) -> Result<(), Stop> {
        match self.format {
            Format::Table => self.data(&safe::text(text)),
            Format::Json => self.data(&render::json(value)),
            Format::Jsonl => self.data(&render::jsonl(value)),
            Format::Csv => self.data(&render::csv(&render::flat(value))),
        }
    }

    /// Prints text as it is: a file that is part of the program.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn verbatim(&self, text: &str) -> Result<(), Stop> {
        self.data(text)
    }

    /// Prints JSON, whatever form was asked for: documents that are nothing else.
    ///
    /// # Errors
    /// If standard output cannot be written to.
    pub fn document(&self, value: &Value) -> Result<(), Stop> {
        self.data(&if self.format == Format::Jsonl { render::jsonl(value) } else { render::json(value) })
    }

    fn data(&self, text: &str) -> Result<(), Stop> {
        let mut out = stdout().lock();
        let text = text.strip_suffix('\n').unwrap_or(text);
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::failed(format!("failed to print: {error}"))),
            _ => Ok(()),
        }
    }

    /// Says something to the person at the terminal.
    pub fn say(&self, text: impl AsRef<str>) {
        talk(&safe::text(text.as_ref()));
    }

    /// Says what needs attention, and did not stop the command.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.say_with("warning", "33", text.as_ref());
    }

    /// Says why a command stopped, and what to do next.
    pub fn stop(&self, stop: &Stop) {
        self.say_with("error", "31", &stop.text);
        if let Some(next) = &stop.next {
            self.say_with("next", "36", next);
        }
    }

    fn say_with(&self, word: &str, colour: &str, text: &str) {
        let word = if self.colour { format!("\u{1b}[1;{colour}m{word}:\u{1b}[0m") } else { format!("{word}:") };
        talk(&format!("{word} {}", safe::text(text)));
    }

    /// What the parser of the command line has to say: help to standard output, mistakes to standard error.
    pub fn parser(error: &clap::Error) {
        let _ = error.print();
    }

    /// Begins something that takes a moment. With `total`, a bar.
    #[must_use]
    pub fn progress(&self, text: &str, total: Option<u64>) -> Progress {
        let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(total, target);
        let form = if total.is_some() { "{spinner} {msg} {pos}/{len} {wide_bar} {eta}" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_message(safe::line(text));
        bar.enable_steady_tick(TURN);
        Progress(bar)
    }
}

/// A line for the person at the terminal. Nobody to say it to is no reason to fail, nor, for a hub, to wait.
fn talk(line: &str) {
    if !crate::telemetry::say(line) {
        let _ = writeln!(stderr().lock(), "{line}");
    }
}
