//! What a change and a message look like as rows: the part of storing that does not depend on the database. Both stores
//! use it, so that they write the same words and tell the same story of a message. No IO.

mod clocks;
mod erasure;
mod identity;
pub mod kept;
mod policy;
mod schema;
mod search;
#[cfg(test)]
mod tests;
mod turns;
mod view;
mod words;

use atshub_actors::{
    domain::Dossier,
    ports::{Attempt, Change, Claim, Conflict, DossierWrite, Handled, HeardWrite, JournalEntry, MessageKey, OutboxRow, Parked, StoreError},
};
use atshub_schemas::{ExternalId, topology};
use jiff::Timestamp;
use std::collections::HashSet;
use uuid::Uuid;

pub(crate) use clocks::{LONGEST_LEASE, PULLED_LEASE, TOLERANCE};
pub(crate) use erasure::{Cell, ROUNDS, Traces};
pub(crate) use identity::{new_identity, shown_identity};
pub(crate) use policy::{policy_of, policy_to_store};
pub(crate) use schema::LEAST_SCHEMA;
pub use schema::Schema;
pub(crate) use search::{KEYS, SearchColumn, SearchKeys, page_of, sought};
pub(crate) use turns::Turns;
pub(crate) use view::{Evidence, SeenAttempt, SeenInbox, SeenOutbox, SeenParked};
pub(crate) use words::{checked, count, from_json, last_error, signed, storable, stored, to_json, unsigned};
use words::{source_of, text};

/// Most lines of history that are shown of one application or message.
pub(crate) const JOURNAL_LIMIT: i64 = 1_000;
/// Most dossiers of one person.
pub(crate) const CANDIDATE_LIMIT: i64 = 200;
/// Most refused dossiers of one job.
pub(crate) const REFUSED_LIMIT: i64 = 500;
/// Most rows of one kind that are looked at for one message id.
pub(crate) const EVIDENCE_LIMIT: i64 = 100;

/// A change, ready to be written: everything that can fail without a database has been done.
#[derive(Debug)]
pub(crate) struct Rows {
    /// When the store was asked.
    pub received: Timestamp,
    pub handled: Option<InboxRow>,
    pub attempt: Option<Attempt>,
    pub dossiers: Vec<DossierRow>,
    pub heard: Vec<HeardRow>,
    /// Tenant and effect key of what is not to be sent any more.
    pub taken_back: Vec<(String, String)>,
    /// The same of what has to wait still.
    pub ends: Option<(String, String)>,
    pub begins: Option<(MessageKey, Claim)>,
    /// Tenant, kind and id of what nothing may have been heard of.
    pub unheard: Vec<(String, &'static str, String)>,
    pub outbox: Vec<OutboxRecord>,
    pub journal: Vec<JournalEntry>,
    pub parked: Option<ParkedRow>,
}

#[derive(Debug)]
pub(crate) struct InboxRow {
    pub key: MessageKey,
    pub kind: &'static str,
    pub envelope: String,
    pub disposition: String,
}

#[derive(Debug)]
pub(crate) struct DossierRow {
    pub tenant: String,
    pub application: String,
    pub expected: Option<i64>,
    pub version: i64,
    pub candidate: Option<String>,
    pub job: Option<String>,
    /// Code of the newest candidacy's state.
    pub state: Option<String>,
    pub body: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub candidacies: Vec<CandidacyRow>,
    pub search: SearchKeys,
}

#[derive(Debug)]
pub(crate) struct CandidacyRow {
    pub id: Uuid,
    pub state: String,
    pub live_key: Option<String>,
    pub platform_candidacy: Option<String>,
    pub changed_at: Timestamp,
    pub asked_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct HeardRow {
    pub tenant: String,
    pub kind: &'static str,
    pub id: String,
    pub expected: Option<i64>,
    pub version: i64,
    pub body: String,
    pub updated_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct OutboxRecord {
    pub exchange: String,
    pub routing_key: String,
    pub tenant: String,
    pub source: String,
    pub message_id: String,
    pub kind: &'static str,
    pub body: String,
    pub not_before: Option<Timestamp>,
    /// By what it is found while it waits.
    pub effect_key: Option<String>,
    /// What rows are handed out in the order of: when it is due; for an invitation that is due at once, its turn.
    pub due: Timestamp,
    /// The relay of this process gets it as soon as it is committed: until then nobody else.
    pub claimed_until: Option<Timestamp>,
}

impl OutboxRecord {
    pub(crate) fn is_invitation(&self) -> bool {
        self.routing_key == topology::INVITES
    }
}

#[derive(Debug)]
pub(crate) struct ParkedRow {
    pub parked: Parked,
    /// Who published it, where the body says so.
    pub source: Option<String>,
    pub fingerprint: Uuid,
}

impl Rows {
    /// Turns a change into rows.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a change that contradicts itself or cannot be written as JSON.
    pub(crate) fn new(change: Change, turns: &Turns, now: Timestamp) -> Result<Self, StoreError> {
        let received = stored(now);
        if [change.handled.is_some(), change.attempt.is_some(), change.begins.is_some()].into_iter().filter(|is| *is).count() > 1 {
            return Err(StoreError::Refused(
                "a change does two of beginning a message's work, ending it and recording a failed try at it".into(),
            ));
        }
        let again = change.attempt.as_ref().map(|attempt| attempt.key.clone());
        let mut outbox: Vec<OutboxRecord> = Vec::with_capacity(change.outbox.len());
        for row in &change.outbox {
            let record = OutboxRecord::new(row, received, turns, again.as_ref())?;
            // Of two rows with one key the later one stays.
            outbox.retain(|known| known.effect_key.is_none() || (&known.tenant, &known.effect_key) != (&record.tenant, &record.effect_key));
            outbox.push(record);
        }
        let rows = Self {
            received,
            handled: change.handled.as_ref().map(InboxRow::new).transpose()?,
            attempt: change.attempt.map(cleaned),
            dossiers: change.dossiers.iter().map(DossierRow::new).collect::<Result<_, _>>()?,
            heard: change.heard.iter().map(HeardRow::new).collect::<Result<_, _>>()?,
            taken_back: change.taken_back.iter().map(|(tenant, key)| (tenant.to_string(), storable(&key.to_string()))).collect(),
            ends: change.ends.map(|(tenant, key)| (tenant.to_string(), storable(&key.to_string()))),
            begins: change.begins,
            unheard: change.unheard.iter().map(|(tenant, of)| (tenant.to_string(), of.kind(), of.id().to_string())).collect(),
            outbox,
            journal: change.journal.into_iter().map(line).collect(),
            parked: change.parked.map(ParkedRow::new),
        };
        let mut seen = HashSet::new();
        if !rows.dossiers.iter().all(|d| seen.insert((&d.tenant, &d.application))) {
            return Err(StoreError::Refused("a change saves one dossier twice".into()));
        }
        let mut seen = HashSet::new();
        if !rows.heard.iter().all(|h| seen.insert((&h.tenant, h.kind, &h.id))) {
            return Err(StoreError::Refused("a change saves twice what was heard of one subject".into()));
        }
        Ok(rows)
    }

    /// There is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.handled.is_none()
            && self.attempt.is_none()
            && self.dossiers.is_empty()
            && self.heard.is_empty()
            && self.taken_back.is_empty()
            && self.ends.is_none()
            && self.begins.is_none()
            && self.outbox.is_empty()
            && self.journal.is_empty()
            && self.parked.is_none()
    }

    /// The message whose inbox or attempts row is written.
    pub(crate) fn key(&self) -> Option<&MessageKey> {
        self.handled.as_ref().map(|h| &h.key).or(self.attempt.as_ref().map(|a| &a.key)).or(self.begins.as_ref().map(|(key, _)| key))
    }

    /// Tenant and live key of every live candidacy that is saved.
    pub(crate) fn live_keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.dossiers.iter().flat_map(|d| d.candidacies.iter().filter_map(|c| Some((d.tenant.as_str(), c.live_key.as_deref()?))))
    }

    /// The same with the application that holds it.
    fn live_holders(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.dossiers.iter().flat_map(|d| {
            let keys = d.candidacies.iter().filter_map(|c| c.live_key.as_deref());
            keys.map(|key| (d.tenant.as_str(), key, d.application.as_str()))
        })
    }

    /// Two candidacies of the change itself want one live key.
    pub(crate) fn own_conflict(&self) -> Option<Conflict> {
        let mut seen = HashSet::new();
        self.live_holders().find(|(tenant, key, _)| !seen.insert((*tenant, *key))).map(|(_, key, holder)| taken(key, holder))
    }

    /// The change saves this dossier, so what the store has of it does not count against it.
    pub(crate) fn saves(&self, tenant: &str, application: &str) -> bool {
        self.dossiers.iter().any(|d| d.tenant == tenant && d.application == application)
    }
}

/// A live key that is held by this application.
pub(crate) fn taken(key: &str, holder: &str) -> Conflict {
    match ExternalId::new(holder) {
        Ok(holder) => Conflict::Taken { key: key.to_owned(), holder },
        // It was checked when it was stored.
        Err(_) => Conflict::Raced,
    }
}

impl InboxRow {
    fn new(handled: &Handled) -> Result<Self, StoreError> {
        let envelope = text(handled.envelope.encode())?;
        Ok(Self {
            key: MessageKey::from(&*handled.envelope),
            kind: handled.envelope.message.kind(),
            envelope,
            disposition: to_json(&handled.disposition)?,
        })
    }
}

impl DossierRow {
    fn new(write: &DossierWrite) -> Result<Self, StoreError> {
        let Dossier { tenant, application, candidate, job, version, candidacies, created_at, updated_at, .. } = &write.dossier;
        Ok(Self {
            tenant: tenant.to_string(),
            application: application.id.to_string(),
            expected: write.expected.map(signed).transpose()?,
            version: signed(*version)?,
            candidate: candidate.id.as_ref().map(ToString::to_string),
            job: job.id.as_ref().map(ToString::to_string),
            state: write.dossier.current().map(|c| c.state.code().to_owned()),
            body: to_json(&write.dossier)?,
            created_at: stored(*created_at),
            updated_at: stored(*updated_at),
            search: SearchKeys::of(&write.dossier),
            candidacies: candidacies
                .iter()
                .map(|c| CandidacyRow {
                    id: c.id,
                    state: c.state.code().to_owned(),
                    live_key: c.live_key(candidate),
                    platform_candidacy: c.invitation.as_ref().map(|i| i.candidacy.to_string()),
                    changed_at: stored(c.changed_at),
                    asked_at: stored(c.asked_at),
                })
                .collect(),
        })
    }
}

impl HeardRow {
    fn new(write: &HeardWrite) -> Result<Self, StoreError> {
        let heard = &write.heard;
        Ok(Self {
            tenant: heard.tenant.to_string(),
            kind: heard.subject.kind(),
            id: heard.subject.id().to_string(),
            expected: write.expected.map(signed).transpose()?,
            version: signed(heard.version)?,
            body: to_json(heard)?,
            updated_at: stored(heard.updated_at),
        })
    }
}

impl OutboxRecord {
    /// `again`: the message that is tried again by this change. It has one row that waits, whoever puts it there.
    fn new(row: &OutboxRow, received: Timestamp, turns: &Turns, again: Option<&MessageKey>) -> Result<Self, StoreError> {
        let envelope = &row.envelope;
        let again = again.filter(|m| (&m.tenant, &m.source, &m.id) == (&envelope.tenant, &envelope.source, &envelope.id));
        let effect_key = match (&row.key, again) {
            (Some(key), _) => Some(storable(&key.to_string())),
            (None, again) => again.map(|message| format!("again/{}/{}", message.source, message.id)),
        };
        let tenant = row.envelope.tenant.as_str();
        let due = match row.not_before {
            Some(time) => stored(time),
            None if row.routing_key == topology::INVITES => turns.next(tenant, received),
            None => received,
        };
        Ok(Self {
            due,
            exchange: storable(&row.exchange),
            routing_key: storable(&row.routing_key),
            tenant: tenant.to_owned(),
            source: row.envelope.source.to_string(),
            message_id: row.envelope.id.to_string(),
            kind: row.envelope.message.kind(),
            body: text(row.envelope.encode())?,
            not_before: row.not_before.map(stored),
            effect_key,
            claimed_until: None,
        })
    }
}

impl ParkedRow {
    fn new(parked: Parked) -> Self {
        let fingerprint = parked.fingerprint();
        let source = source_of(&parked.body);
        let parked = Parked {
            at: stored(parked.at),
            tenant: parked.tenant.as_deref().map(storable),
            queue: storable(&parked.queue),
            exchange: storable(&parked.exchange),
            routing_key: storable(&parked.routing_key),
            message_id: parked.message_id.as_deref().map(storable),
            kind: parked.kind.as_deref().map(storable),
            code: storable(&parked.code),
            field: parked.field.as_deref().map(storable),
            detail: storable(&parked.detail),
            body: parked.body,
            cut: parked.cut,
        };
        Self { parked, source, fingerprint }
    }
}

fn cleaned(attempt: Attempt) -> Attempt {
    Attempt { code: storable(&attempt.code), detail: storable(&attempt.detail), next_at: attempt.next_at.map(stored), ..attempt }
}

fn line(entry: JournalEntry) -> JournalEntry {
    JournalEntry { at: stored(entry.at), code: storable(&entry.code), text: storable(&entry.text), ..entry }
}
