//! The signals that a hub hears: those that tell it to stop, and those that would end it by the system's habit and mean nothing to it.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGQUIT. One that comes after they are heard is kept until it is asked for, whatever goes on meanwhile: so they
/// are to be heard before a start begins, once.
pub(crate) struct ToldToStop {
    term: Signal,
    int: Signal,
    quit: Signal,
}

impl ToldToStop {
    /// Hears them from now on.
    ///
    /// # Errors
    /// If signals cannot be heard.
    pub(crate) fn hear() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())?, quit: signal(SignalKind::quit())? })
    }

    /// Waits until one of them has come.
    pub(crate) async fn told(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Signals that are a line in the log and nothing else: some programs reread their settings at them, or open their logs anew.
pub(crate) struct WithoutEffect {
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
}

impl WithoutEffect {
    /// Hears them from now on.
    ///
    /// # Errors
    /// If signals cannot be heard.
    pub(crate) fn hear() -> io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Writes the lines, for ever.
    pub(crate) async fn run(mut self) {
        loop {
            let name = tokio::select! {
                Some(()) = self.hup.recv() => "SIGHUP",
                Some(()) = self.usr1.recv() => "SIGUSR1",
                Some(()) = self.usr2.recv() => "SIGUSR2",
                else => return,
            };
            tracing::info!(
                "{name} has no effect: settings are read at the start, so restart the hub for new ones; the log goes to standard error"
            );
        }
    }
}
