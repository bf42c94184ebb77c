//! How long a replaced credential of those who call the hub stays good (`tenant set-key --grace`): what the ATS has signed with it, and
//! sends again, is taken until then. Which credentials these are says the connector's row.

use crate::{
    cli::{exit::Stop, key_input::clear, out::Out},
    credentials::{Sealer, predecessor, predecessor_name},
};
use atshub_actors::ports::{SealedSecret, Store};
use atshub_schemas::text::trimmed;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use std::time::Duration;

/// How long where nothing else is said: longer than ATSs send a webhook again (Ashby's ten tries take about three hours).
pub(super) const DEFAULT: &str = "24h";
/// Longest: whoever wants it longer wants two secrets.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// Predecessors kept of one credential. Each is another signature to compare with.
const KEPT: usize = 3;

/// A span of time: `24h`, `30m`, `0s`, `1d 12h`.
pub(super) fn parse(text: &str) -> Result<Duration, Stop> {
    let wrong = || Stop::usage(format!("`--grace {text}` is no span of time")).next("use a span like 24h, 30m or 1d 12h; 0s for none");
    let span: Span = trimmed(text).parse().map_err(|_| wrong())?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let span = Duration::try_from(span).map_err(|_| wrong())?;
    if span > LONGEST {
        let days = LONGEST.as_secs() / (24 * 3600);
        return Err(Stop::usage(format!("`--grace {text}` is longer than {days} days")).next("use a shorter one, 24h for example"));
    }
    Ok(span)
}

/// The predecessors of this credential among those that are set, the one that is good for longest first.
pub(super) fn predecessors<'a>(name: &str, set: &'a [SealedSecret]) -> Vec<(&'a SealedSecret, Timestamp)> {
    let of = |secret: &'a SealedSecret| predecessor(&secret.name).filter(|(of, _)| *of == name).map(|(_, until)| (secret, until));
    let mut found: Vec<_> = set.iter().filter_map(of).collect();
    found.sort_by_key(|(_, until)| std::cmp::Reverse(*until));
    found
}

/// What is to be kept of those before, before the new one is put in its place.
pub(super) struct Keeping<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) sealer: &'a Sealer,
    pub(super) out: &'a Out,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
}

impl Keeping<'_> {
    /// Keeps the one that is replaced until the grace is over. Answers with when that is, if anything is kept.
    pub(super) async fn keep(&self, old: &SealedSecret, grace: Duration) -> Result<Option<Timestamp>, Stop> {
        let until = Timestamp::now().checked_add(grace).map_err(Stop::failed)?;
        // Whole seconds, for people to read; each has one of its own, however quickly one follows the other.
        let until = Timestamp::from_second(until.as_second()).map_err(Stop::failed)?;
        let taken = self.store.secrets(self.owner).await?;
        let taken: Vec<_> = predecessors(self.name, &taken).into_iter().map(|(_, until)| until).collect();
        let until = (0..).map(|n| until + SignedDuration::from_secs(n)).find(|until| !taken.contains(until)).unwrap_or(until);
        let opened = match self.sealer.open(old) {
            Ok(opened) => opened,
            Err(error) => {
                self.out.warn(format!("the one before cannot be kept: {error}"));
                return Ok(None);
            }
        };
        let sealed = self.sealer.seal(self.owner, &predecessor_name(self.name, until), clear(&opened)).map_err(Stop::failed)?;
        self.store.put_secret(sealed).await?;
        Ok(Some(until))
    }

    /// Ends the predecessors that are good no longer, those that are too many, and those that are the new one itself; all of them if
    /// there is no grace. Answers with how many that still were good.
    pub(super) async fn end(&self, new: Option<&str>, grace: Duration) -> Result<usize, Stop> {
        let (now, set) = (Timestamp::now(), self.store.secrets(self.owner).await?);
        let mut ended = 0;
        for (place, (old, until)) in predecessors(self.name, &set).into_iter().enumerate() {
            let over = until <= now;
            if over || grace.is_zero() || place >= KEPT || new == Some(old.fingerprint.as_str()) {
                ended += usize::from(self.store.delete_secret(self.owner, &old.name).await? && !over);
            }
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_a_span_of_time_within_bounds() {
        for (text, seconds) in [("24h", 86_400), (" 30m ", 1_800), ("0s", 0), ("1d 12h", 129_600), ("30d", 2_592_000)] {
            assert_eq!(parse(text).unwrap(), Duration::from_secs(seconds), "{text}");
        }
        assert_eq!(parse(DEFAULT).unwrap(), Duration::from_secs(86_400));
        for text in ["", "tomorrow", "-1h", "31d", "24", "1mo"] {
            let stop = parse(text).unwrap_err();
            assert!(stop.text.contains("--grace") && stop.next.is_some(), "{text}: {stop:?}");
        }
    }
}
