//! Claims whose rows nobody has, because the answer was lost: to the commit that promised rows to the relay of this process, or to the
//! relay's own claim or putting off. They are let go of as soon as the database answers again: else they waited for the end of a lease
//! that nobody holds.

use super::connection::{Database, Fault};
use futures_util::FutureExt;
use jiff::Timestamp;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, mpsc};

/// Between two tries. What was sent before an answer was lost may be done later still.
const PAUSE: Duration = Duration::from_secs(1);

/// By the end of their lease: two that are the same let go of each other's rows, which then may be published twice.
const CLAIMED_UNTIL: &str = "update waiting set claimed_until = null where claimed_until = any ($1::timestamptz[])";
const NUMBERED: &str = "update waiting set claimed_until = null where number = any ($1::int8[]) and claimed_until is not null";

/// What nobody has.
#[derive(Debug)]
enum Unheard {
    /// Rows that are claimed until then, for so long.
    Until(Timestamp, Duration),
    /// These rows.
    Rows(Vec<i64>),
}

/// Takes claims to be let go of.
#[derive(Debug, Clone)]
pub(super) struct LettingGo(mpsc::UnboundedSender<Unheard>);

impl LettingGo {
    /// Rings when rows are free. Ends when nobody can ask any more.
    pub(super) fn start(database: Database, bell: Arc<Notify>) -> Self {
        let (sender, asked) = mpsc::unbounded_channel();
        database.io().clone().spawn(let_go(database, bell, asked));
        Self(sender)
    }

    /// Whatever is claimed until just then, for a lease of this length, is nobody's.
    pub(super) fn until(&self, end: Timestamp, lease: Duration) {
        let _closing = self.0.send(Unheard::Until(end, lease));
    }

    /// These rows are nobody's.
    pub(super) fn rows(&self, numbers: Vec<i64>) {
        let _closing = self.0.send(Unheard::Rows(numbers));
    }
}

async fn let_go(database: Database, bell: Arc<Notify>, mut asked: mpsc::UnboundedReceiver<Unheard>) {
    // A claim that is not there yet may still come: it is looked for until its lease would be over.
    let (mut ends, mut numbers) = (BTreeMap::<Timestamp, Instant>::new(), Vec::new());
    loop {
        if ends.is_empty() && numbers.is_empty() {
            let Some(first) = asked.recv().await else { return };
            note(first, &mut ends, &mut numbers);
        }
        tokio::time::sleep(PAUSE).await;
        while let Ok(more) = asked.try_recv() {
            note(more, &mut ends, &mut numbers);
        }
        let until: Vec<Timestamp> = ends.keys().copied().collect();
        match free(&database, until, numbers.clone()).await {
            Ok(free) => {
                numbers.clear();
                if free > 0 {
                    tracing::info!(rows = free, "messages whose claim had no answer are to be published again");
                    bell.notify_one();
                }
            }
            Err(fault) => tracing::debug!(?fault, "claims that nobody has wait for the store"),
        }
        let now = Instant::now();
        ends.retain(|_, over| *over > now);
    }
}

fn note(unheard: Unheard, ends: &mut BTreeMap<Timestamp, Instant>, numbers: &mut Vec<i64>) {
    match unheard {
        Unheard::Until(end, lease) => {
            ends.insert(end, Instant::now() + lease);
        }
        Unheard::Rows(more) => numbers.extend(more),
    }
}

async fn free(database: &Database, ends: Vec<Timestamp>, numbers: Vec<i64>) -> Result<u64, Fault> {
    database
        .run(move |connection| {
            async move {
                let mut free = 0;
                if !ends.is_empty() {
                    free += connection.execute(&connection.prepare_cached(CLAIMED_UNTIL).await?, &[&ends]).await?;
                }
                if !numbers.is_empty() {
                    free += connection.execute(&connection.prepare_cached(NUMBERED).await?, &[&numbers]).await?;
                }
                Ok(free)
            }
            .boxed()
        })
        .await
}
