//! Atomics whose interleavings a test can explore. In the hub they are the standard library's and nothing else. In this crate's tests
//! they are the same, with a point before each operation at which [`explore`] and [`exhaust`] may let another thread go on; outside of
//! those two they behave as ever.

#[cfg(not(test))]
pub(crate) use std::sync::atomic::AtomicU8;

#[cfg(test)]
pub(crate) use explored::{AtomicU8, exhaust, explore};

#[cfg(test)]
mod explored {
    use std::{cell::Cell, sync::atomic::Ordering};

    thread_local! {
        /// All threads of a model run on the one that explores it.
        static EXPLORING: Cell<bool> = const { Cell::new(false) };
    }

    fn point() {
        if EXPLORING.get() && !std::thread::panicking() {
            shuttle::thread::yield_now();
        }
    }

    /// See the module.
    #[derive(Debug, Default)]
    pub(crate) struct AtomicU8(std::sync::atomic::AtomicU8);

    impl AtomicU8 {
        pub(crate) fn compare_exchange(&self, from: u8, to: u8, success: Ordering, failure: Ordering) -> Result<u8, u8> {
            point();
            self.0.compare_exchange(from, to, success, failure)
        }

        pub(crate) fn load(&self, order: Ordering) -> u8 {
            point();
            self.0.load(order)
        }
    }

    fn during(run: impl FnOnce()) {
        struct Ended;
        impl Drop for Ended {
            fn drop(&mut self) {
                EXPLORING.set(false);
            }
        }
        EXPLORING.set(true);
        let _ended = Ended;
        run();
    }

    /// Runs a model under every schedule there is. For a few threads with a few points each.
    pub(crate) fn exhaust(model: impl Fn() + Send + Sync + 'static) {
        during(|| shuttle::check_dfs(model, None));
    }

    /// Runs a model under so many schedules drawn at random, or as many as `ATSHUB_TEST_SCHEDULES` says. One that fails prints its
    /// schedule.
    pub(crate) fn explore(schedules: usize, model: impl Fn() + Send + Sync + 'static) {
        let asked = std::env::var("ATSHUB_TEST_SCHEDULES").ok().and_then(|text| text.parse().ok());
        during(|| shuttle::check_random(model, asked.unwrap_or(schedules)));
    }
}
