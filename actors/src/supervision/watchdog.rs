//! The watchdog: a thread of its own that looks at the pulses, because a thread that stands still cannot say so. It tells the
//! supervisor which thread stands still, and when one that did goes on. It changes nothing itself.
//!
//! A thread that has not beaten may stand still (it sleeps in a call that blocks), may work without end (it uses its processor),
//! or may only be waiting for its turn on a machine that is busy, or for another thread that does. The last is nobody's fault: it
//! is waited for, up to a bound. That the machine is busy the watchdog knows by its own lateness.

use super::{
    notice::Notice,
    pulse::{BEAT, Pulse, Seen},
};
use std::{
    sync::{Arc, Mutex, PoisonError, Weak, mpsc::RecvTimeoutError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Without a beat for so long, a thread is looked at closely.
pub(super) const LIMIT: Duration = Duration::from_millis(400);
/// The same while the machine is busy: a thread may sleep on a lock whose holder waits for its turn.
const LIMIT_WHEN_BUSY: Duration = Duration::from_millis(1_500);
/// Without a beat for so long, it is taken to stand still whatever the kernel says.
const LIMIT_AT_LAST: Duration = Duration::from_secs(5);
/// The watchdog itself came so late: the machine is busy, and is taken to be for a while.
const LATE: Duration = Duration::from_millis(30);
const BUSY_FOR: Duration = Duration::from_secs(2);
/// Looks in a row that must find a thread asleep.
const ASLEEP: u32 = 3;
/// The watchdog itself came so late: the whole process did not run, and no pulse tells anything yet.
const OVERSLEPT: Duration = Duration::from_millis(250);

struct Watched {
    pulse: Weak<Pulse>,
    /// How the thread was when it was last seen to be well.
    well: Option<Seen>,
    /// Looks in a row that found it asleep since.
    asleep: u32,
    stuck: bool,
}

/// Watches until it is dropped.
pub(super) struct Watchdog {
    watched: Arc<Mutex<Vec<Watched>>>,
    _end: std::sync::mpsc::Sender<()>,
}

impl Watchdog {
    pub(super) fn start(notices: mpsc::UnboundedSender<Notice>) -> Self {
        let watched = Arc::<Mutex<Vec<Watched>>>::default();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let seen = Arc::clone(&watched);
        let watch = move || {
            let (mut last, mut busy_until) = (Instant::now(), None::<Instant>);
            while ended.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                let late = last.elapsed().saturating_sub(BEAT);
                last = Instant::now();
                if late > LATE {
                    busy_until = Some(last + BUSY_FOR);
                }
                let limit = if busy_until.is_some_and(|until| last < until) { LIMIT_WHEN_BUSY } else { LIMIT };
                if late < OVERSLEPT {
                    look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner), limit, &notices);
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("atshub-watchdog".into()).spawn(watch) {
            tracing::error!(%error, "failed to start the watchdog; a thread that stands still will not be noticed");
        }
        Self { watched, _end: end }
    }

    pub(super) fn watch(&self, pulse: &Arc<Pulse>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(Watched { pulse: Arc::downgrade(pulse), well: None, asleep: 0, stuck: false });
    }
}

fn look(watched: &mut Vec<Watched>, limit: Duration, notices: &mpsc::UnboundedSender<Notice>) {
    watched.retain_mut(|thread| {
        let Some(pulse) = thread.pulse.upgrade() else { return false };
        let age = pulse.age();
        if age < LIMIT {
            if std::mem::take(&mut thread.stuck) {
                let _ = notices.send(Notice::Returned { thread: pulse.number });
            }
            if age < BEAT * 2 {
                (thread.well, thread.asleep) = (pulse.look(), 0);
            }
        } else if !thread.stuck && stands_still(age, limit, thread, pulse.look()) {
            thread.stuck = true;
            let _ = notices.send(Notice::Stuck { thread: pulse.number, child: pulse.child(), age });
        }
        true
    });
}

/// Whether a thread that has not beaten for `age` stands still or works without end, by what the kernel said of it when it was
/// well and says now.
fn stands_still(age: Duration, limit: Duration, thread: &mut Watched, now: Option<Seen>) -> bool {
    let Some(now) = now else { return true };
    thread.asleep = if now.runnable { 0 } else { thread.asleep + 1 };
    let used = now.used.saturating_sub(thread.well.map_or(now.used, |well| well.used));
    age >= LIMIT_AT_LAST || age >= limit && (thread.asleep >= ASLEEP || used >= limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(pulse: &Arc<Pulse>) -> Watched {
        Watched { pulse: Arc::downgrade(pulse), well: None, asleep: 0, stuck: false }
    }

    #[test]
    fn only_a_thread_that_waits_for_its_turn_is_given_more_time() {
        let seen = |runnable, ms| Some(Seen { runnable, used: Duration::from_millis(ms) });
        let pulse = Arc::new(Pulse::new(3, "test".into()));
        let cases = [
            ("sleeps in a call", LIMIT, LIMIT, seen(true, 100), 3, seen(false, 100), true),
            ("sleeps for a moment", LIMIT, LIMIT, seen(true, 100), 1, seen(false, 100), false),
            ("sleeps while the machine is busy", LIMIT, LIMIT_WHEN_BUSY, seen(true, 100), 9, seen(false, 100), false),
            ("sleeps for long while the machine is busy", LIMIT_WHEN_BUSY, LIMIT_WHEN_BUSY, seen(true, 100), 9, seen(false, 100), true),
            ("works without end", LIMIT, LIMIT, seen(true, 100), 1, seen(true, 450), true),
            ("waits for its turn", LIMIT, LIMIT, seen(true, 100), 9, seen(true, 120), false),
            ("waits for its turn for ever", LIMIT_AT_LAST, LIMIT, seen(true, 100), 9, seen(true, 120), true),
            ("was never seen to be well, and runs", LIMIT, LIMIT, None, 9, seen(true, 900), false),
            ("nothing is known", LIMIT, LIMIT, None, 1, None, true),
        ];
        for (what, age, limit, well, looks, now, expected) in cases {
            let mut thread = Watched { well, ..watched(&pulse) };
            let found = (0..looks).map(|_| stands_still(age, limit, &mut thread, now)).last();
            assert_eq!(found, Some(expected), "{what}");
        }
    }

    #[test]
    fn a_thread_that_stands_still_is_reported_once_and_once_more_when_it_goes_on() {
        let (notices, mut heard) = mpsc::unbounded_channel();
        let pulse = Arc::new(Pulse::new(3, "test".into()));
        let mut watched = vec![watched(&pulse)];
        look(&mut watched, LIMIT, &notices);
        assert!(heard.try_recv().is_err(), "a thread that is new is well");
        watched[0].stuck = true;
        look(&mut watched, LIMIT, &notices);
        assert!(matches!(heard.try_recv(), Ok(Notice::Returned { thread: 3 })));
        look(&mut watched, LIMIT, &notices);
        assert!(heard.try_recv().is_err(), "said once");
        drop(pulse);
        look(&mut watched, LIMIT, &notices);
        assert!(watched.is_empty(), "a thread that has ended is not watched");
    }
}
