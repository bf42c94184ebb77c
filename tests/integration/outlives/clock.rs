//! A clock that is a month ahead, and then is right: what was to be tried again in seconds is tried again in seconds.

use super::RETRY_UNIT;
use crate::support::{
    clock::SetClock,
    crowd::Crowd,
    hub::{Pair, on_ground, until},
};
use atshub::{
    app::{self, TheClock, Tuning},
    demo::world::{Cast, World},
    http,
};
use atshub_simulators::Fault;
use std::{sync::Arc, time::Duration};

/// Candidates, and so many first attempts at inviting them that fail.
const COUNT: usize = 8;
const MONTH: i64 = 30;

/// Lets the hub go by a clock that is ahead, until every candidate waits for another attempt; then the clock is right, with another hub or
/// with the same one.
fn ahead_and_back(pair: Pair, with_another_hub: bool) {
    on_ground(pair, async |ground, handle| {
        let clock = Arc::new(SetClock::default());
        let tuned = || {
            let calls = http::Options { total_time: Duration::from_secs(2), ..http::Options::default() };
            Tuning { calls, clock: TheClock(Some(Arc::clone(&clock) as _)), ..Tuning::default() }
        };
        clock.set_days_ahead(MONTH);
        let cast = Cast { ashby: vec!["acme".into()], bridges: Vec::new() };
        let world = World::start(&cast, RETRY_UNIT).await.unwrap();
        let mut running = app::start(&ground.config, handle.clone(), tuned()).await.unwrap();
        world.register(&cast, &*running.hub.store(), &running.sealer).await.unwrap();
        running.hub.reload().await.unwrap();
        world.point_at(&format!("http://{}", running.address));
        world.platform.faults().next("createInvitation", Fault::Fail(503), COUNT);
        let mut crowd = Crowd::of(&world, 0).await;
        crowd.enter(COUNT).await;
        crowd.is_taken().await;
        assert!(until(async || world.platform.faults().pending() == 0).await, "each is tried once");
        if with_another_hub {
            running.stop(Duration::from_secs(10)).await;
            clock.set_days_ahead(0);
            running = app::start(&ground.config, handle, tuned()).await.unwrap();
            world.point_at(&format!("http://{}", running.address));
        } else {
            clock.set_days_ahead(0);
        }
        crowd.is_shown_as_invited().await;
        crowd.enter(2).await;
        crowd.is_shown_as_invited().await;
        running.stop(Duration::from_secs(10)).await;
        assert_eq!(crowd.wrong(), [""; 0]);
    });
}

#[test]
fn a_hub_on_real_services_whose_clock_was_a_month_ahead_loses_nobody_once_another_runs_with_the_right_time() {
    ahead_and_back(Pair::Real, true);
}

#[test]
fn a_hub_on_the_embedded_pair_whose_clock_was_a_month_ahead_loses_nobody_once_another_runs_with_the_right_time() {
    ahead_and_back(Pair::Embedded, true);
}

#[test]
fn a_hub_on_the_embedded_pair_whose_clock_is_set_back_by_a_month_under_it_loses_nobody() {
    ahead_and_back(Pair::Embedded, false);
}
