//! Lines that say the same within some seconds are written once, and then once more with how often they came: whatever fails a thousand
//! times a second leaves room in the log for what else there is to say.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// How long a line that comes again is counted and not written.
const WINDOW: Duration = Duration::from_secs(10);
/// Different lines that are remembered; those beyond are written as they come.
const REMEMBERED: usize = 512;
/// Longer lines are not compared.
const LONGEST: usize = 4 * 1024;

/// The lines of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Vec<u8>, Seen>);

#[derive(Debug)]
struct Seen {
    until: Instant,
    /// How often it came since it was written, and the last of them.
    more: u64,
    last: Vec<u8>,
}

impl Repeats {
    /// Whether this line is to be written; if not, it is counted.
    pub(super) fn is_new(&mut self, line: &[u8], now: Instant) -> bool {
        let key = without_time(line);
        if key.len() > LONGEST {
            return true;
        }
        match self.0.get_mut(key) {
            Some(seen) => {
                seen.more += 1;
                seen.last = line.to_vec();
                false
            }
            None => {
                if self.0.len() < REMEMBERED {
                    self.0.insert(key.to_vec(), Seen { until: now + WINDOW, more: 0, last: Vec::new() });
                }
                true
            }
        }
    }

    /// When the next one is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|seen| seen.until).min()
    }

    /// Those that are over, or all: the last line of each that came again, with how often.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Vec<u8>> {
        let over = self.0.extract_if(|_, seen| now.is_none_or(|now| seen.until <= now));
        let mut lines: Vec<_> = over.filter(|(_, seen)| seen.more > 0).map(|(_, seen)| counted(seen.last, seen.more)).collect();
        lines.sort();
        lines
    }
}

/// A line begins with its time, in both forms: `2026-11-30T10:00:00Z  WARN …` and `{"timestamp":"…","level":…`.
fn without_time(line: &[u8]) -> &[u8] {
    let end = if line.starts_with(b"{") { b',' } else { b' ' };
    line.iter().position(|byte| *byte == end).and_then(|at| line.get(at..)).unwrap_or(line)
}

/// The line with how often it came, in its own form.
fn counted(mut line: Vec<u8>, more: u64) -> Vec<u8> {
    while line.last().is_some_and(u8::is_ascii_whitespace) {
        line.pop();
    }
    if line.starts_with(b"{") && line.last() == Some(&b'}') {
        line.pop();
        line.extend_from_slice(format!(",\"repeated\":{more}}}\n").as_bytes());
    } else {
        line.extend_from_slice(format!(" repeated={more}\n").as_bytes());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_again_is_written_once_and_then_with_its_count_in_both_forms() {
        for (line, other, said) in [
            (
                (|n: u32| format!("2026-11-30T10:00:{n:02}Z  WARN atshub: away tenant=acme\n")) as fn(u32) -> String,
                "2026-11-30T10:00:00Z  WARN atshub: away tenant=globex\n",
                "2026-11-30T10:00:03Z  WARN atshub: away tenant=acme repeated=3\n",
            ),
            (
                |n| format!("{{\"timestamp\":\"2026-11-30T10:00:{n:02}Z\",\"level\":\"WARN\",\"message\":\"away\",\"tenant\":\"acme\"}}\n"),
                "{\"timestamp\":\"2026-11-30T10:00:00Z\",\"level\":\"WARN\",\"message\":\"away\",\"tenant\":\"globex\"}\n",
                "{\"timestamp\":\"2026-11-30T10:00:03Z\",\"level\":\"WARN\",\"message\":\"away\",\"tenant\":\"acme\",\"repeated\":3}\n",
            ),
        ] {
            let (mut repeats, now) = (Repeats::default(), Instant::now());
            let new: Vec<bool> = (0..4).map(|n| repeats.is_new(line(n).as_bytes(), now)).collect();
            assert_eq!(new, [true, false, false, false]);
            assert!(repeats.is_new(other.as_bytes(), now), "it says something else");
            assert_eq!((repeats.over(Some(now)).len(), repeats.next()), (0, Some(now + WINDOW)));
            let over = repeats.over(Some(now + WINDOW));
            assert_eq!(over.iter().map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>(), [said]);
            assert!(repeats.is_new(line(9).as_bytes(), now + WINDOW), "said once more after a while");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nothing_beyond_it_is_lost() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for n in 0..2 * REMEMBERED {
            assert!(repeats.is_new(format!("time line {n}\n").as_bytes(), now));
        }
        let beyond = format!("time line {}\n", 2 * REMEMBERED - 1);
        assert!(repeats.is_new(beyond.as_bytes(), now) && repeats.0.len() == REMEMBERED);
        let long = [b"time ".as_slice(), &vec![b'x'; 2 * LONGEST]].concat();
        assert!(repeats.is_new(&long, now) && repeats.is_new(&long, now));
    }
}
