//! The database's clock beside this process's own. Times that decide when something is done (due times, leases, ends of standings)
//! stand in the store by the database's clock, so that processes whose clocks differ agree, and one whose clock is wrong does no
//! harm by it. Where the two agree but for seconds, a time is kept as it is given.

use super::{
    connection::{Database, Fault},
    registry,
};
use crate::records::{LONGEST_LEASE, PULLED_LEASE, Rows, TOLERANCE};
use atshub_actors::ports::Clock;
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// Both clocks. Clones are the same.
#[derive(Clone)]
pub(super) struct Clocks {
    own: Arc<dyn Clock>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What the database's clock said, and when that was heard by a clock that nobody sets.
    server: Option<(Timestamp, Instant)>,
    told: bool,
}

impl Clocks {
    pub(super) fn new(own: Arc<dyn Clock>) -> Self {
        Self { own, seen: Arc::default() }
    }

    /// The time by this process's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.own.now()
    }

    /// The database's clock has said this.
    pub(super) fn heard(&self, server: Timestamp) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.server = Some((server, Instant::now()));
        let ahead = self.own.now().duration_since(server);
        let differs = ahead.abs() > TOLERANCE;
        if differs && !seen.told {
            tracing::warn!(ahead_s = ahead.as_secs(), "this machine's clock and the database's differ; what is due goes by the database's");
        } else if !differs && seen.told {
            tracing::info!("this machine's clock and the database's agree again");
        }
        seen.told = differs;
    }

    /// How far this process's clock is ahead of the database's, if that is more than a slow answer explains.
    fn ahead(&self) -> SignedDuration {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((server, at)) = seen.server else { return SignedDuration::ZERO };
        let since = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::ZERO);
        let ahead = self.own.now().duration_since(server) - since;
        if ahead.abs() > TOLERANCE { ahead } else { SignedDuration::ZERO }
    }

    /// A time of this process, as the database has it.
    pub(super) fn to_store(&self, time: Timestamp) -> Timestamp {
        time.checked_sub(self.ahead()).unwrap_or(time)
    }

    /// The way back from [`Clocks::to_store`].
    pub(super) fn to_own(&self, time: Timestamp) -> Timestamp {
        time.checked_add(self.ahead()).unwrap_or(time)
    }

    /// The times of a change, as the database has them.
    pub(super) fn rows(&self, rows: Rows) -> Rows {
        let ahead = self.ahead();
        if ahead.is_zero() { rows } else { rows.moved(|time| time.checked_sub(ahead).unwrap_or(time)) }
    }
}

/// Asks the database for the time.
pub(super) async fn ask(database: &Database, clocks: &Clocks) -> Result<(), Fault> {
    let server = database.run(|c| async move { Ok(c.query_one("select clock_timestamp()", &[]).await?.try_get(0)?) }.boxed()).await?;
    clocks.heard(server);
    Ok(())
}

/// A wait that was set by a clock that is ahead of this one was set by a wrong one: it keeps its length, from now on.
const WAITS: &str = "update waiting set made_at = clock_timestamp(), claimed_until = null, \
    due = clock_timestamp() + greatest(due - made_at, interval '0'), \
    not_before = case when not_before is null then null else clock_timestamp() + greatest(not_before - made_at, interval '0') end \
    where made_at > clock_timestamp() + make_interval(secs => $1)";
const HANDED_OUT: &str = "update waiting set claimed_until = null where claimed_until > clock_timestamp() + make_interval(secs => $1)";
const HELD: &str = "update attempts set held_until = clock_timestamp() + make_interval(secs => $2) \
    where held_until > clock_timestamp() + make_interval(secs => $1)";
const NEXT: &str = "update attempts set updated_at = clock_timestamp(), next_at = clock_timestamp() + greatest(next_at - updated_at, interval '0') \
    where next_at is not null and updated_at > clock_timestamp() + make_interval(secs => $1)";

/// Pulls back what a wrong clock has put far ahead; answers how much that was.
pub(super) async fn pull_back(database: &Database, clocks: &Clocks) -> Result<u64, Fault> {
    ask(database, clocks).await?;
    let [tolerance, longest, pulled] = [TOLERANCE, LONGEST_LEASE, PULLED_LEASE].map(|span| span.as_secs_f64());
    let pulled = database
        .run(move |connection| {
            async move {
                let mut rows = 0;
                for (sql, most) in [(WAITS, tolerance), (HANDED_OUT, longest), (NEXT, tolerance)] {
                    rows += connection.execute(&connection.prepare_cached(sql).await?, &[&most]).await?;
                }
                rows += connection.execute(&connection.prepare_cached(HELD).await?, &[&longest, &pulled]).await?;
                Ok(rows)
            }
            .boxed()
        })
        .await?;
    Ok(pulled + registry::pull_back(database, TOLERANCE).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Set(Mutex<Timestamp>);

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_clock_that_differs_by_more_than_a_slow_answer_is_reckoned_with_and_no_other() {
        let base = Timestamp::from_second(1_000_000_000).unwrap();
        for (ahead, reckoned) in [(0, 0), (60, 0), (-60, 0), (30 * 86_400, 30 * 86_400), (-3_600, -3_600)] {
            let own = Arc::new(Set(Mutex::new(base + SignedDuration::from_secs(ahead))));
            let clocks = Clocks::new(own.clone());
            assert_eq!(clocks.to_store(base), base, "nothing is known of the database's yet");
            clocks.heard(base);
            let off = clocks.to_store(base).duration_since(base - SignedDuration::from_secs(reckoned));
            assert!(off.abs() < SignedDuration::from_secs(5), "{ahead}: {off}");
            // And a clock that is set between two answers.
            *own.0.lock().unwrap() = base + SignedDuration::from_hours(48);
            let off = clocks.to_own(base).duration_since(base + SignedDuration::from_hours(48));
            assert!(off.abs() < SignedDuration::from_secs(5), "{ahead}: {off}");
        }
    }
}
