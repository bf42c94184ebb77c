//! The binary: everything is in the library, so that tests can reach it.

use atshub::cli::{self, exit::Exit};
use std::process::ExitCode;

fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(cli::run(std::env::args_os()));
            // They are sent on this runtime.
            atshub::telemetry::last_spans();
            // A store or broker that stands still must not hold the process.
            runtime.shutdown_background();
            atshub::telemetry::flush();
            exit.into()
        }
        Err(_) => Exit::Failed.into(),
    }
}
