//! Calls to the outside that a piece of work has under way. They end on threads of their own, whatever becomes of the work: an
//! actor that dies, or a thread that stands still, takes none of them back. Work that was interrupted is begun again only when
//! its calls have ended, because looking whether one had its effect tells nothing while it is still under way.
//!
//! The guard around a piece of work makes its [`Flights`] current while it runs; whoever makes a call with an effect takes a
//! [`Flight`] along with [`depart`]. By which name the work owns its message in the store is kept beside them: what begins it again
//! takes it over from that name, and from no other.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::watch;
use uuid::Uuid;

thread_local! {
    static CURRENT: RefCell<Option<Flights>> = const { RefCell::new(None) };
}

/// The calls of one piece of work. Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub struct Flights(Arc<watch::Sender<usize>>, Arc<Mutex<Option<Attempted>>>);

/// The last attempt at a piece of work.
#[derive(Debug, Clone, Copy)]
struct Attempted {
    owner: Uuid,
    /// The attempt before it.
    after: Option<Uuid>,
    /// The store has said that this owner has the message. Before that, either of the two may have it.
    taken: bool,
}

impl Default for Flights {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)), Arc::default())
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

    /// The owner of the last attempt at the work.
    pub(crate) fn owner(&self) -> Option<Uuid> {
        self.with_last(|last| last.map(|last| last.owner))
    }

    fn with_last<T>(&self, with: impl FnOnce(&mut Option<Attempted>) -> T) -> T {
        with(&mut self.1.lock().unwrap_or_else(PoisonError::into_inner))
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

/// The owner of the next attempt at the current work, and the one before, which it takes over from. An attempt that the store has not
/// answered for is made again under its own name: it may be there.
pub(crate) fn attempt() -> (Uuid, Option<Uuid>) {
    let fresh = Uuid::now_v7();
    let Some(flights) = CURRENT.with_borrow(Clone::clone) else { return (fresh, None) };
    flights.with_last(|last| {
        let next = match *last {
            Some(unanswered) if !unanswered.taken => unanswered,
            before => Attempted { owner: fresh, after: before.map(|before| before.owner), taken: false },
        };
        *last = Some(next);
        (next.owner, next.after)
    })
}

/// The store has answered whether the current work's attempt has the message.
pub(crate) fn attempted(taken: bool) {
    if let Some(flights) = CURRENT.with_borrow(Clone::clone) {
        flights.with_last(|last| *last = last.filter(|_| taken).map(|last| Attempted { taken, ..last }));
    }
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
    fn an_attempt_takes_over_from_the_one_before_and_is_made_again_under_its_name_until_it_is_answered() {
        let flights = Flights::default();
        let first = flights.during(attempt);
        assert_eq!((first.1, flights.during(attempt), flights.owner()), (None, first, Some(first.0)));
        flights.during(|| attempted(true));
        let second = flights.during(attempt);
        assert!(second.1 == Some(first.0) && second.0 != first.0);
        assert_eq!(flights.during(attempt), second, "its answer may have been lost");
        // Another has the message: nothing of what was before is this work's own any more.
        flights.during(|| attempted(false));
        assert_eq!((flights.owner(), flights.during(attempt).1), (None, None));
        assert_eq!(attempt().1, None, "outside of any work");
    }

    #[test]
    fn outside_of_work_and_after_a_panic_in_it_nothing_is_current() {
        assert!(depart().is_none());
        let flights = Flights::default();
        let fell = catch_unwind(AssertUnwindSafe(|| flights.during(|| panic!("on purpose"))));
        assert!(fell.is_err() && depart().is_none());
    }
}
