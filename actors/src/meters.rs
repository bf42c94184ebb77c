//! What is measured where it happens: how long commits, calls and publications take, and how old a message is when its work is done. One
//! set for each process, as Prometheus has it; `/metrics` prints it beside what is read from the store. Labels are words of the program,
//! never what somebody sent.

use prometheus_client::{
    metrics::{family::Family, histogram::Histogram},
    registry::Registry,
};
use std::{sync::LazyLock, time::Duration};

/// Labels: name and value.
type Labels = Vec<(&'static str, &'static str)>;
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Bounds of what takes milliseconds to seconds: a commit, a call, a publication. In seconds.
const QUICK: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds of what waits for its turn, for a retry, or for an outage to end. In seconds.
const SLOW: [f64; 11] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0, 86_400.0];

/// The process's histograms.
#[derive(Debug)]
pub struct Meters {
    commits: Histogram,
    publications: Histogram,
    calls: Histograms,
    ages: Histograms,
}

static METERS: LazyLock<Meters> = LazyLock::new(|| Meters {
    commits: Histogram::new(QUICK),
    publications: Histogram::new(QUICK),
    calls: Family::new_with_constructor(|| Histogram::new(QUICK)),
    ages: Family::new_with_constructor(|| Histogram::new(SLOW)),
});

/// The process's own.
#[must_use]
pub fn meters() -> &'static Meters {
    &METERS
}

impl Meters {
    /// A change was committed, or the store said why not.
    pub fn commit(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// A window of messages was published, and the broker has answered for each.
    pub fn publication(&self, took: Duration) {
        self.publications.observe(took.as_secs_f64());
    }

    /// A call to an ATS or a platform ended: which, and how (`2xx` to `5xx`, or `none` without an answer).
    pub fn call(&self, name: &'static str, answer: &'static str, took: Duration) {
        self.calls.get_or_create(&vec![("call", name), ("answer", answer)]).observe(took.as_secs_f64());
    }

    /// The work on a message is done: of what type it was, and how long ago its producer says that it happened.
    pub fn age(&self, kind: &'static str, age: Duration) {
        self.ages.get_or_create(&vec![("type", kind)]).observe(age.as_secs_f64());
    }

    /// Has them printed.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("atshub_commit_seconds", "How long the store took for a change", self.commits.clone());
        registry.register(
            "atshub_publish_seconds",
            "How long the broker took to confirm what was published at once",
            self.publications.clone(),
        );
        registry.register("atshub_call_seconds", "How long calls to ATSs and platforms took, by call and answer", self.calls.clone());
        registry.register(
            "atshub_message_age_seconds",
            "Time from what a message tells of, by its producer's clock, until the work on it was done, by type",
            self.ages.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::prometheus_text::encode;

    #[test]
    fn what_is_measured_is_printed_in_seconds_with_words_of_the_program_as_labels() {
        meters().commit(Duration::from_millis(3));
        meters().call("createInvitation", "2xx", Duration::from_millis(40));
        meters().age("application.moved.v1", Duration::from_secs(2));
        let mut registry = Registry::default();
        meters().register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "# TYPE atshub_commit_seconds histogram",
            "atshub_call_seconds_count{call=\"createInvitation\",answer=\"2xx\"} 1",
            "atshub_call_seconds_bucket{call=\"createInvitation\",answer=\"2xx\",le=\"0.05\"} 1",
            "atshub_message_age_seconds_sum{type=\"application.moved.v1\"} 2.0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
