//! What becomes of a candidacy whose request to invite crashed its actor twice: the recruiter is told, and may ask anew.

use super::{
    Account, InviteOffice,
    work::{change_of, is_wanted, read},
};
use crate::{
    desk::About,
    domain::{Context, InviteError, refused},
    ports::Change,
    supervision::LastWords,
};
use atshub_schemas::{Envelope, Message};
use futures_util::FutureExt;
use std::sync::Arc;
use uuid::Uuid;

/// The last words of a request to invite.
#[must_use]
pub fn last_words(office: InviteOffice) -> LastWords {
    Arc::new(move |envelope| {
        let office = office.clone();
        async move { given_up(&office, &envelope).await.unwrap_or_default() }.boxed()
    })
}

/// `None`: nobody waits for it any more, or nobody can be told.
async fn given_up(office: &InviteOffice, envelope: &Arc<Envelope>) -> Option<Change> {
    let Message::InviteRequested(wanted) = &envelope.message else { return None };
    let Account { policy, connector, .. } = office.accounts.account(&envelope.tenant)?;
    let (desk, fresh) = (&office.desk, Uuid::now_v7());
    let (dossier, candidacy) = read(desk, envelope, wanted).await.ok()?.filter(|(_, candidacy)| is_wanted(wanted, candidacy))?;
    let decision = refused(&dossier, candidacy.id, InviteError::NoAnswer, Context { policy: &policy, now: desk.clock.now(), fresh });
    let (mut change, saved) = change_of(desk, envelope, &dossier, &decision, connector.as_deref());
    let about = About { dossier: Some(saved), candidacy: Some(candidacy.id) };
    change.journal.push(desk.entry(envelope, about, "parked", "parked as `poison`: the request crashed what works on it twice"));
    Some(change)
}
