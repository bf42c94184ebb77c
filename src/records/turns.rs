//! Turns in the shared queue of invitations: whose request goes first while many wait. A tenant that asks for no more than a
//! few a second is always in time; one that asks for more has its requests numbered ahead of the clock, so that they wait for
//! each other and not before anybody else's. Nothing is held back by this: a turn that has not come yet is taken all the same
//! while nobody else waits.

use jiff::{SignedDuration, Timestamp};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Between two requests of one tenant while others wait: its share is ten a second.
const SPACE: SignedDuration = SignedDuration::from_millis(100);
/// A turn is never further ahead: what a flood leaves must not stand behind what comes an hour later.
const FURTHEST: SignedDuration = SignedDuration::from_hours(1);
/// Tenants remembered before those are forgotten whose turns are past.
const REMEMBERED: usize = 1024;

/// The last turn of each tenant, in memory: after a restart everybody is in time again.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Timestamp>>);

impl Turns {
    /// The tenant's next turn: now, or after its last one.
    pub(super) fn next(&self, tenant: &str, now: Timestamp) -> Timestamp {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= REMEMBERED {
            last.retain(|_, turn| *turn + SPACE > now);
        }
        let turn = last.get(tenant).map_or(now, |turn| (*turn + SPACE).max(now)).min(now + FURTHEST);
        last.insert(tenant.to_owned(), turn);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_asks_now_and_then_is_always_in_time() {
        let (turns, mut now) = (Turns::default(), Timestamp::UNIX_EPOCH);
        for _ in 0..100 {
            assert_eq!(turns.next("acme", now), now);
            now += SPACE;
        }
    }

    #[test]
    fn a_flood_waits_for_itself_and_for_nobody_else() {
        let (turns, now) = (Turns::default(), Timestamp::UNIX_EPOCH);
        for n in 0..1000 {
            assert_eq!(turns.next("flood", now), now + SPACE * n);
        }
        assert_eq!(turns.next("acme", now), now);
        for _ in 0..100_000 {
            assert!(turns.next("flood", now) <= now + FURTHEST);
        }
    }

    proptest! {
        #[test]
        fn a_tenants_turns_never_go_back(gaps in proptest::collection::vec(0i64..400, 1..60)) {
            let (turns, mut now, mut before) = (Turns::default(), Timestamp::UNIX_EPOCH, Timestamp::MIN);
            for gap in gaps {
                now += SignedDuration::from_millis(gap);
                let turn = turns.next("acme", now);
                prop_assert!(turn >= before && turn >= now);
                before = turn;
            }
        }
    }

    #[test]
    fn those_whose_turns_are_past_are_forgotten() {
        let (turns, now) = (Turns::default(), Timestamp::UNIX_EPOCH);
        for n in 0..REMEMBERED {
            turns.next(&format!("t-{n}"), now);
        }
        turns.next("acme", now + SPACE);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
