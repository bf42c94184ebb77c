//! The pulse of a thread that children live on: when it last beat, which child it is working for, and whether it stands still,
//! works without end, or only waits for its turn on a busy machine. Read from another thread; nothing here blocks.

use std::{
    fs,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How often a thread says that it lives.
pub(super) const BEAT: Duration = Duration::from_millis(50);
/// Nobody is being worked for.
pub(super) const NOBODY: u64 = 0;
/// The kernel's clock ticks in a second, as `/proc` counts them (`USER_HZ`, 100 on every Linux that Rust runs on: proc(5)).
const TICKS: u64 = 100;

/// The pulse of one thread.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Number of the thread, and which it is, for people.
    pub(super) number: u64,
    pub(super) name: String,
    origin: Instant,
    /// Milliseconds from the origin to the last beat.
    beat: AtomicU64,
    /// Number of the child that is being worked for.
    child: AtomicU64,
    thread: OnceLock<u64>,
}

/// What the kernel says of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// It runs, or waits for its turn; else it sleeps, or waits for a device.
    pub(super) runnable: bool,
    /// Processor time it has used.
    pub(super) used: Duration,
}

impl Pulse {
    pub(super) fn new(number: u64, name: String) -> Self {
        Self { number, name, origin: Instant::now(), beat: AtomicU64::new(0), child: AtomicU64::new(NOBODY), thread: OnceLock::new() }
    }

    /// Beats until the thread ends. Runs on the thread itself.
    pub(super) async fn run(pulse: std::sync::Arc<Self>) {
        if let Some(thread) = own_thread() {
            let _ = pulse.thread.set(thread);
        }
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            pulse.beat.store(pulse.since_origin(), Ordering::SeqCst);
        }
    }

    fn since_origin(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Time since the last beat.
    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.since_origin().saturating_sub(self.beat.load(Ordering::SeqCst)))
    }

    /// Works for a child.
    pub(super) fn during<T>(&self, child: u64, work: impl FnOnce() -> T) -> T {
        struct Leave<'a>(&'a AtomicU64);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.store(NOBODY, Ordering::SeqCst);
            }
        }
        self.child.store(child, Ordering::SeqCst);
        let _leave = Leave(&self.child);
        work()
    }

    /// The child that is being worked for, or [`NOBODY`].
    pub(super) fn child(&self) -> u64 {
        self.child.load(Ordering::SeqCst)
    }

    /// What the kernel says of the thread; `None` where it does not say.
    pub(super) fn look(&self) -> Option<Seen> {
        seen(&fs::read_to_string(format!("/proc/self/task/{}/stat", self.thread.get()?)).ok()?)
    }
}

/// The kernel's number of this thread: `/proc/thread-self` points to `<process>/task/<thread>` (proc(5)).
fn own_thread() -> Option<u64> {
    fs::read_link("/proc/thread-self").ok()?.file_name()?.to_str()?.parse().ok()
}

/// Reads a line of `/proc/…/stat` (proc(5)): the name in brackets may hold anything, so it is read from its end.
fn seen(line: &str) -> Option<Seen> {
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let runnable = fields.next()? == "R";
    // State is field 3; user and system time are fields 14 and 15.
    let (user, system): (u64, u64) = (fields.nth(10)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Seen { runnable, used: Duration::from_millis((user + system) * 1000 / TICKS) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read_whatever_the_thread_is_called() {
        let line = "4711 (a) b (c) R 1 2 3 4 5 6 7 8 9 10 150 50 13 14 20 0 1 0 99";
        assert_eq!(seen(line), Some(Seen { runnable: true, used: Duration::from_secs(2) }));
        assert_eq!(seen("4711 (x) S 1 2 3 4 5 6 7 8 9 10 0 7 0").map(|s| (s.runnable, s.used.as_millis())), Some((false, 70)));
        assert_eq!(seen("rubbish"), None);
    }

    #[test]
    fn this_thread_is_found_and_seen_to_run() {
        if cfg!(target_os = "linux") {
            let pulse = Pulse::new(1, "test".into());
            pulse.thread.set(own_thread().unwrap()).unwrap();
            assert!(pulse.look().unwrap().runnable);
        }
    }

    #[test]
    fn after_a_panic_nobody_is_being_worked_for() {
        let pulse = Pulse::new(1, "test".into());
        let fell = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pulse.during(7, || panic!("on purpose"))));
        assert!(fell.is_err());
        assert_eq!(pulse.child(), NOBODY);
    }
}
