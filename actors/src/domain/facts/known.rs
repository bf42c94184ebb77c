//! What is known when a fact is decided on, and what can be asked for. Values only; who reads them is for others.

use crate::domain::{Dossier, Heard, Lookup, Snapshot, Subject};
use atshub_schemas::ExternalId;
use std::collections::BTreeMap;

/// Something that is wanted before a fact can be decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Dossiers.
    Dossiers(Lookup),
    /// What was heard of a subject.
    Heard(Subject),
    /// An application as the ATS has it now, where the ATS can be asked.
    Snapshot {
        /// Which.
        application: ExternalId,
        /// The fact waits for an ATS that is away. Else it is decided without.
        insist: bool,
    },
}

/// What the ATS said when it was asked for an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It cannot be asked.
    CannotBeAsked,
    /// It does not have it.
    Gone,
    /// It has it so.
    Is(Box<Snapshot>),
}

/// What is known.
#[derive(Debug, Clone, Default)]
pub struct Known {
    dossiers: Vec<(Lookup, Vec<Dossier>)>,
    heard: BTreeMap<Subject, Option<Heard>>,
    snapshot: Option<Answer>,
}

impl Known {
    /// Whether this was answered.
    #[must_use]
    pub fn has(&self, need: &Need) -> bool {
        match need {
            Need::Dossiers(lookup) => self.dossiers.iter().any(|(known, _)| known == lookup),
            Need::Heard(subject) => self.heard.contains_key(subject),
            Need::Snapshot { .. } => self.snapshot.is_some(),
        }
    }

    /// Dossiers were found.
    pub fn found(&mut self, lookup: Lookup, mut dossiers: Vec<Dossier>) {
        dossiers.iter_mut().for_each(Dossier::settle_old);
        self.dossiers.push((lookup, dossiers));
    }

    /// This was heard of these subjects; of those that are not among it, nothing.
    pub fn was_heard(&mut self, of: Vec<Subject>, heard: Vec<Heard>) {
        self.heard.extend(of.into_iter().map(|subject| (subject, None)));
        self.heard.extend(heard.into_iter().map(|heard| (heard.subject.clone(), Some(heard))));
    }

    /// The ATS has answered.
    pub fn answered(&mut self, answer: Answer) {
        self.snapshot = Some(answer);
    }

    /// Forgets what the store said, because it has changed since. What the ATS said stays.
    pub fn forget_stored(&mut self) {
        self.dossiers.clear();
        self.heard.clear();
    }

    pub(super) fn application(&self, id: &ExternalId) -> Option<&Dossier> {
        self.dossiers.iter().flat_map(|(_, found)| found).find(|d| d.application.id == *id)
    }

    /// All that were found, each once.
    pub(super) fn all(&self) -> Vec<&Dossier> {
        let mut all: Vec<&Dossier> = Vec::new();
        for dossier in self.dossiers.iter().flat_map(|(_, found)| found) {
            if !all.iter().any(|known| known.application.id == dossier.application.id) {
                all.push(dossier);
            }
        }
        all
    }

    pub(super) fn heard(&self, subject: &Subject) -> Option<&Heard> {
        self.heard.get(subject)?.as_ref()
    }

    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        match &self.snapshot {
            Some(Answer::Is(snapshot)) => Some(snapshot),
            _ => None,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.snapshot == Some(Answer::Gone)
    }
}
