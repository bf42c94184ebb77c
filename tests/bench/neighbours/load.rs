//! The load: when which tenant has a candidate, drawn beforehand from a seed, so that two runs are given the same. Sent at its
//! time whatever the hub does: a hub that falls behind is not spared.

use crate::{
    Size,
    bad::{self, Bad},
    cast::Outside,
};
use atshub::demo::tally::Place;
use jiff::Timestamp;
use std::time::Duration;
use tokio::{task::JoinSet, time::Instant};

/// One candidate to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) tenant: usize,
    pub(crate) number: usize,
}

/// All that are to come, in order.
pub(crate) struct Plan {
    arrivals: Vec<Arrival>,
}

/// A candidate that was sent, and when.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) place: Place,
    pub(crate) tenant: usize,
    pub(crate) at: Timestamp,
    /// Since the load began.
    pub(crate) after: Duration,
}

/// SplitMix64: enough to spread a load, and the same on every machine.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1].
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

impl Plan {
    /// Candidates come independently of each other (exponential gaps), to tenants drawn evenly; and steadily, on top of that, to
    /// those that go bad, in both runs: what few messages bring about says little.
    pub(crate) fn new(size: &Size, rate: f64, warm_up: Duration) -> Self {
        let mut draw = Draw(size.seed);
        let end = (warm_up + Duration::from_secs(size.seconds)).as_secs_f64();
        let (mut arrivals, mut at) = (Vec::new(), 0.0);
        loop {
            at += -draw.fraction().ln() / rate;
            if at > end {
                break;
            }
            let tenant = (draw.next() % size.tenants as u64) as usize;
            arrivals.push(Arrival { at: Duration::from_secs_f64(at), tenant, number: arrivals.len() });
        }
        for tenant in bad::busy(size) {
            let first = arrivals.len();
            let times = (0..).map(|n| warm_up.as_secs_f64() + f64::from(n) / size.bad_rate).take_while(|at| *at < end);
            arrivals.extend(times.enumerate().map(|(n, at)| Arrival { at: Duration::from_secs_f64(at), tenant, number: first + n }));
        }
        arrivals.sort_by_key(|arrival| arrival.at);
        Self { arrivals }
    }

    pub(crate) fn len(&self) -> usize {
        self.arrivals.len()
    }

    pub(crate) fn time(&self) -> Duration {
        self.arrivals.last().map_or(Duration::ZERO, |a| a.at)
    }
}

/// Sends everything at its time. Answers with what was sent.
pub(crate) async fn play(outside: &Outside, plan: &Plan, bad: Option<&Bad>) -> Vec<Published> {
    let began = Instant::now();
    let (mut sending, mut published) = (JoinSet::new(), Vec::with_capacity(plan.len()));
    for arrival in &plan.arrivals {
        tokio::time::sleep_until(began + arrival.at).await;
        if let Some(bad) = bad {
            bad.before(arrival.tenant).await;
        }
        sending.spawn(outside.send(*arrival));
        while let Some(sent) = sending.try_join_next() {
            published.push(sent.unwrap());
        }
    }
    published.extend(sending.join_all().await);
    published
}
