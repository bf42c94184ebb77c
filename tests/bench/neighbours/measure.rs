//! What came of a run for the well tenants, and the table of two runs. Everything is counted at the simulators and bridges.

use crate::{alone::Times, cast::Outside, ground::Shares, load::Published, usage::mib};
use atshub::demo::tally;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Duration,
};

/// Longer than this without an answer is seen by people.
const VISIBLE: Duration = Duration::from_secs(1);

/// What came of one run.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    candidates: usize,
    lost: usize,
    doubled: usize,
    overtaken: usize,
    /// Publishing to written status, sorted, and when that was sent since the load began.
    times: Vec<(Duration, Duration)>,
    /// Per tenant that had any: how many stretches of over a second in which a candidate waited; and the longest of all.
    pauses: BTreeMap<usize, usize>,
    longest: Duration,
    shares: Option<Shares>,
    pub(crate) memory: (u64, u64),
    pub(crate) files: (usize, usize),
    pub(crate) panics: usize,
    pub(crate) drain: Duration,
    /// What broker and database took by themselves.
    pub(crate) alone: Times,
    /// How long the flood took to be published.
    pub(crate) flood: Duration,
    /// What became of the bad ones, a line each.
    pub(crate) bad: Vec<String>,
}

impl Measured {
    /// Looks at the well tenants only; times are of what was sent after the warm-up.
    pub(crate) fn new(outside: &Outside, published: &[Published], warm_up: Duration, shares: Shares) -> Self {
        let mut measured = Self { shares: Some(shares), ..Self::default() };
        for line in tally::compare(outside.expectations(), &outside.happened()) {
            measured.candidates += line.candidacies;
            measured.lost += line.missing;
            measured.doubled += line.doubled + line.unexpected;
            measured.overtaken += line.overtaken;
        }
        let written = outside.invited();
        let mut waits: HashMap<usize, Vec<(Timestamp, Timestamp)>> = HashMap::new();
        for sent in published.iter().filter(|sent| outside.is_well(sent.tenant) && sent.after >= warm_up) {
            let Some(at) = written.get(&format!("{}/{}", sent.place.tenant, sent.place.application)) else { continue };
            let time = Duration::try_from(at.duration_since(sent.at)).unwrap_or_default();
            measured.times.push((time, sent.after));
            if time > VISIBLE {
                waits.entry(sent.tenant).or_default().push((sent.at, *at));
            }
        }
        measured.times.sort_unstable();
        for (tenant, mut waits) in waits {
            waits.sort_unstable();
            measured.longest = measured.longest.max(measured.times.last().map_or(Duration::ZERO, |(time, _)| *time));
            let (mut count, mut end) = (0, Timestamp::MIN);
            for (from, to) in waits {
                count += usize::from(from > end);
                end = end.max(to);
            }
            measured.pauses.insert(tenant, count);
        }
        measured
    }

    /// The time within which so many of a hundred are written, of those that were not sent within this stretch.
    fn percentile(&self, per_cent: f64, without: &Range<Duration>) -> Option<Duration> {
        let times: Vec<Duration> = self.times.iter().filter(|(_, after)| !without.contains(after)).map(|(time, _)| *time).collect();
        nth(&times, per_cent)
    }

    /// The medians of ten seconds each, in ms, in the order of time.
    fn medians(&self) -> String {
        let mut stretches = BTreeMap::<u64, Vec<f64>>::new();
        for (time, after) in &self.times {
            stretches.entry(after.as_secs() / 10).or_default().push(time.as_secs_f64() * 1000.0);
        }
        let shown: Vec<String> = stretches.into_values().filter_map(middle).map(|median| format!("{median:.0}")).collect();
        shown.join(", ")
    }

    /// When the slowest hundredth was sent: whole seconds since the load began, and how many in each.
    fn slowest(&self) -> String {
        let mut seconds = BTreeMap::<u64, usize>::new();
        for (_, after) in self.times.iter().rev().take(self.times.len().div_ceil(100)) {
            *seconds.entry(after.as_secs()).or_default() += 1;
        }
        let shown: Vec<String> = seconds.iter().map(|(second, count)| format!("{second} ({count})")).collect();
        shown.join(", ")
    }
}

/// The one that so many of a hundred do not exceed, of sorted ones.
fn nth(times: &[Duration], per_cent: f64) -> Option<Duration> {
    let last = times.len().checked_sub(1)?;
    times.get((last as f64 * per_cent / 100.0).round() as usize).copied()
}

/// How a line sums up several rounds.
#[derive(Clone, Copy, PartialEq)]
enum Over {
    /// All of them together: what must not happen in any.
    All,
    /// The one in the middle.
    Middle,
    /// The same, and the ratio of each round: the one in the middle, the least and the most.
    Ratio,
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Prints the table: a column for each kind of run, with its rounds. Ratios are to the first. `flood` is the stretch in which the
/// flood was published.
pub(crate) fn print(head: &str, runs: &[(&str, Vec<Measured>)], flood: &Range<Duration>) {
    println!("{head}");
    let names: String = runs.iter().map(|(name, _)| format!("{name:>13}")).collect();
    println!("{:<44}{names}   ratio to the first", "the well tenants");
    let line = |what: &str, of: &dyn Fn(&Measured) -> Option<f64>, digits: usize, over: Over| {
        let show = |rounds: &[Measured]| {
            let values: Vec<f64> = rounds.iter().filter_map(of).collect();
            let value = if over == Over::All && !values.is_empty() { Some(values.iter().sum()) } else { middle(values) };
            value.map_or_else(|| "-".to_owned(), |value: f64| format!("{value:.digits$}"))
        };
        let values: String = runs.iter().map(|(_, rounds)| format!("{:>13}", show(rounds))).collect();
        let ratio = |rounds: &[Measured]| {
            let ratios: Vec<f64> = runs[0].1.iter().zip(rounds).filter_map(|(first, other)| Some(of(other)? / of(first)?)).collect();
            match (middle(ratios.clone()), ratios.iter().copied().reduce(f64::min), ratios.iter().copied().reduce(f64::max)) {
                (Some(middle), Some(least), Some(most)) if ratios.len() > 1 => format!("   {middle:.2} ({least:.2} to {most:.2})"),
                (Some(middle), ..) => format!("   {middle:.2}"),
                _ => String::new(),
            }
        };
        let ratios: String = runs.iter().skip(1).filter(|_| over == Over::Ratio).map(|(_, rounds)| ratio(rounds)).collect();
        println!("{what:<44}{values}{ratios}");
    };
    let count = |of: fn(&Measured) -> usize| move |m: &Measured| Some(of(m) as f64);
    let time =
        |per_cent: f64, without: Range<Duration>| move |m: &Measured| m.percentile(per_cent, &without).map(|t| t.as_secs_f64() * 1000.0);
    line("candidates", &count(|m| m.candidates), 0, Over::All);
    line("effects lost", &count(|m| m.lost), 0, Over::All);
    line("effects doubled", &count(|m| m.doubled), 0, Over::All);
    line("statuses overtaken by newer ones", &count(|m| m.overtaken), 0, Over::All);
    let percentiles = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("max", 100.0)];
    for (name, per_cent) in percentiles {
        line(&format!("publish to written status, {name}, ms"), &time(per_cent, Duration::ZERO..Duration::ZERO), 1, Over::Ratio);
    }
    // While the flood is published the broker has its hands full, whatever the hub does.
    for (name, per_cent) in percentiles {
        line(&format!("but for when the flood was published, {name}"), &time(per_cent, flood.clone()), 1, Over::Ratio);
    }
    // Past the hub, under all of the load: what part of a slowdown is theirs.
    let alone =
        |of: fn(&Times) -> &Vec<Duration>, per_cent: f64| move |m: &Measured| nth(of(&m.alone), per_cent).map(|t| t.as_secs_f64() * 1000.0);
    for (name, per_cent) in percentiles {
        line(&format!("the broker alone, publish to confirm, {name}"), &alone(|t| &t.confirm, per_cent), 1, Over::Ratio);
    }
    for (name, per_cent) in percentiles {
        line(&format!("the database alone, one commit, {name}"), &alone(|t| &t.commit, per_cent), 1, Over::Ratio);
    }
    line("visible pauses (over 1 s)", &count(|m| m.pauses.values().sum()), 0, Over::All);
    line("tenants that saw one", &count(|m| m.pauses.values().filter(|n| **n == 1).count()), 0, Over::All);
    line("tenants that saw more than one", &count(|m| m.pauses.values().filter(|n| **n > 1).count()), 0, Over::All);
    line("longest pause, ms", &|m| Some(m.longest.as_secs_f64() * 1000.0), 0, Over::Middle);
    let share = |of: fn(&Shares) -> f64| move |m: &Measured| m.shares.as_ref().map(of);
    line("processor under load, hub, % of one", &share(|s| s.hub), 0, Over::Middle);
    line("the same, broker", &share(|s| s.broker), 0, Over::Middle);
    line("the same, database", &share(|s| s.database), 0, Over::Middle);
    line("the same, simulators and bridges", &share(|s| s.outside), 0, Over::Middle);
    line("the same, others on this machine (noise)", &share(|s| s.others), 0, Over::Middle);
    line("hub's memory before the load, MiB", &|m| Some(mib(m.memory.0)), 1, Over::Middle);
    line("and after, MiB", &|m| Some(mib(m.memory.1)), 1, Over::Middle);
    line("hub's open files before", &count(|m| m.files.0), 0, Over::Middle);
    line("and after", &count(|m| m.files.1), 0, Over::Middle);
    line("drain at the end, s", &|m| Some(m.drain.as_secs_f64()), 1, Over::Middle);
    line("panics in the hub's log", &count(|m| m.panics), 0, Over::All);
    for (name, rounds) in runs {
        for measured in rounds {
            println!("{name}: medians of ten seconds each, ms: {}", measured.medians());
            println!("{name}: the slowest hundredth was sent in these seconds: {}", measured.slowest());
        }
    }
    for line in runs.iter().flat_map(|(_, rounds)| rounds).flat_map(|m| &m.bad) {
        println!("{line}");
    }
}
