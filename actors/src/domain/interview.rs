//! Interviews as the platform tells of them, and how they make a candidacy's state (B8). Whatever order the facts arrive in, and
//! however often, the state ends the same: within one interview the furthest stage counts, and the newest fact within a stage; of
//! several interviews of one candidacy the one that was heard of last.

use super::{State, versions::Mark};
use atshub_schemas::{ExternalId, Link};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most interviews kept of one candidacy; the one that was heard of longest ago makes room.
const INTERVIEWS_MAX: usize = 10;

/// What the platform said of one interview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// When that was said.
    pub mark: Mark,
    /// When anything was last said of it.
    pub last: Timestamp,
    /// Its page on the platform, and when that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<(Timestamp, Link)>,
}

impl Seen {
    /// One fact's words.
    #[must_use]
    pub fn new(state: State, mark: Mark, link: Option<Link>) -> Self {
        Self { state, mark, last: mark.time, link: link.map(|link| (mark.time, link)) }
    }
}

/// The interviews of one candidacy, by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Interviews(BTreeMap<String, Seen>);

/// How far an interview is: 0 while a time is to be found or stands, 1 while it goes on, 2 while the platform works on the result,
/// 3 at its end. It never goes back to a lower one; within 0 a time may be given up and chosen as often as people like, and an end may
/// be told more precisely (cancelled, then a no-show).
fn stage(state: &State) -> u8 {
    match state {
        State::InProgress => 1,
        State::Processing => 2,
        State::Completed | State::Cancelled { .. } | State::TimedOut | State::NoShow => 3,
        _ => 0,
    }
}

impl Interviews {
    /// Takes in what was said of an interview.
    pub fn hear(&mut self, id: &ExternalId, seen: Seen) {
        match self.0.get_mut(id.as_str()) {
            Some(kept) => {
                // How far a state is that this version does not know cannot be said: then the time alone decides.
                let known = [&seen.state, &kept.state].iter().all(|state| !matches!(state, State::Unknown(_)));
                let order = |seen: &Seen| (if known { stage(&seen.state) } else { 0 }, seen.mark.time, seen.state.code().to_owned());
                let last = kept.last.max(seen.last);
                let newer = |a: &Option<(Timestamp, Link)>, b: &Option<(Timestamp, Link)>| {
                    a.as_ref().map(|(at, link)| (*at, link.as_str().to_owned()))
                        > b.as_ref().map(|(at, link)| (*at, link.as_str().to_owned()))
                };
                let link = if newer(&seen.link, &kept.link) { seen.link.clone() } else { kept.link.take() };
                if order(&seen) > order(kept) {
                    *kept = seen;
                }
                (kept.last, kept.link) = (last, link);
            }
            None => {
                self.0.insert(id.as_str().to_owned(), seen);
            }
        }
        if self.0.len() > INTERVIEWS_MAX
            && let Some(oldest) = self.0.iter().min_by_key(|(id, seen)| (seen.last, id.as_str())).map(|(id, _)| id.clone())
        {
            self.0.remove(&oldest);
        }
    }

    /// The interview that makes the candidacy's state.
    #[must_use]
    pub fn current(&self) -> Option<&Seen> {
        self.0.iter().max_by_key(|(id, seen)| (seen.last, id.as_str())).map(|(_, seen)| seen)
    }

    /// Takes over all that was heard elsewhere.
    pub fn absorb(&mut self, other: &Self) {
        for (id, seen) in &other.0 {
            if let Ok(id) = ExternalId::new(id.as_str()) {
                self.hear(&id, seen.clone());
            }
        }
    }

    /// Nothing was heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
