//! The fairness window: a tenant may take a share of deliveries freely in each window of time; past that it takes more only while
//! no other tenant of this process is at work. One tenant's flood then costs the others little, and a tenant that is alone is not
//! held back at all. One whose work only waits, for an ATS that hangs, is not at work: it holds nobody back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// How much a tenant may take freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Deliveries in a window.
    pub deliveries: u32,
    /// Length of a window.
    pub window: Duration,
}

impl Default for Share {
    fn default() -> Self {
        Self { deliveries: 16, window: Duration::from_millis(250) }
    }
}

/// What all tenants of a process are at. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<Sums>);

#[derive(Debug)]
struct Sums {
    /// How many have work in hand.
    busy: watch::Sender<usize>,
    /// Deliveries that all have taken so far.
    taken: AtomicU64,
}

impl Default for Crowd {
    fn default() -> Self {
        Self(Arc::new(Sums { busy: watch::Sender::new(0), taken: AtomicU64::new(0) }))
    }
}

impl Crowd {
    fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }
}

/// One tenant's window.
#[derive(Debug)]
pub(super) struct Window {
    share: Share,
    crowd: Crowd,
    busy: bool,
    taken: u32,
    began: Instant,
    /// What all had taken when this window began.
    base: u64,
    /// The same of the window before, and what this tenant took in that: whatever is above, others took since.
    before: u64,
}

impl Window {
    pub(super) fn new(share: Share, crowd: Crowd, now: Instant) -> Self {
        let base = crowd.taken();
        Self { share, crowd, busy: false, taken: 0, began: now, base, before: base }
    }

    /// How long this tenant has to wait before it may take another delivery; `None`: not at all.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= self.share.window {
            (self.before, self.base) = (self.base + u64::from(self.taken), self.crowd.taken());
            (self.began, self.taken) = (now, 0);
        }
        if self.taken < self.share.deliveries || !self.others_are_at_work() {
            return None;
        }
        Some((self.began + self.share.window).saturating_duration_since(now).max(Duration::from_millis(1)))
    }

    /// Whether another tenant has work in hand, and took some in this window or the one before.
    fn others_are_at_work(&self) -> bool {
        let took = self.crowd.taken().saturating_sub(u64::from(self.taken)) > self.before;
        took && *self.crowd.0.busy.borrow() > usize::from(self.busy)
    }

    /// Waits until this tenant may take another delivery: its next window begins after `wait`, or all others are done.
    pub(super) fn opens(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let (mut busy, own) = (self.crowd.0.busy.subscribe(), usize::from(self.busy));
        async move {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The sender lives as long as any window does.
                _ = busy.wait_for(|busy| *busy <= own) => {}
            }
        }
    }

    /// It took one.
    pub(super) fn took(&mut self) {
        self.taken = self.taken.saturating_add(1);
        self.crowd.0.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it has work in hand now.
    pub(super) fn is_busy(&mut self, busy: bool) {
        if self.busy != busy {
            self.busy = busy;
            self.crowd.0.busy.send_modify(|count| *count = if busy { *count + 1 } else { count.saturating_sub(1) });
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.is_busy(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn two(now: Instant) -> (Window, Window) {
        let crowd = Crowd::default();
        (Window::new(Share::default(), crowd.clone(), now), Window::new(Share::default(), crowd, now))
    }

    #[test]
    fn a_tenant_that_is_alone_never_waits() {
        let now = Instant::now();
        let (mut flood, _idle) = two(now);
        flood.is_busy(true);
        for _ in 0..10_000 {
            assert_eq!(flood.wait(now), None);
            flood.took();
        }
    }

    #[test]
    fn a_flood_waits_for_its_next_window_while_another_has_work_and_goes_on_when_it_has_none() {
        let now = Instant::now();
        let (mut flood, mut other) = two(now);
        flood.is_busy(true);
        other.is_busy(true);
        other.took();
        (0..Share::default().deliveries).for_each(|_| flood.took());
        assert_eq!(flood.wait(now), Some(Share::default().window));
        other.is_busy(false);
        assert_eq!(flood.wait(now), None);
        drop(other);
        assert_eq!(flood.wait(now), None);
    }

    #[test]
    fn one_whose_work_only_waits_holds_nobody_back_after_a_window() {
        let (now, window) = (Instant::now(), Share::default().window);
        let (mut flood, mut hangs) = two(now);
        flood.is_busy(true);
        hangs.is_busy(true);
        hangs.took();
        let take_all = |flood: &mut Window, at| {
            let mut taken = 0;
            while flood.wait(at).is_none() && taken < 1000 {
                flood.took();
                taken += 1;
            }
            taken
        };
        assert_eq!(take_all(&mut flood, now), Share::default().deliveries, "it was just at work");
        assert_eq!(take_all(&mut flood, now + window), Share::default().deliveries, "it was at work in the window before");
        assert_eq!(take_all(&mut flood, now + window * 2), 1000);
        hangs.took();
        assert!(flood.wait(now + window * 2).is_some(), "it goes on");
    }

    proptest! {
        #[test]
        fn in_any_window_a_tenant_takes_no_more_than_twice_its_share_while_others_have_work(steps in proptest::collection::vec(0u64..40, 1..400)) {
            let start = Instant::now();
            let (mut flood, mut other) = two(start);
            other.is_busy(true);
            other.took();
            flood.is_busy(true);
            let (mut now, mut taken) = (start, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                other.took();
                while flood.wait(now).is_none() {
                    flood.took();
                    taken.push(now);
                }
            }
            let share = Share::default();
            for (i, at) in taken.iter().enumerate() {
                let within = taken[i..].iter().take_while(|t| t.duration_since(*at) < share.window).count();
                prop_assert!(within <= 2 * share.deliveries as usize, "{within}");
            }
        }
    }
}
