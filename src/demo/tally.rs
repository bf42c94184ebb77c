//! What should have happened against what did, counted at the simulators and nowhere in the hub.

use atshub_simulators::Effect;
use std::collections::BTreeMap;

/// What one candidacy should have come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Which case of the script it is.
    pub case: &'static str,
    /// Invitations on the platform, per role.
    pub invitations: BTreeMap<String, usize>,
    /// Statuses in the ATS, each exactly once, in this order. One that ends with [`LINKED`] stands for itself with a link.
    pub statuses: Vec<String>,
    /// Notes in the ATS that begin with `Invited to`.
    pub invited_notes: usize,
    /// Notes that say that an open interview was asked for again.
    pub asked_again: usize,
}

/// The end of an expected status that goes on with an address.
pub const LINKED: &str = " http";

/// Where a candidacy's effects are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The tenant.
    pub tenant: String,
    /// The application's id in its ATS.
    pub application: String,
    /// The candidate's address, by which the platform knows them.
    pub email: String,
}

/// All that should happen.
#[derive(Debug, Clone, Default)]
pub struct Expectations(pub BTreeMap<Place, Expected>);

/// What did happen: the platform's ledger, and each tenant's.
#[derive(Debug, Clone, Default)]
pub struct Happened {
    /// The platform's ledger.
    pub platform: Vec<Effect>,
    /// Each tenant's ATS's ledger.
    pub ats: BTreeMap<String, Vec<Effect>>,
}

/// One line of the summary.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The case.
    pub case: String,
    /// Candidacies in it.
    pub candidacies: usize,
    /// Effects expected.
    pub expected: usize,
    /// Effects that happened exactly once.
    pub once: usize,
    /// Statuses that a newer one overtook while they waited for another try: not written any more, on purpose (B6).
    pub overtaken: usize,
    /// Effects that did not happen.
    pub missing: usize,
    /// Effects that happened more often than they should.
    pub doubled: usize,
    /// Effects that nobody expected, and statuses that went backwards.
    pub unexpected: usize,
}

impl Line {
    /// Whether every expected effect happened exactly once, and nothing else did.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing == 0 && self.doubled == 0 && self.unexpected == 0
    }

    fn count(&mut self, wanted: usize, seen: usize) {
        self.expected += wanted;
        self.once += seen.min(wanted);
        self.missing += wanted.saturating_sub(seen);
        let over = seen.saturating_sub(wanted);
        if wanted == 0 { self.unexpected += over } else { self.doubled += over }
    }
}

/// Whether a status that was seen is this one.
fn is(seen: &str, wanted: &str) -> bool {
    seen == wanted || (wanted.ends_with(LINKED) && seen.starts_with(wanted))
}

fn count_statuses(line: &mut Line, wanted: &[String], seen: &[&str]) {
    let last_is_there = wanted.last().is_some_and(|last| seen.iter().any(|seen| is(seen, last)));
    let mut used = vec![false; seen.len()];
    let mut furthest = 0;
    for (position, status) in wanted.iter().enumerate() {
        match (0..seen.len()).find(|at| !used[*at] && is(seen[*at], status)) {
            Some(at) => {
                used[at] = true;
                line.count(1, 1);
                // It came before one that it should have followed.
                line.unexpected += usize::from(at < furthest);
                furthest = furthest.max(at);
            }
            None if last_is_there && position + 1 < wanted.len() => {
                line.expected += 1;
                line.overtaken += 1;
            }
            None => line.count(1, 0),
        }
    }
    for (extra, _) in seen.iter().zip(used).filter(|(_, used)| !used) {
        if wanted.iter().any(|status| is(extra, status)) { line.doubled += 1 } else { line.unexpected += 1 }
    }
}

/// Whether nothing is missing any more; doubled effects may still come.
#[must_use]
pub fn complete(expected: &Expectations, happened: &Happened) -> bool {
    compare(expected, happened).iter().all(|line| line.missing == 0)
}

/// The summary, a line per case.
#[must_use]
pub fn compare(expected: &Expectations, happened: &Happened) -> Vec<Line> {
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    let mut invitations: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for effect in happened.platform.iter().filter(|e| e.kind == "invitation") {
        *invitations.entry((&effect.subject, effect.role.as_deref().unwrap_or_default())).or_default() += 1;
    }
    let mut by_application: BTreeMap<(&str, &str), Vec<&Effect>> = BTreeMap::new();
    for (tenant, effects) in &happened.ats {
        for effect in effects {
            by_application.entry((tenant, &effect.subject)).or_default().push(effect);
        }
    }
    for (place, wanted) in &expected.0 {
        let line = lines.entry(wanted.case).or_insert_with(|| Line { case: wanted.case.to_owned(), ..Line::default() });
        line.candidacies += 1;
        let seen: Vec<((&str, &str), usize)> =
            invitations.range((place.email.as_str(), "")..).take_while(|((e, _), _)| *e == place.email).map(|(k, n)| (*k, *n)).collect();
        for ((_, role), count) in &seen {
            line.count(wanted.invitations.get(*role).copied().unwrap_or(0), *count);
        }
        for (_, count) in wanted.invitations.iter().filter(|(role, _)| !seen.iter().any(|((_, r), _)| r == role)) {
            line.count(*count, 0);
        }
        for ((email, role), _) in seen {
            invitations.remove(&(email, role));
        }
        let effects = by_application.remove(&(place.tenant.as_str(), place.application.as_str())).unwrap_or_default();
        let statuses: Vec<&str> = effects.iter().filter(|e| e.kind == "status").filter_map(|e| e.value.as_str()).collect();
        count_statuses(line, &wanted.statuses, &statuses);
        let notes = effects.iter().filter(|e| e.kind == "note" && e.value.as_str().is_some_and(|v| v.starts_with("Invited to"))).count();
        line.count(wanted.invited_notes, notes);
        let again = effects.iter().filter(|e| e.kind == "note" && e.value.as_str().is_some_and(|v| v.starts_with("Asked again."))).count();
        line.count(wanted.asked_again, again);
    }
    let strays: usize = invitations.values().sum::<usize>()
        + by_application.values().map(|e| e.iter().filter(|e| e.kind == "status" || e.kind == "note").count()).sum::<usize>();
    let mut lines: Vec<Line> = lines.into_values().collect();
    if strays > 0 {
        lines.push(Line { case: "for nobody in the script".into(), unexpected: strays, ..Line::default() });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const ACTIVE: &str = "Already active. http";

    fn effect(kind: &str, subject: &str, role: Option<&str>, value: &Value) -> Effect {
        serde_json::from_value(json!({"kind": kind, "subject": subject, "role": role, "value": value, "at": "2026-11-23T10:00:00Z"}))
            .unwrap()
    }

    /// One candidacy that is to be invited once, with the statuses that are expected; so many invitations, statuses and notes.
    fn tallied(wanted: &[&str], invitations: usize, statuses: &[&str], notes: usize) -> Line {
        let place = Place { tenant: "acme".into(), application: "a-1".into(), email: "ada@x.example".into() };
        let expected = Expected {
            case: "case",
            invitations: [("1201".to_owned(), 1)].into(),
            statuses: wanted.iter().map(|s| (*s).to_owned()).collect(),
            invited_notes: 1,
            asked_again: 0,
        };
        let mut ats: Vec<Effect> = statuses.iter().map(|text| effect("status", "a-1", None, &json!(text))).collect();
        ats.extend((0..notes).map(|_| effect("note", "a-1", None, &json!("Invited to the interview."))));
        let platform = (0..invitations).map(|_| effect("invitation", "ada@x.example", Some("1201"), &json!({}))).collect();
        let happened = Happened { platform, ats: [("acme".to_owned(), ats)].into() };
        let expectations = Expectations([(place, expected)].into());
        let lines = compare(&expectations, &happened);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(complete(&expectations, &happened), lines[0].missing == 0);
        lines.into_iter().next().unwrap()
    }

    /// Missing, doubled, unexpected, overtaken.
    fn wrong(line: &Line) -> [usize; 4] {
        [line.missing, line.doubled, line.unexpected, line.overtaken]
    }

    #[test]
    fn what_happened_once_and_in_order_holds() {
        let line = tallied(&["Received", "Invited", ACTIVE], 1, &["Received", "Invited", "Already active. https://x.example/1"], 1);
        assert!(line.holds() && (line.expected, line.once, line.overtaken) == (5, 5, 0), "{line:?}");
    }

    #[test]
    fn every_kind_of_slip_is_counted() {
        let both = ["Received", "Invited"];
        for (invitations, statuses, notes, counted) in [
            (0, &both[..], 1, [1, 0, 0, 0]),
            (2, &both, 1, [0, 1, 0, 0]),
            (1, &both, 0, [1, 0, 0, 0]),
            (1, &both, 2, [0, 1, 0, 0]),
            (1, &["Received"], 1, [1, 0, 0, 0]),
            (1, &["Received", "Received", "Invited"], 1, [0, 1, 0, 0]),
            (1, &["Received", "Invited", "Invited"], 1, [0, 1, 0, 0]),
            (1, &["Received", "Invited", "Cancelled"], 1, [0, 0, 1, 0]),
            (1, &["Invited", "Received"], 1, [0, 0, 1, 0]),
            (1, &["Invited"], 1, [0, 0, 0, 1]),
        ] {
            let line = tallied(&both, invitations, statuses, notes);
            assert_eq!(wrong(&line), counted, "{statuses:?}, {invitations} invitations, {notes} notes");
            assert_eq!(line.holds(), counted[..3] == [0, 0, 0]);
        }
    }

    #[test]
    fn a_link_that_is_not_there_is_missed() {
        assert_eq!(wrong(&tallied(&[ACTIVE], 1, &["Already active."], 1)), [1, 0, 1, 0]);
    }

    #[test]
    fn effects_for_nobody_have_a_line_of_their_own() {
        let ats = [("acme".to_owned(), vec![effect("note", "a-9", None, &json!("x")), effect("status", "a-9", None, &json!("y"))])];
        let platform = vec![effect("invitation", "stranger@x.example", Some("1201"), &json!({}))];
        let lines = compare(&Expectations::default(), &Happened { platform, ats: ats.into() });
        assert_eq!(lines.iter().map(|line| (line.unexpected, line.holds())).collect::<Vec<_>>(), [(3, false)]);
    }
}
