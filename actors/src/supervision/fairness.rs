//! Fairness: each tenant has an allowance of deliveries, a token bucket. While the store keeps up with what is done, nobody is held to it:
//! nobody is in anybody's way. When it is behind, a tenant that has used up its allowance takes more only while nobody who keeps within one
//! is at work, and the more the longer that lasts: whoever comes after a short gap finds little of it in the way. A tenant's flood then
//! costs the others little, and a tenant that is alone is not held back at all, nor by another flood, nor by one whose work only waits, for
//! an ATS that hangs. Where all have much to do, an allowance is twice what the others take each: nobody is a flood for doing as they do.

use crate::lag::Lag;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How much a tenant may take freely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Deliveries in a second.
    pub per_second: u32,
    /// Deliveries that one which took none for a while may take at once.
    pub saved: u32,
    /// When nobody who keeps within a share took anything for so long, a flood may take more; after four times that, all.
    pub quiet: Duration,
}

/// Stretches of quiet until a flood is no longer held at all.
const STEPS: u32 = 4;
/// How many times as much it may take in each stretch as in the one before.
const GROWTH: u32 = 4;
/// Over how long it is counted what tenants take.
const STRETCH: Duration = Duration::from_secs(4);
/// How many times as much as each of the others a tenant may take, where that is more than its share.
const AS_OTHERS: f64 = 2.0;
/// Shortest wait for a delivery.
const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Share {
    /// A candidate costs a tenant about five deliveries: one that comes a second is within it, and so are six that come at once.
    fn default() -> Self {
        Self::of(8)
    }
}

impl Share {
    /// So many in a second, of which those of four seconds can be saved up.
    #[must_use]
    pub fn of(per_second: u32) -> Self {
        Self { per_second, saved: per_second.saturating_mul(4), quiet: Duration::from_millis(250) }
    }
}

/// Which tenants of a process are at work, of those that keep within their allowances. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<Members>);

#[derive(Debug, Default)]
struct Members {
    count: AtomicU64,
    recent: Mutex<Recent>,
    lag: Lag,
}

/// Who took something last, and who did before that: one of the two is another, whoever asks.
#[derive(Debug, Default)]
struct Recent {
    last: Option<(u64, Instant)>,
    other: Option<(u64, Instant)>,
    /// Deliveries by member, of the stretch that goes on and of the one before.
    taken: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
    before_in_all: u32,
    since: Option<Instant>,
}

impl Recent {
    fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let stretches = now.saturating_duration_since(since).as_secs() / STRETCH.as_secs();
        if stretches > 0 {
            self.before = std::mem::take(&mut self.taken);
            self.since = Some(now);
        }
        if stretches > 1 {
            self.before.clear();
        }
        if stretches > 0 {
            self.before_in_all = self.before.values().sum();
        }
    }
}

impl Crowd {
    pub(super) fn new(lag: Lag) -> Self {
        Self(Arc::new(Members { lag, ..Members::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `floods`: what it takes holds nobody back.
    fn took(&self, member: u64, floods: bool, now: Instant) {
        let mut recent = self.lock();
        recent.turn(now);
        *recent.taken.entry(member).or_default() += 1;
        if floods {
            return;
        }
        if recent.last.is_some_and(|(last, _)| last != member) {
            recent.other = recent.last;
        }
        recent.last = Some((member, now));
    }

    fn others_took_at(&self, member: u64) -> Option<Instant> {
        let (last, other) = {
            let recent = self.lock();
            (recent.last, recent.other)
        };
        last.filter(|(last, _)| *last != member).or(other).map(|(_, at)| at)
    }
}

impl Crowd {
    /// Deliveries a second that each of the others took lately, who took any.
    fn others_take(&self, member: u64, now: Instant) -> f64 {
        let mut recent = self.lock();
        recent.turn(now);
        let own = recent.before.get(&member);
        let others = recent.before.len() - usize::from(own.is_some());
        f64::from(recent.before_in_all - own.unwrap_or(&0)) / others.max(1) as f64 / STRETCH.as_secs_f64()
    }
}

/// One tenant's allowance.
#[derive(Debug)]
pub(super) struct Allowance {
    share: Share,
    crowd: Crowd,
    member: u64,
    /// Deliveries a second, for now.
    per_second: f64,
    tokens: f64,
    counted_at: Instant,
    took_at: Instant,
    /// It has used up what it had, and has not kept within its share since: what it takes holds nobody back.
    floods: bool,
}

impl Allowance {
    pub(super) fn new(share: Share, crowd: Crowd, now: Instant) -> Self {
        let member = crowd.0.count.fetch_add(1, Ordering::Relaxed);
        Self {
            share,
            crowd,
            member,
            per_second: share.per_second.into(),
            tokens: share.saved.into(),
            counted_at: now,
            took_at: now,
            floods: false,
        }
    }

    fn count(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        let saved = f64::from(self.share.saved);
        self.tokens = (self.tokens + elapsed * self.per_second).min(saved);
        self.counted_at = now;
        if self.tokens >= saved / 2.0 {
            self.floods = false;
        }
    }

    /// How long this tenant has to wait before it may take another delivery; `None`: not at all.
    pub(super) fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.count(now);
        if self.tokens >= 1.0 {
            return None;
        }
        self.floods = true;
        self.per_second = f64::from(self.share.per_second).max(AS_OTHERS * self.crowd.others_take(self.member, now));
        if !self.crowd.0.lag.is_behind(now) {
            return None;
        }
        let others_took_at = self.crowd.others_took_at(self.member)?;
        let per_second = self.per_second.max(1.0);
        let token = now + Duration::from_secs_f64((1.0 - self.tokens) / per_second).max(SHORTEST);
        // The first moment at which some stretch of quiet lets the next one go.
        let steps = (1..=STEPS).map(|step| {
            let begins = others_took_at + self.share.quiet * step;
            let apart = if step < STEPS { 1.0 / (per_second * f64::from(GROWTH.pow(step))) } else { 0.0 };
            begins.max(self.took_at + Duration::from_secs_f64(apart))
        });
        let left = steps.fold(token, Instant::min).checked_duration_since(now).filter(|left| !left.is_zero())?;
        Some(left.max(SHORTEST))
    }

    /// Whether it has used up what it had, and has not kept within its share since.
    pub(super) fn floods(&self) -> bool {
        self.floods
    }

    /// It took one.
    pub(super) fn took(&mut self, now: Instant) {
        self.count(now);
        self.took_at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
        }
        self.crowd.took(self.member, self.floods, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUIET: Duration = Duration::from_millis(250);
    const SHARE: Share = Share { per_second: 10, saved: 20, quiet: QUIET };

    fn tenants<const N: usize>(now: Instant) -> [Allowance; N] {
        let crowd = Crowd::new(Lag::said(true));
        std::array::from_fn(|_| Allowance::new(SHARE, crowd.clone(), now))
    }

    /// Takes as much as it may, of so many.
    fn take(tenant: &mut Allowance, most: usize, at: Instant) -> usize {
        (0..most).take_while(|_| tenant.wait(at).is_none().then(|| tenant.took(at)).is_some()).count()
    }

    #[test]
    fn while_the_store_keeps_up_nobody_waits() {
        let now = Instant::now();
        let crowd = Crowd::new(Lag::said(false));
        let [mut flood, mut other] = std::array::from_fn(|_| Allowance::new(SHARE, crowd.clone(), now));
        other.took(now);
        assert_eq!(take(&mut flood, 10_000, now), 10_000);
        assert!(flood.floods());
    }

    #[test]
    fn where_all_do_much_nobody_is_a_flood_for_doing_as_they_do_and_one_that_does_far_more_is() {
        let (start, step) = (Instant::now(), Duration::from_millis(100));
        let [mut first, mut second, mut third, mut flood] = tenants(start);
        let (mut held, mut taken) = (0, 0);
        for step in (0..200).map(|n| step * n) {
            let now = start + step;
            for tenant in [&mut first, &mut second, &mut third] {
                held += usize::from(take(tenant, 3, now) < 3 && step > STRETCH);
            }
            taken += if step > STRETCH + Duration::from_secs(1) { take(&mut flood, 100, now) } else { 0 };
        }
        // Thirty a second each, three times the share; twice that for the flood.
        assert_eq!(held, 0);
        assert!((850..=1_000).contains(&taken), "{taken}");
    }

    #[test]
    fn a_tenant_that_is_alone_never_waits() {
        let now = Instant::now();
        let [mut flood, _idle] = tenants(now);
        assert_eq!(take(&mut flood, 10_000, now), 10_000);
    }

    #[test]
    fn a_flood_is_held_to_its_share_while_another_is_at_work_and_goes_on_when_none_is() {
        let now = Instant::now();
        let [mut flood, mut other] = tenants(now);
        other.took(now);
        assert_eq!(take(&mut flood, 1000, now), 20, "what it had saved");
        assert_eq!(flood.wait(now), Some(Duration::from_millis(100)), "until it has one more");
        assert_eq!(take(&mut flood, 1000, now + QUIET - Duration::from_millis(1)), 2);
        let long_quiet = now + QUIET * STEPS;
        assert_eq!(take(&mut flood, 1000, long_quiet), 1000, "the other's work only waits, or is done");
        other.took(long_quiet);
        assert!(flood.wait(long_quiet).is_some());
    }

    #[test]
    fn the_longer_the_others_are_quiet_the_more_a_flood_takes() {
        let start = Instant::now();
        let [mut flood, mut other] = tenants(start);
        take(&mut flood, 1000, start);
        other.took(start);
        let taken_in = |flood: &mut Allowance, from: Duration, to: Duration| {
            let (mut now, mut taken) = (start + from, 0);
            while now < start + to {
                match flood.wait(now) {
                    Some(wait) => now += wait,
                    None if taken == 1000 => break,
                    None => {
                        flood.took(now);
                        taken += 1;
                    }
                }
            }
            taken
        };
        let stretches: Vec<usize> = (0..5).map(|step| taken_in(&mut flood, QUIET * step, QUIET * (step + 1))).collect();
        // A quarter of a second each, at 10, 40, 160 and 640 a second and then without a limit.
        assert_eq!((stretches[0], stretches[4]), (2, 1000), "{stretches:?}");
        for (taken, rate) in [(stretches[1], 40), (stretches[2], 160), (stretches[3], 640)] {
            assert!((rate / 4..=rate / 4 + 4).contains(&taken), "{stretches:?}");
        }
    }

    #[test]
    fn two_floods_do_not_hold_each_other_back_and_both_make_way_for_a_third_tenant() {
        let now = Instant::now();
        let [mut one, mut two, mut third] = tenants(now);
        assert_eq!(take(&mut one, 1000, now), 1000);
        assert_eq!(take(&mut two, 1000, now), 20, "nobody knew that the first is a flood before it had taken its share");
        for step in 1..STEPS {
            take(&mut one, 1000, now + QUIET * step);
            take(&mut two, 1000, now + QUIET * step);
        }
        let later = now + QUIET * STEPS;
        assert_eq!((take(&mut one, 1000, later), take(&mut two, 1000, later)), (1000, 1000));
        third.took(later);
        assert_eq!((take(&mut one, 1000, later), take(&mut two, 1000, later)), (0, 0));
        let much_later = later + Duration::from_secs(10);
        assert_eq!(take(&mut one, 15, much_later), 15, "a flood that is over has saved up again");
        assert!(!one.floods());
    }

    proptest! {
        #[test]
        fn while_others_keep_within_theirs_a_tenant_takes_what_it_had_saved_and_its_share_and_no_more(steps in proptest::collection::vec(200u64..250, 1..400)) {
            let start = Instant::now();
            let [mut flood, mut other] = tenants(start);
            let (mut now, mut taken) = (start, 0);
            for step in steps {
                now += Duration::from_millis(step);
                prop_assert_eq!(other.wait(now), None, "who keeps within a share never waits");
                other.took(now);
                taken += take(&mut flood, 1000, now);
                let most = f64::from(SHARE.saved) + now.duration_since(start).as_secs_f64() * f64::from(SHARE.per_second);
                prop_assert!(taken as f64 <= most + 0.001 && taken as f64 > most - f64::from(SHARE.saved) - 1.0, "{taken} of {most}");
            }
        }

        #[test]
        fn a_wait_is_never_in_vain(offset in 0u64..1000) {
            let start = Instant::now();
            let [mut flood, mut other] = tenants(start);
            other.took(start);
            let now = start + Duration::from_millis(offset);
            take(&mut flood, 1000, start);
            take(&mut flood, 1000, now);
            let wait = flood.wait(now).unwrap();
            prop_assert_eq!(flood.wait(now + wait + Duration::from_micros(1)), None);
        }
    }
}
