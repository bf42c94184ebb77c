//! From the rows that name a message to the one view of it. Decides which of them tells where the message is now.

use super::from_json;
use atshub_actors::ports::{JournalEntry, MessageView, ParkedView, StoreError};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Everything stored under one message id, of whatever tenant and source.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    pub inbox: Vec<SeenInbox>,
    pub attempts: Vec<SeenAttempt>,
    pub outbox: Vec<SeenOutbox>,
    pub parked: Vec<SeenParked>,
    pub journal: Vec<JournalEntry>,
}

#[derive(Debug)]
pub(crate) struct SeenInbox {
    pub tenant: String,
    pub source: String,
    pub kind: String,
    pub envelope: String,
    pub disposition: String,
    pub handled_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct SeenAttempt {
    pub tenant: String,
    pub source: String,
    pub begun: u32,
    pub begun_at: Option<Timestamp>,
    pub failures: u32,
    pub last_error: Option<String>,
    pub next_at: Option<Timestamp>,
    pub updated_at: Timestamp,
}

#[derive(Debug)]
pub(crate) struct SeenOutbox {
    pub tenant: String,
    pub source: String,
    pub kind: String,
    pub body: String,
    pub not_before: Option<Timestamp>,
    pub created_at: Timestamp,
    /// The broker has confirmed it.
    pub sent: bool,
}

#[derive(Debug)]
pub(crate) struct SeenParked {
    pub tenant: Option<String>,
    pub source: Option<String>,
    pub kind: Option<String>,
    pub body: Vec<u8>,
    pub recorded_at: Timestamp,
    pub view: ParkedView,
}

/// Tenant and source.
type Whose = (Option<String>, Option<String>);

#[derive(Default)]
struct Story {
    inbox: Option<SeenInbox>,
    attempt: Option<SeenAttempt>,
    outbox: Option<SeenOutbox>,
    parked: Option<SeenParked>,
}

impl Evidence {
    /// A view per tenant and source.
    pub(crate) fn views(self, id: &str, now: Timestamp) -> Result<Vec<MessageView>, StoreError> {
        let mut stories: BTreeMap<Whose, Story> = BTreeMap::new();
        let whose = |tenant: &str, source: &str| -> Whose { (Some(tenant.to_owned()), Some(source.to_owned())) };
        for row in self.inbox {
            let story = stories.entry(whose(&row.tenant, &row.source)).or_default();
            story.inbox = Some(row);
        }
        for row in self.attempts {
            let story = stories.entry(whose(&row.tenant, &row.source)).or_default();
            story.attempt = Some(row);
        }
        for row in self.outbox {
            let story = stories.entry(whose(&row.tenant, &row.source)).or_default();
            if story.outbox.as_ref().is_none_or(|known| known.created_at <= row.created_at) {
                story.outbox = Some(row);
            }
        }
        for row in self.parked {
            // An unreadable body does not say who published it; then it belongs to the tenant's message of that id.
            let known = row.source.is_none().then(|| stories.keys().find(|(tenant, _)| *tenant == row.tenant).cloned()).flatten();
            let story = stories.entry(known.unwrap_or_else(|| (row.tenant.clone(), row.source.clone()))).or_default();
            if story.parked.as_ref().is_none_or(|known| known.recorded_at <= row.recorded_at) {
                story.parked = Some(row);
            }
        }
        // What an operator did is a line of history alone, under an id of its own.
        for line in &self.journal {
            let tenant = Some(line.tenant.to_string());
            if stories.keys().all(|(known, _)| *known != tenant) {
                stories.insert((tenant, None), Story::default());
            }
        }
        stories
            .into_iter()
            .map(|((tenant, source), story)| {
                let journal = self.journal.iter().filter(|j| tenant.as_deref() == Some(j.tenant.as_str())).cloned().collect();
                story.view(id, tenant, source, journal, now)
            })
            .collect()
    }
}

impl Story {
    fn view(
        self,
        id: &str,
        tenant: Option<String>,
        source: Option<String>,
        journal: Vec<JournalEntry>,
        now: Timestamp,
    ) -> Result<MessageView, StoreError> {
        let (state, at) = self.state(now).unwrap_or_else(|| ("noted", journal.last().map(|line| line.at)));
        let Self { inbox, attempt, outbox, parked } = self;
        let scheduled = outbox.as_ref().filter(|o| !o.sent).and_then(|o| o.not_before);
        let next_at = if inbox.is_some() { None } else { attempt.as_ref().and_then(|a| a.next_at).or(scheduled) };
        let disposition = inbox.as_ref().map(|i| from_json("a disposition", &i.disposition)).transpose()?;
        let kind =
            [inbox.as_ref().map(|i| i.kind.clone()), outbox.as_ref().map(|o| o.kind.clone()), parked.as_ref().and_then(|p| p.kind.clone())];
        let body = [inbox.map(|i| i.envelope), outbox.map(|o| o.body), parked.as_ref().map(|p| shown(&p.body))];
        Ok(MessageView {
            id: id.to_owned(),
            tenant,
            source,
            kind: kind.into_iter().flatten().next(),
            state: state.to_owned(),
            at,
            disposition,
            begun: attempt.as_ref().map_or(0, |a| a.begun),
            failures: attempt.as_ref().map_or(0, |a| a.failures),
            last_error: attempt.and_then(|a| a.last_error),
            next_at,
            parked: parked.map(|p| p.view),
            body: body.into_iter().flatten().next(),
            journal,
        })
    }

    /// The newest of what was noted tells the state. Handled work stays handled, unless it was parked later. When a row
    /// was *sent* does not count, only when it was made: the consumer may begin before the relay has noted the confirm.
    /// Where the message is, and since when. `None`: nothing is stored but what happened because of it.
    fn state(&self, now: Timestamp) -> Option<(&'static str, Option<Timestamp>)> {
        let parked_at = self.parked.as_ref().map(|p| p.recorded_at);
        if let Some(inbox) = &self.inbox
            && parked_at.is_none_or(|parked| parked < inbox.handled_at)
        {
            return Some(("handled", Some(inbox.handled_at)));
        }
        let begun_at = self.attempt.as_ref().and_then(|a| a.begun_at);
        if let Some(row) = &self.outbox
            && Some(row.created_at) > begun_at
            && Some(row.created_at) > parked_at
        {
            return Some(match (row.sent, row.not_before) {
                (true, _) => ("sent", Some(row.created_at)),
                (false, Some(due)) if due > now => ("scheduled", Some(row.created_at)),
                (false, _) => ("outbox", Some(row.not_before.unwrap_or(row.created_at))),
            });
        }
        match (parked_at, begun_at) {
            (Some(parked), begun) if Some(parked) >= begun => Some(("parked", Some(parked))),
            (_, begun) => self.attempt.as_ref().map(|attempt| ("in_work", begun.or(Some(attempt.updated_at)))),
        }
    }
}

/// A body for the eye: text as it is, anything else with escapes.
fn shown(body: &[u8]) -> String {
    std::str::from_utf8(body).map_or_else(|_| body.escape_ascii().to_string(), str::to_owned)
}
