//! What is said in the log of messages that are parked: the first of each cause at once, those that follow it once a minute by their
//! number, so that a flood of them is one line.

use atshub_actors::ports::Parked;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// How often one cause is spoken of.
const EVERY: Duration = Duration::from_secs(60);

/// What was said of one queue's parked messages, by code.
#[derive(Default)]
pub(super) struct Told(BTreeMap<String, Cause>);

struct Cause {
    said: Instant,
    since: u64,
    queue: String,
}

impl Told {
    /// A message is parked.
    pub(super) fn parked(&mut self, parked: &Parked, now: Instant) {
        self.tell(now);
        if let Some(cause) = self.0.get_mut(&parked.code) {
            cause.since += 1;
            return;
        }
        let Parked { queue, code, routing_key, field, .. } = parked;
        let field = field.as_deref().unwrap_or_default();
        tracing::warn!(
            messaging.destination.name = queue,
            code,
            field,
            routing_key,
            "a message is parked; of others with this code only the number is told, once a minute"
        );
        self.0.insert(code.clone(), Cause { said: now, since: 0, queue: queue.clone() });
    }

    /// Whether there is, or may be, something to tell.
    pub(super) fn counts(&self) -> bool {
        !self.0.is_empty()
    }

    /// When there is something to tell next.
    pub(super) fn next(&self) -> Instant {
        self.0.values().map(|cause| cause.said + EVERY).min().unwrap_or_else(|| Instant::now() + EVERY)
    }

    /// Tells what is due, and forgets the causes of which there was nothing more.
    pub(super) fn tell(&mut self, now: Instant) {
        self.0.retain(|code, cause| {
            if now < cause.said + EVERY {
                return true;
            }
            let (count, queue) = (std::mem::take(&mut cause.since), &cause.queue);
            if count > 0 {
                cause.said = now;
                tracing::warn!(messaging.destination.name = queue, code, count, "more messages are parked under this code");
            }
            count > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use jiff::Timestamp;

    fn parked(code: &str) -> Parked {
        Parked {
            at: Timestamp::UNIX_EPOCH,
            tenant: None,
            queue: "atshub.unrouted".into(),
            exchange: String::new(),
            routing_key: "nobody.x".into(),
            message_id: None,
            kind: None,
            code: code.into(),
            field: None,
            detail: String::new(),
            body: Bytes::new(),
            cut: None,
        }
    }

    fn waiting(told: &Told) -> Vec<(&str, u64)> {
        told.0.iter().map(|(code, cause)| (code.as_str(), cause.since)).collect()
    }

    #[test]
    fn the_first_of_each_cause_is_told_at_once_and_the_others_are_counted_until_a_minute_is_over() {
        let (mut told, start) = (Told::default(), Instant::now());
        for _ in 0..1_000 {
            told.parked(&parked("unknown_tenant"), start);
        }
        told.parked(&parked("dead_letter"), start + Duration::from_secs(1));
        assert_eq!(waiting(&told), [("dead_letter", 0), ("unknown_tenant", 999)]);
        assert_eq!(told.next(), start + EVERY);
        told.tell(start + EVERY - Duration::from_millis(1));
        assert_eq!(waiting(&told), [("dead_letter", 0), ("unknown_tenant", 999)], "not due yet");
        told.tell(start + EVERY);
        assert_eq!(waiting(&told), [("dead_letter", 0), ("unknown_tenant", 0)], "told, and counted anew");
        told.tell(start + 3 * EVERY);
        assert!(!told.counts(), "causes that are over are forgotten: the next is told at once");
    }
}
