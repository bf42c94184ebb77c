//! The linear token of a delivery. Using it up means "done"; losing it in any way means "not done", and says whether the
//! work had begun. The dispatcher keeps the other half, and can take the delivery back whatever state it is in: before it was
//! begun, between two steps of its work, and, if its thread stands still, in the middle of one. Nothing here can fail or panic.

use crate::{flight::Flights, interleaving::AtomicU8};
use futures_util::task::AtomicWaker;
use std::{
    sync::{Arc, atomic::Ordering},
    task::Waker,
};
use tokio::sync::mpsc;

/// Handed over, not begun.
const WAITING: u8 = 0;
/// Begun; between two steps of its work.
const BEGUN: u8 = 1;
/// A step of its work is running.
const RUNNING: u8 = 2;
/// Taken back before it was begun.
const REVOKED: u8 = 3;
/// Taken back after it was begun: no further step is to run, and nothing is to be reported.
const FENCED: u8 = 4;
/// The same, while a step is running: that step cannot be stopped, the next one will not run.
const FENCED_RUNNING: u8 = 5;
/// Its token was used up or lost: the report is sent, or about to be. It cannot be taken back any more.
const ENDED: u8 = 6;

/// What the dispatcher hears of a delivery.
#[derive(Debug)]
pub(super) enum Report {
    /// Done: acknowledge.
    Done { ticket: u64 },
    /// Its future panicked.
    Panicked { ticket: u64, generation: u64, cause: String },
    /// The token was lost: a dead mailbox, a dying actor, a cancelled future.
    Dropped { ticket: u64, generation: u64, begun: bool },
}

#[derive(Debug, Default)]
struct Shared {
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Shared {
    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The token ends. Says whether the work had begun; `None` if the delivery was taken back before. One step decides between the two:
    /// who looked first and reported then would report what is in another's hands by now.
    fn end(&self) -> Option<bool> {
        loop {
            let found = self.state.load(Ordering::SeqCst);
            match found {
                WAITING | BEGUN | RUNNING if self.step(found, ENDED) => return Some(found != WAITING),
                WAITING | BEGUN | RUNNING => {} // it was moved on between the two
                _ => return None,
            }
        }
    }
}

/// One delivery in the hands of a child.
#[derive(Debug)]
pub struct Token {
    ticket: u64,
    generation: u64,
    shared: Arc<Shared>,
    flights: Flights,
    report: mpsc::UnboundedSender<Report>,
    armed: bool,
}

impl Token {
    pub(super) fn new(ticket: u64, generation: u64, flights: Flights, report: mpsc::UnboundedSender<Report>) -> (Self, Revoke) {
        let shared = Arc::<Shared>::default();
        (Self { ticket, generation, shared: Arc::clone(&shared), flights, report, armed: true }, Revoke(shared))
    }

    /// Work begins. False if the delivery was given to somebody else meanwhile: then leave it alone.
    pub fn begin(&mut self) -> bool {
        let mine = self.shared.step(WAITING, BEGUN);
        self.armed = mine;
        mine
    }

    /// A step of the work begins. False if the delivery was taken back: then the work is to be dropped.
    pub(super) fn enter(&self) -> bool {
        self.shared.step(BEGUN, RUNNING)
    }

    /// The step has ended. False if the delivery was taken back meanwhile: then the work is to be dropped.
    pub(super) fn leave(&self) -> bool {
        self.shared.step(RUNNING, BEGUN) || {
            self.shared.step(FENCED_RUNNING, FENCED);
            false
        }
    }

    /// Wakes this when the delivery is taken back.
    pub(super) fn listen(&self, waker: &Waker) {
        self.shared.waker.register(waker);
    }

    pub(super) fn flights(&self) -> &Flights {
        &self.flights
    }

    /// Work is done and durable.
    pub fn ack(mut self) {
        if self.armed && self.shared.end().is_some() {
            let _ = self.report.send(Report::Done { ticket: self.ticket });
        }
        self.armed = false;
    }

    /// Its future panicked: the dispatcher ties the crash to this message. The token stays, and is then lost.
    pub(super) fn panicked(&self, cause: String) {
        let _ = self.report.send(Report::Panicked { ticket: self.ticket, generation: self.generation, cause });
    }

    /// Takes the token back before it was ever handed over.
    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.armed
            && let Some(begun) = self.shared.end()
        {
            let _ = self.report.send(Report::Dropped { ticket: self.ticket, generation: self.generation, begun });
        }
    }
}

/// How a delivery stood when it was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fenced {
    /// Not begun.
    NotBegun,
    /// Begun; between two steps.
    Between,
    /// In the middle of a step.
    Running,
}

/// The dispatcher's half of a token.
#[derive(Debug)]
pub(super) struct Revoke(Arc<Shared>);

impl Revoke {
    /// Takes the delivery back if its work has not begun. True if it now never will by that token.
    pub(super) fn revoke(&self) -> bool {
        self.0.step(WAITING, REVOKED)
    }

    /// Takes the delivery back however far it is. No step of its work runs any more, but for one that is running now. `None` if its
    /// token has ended: then its report says how.
    pub(super) fn fence(&self) -> Option<Fenced> {
        loop {
            let found = if self.revoke() {
                Fenced::NotBegun
            } else if self.0.step(BEGUN, FENCED) {
                Fenced::Between
            } else if self.0.step(RUNNING, FENCED_RUNNING) {
                Fenced::Running
            } else {
                // Taken back before; or it moved on between two of these looks.
                match self.0.state.load(Ordering::SeqCst) {
                    REVOKED => return Some(Fenced::NotBegun),
                    FENCED => return Some(Fenced::Between),
                    FENCED_RUNNING => return Some(Fenced::Running),
                    ENDED => return None,
                    _ => continue,
                }
            };
            self.0.waker.wake();
            return Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(ticket: u64, generation: u64) -> (Token, Revoke, mpsc::UnboundedReceiver<Report>) {
        let (tx, rx) = mpsc::unbounded_channel();
        let (token, revoke) = Token::new(ticket, generation, Flights::default(), tx);
        (token, revoke, rx)
    }

    #[test]
    fn a_token_that_is_lost_says_whether_work_had_begun() {
        let (lost, _revoke, mut rx) = token(1, 7);
        drop(lost);
        assert!(matches!(rx.try_recv(), Ok(Report::Dropped { ticket: 1, generation: 7, begun: false })));
        let (mut lost, _revoke, mut rx) = token(2, 7);
        assert!(lost.begin());
        drop(lost);
        assert!(matches!(rx.try_recv(), Ok(Report::Dropped { ticket: 2, generation: 7, begun: true })));
    }

    #[test]
    fn a_revoked_token_cannot_begin_and_reports_nothing() {
        let (mut taken, revoke, mut rx) = token(1, 1);
        assert!(revoke.revoke());
        assert!(!taken.begin());
        drop(taken);
        assert!(rx.try_recv().is_err());
    }

    #[test]
    fn a_begun_token_cannot_be_revoked() {
        let (mut begun, revoke, mut rx) = token(1, 1);
        assert!(begun.begin());
        assert!(!revoke.revoke());
        begun.ack();
        assert!(matches!(rx.try_recv(), Ok(Report::Done { ticket: 1 })));
    }

    /// What can happen to a token between its making and its end, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Event {
        Begin,
        Enter,
        Leave,
        Revoke,
        Fence,
    }

    proptest! {
        /// Whatever happens in whatever order, a delivery is reported by its token or taken back by the dispatcher, never both
        /// and never neither: it is neither lost nor in two hands.
        #[test]
        fn a_delivery_is_reported_or_taken_back_and_never_both(
            events in proptest::collection::vec(
                prop_oneof![Just(Event::Begin), Just(Event::Enter), Just(Event::Leave), Just(Event::Revoke), Just(Event::Fence)], 0..12),
            done in any::<bool>(),
        ) {
            let (mut token, revoke, mut rx) = token(1, 1);
            let (mut begun, mut inside, mut taken) = (false, false, false);
            for event in events {
                match event {
                    Event::Begin if !begun => begun = token.begin(),
                    Event::Enter if begun && !inside => {
                        inside = token.enter();
                        prop_assert_eq!(inside, !taken, "a step runs only while the delivery is not taken back");
                    }
                    Event::Leave if inside => {
                        prop_assert_eq!(token.leave(), !taken);
                        inside = false;
                    }
                    Event::Revoke => {
                        let revoked = revoke.revoke();
                        prop_assert_eq!(revoked, !begun && !taken);
                        taken |= revoked;
                    }
                    Event::Fence => {
                        let fenced = revoke.fence();
                        prop_assert!(fenced.is_some() && (fenced != Some(Fenced::Running) || inside));
                        taken = true;
                    }
                    _ => {}
                }
            }
            if done && begun { token.ack() } else { drop(token) }
            prop_assert_eq!(rx.try_recv().is_ok(), !taken);
            prop_assert!(rx.try_recv().is_err(), "reported twice");
        }
    }
}
