//! What follows from the platform's answers: invited, refused, still open, not open any more (B2, B5, B8).

use super::invitation::{Invitation, InvitationRequest, PlatformRole};
use super::{
    Context, Decision, Dossier, Heard, InviteError, State,
    ask::{self, Step, told},
    facts::{follow, saved},
    tell::{label, note, standing, status},
    verdict::Verdict,
};
use atshub_schemas::{
    Line,
    text::{names_id, same},
};
use jiff::Timestamp;
use uuid::Uuid;

/// The platform role that a name or id means: by id, else by name as a person reads it.
#[must_use]
pub fn resolve_role<'a>(named: &str, roles: &'a [PlatformRole]) -> Option<&'a PlatformRole> {
    let by_id = || roles.iter().find(|role| names_id(named, role.id.as_str()));
    roles.iter().find(|role| role.id.as_str() == named).or_else(by_id).or_else(|| roles.iter().find(|role| same(named, role.name.as_str())))
}

/// Marks the candidacy as being asked for, with its role and the address it is asked with. This save takes the live key, so that of two
/// candidacies of one person and role only one gets past it.
#[must_use]
pub fn inviting(dossier: &Dossier, id: Uuid, role: &PlatformRole, now: Timestamp) -> Dossier {
    let mut next = dossier.clone();
    let url = next.application.url.clone().or_else(|| next.candidate.profile_url.clone());
    if let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) {
        candidacy.state = State::Inviting;
        candidacy.role = Some(role.clone());
        candidacy.asked_with = url;
        candidacy.yields_to = None;
        candidacy.invitation = None;
        candidacy.interviews = super::Interviews::default();
        candidacy.changed_at = now;
    }
    next.version += 1;
    next.updated_at = now;
    next
}

/// What to ask the platform for. `None` without an address or a role.
#[must_use]
pub fn request(dossier: &Dossier, id: Uuid) -> Option<InvitationRequest> {
    let candidacy = dossier.candidacy(id)?;
    let email = dossier.candidate.email.clone()?;
    let name = dossier.candidate.name.clone().or_else(|| Line::new(email.as_str()).ok())?;
    let phone = dossier.candidate.phone.as_ref().map(|p| p.as_str().to_owned()).filter(|p| !p.is_empty());
    let known = || dossier.application.url.clone().or_else(|| dossier.candidate.profile_url.clone());
    let ats_url = candidacy.asked_with.clone().or_else(known);
    Some(InvitationRequest { name, email, role: candidacy.role.as_ref()?.id.clone(), phone, ats_url })
}

/// The platform has invited. `heard`: what it said of the interview before this was stored.
#[must_use]
pub fn invited(dossier: &Dossier, id: Uuid, invitation: &Invitation, heard: Option<&Heard>, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else { return gone() };
    candidacy.state = State::Invited;
    candidacy.invitation = Some(invitation.clone());
    candidacy.changed_at = context.now;
    candidacy.answered = candidacy.intent;
    let withdrawn = candidacy.withdrawn.take();
    if let Some(heard) = heard {
        candidacy.interviews.absorb(&heard.interviews);
    }
    let candidacy = candidacy.clone();
    let mut effects = vec![status(&mut next, id, "invited", &label(context.policy, "invited"), invitation.link.clone())];
    if context.policy.invited_note {
        let role = candidacy.role.as_ref().map_or("interview", |r| r.name.as_str());
        let link = invitation.link.as_ref().map(|l| format!(" {l}")).unwrap_or_default();
        effects.push(note(&candidacy, "invited", &format!("Invited to the {} interview for {role}.{link}", context.policy.platform_name)));
    }
    if let Some(why) = withdrawn {
        let told = told(&next, &[id], "cancel_elsewhere", candidacy.asked_at, context, |p, link| {
            let link = link.map(|l| format!(" Open it: {l}")).unwrap_or_default();
            format!(
                "The {p} interview had been asked for before this ({why}). To cancel it, open the candidate on the {p} platform: Settings, Cancel Interview.{link}"
            )
        });
        effects.extend(told.effects);
    }
    effects.extend(follow(&mut next, id, context).effects);
    let step = Step::new(effects, Verdict::performed("invited", "the platform has invited the candidate"));
    saved(Some(dossier), next, step, Verdict::ignored("unknown_candidacy", "the candidacy is gone"), context)
}

/// The platform, or a rule, has refused.
#[must_use]
pub fn refused(dossier: &Dossier, id: Uuid, error: InviteError, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let step = ask::refuse(&mut next, id, error, context);
    saved(Some(dossier), next, step, Verdict::ignored("unknown_candidacy", "the candidacy is gone"), context)
}

/// It was asked again, and the interview is open: its status stays, and a note says so (B2).
#[must_use]
pub fn still_open(dossier: &Dossier, id: Uuid, found: &Invitation, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else { return gone() };
    candidacy.answered = candidacy.intent;
    if let Some(invitation) = &mut candidacy.invitation {
        invitation.link = found.link.clone().or(invitation.link.take());
    }
    let error = InviteError::AlreadyActive { link: candidacy.link().cloned() };
    let text = format!("Asked again. {}", error.text(&context.policy.platform_name));
    let effect = note(candidacy, "asked-again", &text);
    let verdict = Verdict::refused(
        error.code(),
        error.text(&context.policy.platform_name),
        format!("{}: {}", error.remedy().who, error.remedy().what),
    );
    saved(Some(dossier), next, Step::new(vec![effect], verdict), Verdict::ignored("unknown_candidacy", "the candidacy is gone"), context)
}

/// The platform was looked at, and has no open interview for a candidacy that the hub believed to be live: it is over, and its key is
/// free.
#[must_use]
pub fn not_open(dossier: &Dossier, id: Uuid, context: Context<'_>) -> Decision {
    ends(dossier, id, "no longer open on the platform", "released", context)
}

/// What was asked for was taken back, and the platform, looked at, has not invited.
#[must_use]
pub fn taken_back(dossier: &Dossier, id: Uuid, why: &str, context: Context<'_>) -> Decision {
    ends(dossier, id, why, "taken_back", context)
}

fn ends(dossier: &Dossier, id: Uuid, why: &str, code: &str, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else { return gone() };
    candidacy.state = State::Cancelled { reason: why.to_owned() };
    candidacy.changed_at = context.now;
    candidacy.answered = candidacy.intent;
    candidacy.withdrawn = None;
    let effect = standing(&mut next, id, "cancelled", context.policy, None);
    let verdict = Verdict::performed(code, format!("the candidacy has ended: {why}"));
    saved(
        Some(dossier),
        next,
        Step::new(effect.into_iter().collect(), verdict),
        Verdict::ignored("unknown_candidacy", "the candidacy is gone"),
        context,
    )
}

fn gone() -> Decision {
    Decision { dossier: None, effects: vec![], taken_back: vec![], verdict: Verdict::ignored("unknown_candidacy", "the candidacy is gone") }
}
