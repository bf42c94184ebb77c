//! Calls to the outside that a piece of work has under way. They end on threads of their own, whatever becomes of the work: an
//! actor that dies, or a thread that stands still, takes none of them back. Work that was interrupted is begun again only when
//! its calls have ended, because looking whether one had its effect tells nothing while it is still under way.
//!
//! The guard around a piece of work makes its [`Flights`] current while it runs; whoever makes a call with an effect takes a
//! [`Flight`] along with [`depart`].

use std::{cell::RefCell, sync::Arc};
use tokio::sync::watch;

thread_local! {
    static CURRENT: RefCell<Option<Flights>> = const { RefCell::new(None) };
}

/// The calls of one piece of work. Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub struct Flights(Arc<watch::Sender<usize>>);

impl Default for Flights {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Flights {
    /// Waits until none is under way.
    pub async fn landed(&self) {
        let mut under_way = self.0.subscribe();
        // The sender lives as long as this value.
        let _ = under_way.wait_for(|count| *count == 0).await;
    }

    /// Whether one is under way.
    #[must_use]
    pub fn any(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Makes these calls' work the current one on this thread while `work` runs. `work` may panic: the one before is current
    /// again all the same.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<Flights>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with_borrow_mut(|current| *current = self.0.take());
            }
        }
        let _restore = Restore(CURRENT.with_borrow_mut(|current| current.replace(self.clone())));
        work()
    }
}

/// A call under way, until it is dropped.
#[derive(Debug)]
pub struct Flight(Flights);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// A call with an effect begins: to be kept until it has ended, on whatever thread that is. `None` outside of any work.
#[must_use]
pub fn depart() -> Option<Flight> {
    let flights = CURRENT.with_borrow(Clone::clone)?;
    flights.0.send_modify(|count| *count += 1);
    Some(Flight(flights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[tokio::test]
    async fn a_call_is_waited_for_even_when_the_work_it_belongs_to_is_gone() {
        let flights = Flights::default();
        let call = flights.during(depart).unwrap();
        assert!(flights.any());
        let (waiting, sender) = (flights.clone(), std::thread::spawn(move || drop(call)));
        waiting.landed().await;
        sender.join().unwrap();
        assert!(!flights.any());
    }

    #[test]
    fn outside_of_work_and_after_a_panic_in_it_nothing_is_current() {
        assert!(depart().is_none());
        let flights = Flights::default();
        let fell = catch_unwind(AssertUnwindSafe(|| flights.during(|| panic!("on purpose"))));
        assert!(fell.is_err() && depart().is_none());
    }
}
