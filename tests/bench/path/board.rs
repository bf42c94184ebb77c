//! What is known of each candidacy at the outside: when its fact was handed to the broker, when the bridge was told `Received` and
//! `Invited`, and whether it was told anything twice.

use std::{
    collections::HashSet,
    sync::Mutex,
    time::{Duration, Instant},
};

/// One candidacy.
#[derive(Debug, Clone, Default)]
struct Seen {
    sent: Option<Instant>,
    received: Option<Instant>,
    invited: Option<Instant>,
    note: bool,
    /// The numbers of the statuses that the bridge was sent. One number twice is a doubled status.
    sequences: HashSet<u64>,
    doubled: usize,
    refused: bool,
}

/// All candidacies of a run, by number.
#[derive(Debug, Default)]
pub(crate) struct Board {
    seen: Mutex<Vec<Seen>>,
}

/// What came of some candidacies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) candidacies: usize,
    /// Without `Invited` or without the note. `Received` may be overtaken by `Invited`, which says more.
    pub(crate) missing: usize,
    pub(crate) doubled: usize,
    /// From the fact to `Invited`, sorted.
    pub(crate) times: Vec<Duration>,
    /// From the first fact to the last `Invited`.
    pub(crate) whole: Duration,
}

impl Tally {
    /// Milliseconds within which so many of a hundred are invited.
    pub(crate) fn percentile(&self, per_cent: f64) -> Option<f64> {
        let last = self.times.len().checked_sub(1)?;
        self.times.get((last as f64 * per_cent / 100.0).round() as usize).map(|time| time.as_secs_f64() * 1000.0)
    }

    /// Candidacies invited in a second.
    pub(crate) fn per_second(&self) -> Option<f64> {
        (!self.times.is_empty() && !self.whole.is_zero()).then(|| self.times.len() as f64 / self.whole.as_secs_f64())
    }
}

impl Board {
    fn at<R>(&self, number: usize, of: impl FnOnce(&mut Seen) -> R) -> R {
        let mut seen = self.seen.lock().unwrap();
        if seen.len() <= number {
            seen.resize_with(number + 1, Seen::default);
        }
        of(&mut seen[number])
    }

    pub(crate) fn sent(&self, number: usize) {
        self.at(number, |seen| seen.sent = Some(Instant::now()));
    }

    /// The bridge was told a status. A command that comes again with its id is not told here.
    pub(crate) fn status(&self, number: usize, code: &str, sequence: u64) {
        self.at(number, |seen| {
            seen.doubled += usize::from(!seen.sequences.insert(sequence));
            match code {
                "received" => seen.received = seen.received.or_else(|| Some(Instant::now())),
                "invited" => seen.invited = seen.invited.or_else(|| Some(Instant::now())),
                _ => seen.refused = true,
            }
        });
    }

    /// The bridge was told a note.
    pub(crate) fn note(&self, number: usize) {
        self.at(number, |seen| {
            seen.doubled += usize::from(seen.note);
            seen.note = true;
        });
    }

    /// How many of these are told all that they are to be told, or are refused.
    pub(crate) fn done(&self, numbers: std::ops::Range<usize>) -> usize {
        let seen = self.seen.lock().unwrap();
        numbers.filter_map(|n| seen.get(n)).filter(|s| s.refused || is_whole(s)).count()
    }

    pub(crate) fn tally(&self, numbers: std::ops::Range<usize>) -> Tally {
        let seen = self.seen.lock().unwrap();
        let mut tally = Tally { candidacies: numbers.len(), ..Tally::default() };
        let (mut first, mut last) = (None::<Instant>, None::<Instant>);
        for seen in numbers.filter_map(|n| seen.get(n)) {
            tally.missing += usize::from(!is_whole(seen));
            tally.doubled += seen.doubled;
            if let (Some(sent), Some(invited)) = (seen.sent, seen.invited) {
                tally.times.push(invited.saturating_duration_since(sent));
                first = Some(first.map_or(sent, |at| at.min(sent)));
                last = Some(last.map_or(invited, |at| at.max(invited)));
            }
        }
        tally.times.sort_unstable();
        tally.whole = first.zip(last).map_or(Duration::ZERO, |(first, last)| last.saturating_duration_since(first));
        tally
    }
}

/// The bridge was told all that it must be told.
fn is_whole(seen: &Seen) -> bool {
    seen.invited.is_some() && seen.note
}
