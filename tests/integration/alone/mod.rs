//! The hub as a process among the things that an operating system does to one: signals, a log that nobody takes, few file handles, a
//! second process on the same folder. The binary itself, on real services where work is to be done.

mod log;
mod places;
mod signals;
mod spans;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
