//! Asking for an invitation: whether one is asked for at all, the checks before the platform is asked (B2, B4, B5), asking again, and
//! taking back what was asked and not done yet. Everything follows from what is known by now, not from which fact told of it: so the
//! order in which facts arrive does not matter.

use super::{
    Candidacy, Context, Dossier, InviteError, Policy, State,
    effect::{Effect, EffectKey},
    tell::{label, note, status},
    verdict::Verdict,
};
use atshub_schemas::{Link, fact::Candidate, text::same};
use jiff::Timestamp;
use uuid::Uuid;

/// Fewest characters of a phone number that is not blank (platform's rule, Karat's FAQ on ATS integrations).
pub const PHONE_MIN_CHARS: usize = 7;
/// Most candidacies kept in one dossier; the oldest ended ones make room.
const CANDIDACIES_MAX: usize = 50;

/// What follows for the candidacies of one dossier.
#[derive(Debug, Default)]
pub(super) struct Step {
    pub effects: Vec<Effect>,
    pub taken_back: Vec<EffectKey>,
    /// `None`: nothing follows.
    pub verdict: Option<Verdict>,
}

impl Step {
    pub(super) fn new(effects: Vec<Effect>, verdict: Verdict) -> Self {
        Self { effects, taken_back: Vec::new(), verdict: Some(verdict) }
    }
}

/// What asks for an invitation now.
struct Asking {
    /// When it began to.
    at: Timestamp,
    role_named: Option<String>,
}

fn asking(dossier: &Dossier, policy: &Policy) -> Option<Asking> {
    if dossier.ended.is_some() {
        return None;
    }
    let job = dossier.job.id.as_ref().map(AsRef::as_ref);
    let stage = dossier.stage.as_ref().filter(|stage| policy.is_trigger(stage, job));
    let by_stage = stage.and(dossier.entered).map(|at| Asking { at, role_named: role_named(dossier, policy) });
    let order = dossier.assessment.as_ref().filter(|_| dossier.order_ended.is_none()).and(dossier.versions.order);
    let by_order = order.map(|order| Asking { at: order.time, role_named: role_ordered(dossier, policy) });
    match (by_stage, by_order) {
        (Some(stage), Some(order)) => Some(if order.at >= stage.at { order } else { stage }),
        (stage, order) => stage.or(order),
    }
}

/// Why nobody is asked for, for a person.
fn why_not(dossier: &Dossier) -> String {
    if let Some(ended) = &dossier.ended {
        return format!("{} in the ATS", ended.word());
    }
    if let Some(ended) = &dossier.order_ended {
        return format!("{ended} in the ATS");
    }
    let stage = dossier.stage.as_ref().and_then(|s| s.name.as_ref()).map_or("another stage", AsRef::as_ref);
    format!("moved to {stage} in the ATS")
}

/// Brings the candidacies up to what is known. Deciding twice on the same changes nothing.
pub(super) fn advance(next: &mut Dossier, context: Context<'_>) -> Step {
    let Some(asking) = asking(next, context.policy) else {
        return withdraw(next, &why_not(next), context);
    };
    let newer = next.asked.is_none_or(|asked| asking.at > asked);
    if newer {
        next.asked = Some(asking.at);
    }
    if next.current().is_some_and(|c| c.state == State::Received) {
        return look_again(next, asking, newer, context);
    }
    if newer {
        return ask(next, asking.role_named.as_deref(), asking.at, context);
    }
    if !is_cured(next, &asking, context.policy) {
        return Step::default();
    }
    ask(next, asking.role_named.as_deref(), asking.at, context)
}

/// What was asked for and not done yet is checked by what is known now: the platform would refuse it, or invite for another role.
fn look_again(next: &mut Dossier, asking: Asking, newer: bool, context: Context<'_>) -> Step {
    let error = objection(next, asking.role_named.as_deref(), context.policy);
    let Some(current) = next.candidacies.last_mut() else { return Step::default() };
    current.role_named = asking.role_named;
    if newer {
        current.asked_at = asking.at;
    }
    let (id, key) = (current.id, EffectKey { candidacy: current.id, intent: current.intent, what: "invite".into() });
    let Some(error) = error else {
        let verdict = newer.then(|| Verdict::ignored("already_asked", "the platform is to be asked already"));
        return Step { verdict, ..Step::default() };
    };
    let mut step = refuse(next, id, error, context);
    step.taken_back.push(key);
    step
}

/// Whether the datum for which the current candidacy was refused is another one now (B5). A role that changes beside it is taken over.
fn is_cured(next: &mut Dossier, asking: &Asking, policy: &Policy) -> bool {
    let now = objection(next, asking.role_named.as_deref(), policy);
    let about = next.refused_for();
    let Some(current) = next.candidacies.last_mut() else { return false };
    let State::Refused { error } = &current.state else { return false };
    let other_role = !same_role(asking.role_named.as_deref(), current.role_named.as_deref());
    match error {
        InviteError::RoleMissing | InviteError::PhoneTooShort | InviteError::RecruiterIsCandidate | InviteError::EmailMissing
            if now.as_ref() == Some(error) =>
        {
            current.role_named.clone_from(&asking.role_named);
            false
        }
        InviteError::RoleMissing => other_role,
        InviteError::PhoneTooShort | InviteError::RecruiterIsCandidate | InviteError::EmailMissing => {
            other_role || about != current.refused_for
        }
        _ => false,
    }
}

/// Tries a refused invite again for a reason that lies outside its own data. `None`: nobody asks for it any more.
pub(super) fn try_again(next: &mut Dossier, context: Context<'_>) -> Option<Step> {
    let asking = asking(next, context.policy)?;
    Some(ask(next, asking.role_named.as_deref(), asking.at, context))
}

impl Dossier {
    /// The data that a refusal may be about; while they stay the same, a refusal stays.
    pub(super) fn refused_for(&self) -> Option<String> {
        let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
        let recruiter =
            |person: &Option<atshub_schemas::fact::Person>| text(person.as_ref().and_then(|p| p.email.as_ref()).map(AsRef::as_ref));
        let parts = [
            text(self.candidate.phone.as_ref().map(|p| p.as_str())),
            text(self.candidate.email.as_ref().map(AsRef::as_ref)),
            recruiter(&self.recruiter),
            recruiter(&self.grader),
            recruiter(&self.job.recruiter),
        ];
        Some(parts.join("\n"))
    }
}

fn ask(next: &mut Dossier, role_named: Option<&str>, time: Timestamp, context: Context<'_>) -> Step {
    if let Some(live) = next.candidacies.iter().rposition(|c| same_role(c.role_named.as_deref(), role_named) && under_way(&c.state)) {
        return ask_again(next, live, time, context);
    }
    let id = claim(next, role_named.map(str::to_owned), time, context);
    match objection(next, role_named, context.policy) {
        Some(error) => refuse(next, id, error, context),
        None => {
            let received = label(context.policy, "received");
            let intent = next.candidacy(id).map_or(1, |c| c.intent);
            let effects = vec![status(next, id, "received", &received, None), Effect::Invite { candidacy: id, intent }];
            Step::new(effects, Verdict::accepted("invite", "the candidate is to be invited"))
        }
    }
}

/// Somebody asks again for what is under way. Whether it still is, the platform has to say: its own state stays meanwhile.
fn ask_again(next: &mut Dossier, live: usize, time: Timestamp, context: Context<'_>) -> Step {
    let Some(candidacy) = next.candidacies.get_mut(live) else { return Step::default() };
    candidacy.asked_at = time;
    match candidacy.state {
        State::Received | State::Inviting => {
            candidacy.withdrawn = None;
            Step::new(vec![], Verdict::ignored("already_asked", "the platform is being asked already"))
        }
        State::InProgress | State::Processing => {
            let what = format!("under-way {}", time.as_second());
            let text = format!("Asked again: the {} interview is under way; nobody is invited anew.", context.policy.platform_name);
            Step::new(
                vec![note(candidacy, &what, &text)],
                Verdict::ignored("interview_under_way", "the interview is under way; a note says so"),
            )
        }
        _ => {
            candidacy.intent += 1;
            let effect = Effect::Invite { candidacy: candidacy.id, intent: candidacy.intent };
            Step::new(
                vec![effect],
                Verdict::accepted("asked_again", "asked again; the platform is asked whether the interview is still open"),
            )
        }
    }
}

/// Takes back what was asked and not yet done.
fn withdraw(next: &mut Dossier, why: &str, context: Context<'_>) -> Step {
    let mut step = Step::default();
    let waiting: Vec<(Uuid, bool)> = next
        .candidacies
        .iter()
        .filter(|c| matches!(c.state, State::Received) || (c.state == State::Inviting && c.withdrawn.is_none()))
        .map(|c| (c.id, c.state == State::Received))
        .collect();
    for (id, unasked) in waiting {
        let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) else { continue };
        let key = EffectKey { candidacy: id, intent: candidacy.intent, what: "invite".into() };
        let text = if unasked {
            candidacy.state = State::Cancelled { reason: why.to_owned() };
            candidacy.changed_at = context.now;
            step.taken_back.push(key);
            step.effects.push(status(next, id, "cancelled", &label(context.policy, "cancelled"), None));
            format!("{why} before the platform was asked: nobody is invited")
        } else {
            candidacy.withdrawn = Some(why.to_owned());
            format!("{why} while the platform is being asked: unless it has invited already, nobody is invited")
        };
        step.verdict = Some(Verdict::accepted("taken_back", text));
    }
    // What was asked again of a live interview is asked no more.
    for candidacy in next.candidacies.iter_mut().filter(|c| is_open(&c.state) && c.intent > c.answered && c.answered > 0) {
        step.taken_back.push(EffectKey { candidacy: candidacy.id, intent: candidacy.intent, what: "invite".into() });
        candidacy.answered = candidacy.intent;
    }
    step
}

/// The candidate has an invitation, and no interview has begun.
pub(super) fn is_open(state: &State) -> bool {
    matches!(state, State::Invited | State::Scheduled | State::Rescheduled)
}

pub(super) fn under_way(state: &State) -> bool {
    state.is_live() || matches!(state, State::InProgress | State::Processing)
}

/// Finds the candidacy that this asking continues, or makes one.
fn claim(next: &mut Dossier, role_named: Option<String>, time: Timestamp, context: Context<'_>) -> Uuid {
    let again = next.candidacies.last_mut().filter(|c| {
        matches!(c.state, State::Refused { .. } | State::Cancelled { .. } | State::TimedOut | State::NoShow)
            && (same_role(c.role_named.as_deref(), role_named.as_deref()) || c.invitation.is_none())
    });
    if let Some(candidacy) = again {
        candidacy.role_named = role_named;
        candidacy.role = None;
        candidacy.invitation = None;
        candidacy.intent += 1;
        candidacy.state = State::Received;
        candidacy.asked_at = time;
        candidacy.changed_at = context.now;
        candidacy.withdrawn = None;
        candidacy.yields_to = None;
        candidacy.asked_with = None;
        candidacy.refused_for = None;
        candidacy.interviews = super::Interviews::default();
        return candidacy.id;
    }
    if next.candidacies.len() >= CANDIDACIES_MAX
        && let Some(oldest) = next.candidacies.iter().position(|c| !under_way(&c.state))
    {
        next.candidacies.remove(oldest);
    }
    next.candidacies.push(Candidacy::asked(context.fresh, role_named, time, context.now));
    context.fresh
}

/// One role may be written in two ways: composed or not, in capitals or not.
fn same_role(one: Option<&str>, other: Option<&str>) -> bool {
    one == other || matches!((one, other), (Some(one), Some(other)) if same(one, other))
}

fn objection(next: &Dossier, role_named: Option<&str>, policy: &Policy) -> Option<InviteError> {
    if role_named.is_none() {
        return Some(InviteError::RoleMissing);
    }
    if next.candidate.email.is_none() {
        return Some(InviteError::EmailMissing);
    }
    if phone_too_short(&next.candidate) {
        return Some(InviteError::PhoneTooShort);
    }
    recruiter_is_candidate(next, policy).then_some(InviteError::RecruiterIsCandidate)
}

fn phone_too_short(candidate: &Candidate) -> bool {
    candidate.phone.as_ref().is_some_and(|p| !p.as_str().is_empty() && p.as_str().chars().count() < PHONE_MIN_CHARS)
}

fn recruiter_is_candidate(dossier: &Dossier, policy: &Policy) -> bool {
    let recruiter = dossier.recruiter_by(policy).and_then(|p| p.email.as_ref());
    matches!((recruiter, &dossier.candidate.email), (Some(a), Some(b)) if a.key() == b.key())
}

fn role_named(dossier: &Dossier, policy: &Policy) -> Option<String> {
    dossier.job.role.as_ref().map(ToString::to_string).or_else(|| policy.mapped_role(&dossier.job))
}

fn role_ordered(dossier: &Dossier, policy: &Policy) -> Option<String> {
    match &dossier.ordered_test {
        Some(test) => Some(policy.mapped(test.as_str()).unwrap_or_else(|| test.to_string())),
        // An order of the first schema: what it chose stands on its candidacy.
        None => dossier.current().and_then(|c| c.role_named.clone()).or_else(|| role_named(dossier, policy)),
    }
}

pub(super) fn refuse(next: &mut Dossier, id: Uuid, error: InviteError, context: Context<'_>) -> Step {
    let text = error.text(&context.policy.platform_name);
    let effect = status(next, id, "refused", &text, link_of(&error));
    let verdict = refused_verdict(&error, context.policy);
    let about = next.refused_for();
    if let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) {
        candidacy.state = State::Refused { error };
        candidacy.changed_at = context.now;
        candidacy.answered = candidacy.intent;
        candidacy.refused_for = about;
    }
    Step::new(vec![effect], verdict)
}

fn refused_verdict(error: &InviteError, policy: &Policy) -> Verdict {
    let remedy = error.remedy();
    Verdict::refused(error.code(), error.text(&policy.platform_name), format!("{}: {}", remedy.who, remedy.what))
}

fn link_of(error: &InviteError) -> Option<Link> {
    match error {
        InviteError::AlreadyActive { link } => link.clone(),
        _ => None,
    }
}

/// Tells the person who acted in the ATS, in a note, that something is done elsewhere: for each candidacy that it concerns, or for the
/// current one. `time` is the asking's: asking twice is told twice, a redelivery is not.
pub(super) fn told(
    next: &Dossier,
    about: &[Uuid],
    code: &str,
    time: Timestamp,
    context: Context<'_>,
    words: impl Fn(&str, Option<&Link>) -> String,
) -> Step {
    let platform = &context.policy.platform_name;
    let concerned: Vec<&Candidacy> = match about {
        [] => next.current().into_iter().collect(),
        ids => next.candidacies.iter().filter(|c| ids.contains(&c.id)).collect(),
    };
    if concerned.is_empty() {
        return Step::new(vec![], Verdict::ignored("no_candidacy", "nobody was invited for this application"));
    }
    let text = |c: &Candidacy| words(platform, c.link());
    let verdict = concerned.last().map(|c| text(c)).unwrap_or_default();
    let effects = concerned.iter().map(|c| note(c, &format!("{code} {}", time.as_second()), &text(c))).collect();
    Step::new(effects, Verdict::refused(code, verdict, "recruiter: Do it on the platform, as the note in the ATS says."))
}
