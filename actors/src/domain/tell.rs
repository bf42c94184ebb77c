//! What is written into the ATS: statuses, notes, and the words in them (B6, B10 to B12).

use super::{Candidacy, Dossier, Policy, effect::Effect};
use atshub_schemas::{
    Line, Link, Prose,
    internal::{Write, WritebackRequested},
};
use uuid::Uuid;

/// The next status for the ATS; raises the application's status number.
pub(super) fn status(next: &mut Dossier, candidacy: Uuid, code: &str, text: &str, link: Option<Link>) -> Effect {
    next.sequence += 1;
    let intent = next.candidacy(candidacy).map_or(0, |c| c.intent);
    Effect::Write { candidacy, intent, write: Write::Status { sequence: next.sequence, code: line(code), text: line(text), link } }
}

/// Tells how a candidacy stands: in the status field, which shows the newest candidacy of the application; of an older one that is
/// still alive, in a note, so that it does not write over the newer one's status.
pub(super) fn standing(next: &mut Dossier, id: Uuid, code: &str, policy: &Policy, link: Option<Link>) -> Option<Effect> {
    let words = label(policy, code);
    if next.current().is_some_and(|current| current.id == id) {
        return Some(status(next, id, code, &words, link));
    }
    let candidacy = next.candidacy(id)?;
    let role = candidacy.role.as_ref().map_or("another role", |role| role.name.as_str());
    let link = link.map(|link| format!(" {link}")).unwrap_or_default();
    Some(note(
        candidacy,
        &format!("standing {code} {}", candidacy.changed_at.as_second()),
        &format!("{} interview for {role}: {words}.{link}", policy.platform_name),
    ))
}

/// A note for the ATS's activity feed. `what` and the intent make its marker, so that the same note is never written twice.
pub(super) fn note(candidacy: &Candidacy, what: &str, text: &str) -> Effect {
    let marker = line(&format!("[atshub {} {what} {}]", candidacy.id, candidacy.intent));
    let body = prose(&format!("{text}\n{marker}"));
    Effect::Write { candidacy: candidacy.id, intent: candidacy.intent, write: Write::Note { marker, body } }
}

/// A status as a note, for an account that has no field for it. The status's number makes its marker, as no two statuses of an
/// application have the same. `None` for what is a note already.
#[must_use]
pub fn status_as_note(request: &WritebackRequested, policy: &Policy) -> Option<WritebackRequested> {
    let Write::Status { sequence, text, link, .. } = &request.write else { return None };
    let marker = line(&format!("[atshub {} status {sequence}]", request.candidacy));
    let link = link.as_ref().filter(|link| !text.as_str().contains(link.as_str())).map(|link| format!(" {link}")).unwrap_or_default();
    let body = prose(&format!("{} status: {text}{link}\n{marker}", policy.platform_name));
    Some(WritebackRequested { write: Write::Note { marker, body }, ..request.clone() })
}

/// The words for a state, as the tenant wants them.
#[must_use]
pub fn label(policy: &Policy, code: &str) -> String {
    policy.labels.get(code).cloned().unwrap_or_else(|| {
        match code {
            "received" => "Received",
            "inviting" => "Inviting",
            "invited" => "Invited",
            "scheduled" => "Scheduled",
            "rescheduled" => "Rescheduled",
            "in_progress" => "In progress",
            "processing" => "Processing",
            "completed" => "Completed",
            "cancelled" => "Cancelled",
            "timed_out" => "Timed out",
            "no_show" => "No-show",
            other => other,
        }
        .to_owned()
    })
}

/// A line of our own making: cut to the limit, control characters replaced, never empty.
pub(super) fn line(text: &str) -> Line {
    Line::tamed(text).unwrap_or_else(|| line("?"))
}

fn prose(text: &str) -> Prose {
    Prose::tamed(text).unwrap_or_else(|| prose("?"))
}
