//! What follows from the platform's answer to an invitation, and from what it later says of the interview (B8).

use super::{
    Dossier, InviteError, State,
    ask::{label, note, refuse, status},
    decide::{Context, Decision, believed, save},
    verdict::Verdict,
};
use crate::ports::{Invitation, InvitationRequest, PlatformRole};
use atshub_schemas::{Line, fact::InterviewChange};
use jiff::Timestamp;
use uuid::Uuid;

/// The platform role that a name or id means: by id, else by name without case.
#[must_use]
pub fn resolve_role<'a>(named: &str, roles: &'a [PlatformRole]) -> Option<&'a PlatformRole> {
    let wanted = named.trim();
    roles
        .iter()
        .find(|r| r.id.as_str() == wanted)
        .or_else(|| roles.iter().find(|r| r.name.as_str().trim().to_lowercase() == wanted.to_lowercase()))
}

/// Marks the candidacy as being asked for, with its role. This save takes the live key, so that of two candidacies of one
/// person and role only one gets past it.
#[must_use]
pub fn inviting(dossier: &Dossier, id: Uuid, role: &PlatformRole, now: Timestamp) -> Dossier {
    let mut next = dossier.clone();
    if let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) {
        candidacy.state = State::Inviting;
        candidacy.role = Some(role.clone());
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
    let ats_url = dossier.application.url.clone().or_else(|| dossier.candidate.profile_url.clone());
    Some(InvitationRequest { name, email, role: candidacy.role.as_ref()?.id.clone(), phone, ats_url })
}

/// The platform has invited.
#[must_use]
pub fn invited(dossier: &Dossier, id: Uuid, invitation: &Invitation, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else {
        return Decision { dossier: None, effects: vec![], verdict: Verdict::ignored("unknown_candidacy", "the candidacy is gone") };
    };
    candidacy.state = State::Invited;
    candidacy.invitation = Some(invitation.clone());
    candidacy.changed_at = context.now;
    let candidacy = candidacy.clone();
    let mut effects = vec![status(&mut next, id, "invited", &label(context.policy, "invited"), invitation.link.clone())];
    if context.policy.invited_note {
        let role = candidacy.role.as_ref().map_or("interview", |r| r.name.as_str());
        let link = invitation.link.as_ref().map(|l| format!(" {l}")).unwrap_or_default();
        effects.push(note(&candidacy, "invited", &format!("Invited to the {} interview for {role}.{link}", context.policy.platform_name)));
    }
    save(next, Some(dossier), effects, Verdict::performed("invited", "the platform has invited the candidate"), context.now)
}

/// The platform, or a rule, has refused.
#[must_use]
pub fn refused(dossier: &Dossier, id: Uuid, error: InviteError, context: Context<'_>) -> Decision {
    let mut next = dossier.clone();
    let (effects, verdict) = refuse(&mut next, id, error, context);
    save(next, Some(dossier), effects, verdict, context.now)
}

/// The platform says how the interview stands. Facts older than the candidacy's last change are ignored.
#[must_use]
pub fn interview_changed(dossier: &Dossier, fact: &InterviewChange, time: Timestamp, context: Context<'_>) -> Decision {
    let nothing = |verdict| Decision { dossier: None, effects: vec![], verdict };
    let time = believed(time, context.now);
    let Some(index) =
        dossier.candidacies.iter().position(|c| c.invitation.as_ref().is_some_and(|i| i.candidacy == fact.platform_candidacy_id))
    else {
        return nothing(Verdict::ignored("unknown_candidacy", "no invitation of this tenant has that candidacy on the platform"));
    };
    let candidacy = &dossier.candidacies[index];
    if time < candidacy.changed_at {
        return nothing(Verdict::ignored(
            "older",
            format!("ignored, older: happened at {time}, and the state changed at {}", candidacy.changed_at),
        ));
    }
    let Some(state) = State::from_platform(fact.interview.state.as_str()) else {
        return nothing(Verdict::ignored(
            "unknown_state",
            format!("`{}` is not a state of an interview that the hub knows", fact.interview.state),
        ));
    };
    if state == candidacy.state {
        return nothing(Verdict::ignored("same_state", "the interview stands there already"));
    }
    if !candidacy.state.may_become(&state) {
        return nothing(Verdict::ignored(
            "no_transition",
            format!("an interview that is {} does not become {}", candidacy.state.code(), state.code()),
        ));
    }
    let mut next = dossier.clone();
    let (id, code) = (candidacy.id, state.code());
    next.candidacies[index].state = state;
    next.candidacies[index].changed_at = time;
    if let Some(link) = &fact.interview.link
        && let Some(invitation) = &mut next.candidacies[index].invitation
    {
        invitation.link = Some(link.clone());
    }
    let link = next.candidacies[index].invitation.as_ref().and_then(|i| i.link.clone());
    let effect = status(&mut next, id, code, &label(context.policy, code), link);
    save(next, Some(dossier), vec![effect], Verdict::accepted(code, format!("the interview is now {code}")), context.now)
}
