//! Turns write-backs into commands for the tenant's bridge. Whoever calls it publishes them and waits for the answer.

use super::entry::CAPABILITIES;
use crate::ats::Account;
use async_trait::async_trait;
use atshub_actors::{
    domain::Snapshot,
    failure::Failure,
    ports::{Capabilities, Connector, Written},
};
use atshub_schemas::{
    ExternalId, Line, Message, Prose,
    command::{NoteAdded, StatusSet},
    fact::{Application, Candidate},
    internal::{Write, WritebackRequested},
};

/// One tenant's bridge.
pub(super) struct Bridge {
    status_field: Line,
}

impl Bridge {
    /// # Errors
    /// A sentence that names the setting that is wrong.
    pub(super) fn new(account: &Account) -> Result<Self, String> {
        let status_field = Line::new(account.policy.status_field.as_str())
            .map_err(|error| format!("the setting `status_field` of tenant `{}` {error}", account.tenant))?;
        Ok(Self { status_field })
    }
}

#[async_trait]
impl Connector for Bridge {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn command(&self, request: &WritebackRequested) -> Option<Message> {
        let application = Application { id: request.application.clone(), url: None, status: None };
        let candidate = request.candidate.clone().map(|id| Candidate { id: Some(id), ..Candidate::default() });
        Some(match &request.write {
            Write::Status { sequence, code, text, link } => Message::StatusSet(StatusSet {
                application,
                candidate,
                field: self.status_field.clone(),
                text: text.clone(),
                code: code.clone(),
                sequence: *sequence,
                link: link.clone(),
            }),
            Write::Note { marker, body } => {
                Message::NoteAdded(NoteAdded { application, candidate, body: marked(body, marker), marker: marker.clone() })
            }
        })
    }

    /// Nobody can be asked.
    async fn read(&self, _application: &ExternalId) -> Result<Option<Snapshot>, Failure> {
        Ok(None)
    }

    async fn write(&self, request: &WritebackRequested) -> Result<Written, Failure> {
        Ok(self
            .command(request)
            .map_or(Written::NotSupported("a bridge has no command for it"), |command| Written::Delegated(Box::new(command))))
    }

    /// The bridge looks for itself: a status carries its number, a note its marker.
    async fn look(&self, _request: &WritebackRequested) -> Result<bool, Failure> {
        Ok(false)
    }

    async fn test(&self) -> Result<Vec<String>, Failure> {
        Ok(Vec::new())
    }
}

/// The body with the marker in it, as the command promises; a body that has no room for it gives way at its end.
fn marked(body: &Prose, marker: &Line) -> Prose {
    if body.as_str().contains(marker.as_str()) {
        return body.clone();
    }
    let room = Prose::MAX_CHARS - marker.as_str().chars().count() - 2;
    let cut: String = body.as_str().chars().take(room).collect();
    Prose::new(format!("{cut}\n\n{marker}")).unwrap_or_else(|_| body.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_in_every_body_even_the_longest() {
        let marker: Line = "ref atshub-1".parse().unwrap();
        for body in ["Hello.".to_owned(), "Hello.\nref atshub-1".to_owned(), "x".repeat(Prose::MAX_CHARS)] {
            let marked = marked(&Prose::new(body).unwrap(), &marker);
            assert_eq!(marked.as_str().matches(marker.as_str()).count(), 1);
            assert!(marked.as_str().ends_with(marker.as_str()));
        }
    }
}
