//! The fairness window: a tenant may take a share of deliveries freely in each window of time; past that it takes more only while
//! no other tenant of this process has work in hand. One tenant's flood then costs the others next to nothing, and a tenant that
//! is alone is not held back at all.

use std::{
    sync::Arc,
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

/// Who has work in hand, over all tenants of a process. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Crowd(Arc<watch::Sender<usize>>);

impl Default for Crowd {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
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
}

impl Window {
    pub(super) fn new(share: Share, crowd: Crowd, now: Instant) -> Self {
        Self { share, crowd, busy: false, taken: 0, began: now }
    }

    /// How long this tenant has to wait before it may take another delivery; `None`: not at all.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= self.share.window {
            (self.began, self.taken) = (now, 0);
        }
        let others = *self.crowd.0.borrow() > usize::from(self.busy);
        (others && self.taken >= self.share.deliveries).then(|| self.share.window.saturating_sub(elapsed).max(Duration::from_millis(1)))
    }

    /// Waits until this tenant may take another delivery: its next window begins after `wait`, or all others are done.
    pub(super) fn opens(&self, wait: Duration) -> impl Future<Output = ()> + use<> {
        let (mut crowd, own) = (self.crowd.0.subscribe(), usize::from(self.busy));
        async move {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // The sender lives as long as any window does.
                _ = crowd.wait_for(|busy| *busy <= own) => {}
            }
        }
    }

    /// It took one.
    pub(super) fn took(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// Whether it has work in hand now.
    pub(super) fn is_busy(&mut self, busy: bool) {
        if self.busy != busy {
            self.busy = busy;
            self.crowd.0.send_modify(|count| *count = if busy { *count + 1 } else { count.saturating_sub(1) });
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
        (0..Share::default().deliveries).for_each(|_| flood.took());
        assert_eq!(flood.wait(now), Some(Share::default().window));
        other.is_busy(false);
        assert_eq!(flood.wait(now), None);
        drop(other);
        assert_eq!(flood.wait(now), None);
    }

    proptest! {
        #[test]
        fn in_any_window_a_tenant_takes_no_more_than_twice_its_share_while_others_have_work(steps in proptest::collection::vec(0u64..40, 1..400)) {
            let start = Instant::now();
            let (mut flood, mut other) = two(start);
            other.is_busy(true);
            flood.is_busy(true);
            let (mut now, mut taken) = (start, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
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
