//! Which of two things that were said of the same thing is the newer one. Each aspect of a dossier (stage, order, person, job) is
//! compared with itself only, by the clock of its source: a correction of a phone makes no move look old.
//!
//! Within person and job each field has its own time, because a fact may say a part: whatever order facts arrive in, each field ends
//! with what was said of it last.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far ahead of our clock a fact may have happened.
pub(super) const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// When a fact happened, as far as that is believed: one from further ahead happened now. Taken at its word, a single one of
/// a producer with a wrong clock would make every later fact look older, and change nothing, for as long as it is ahead.
pub(super) fn believed(time: Timestamp, now: Timestamp) -> Timestamp {
    if time.duration_since(now) > MAX_AHEAD { now } else { time }
}

/// When something was said, and when the hub heard it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// By the clock of its source.
    pub time: Timestamp,
    /// By the hub's clock.
    pub received_at: Timestamp,
}

impl Mark {
    /// Whether something that was said at `time` counts after this. A mark that lies ahead of the hub's own clock was made while that
    /// clock was wrong: it counts for nothing, or every later fact would be ignored until the clock has caught up.
    #[must_use]
    pub fn gives_way_to(&self, time: Timestamp, now: Timestamp) -> bool {
        time >= self.time || self.time.duration_since(now) > MAX_AHEAD
    }
}

/// The times of one aspect: of the newest fact that said something of it, and of those fields that were not said then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aspect {
    /// The newest fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Mark>,
    /// Fields whose time is another one, and fields that are known to be empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Timestamp>,
}

/// One field while something is heard of its aspect.
pub(super) struct Field<'a, T> {
    pub name: &'static str,
    pub kept: &'a mut Option<T>,
    /// `None`: nothing is said. `Some(None)`: it is said that there is none.
    pub said: Option<Option<T>>,
}

/// What a field needs while its aspect hears something; so that fields of several types stand in one list.
pub(super) trait Hears {
    fn name(&self) -> &'static str;
    fn known(&self) -> bool;
    fn says(&self) -> bool;
    fn take(&mut self);
}

impl<T> Hears for Field<'_, T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn known(&self) -> bool {
        self.kept.is_some()
    }

    fn says(&self) -> bool {
        self.said.is_some()
    }

    fn take(&mut self) {
        if let Some(said) = self.said.take() {
            *self.kept = said;
        }
    }
}

impl Aspect {
    /// When the field was last said; `None` if it never was.
    pub(super) fn time_of(&self, name: &str, known: bool) -> Option<Timestamp> {
        self.fields.get(name).copied().or_else(|| self.newest.filter(|_| known).map(|mark| mark.time))
    }

    /// Hears what was said at `mark`: each field takes it that has nothing newer.
    pub(super) fn hear(&mut self, mark: Mark, now: Timestamp, fields: &mut [&mut dyn Hears]) {
        if !fields.iter().any(|field| field.says()) {
            return;
        }
        let times: Vec<Option<Timestamp>> = fields
            .iter_mut()
            .map(|field| {
                let kept = self.time_of(field.name(), field.known());
                let counts = kept.is_none_or(|time| Mark { time, ..mark }.gives_way_to(mark.time, now));
                if field.says() && counts {
                    field.take();
                    Some(mark.time)
                } else {
                    kept
                }
            })
            .collect();
        if self.newest.is_none_or(|newest| newest.gives_way_to(mark.time, now)) {
            self.newest = Some(mark);
        }
        let newest = self.newest.map(|newest| newest.time);
        for (field, time) in fields.iter().zip(times) {
            match time {
                Some(time) if Some(time) != newest || !field.known() => self.fields.insert(field.name().to_owned(), time),
                _ => self.fields.remove(field.name()),
            };
        }
    }
}

/// What is known of a dossier's aspects, by when it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// The newest fact that said where the application stands: moved, archived, hired, deleted, transferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Mark>,
    /// The newest assessment order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Mark>,
    /// The person, and who recruits and grades.
    #[serde(default)]
    pub person: Aspect,
    /// The job.
    #[serde(default)]
    pub job: Aspect,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
    }

    /// A record of three fields, hearing partial facts.
    #[derive(Debug, Clone, Default, PartialEq)]
    struct Record {
        aspect: Aspect,
        values: [Option<u8>; 3],
    }

    impl Record {
        fn hear(&mut self, time: i64, said: [Option<Option<u8>>; 3]) {
            let now = at(1_000);
            let [a, b, c] = &mut self.values;
            let [say_a, say_b, say_c] = said;
            self.aspect.hear(
                Mark { time: at(time), received_at: now },
                now,
                &mut [
                    &mut Field { name: "a", kept: a, said: say_a },
                    &mut Field { name: "b", kept: b, said: say_b },
                    &mut Field { name: "c", kept: c, said: say_c },
                ],
            );
        }
    }

    fn facts() -> impl Strategy<Value = Vec<(i64, [Option<Option<u8>>; 3])>> {
        let field = proptest::option::of(proptest::option::of(any::<u8>()));
        proptest::collection::vec([field.clone(), field.clone(), field], 1..7)
            .prop_map(|said| said.into_iter().enumerate().map(|(n, said)| (n as i64, said)).collect())
    }

    proptest! {
        #[test]
        fn whatever_order_partial_facts_arrive_in_and_however_often_the_record_ends_the_same(
            (facts, shuffled) in facts().prop_flat_map(|facts| {
                let twice: Vec<_> = facts.iter().chain(&facts).copied().collect();
                (Just(facts), Just(twice).prop_shuffle())
            })
        ) {
            let (mut in_order, mut any_order) = (Record::default(), Record::default());
            facts.iter().for_each(|(time, said)| in_order.hear(*time, *said));
            shuffled.iter().for_each(|(time, said)| any_order.hear(*time, *said));
            prop_assert_eq!(&in_order, &any_order);
            // And each field has what was said of it last.
            for n in 0..3 {
                let last = facts.iter().rev().find_map(|(_, said)| said[n]);
                prop_assert_eq!(in_order.values[n], last.flatten());
            }
        }
    }

    #[test]
    fn a_time_that_lies_ahead_of_the_clock_holds_nothing_up() {
        let mark = Mark { time: at(30 * 24 * 3600), received_at: at(0) };
        assert!(mark.gives_way_to(at(1), at(2)));
        assert!(!mark.gives_way_to(at(1), at(30 * 24 * 3600)), "while the clock stands there it counts");
    }
}
