//! The binary: everything is in the library, so that tests can reach it.

use atshub::cli::{self, exit::Exit};
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// Gives back to the machine what is not used any more; glibc's keeps what a wave of large bodies took.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(cli::run(std::env::args_os()));
            // A store or broker that stands still must not hold the process.
            runtime.shutdown_background();
            exit.into()
        }
        Err(_) => Exit::Failed.into(),
    }
}
