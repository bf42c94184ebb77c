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
    /// Statuses in the ATS, each exactly once, in this order. A status that begins with one of these and goes on with a link
    /// counts as it.
    pub statuses: Vec<String>,
    /// Notes in the ATS that begin with `Invited to`.
    pub invited_notes: usize,
}

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
    /// Effects that nobody expected.
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
        for (role, count) in wanted.invitations.iter().filter(|(role, _)| !seen.iter().any(|((_, r), _)| r == role)) {
            let _ = role;
            line.count(*count, 0);
        }
        for ((email, role), _) in seen {
            invitations.remove(&(email, role));
        }
        let effects = by_application.remove(&(place.tenant.as_str(), place.application.as_str())).unwrap_or_default();
        let statuses: Vec<&str> = effects.iter().filter(|e| e.kind == "status").filter_map(|e| e.value.as_str()).collect();
        let mut left = statuses.clone();
        let last_is_there = wanted.statuses.last().is_some_and(|last| statuses.iter().any(|seen| seen.starts_with(last.as_str())));
        for (position, status) in wanted.statuses.iter().enumerate() {
            let found = left
                .iter()
                .position(|seen| *seen == status || seen.strip_prefix(status.as_str()).is_some_and(|rest| rest.starts_with(" http")));
            match found {
                Some(index) => {
                    left.remove(index);
                    line.count(1, 1);
                }
                None if last_is_there && position + 1 < wanted.statuses.len() => {
                    line.expected += 1;
                    line.overtaken += 1;
                }
                None => line.count(1, 0),
            }
        }
        for extra in left {
            let wanted_too = wanted.statuses.iter().any(|status| extra.starts_with(status.as_str()));
            if wanted_too { line.doubled += 1 } else { line.unexpected += 1 }
        }
        let notes = effects.iter().filter(|e| e.kind == "note" && e.value.as_str().is_some_and(|v| v.starts_with("Invited to"))).count();
        line.count(wanted.invited_notes, notes);
    }
    let strays: usize = invitations.values().sum::<usize>()
        + by_application.values().map(|e| e.iter().filter(|e| e.kind == "status" || e.kind == "note").count()).sum::<usize>();
    let mut lines: Vec<Line> = lines.into_values().collect();
    if strays > 0 {
        lines.push(Line { case: "for nobody in the script".into(), unexpected: strays, ..Line::default() });
    }
    lines
}
