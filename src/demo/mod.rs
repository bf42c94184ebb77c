//! The demonstration: the whole hub on whatever broker and store, a simulated outside, a script, and a tally of what happened
//! there. `demo` plays on; `demo --once` plays the script and ends with a table.

pub mod bridge;
mod run;
pub mod script;
pub mod tally;
pub mod world;

pub use run::{DemoError, Options, Summary, run};

use std::time::Duration;
use tally::{Expectations, Happened};
use world::World;

/// How often the ledgers are looked at while the script's effects are awaited.
const LOOK: Duration = Duration::from_millis(100);

/// What happened at the outside so far.
#[must_use]
pub fn happened(world: &World) -> Happened {
    let mut happened = Happened { platform: world.platform.ledger().effects(), ..Happened::default() };
    for (tenant, ats) in &world.ashby {
        happened.ats.insert(tenant.to_string(), ats.ledger().effects());
    }
    for bridge in &world.bridges {
        happened.ats.insert(bridge.tenant().to_string(), bridge.ledger().effects());
    }
    happened
}

/// Waits until nothing expected is missing, or the limit. True if it is so.
pub async fn until_complete(world: &World, expected: &Expectations, limit: Duration, mut look: impl FnMut(&Happened)) -> bool {
    let waiting = async {
        loop {
            let so_far = happened(world);
            look(&so_far);
            if tally::complete(expected, &so_far) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(limit, waiting).await.is_ok()
}
