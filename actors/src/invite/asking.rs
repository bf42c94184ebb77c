//! What is asked of the platform for one request: the role, whether an interview is open, the invitation.

use super::{
    Accounts,
    meaning::{error_of, last_link},
    work::read,
};
use crate::{
    desk::{About, Desk},
    domain::{Candidacy, Context, Dossier, InviteError, Policy, request, resolve_role},
    failure::Failure,
    gate::{Gate, Halt, Pass},
    ports::{Connector, Invitation, Platform, PlatformRole},
    turns::Place,
};
use atshub_schemas::{Envelope, internal::InviteRequested};
use std::sync::Arc;
use uuid::Uuid;

/// Whether the tenant has been set aside, or removed, since work on a request began.
pub(super) struct Aside<'a> {
    pub(super) accounts: &'a dyn Accounts,
    pub(super) gate: &'a Gate,
    pub(super) draw: f64,
}

impl Aside<'_> {
    fn check(&self, envelope: &Envelope) -> Result<(), Halt> {
        match self.accounts.account(&envelope.tenant) {
            Some(account) if !account.set_aside => Ok(()),
            Some(_) | None => Err(Halt::Wait(self.gate.set_aside(self.draw))),
        }
    }
}

/// One request under work.
pub(super) struct Asking<'a> {
    pub(super) desk: &'a Desk,
    pub(super) envelope: &'a Arc<Envelope>,
    pub(super) policy: &'a Policy,
    pub(super) platform: &'a dyn Platform,
    pub(super) connector: Option<&'a dyn Connector>,
    pub(super) place: Place<'a, Uuid>,
    pub(super) pass: Pass<'a>,
    pub(super) wanted: &'a InviteRequested,
    pub(super) aside: Aside<'a>,
}

/// What the platform's side came to.
pub(super) enum Answer {
    Invited(Invitation),
    Refused(InviteError),
    /// It was asked again, and the interview is open.
    StillOpen(Invitation),
    /// It was taken back before the platform invited.
    TakenBack(String),
}

impl Asking<'_> {
    pub(super) async fn read(&self) -> Result<Option<(Dossier, Candidacy)>, Failure> {
        read(self.desk, self.envelope, self.wanted).await
    }

    pub(super) fn about<'d>(&self, dossier: Option<&'d Dossier>) -> About<'d> {
        About { dossier, candidacy: Some(self.wanted.candidacy) }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context { policy: self.policy, now: self.desk.clock.now(), fresh: Uuid::now_v7() }
    }

    /// The platform's role that the candidacy names. A list that is remembered may have it, and is no reason to say that it does not
    /// exist: that is for a list that is asked for now.
    pub(super) async fn role(&mut self, candidacy: &Candidacy) -> Result<Option<PlatformRole>, Halt> {
        let Some(named) = candidacy.role_named.as_deref() else { return Ok(None) };
        let _calling = self.place.calling();
        let remembered = self.pass.perhaps_remembered(self.platform.roles()).await?;
        if let Some(role) = resolve_role(named, &remembered) {
            return Ok(Some(role.clone()));
        }
        let now = self.pass.call(self.platform.roles_now()).await?;
        Ok(resolve_role(named, &now).cloned())
    }

    /// Looks at the platform for an open interview of the candidacy's person and role: of this application, or `anywhere`.
    pub(super) async fn look(&mut self, dossier: &Dossier, anywhere: bool) -> Result<Option<Invitation>, Halt> {
        let Some(mut request) = request(dossier, self.wanted.candidacy) else { return Ok(None) };
        if anywhere {
            request.ats_url = None;
        }
        let _calling = self.place.calling();
        self.pass.call(self.platform.find(&request)).await
    }

    pub(super) async fn ask(&mut self, dossier: &Dossier, again: bool) -> Result<Answer, Halt> {
        let Some(request) = request(dossier, self.wanted.candidacy) else { return Ok(Answer::Refused(InviteError::EmailMissing)) };
        let candidacy = dossier.candidacy(self.wanted.candidacy);
        // Asked without an address, one without an address may be ours; else it is another one's, made by hand.
        let asked_without = candidacy.is_none_or(|c| c.asked_with.is_none());
        let ours = |found: &Invitation| found.ats_url.is_some() || request.ats_url.is_none() || asked_without;
        let withdrawn = candidacy.and_then(|c| c.withdrawn.clone());
        let _calling = self.place.calling();
        // An earlier asking that was given up without an answer may have had its effect. A store that went back does not know what it
        // asked; what is ours then has our address.
        let (looks, forgot) = (again || withdrawn.is_some() || self.wanted.intent > 1, self.desk.forgot());
        if (looks || forgot)
            && let Some(found) = self.pass.call(self.platform.find(&request)).await?
            && (looks || found.ats_url.is_some())
        {
            return Ok(if ours(&found) {
                Answer::Invited(found)
            } else {
                Answer::Refused(InviteError::AlreadyActive { link: found.link })
            });
        }
        if let Some(why) = withdrawn {
            return Ok(Answer::TakenBack(why));
        }
        self.aside.check(self.envelope)?;
        match self.pass.call(self.platform.invite(&request)).await {
            Ok(invitation) => Ok(Answer::Invited(invitation)),
            Err(Halt::Failed(Failure::Rejected { code, detail })) if code == "already_active" => {
                // It may be this application's own: of an attempt whose answer was lost, or that a restored store knows nothing of.
                let found =
                    self.pass.call(self.platform.find(&request)).await?.filter(|found| found.ats_url.is_some() || (again && ours(found)));
                Ok(found.map_or_else(|| Answer::Refused(InviteError::AlreadyActive { link: last_link(&detail) }), Answer::Invited))
            }
            Err(Halt::Failed(Failure::Rejected { code, detail })) => Ok(Answer::Refused(error_of(&code, detail))),
            Err(halt) => Err(halt),
        }
    }
}
