//! Keeps a store right whose clock, or whose past, is not what it was: what a wrong clock put far ahead is pulled back, and after
//! going back to an older state what may be lost at the broker is sent again, and what may have been asked already is looked for.

use atshub_actors::ports::{Clock, Store, StoreError};
use jiff::SignedDuration;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// How often the store is looked at: another process's clock, or the store's own, may have been wrong.
const LOOK: Duration = Duration::from_secs(30);
/// How often this process's clock is looked at.
const GLANCE: Duration = Duration::from_secs(1);
/// A clock that was set by more than this was wrong before or is now.
const JUMP: SignedDuration = SignedDuration::from_secs(60);

/// For so long after going back the platform is looked at before it is asked: longer than work is tried again.
const WARY: SignedDuration = SignedDuration::from_hours(24);

/// Looks, puts right, and says so; and whether the store went back lately.
pub(super) async fn look(store: &dyn Store, clock: &dyn Clock, went_back: &AtomicBool) -> Result<(), StoreError> {
    let pulled = store.pull_back().await?;
    if pulled > 0 {
        tracing::warn!(pulled, "a clock was ahead, and is right again; what was to wait until then waits no longer than it was meant to");
    }
    if let Some(again) = store.gone_back().await?.filter(|again| *again > 0) {
        tracing::warn!(again, "the store was restored or copied; what the hub had sent, and is not handled here, goes out again");
    }
    let lately = store.went_back().await?.is_some_and(|at| clock.now().duration_since(at) < WARY);
    went_back.store(lately, Ordering::Relaxed);
    Ok(())
}

/// Looks again and again, and at once when the clock was set.
pub(super) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, went_back: Arc<AtomicBool>) {
    let mut looked = Instant::now();
    let mut glance = (Instant::now(), clock.now());
    loop {
        tokio::time::sleep(GLANCE).await;
        let before = std::mem::replace(&mut glance, (Instant::now(), clock.now()));
        let passed = SignedDuration::try_from(glance.0.duration_since(before.0)).unwrap_or(SignedDuration::ZERO);
        let jumped = (glance.1.duration_since(before.1) - passed).abs() > JUMP;
        if !jumped && looked.elapsed() < LOOK {
            continue;
        }
        looked = Instant::now();
        if let Err(error) = look(&*store, &*clock, &went_back).await {
            tracing::debug!(%error, "the store could not be looked at for what a wrong clock left behind; trying again");
        }
    }
}
