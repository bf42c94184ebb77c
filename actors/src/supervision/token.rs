//! The linear token of a delivery. Using it up means "done"; losing it in any way means "not done", and says whether the
//! work had begun. Nothing here can fail or panic.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio::sync::mpsc;

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const REVOKED: u8 = 2;

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

/// One delivery in the hands of a child.
#[derive(Debug)]
pub struct Token {
    ticket: u64,
    generation: u64,
    state: Arc<AtomicU8>,
    report: mpsc::UnboundedSender<Report>,
    armed: bool,
}

impl Token {
    pub(super) fn new(ticket: u64, generation: u64, report: mpsc::UnboundedSender<Report>) -> (Self, Revoke) {
        let state = Arc::new(AtomicU8::new(WAITING));
        (Self { ticket, generation, state: Arc::clone(&state), report, armed: true }, Revoke(state))
    }

    /// Work begins. False if the delivery was given to somebody else meanwhile: then leave it alone.
    pub fn begin(&mut self) -> bool {
        let mine = self.state.compare_exchange(WAITING, BEGUN, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        self.armed = mine;
        mine
    }

    /// Work is done and durable.
    pub fn ack(mut self) {
        self.armed = false;
        let _ = self.report.send(Report::Done { ticket: self.ticket });
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
        if self.armed {
            let begun = self.state.load(Ordering::SeqCst) == BEGUN;
            let _ = self.report.send(Report::Dropped { ticket: self.ticket, generation: self.generation, begun });
        }
    }
}

/// The dispatcher's half of a token: takes a delivery back from a child that has not begun it.
#[derive(Debug)]
pub(super) struct Revoke(Arc<AtomicU8>);

impl Revoke {
    /// True if the work had not begun, and now never will by that token.
    pub(super) fn revoke(&self) -> bool {
        self.0.compare_exchange(WAITING, REVOKED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_lost_says_whether_work_had_begun() {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let (token, _revoke) = Token::new(1, 7, tx.clone());
        drop(token);
        assert!(matches!(rx.try_recv(), Ok(Report::Dropped { ticket: 1, generation: 7, begun: false })));
        let (mut token, _revoke) = Token::new(2, 7, tx);
        assert!(token.begin());
        drop(token);
        assert!(matches!(rx.try_recv(), Ok(Report::Dropped { ticket: 2, generation: 7, begun: true })));
    }

    #[test]
    fn a_revoked_token_cannot_begin_and_reports_nothing() {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let (mut token, revoke) = Token::new(1, 1, tx);
        assert!(revoke.revoke());
        assert!(!token.begin());
        drop(token);
        assert!(rx.try_recv().is_err());
    }

    #[test]
    fn a_begun_token_cannot_be_revoked() {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let (mut token, revoke) = Token::new(1, 1, tx);
        assert!(token.begin());
        assert!(!revoke.revoke());
        token.ack();
        assert!(matches!(rx.try_recv(), Ok(Report::Done { ticket: 1 })));
    }
}
