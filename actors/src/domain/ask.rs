//! Asking for an invitation: the checks before the platform is asked (B2, B4, B5), and what is written into the ATS.

use super::{Candidacy, Dossier, InviteError, Policy, RecruiterSource, State, decide::Context, effect::Effect, verdict::Verdict};
use atshub_schemas::{
    Line, Link, Prose,
    fact::{Candidate, Job, Person, Stage},
    internal::{Write, WritebackRequested},
};
use jiff::Timestamp;
use uuid::Uuid;

/// Fewest characters of a phone number that is not blank (platform's rule, Karat's FAQ on ATS integrations).
pub const PHONE_MIN_CHARS: usize = 7;
/// Most candidacies kept in one dossier; the oldest ended ones make room.
const CANDIDACIES_MAX: usize = 50;

pub(super) fn ask(next: &mut Dossier, role_named: Option<&str>, time: Timestamp, context: Context<'_>) -> (Vec<Effect>, Verdict) {
    if let Some(live) = next.candidacies.iter().rev().find(|c| c.role_named.as_deref() == role_named && under_way(&c.state)) {
        let (id, state) = (live.id, live.state.clone());
        return match state {
            State::Received | State::Inviting => (vec![], Verdict::ignored("already_asked", "the platform is being asked already")),
            State::InProgress | State::Processing => (vec![], Verdict::ignored("interview_under_way", "the interview is under way")),
            _ => {
                let link = live.invitation.as_ref().and_then(|i| i.link.clone());
                if let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) {
                    candidacy.asked_at = time;
                }
                let error = InviteError::AlreadyActive { link };
                let effect = status(next, id, "refused", &error.text(&context.policy.platform_name), link_of(&error));
                (vec![effect], refused_verdict(&error, context.policy))
            }
        };
    }
    let id = claim(next, role_named.map(str::to_owned), time, context);
    match objection(next, role_named, context.policy) {
        Some(error) => refuse(next, id, error, context),
        None => {
            let received = label(context.policy, "received");
            let intent = next.candidacy(id).map_or(1, |c| c.intent);
            let effects = vec![status(next, id, "received", &received, None), Effect::Invite { candidacy: id, intent }];
            (effects, Verdict::accepted("invite", "the candidate is to be invited"))
        }
    }
}

fn under_way(state: &State) -> bool {
    state.is_live() || matches!(state, State::InProgress | State::Processing)
}

/// Finds the candidacy that this asking continues, or makes one.
fn claim(next: &mut Dossier, role_named: Option<String>, time: Timestamp, context: Context<'_>) -> Uuid {
    let again = next.candidacies.last_mut().filter(|c| {
        matches!(c.state, State::Refused { .. } | State::Cancelled { .. } | State::TimedOut | State::NoShow)
            && (c.role_named == role_named || c.invitation.is_none())
    });
    if let Some(candidacy) = again {
        candidacy.role_named = role_named;
        candidacy.role = None;
        candidacy.invitation = None;
        candidacy.intent += 1;
        candidacy.state = State::Received;
        candidacy.asked_at = time;
        candidacy.changed_at = context.now;
        return candidacy.id;
    }
    if next.candidacies.len() >= CANDIDACIES_MAX
        && let Some(oldest) = next.candidacies.iter().position(|c| !under_way(&c.state))
    {
        next.candidacies.remove(oldest);
    }
    let candidacy = Candidacy {
        id: context.fresh,
        role_named,
        role: None,
        state: State::Received,
        intent: 1,
        asked_at: time,
        invitation: None,
        changed_at: context.now,
    };
    next.candidacies.push(candidacy);
    context.fresh
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

pub(super) fn phone_too_short(candidate: &Candidate) -> bool {
    candidate.phone.as_ref().is_some_and(|p| !p.as_str().is_empty() && p.as_str().chars().count() < PHONE_MIN_CHARS)
}

pub(super) fn recruiter_is_candidate(dossier: &Dossier, policy: &Policy) -> bool {
    let recruiter = dossier.recruiter_by(policy).and_then(|p| p.email.as_ref());
    matches!((recruiter, &dossier.candidate.email), (Some(a), Some(b)) if a.key() == b.key())
}

pub(super) fn role_named(dossier: &Dossier, policy: &Policy) -> Option<String> {
    dossier.job.role.as_ref().map(ToString::to_string).or_else(|| policy.mapped_role(&dossier.job))
}

pub(super) fn refuse(next: &mut Dossier, id: Uuid, error: InviteError, context: Context<'_>) -> (Vec<Effect>, Verdict) {
    let text = error.text(&context.policy.platform_name);
    let effect = status(next, id, "refused", &text, link_of(&error));
    let verdict = refused_verdict(&error, context.policy);
    if let Some(candidacy) = next.candidacies.iter_mut().find(|c| c.id == id) {
        candidacy.state = State::Refused { error };
        candidacy.changed_at = context.now;
    }
    (vec![effect], verdict)
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

/// The next status for the ATS; raises the application's status number.
pub(super) fn status(next: &mut Dossier, candidacy: Uuid, code: &str, text: &str, link: Option<Link>) -> Effect {
    next.sequence += 1;
    let intent = next.candidacy(candidacy).map_or(0, |c| c.intent);
    Effect::Write { candidacy, intent, write: Write::Status { sequence: next.sequence, code: line(code), text: line(text), link } }
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

/// Tells whoever acted in the ATS that something is done elsewhere; needs a candidacy to tell it about.
pub(super) fn told(next: &mut Dossier, code: &str, context: Context<'_>, words: impl Fn(&str) -> String) -> (Vec<Effect>, Verdict) {
    let text = words(&context.policy.platform_name);
    let verdict = Verdict::refused(code, text.clone(), "recruiter: Do it on the platform, as the note in the ATS says.");
    match next.current() {
        Some(candidacy) => {
            // The fact's time is in the marker: asking twice is told twice, a redelivery is not.
            let what = format!("{code} {}", next.fact_time.as_second());
            (vec![note(candidacy, &what, &text)], verdict)
        }
        None => (vec![], Verdict::ignored("no_candidacy", "nobody was invited for this application")),
    }
}

/// The words for a state, as the tenant wants them.
pub(super) fn label(policy: &Policy, code: &str) -> String {
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
    Line::new(tame(text, Line::MAX_CHARS, false)).unwrap_or_else(|_| line("?"))
}

fn prose(text: &str) -> Prose {
    Prose::new(tame(text, Prose::MAX_CHARS, true)).unwrap_or_else(|_| prose("?"))
}

fn tame(text: &str, max: usize, lines: bool) -> String {
    let tamed: String = text.chars().take(max).map(|c| if c.is_control() && !(lines && c == '\n') { ' ' } else { c }).collect();
    let tamed = if lines { tamed } else { tamed.replace(['\u{2028}', '\u{2029}'], " ") };
    if tamed.is_empty() { "?".into() } else { tamed }
}

impl Policy {
    /// Whether entering this stage means "invite".
    #[must_use]
    pub fn is_trigger(&self, stage: &Stage, job: Option<&str>) -> bool {
        let list = job.and_then(|j| self.trigger_stages_by_job.get(j)).unwrap_or(&self.trigger_stages);
        list.iter().any(|wanted| {
            stage.id.as_ref().is_some_and(|id| id.as_str() == wanted)
                || stage.name.as_ref().is_some_and(|name| name.as_str().trim().to_lowercase() == wanted.trim().to_lowercase())
        })
    }

    /// The role that the tenant's table gives for a job: by id, else by title, else by `*`.
    #[must_use]
    pub fn mapped_role(&self, job: &Job) -> Option<String> {
        let by_id = job.id.as_ref().and_then(|id| self.mapped(id.as_str()));
        by_id.or_else(|| job.title.as_ref().and_then(|t| self.mapped(t.as_str()))).or_else(|| self.roles.get("*").cloned())
    }

    /// What the tenant's table says for a key, compared without case.
    #[must_use]
    pub fn mapped(&self, key: &str) -> Option<String> {
        self.roles.get(key).cloned().or_else(|| {
            let wanted = key.trim().to_lowercase();
            self.roles.iter().find(|(k, _)| k.trim().to_lowercase() == wanted).map(|(_, v)| v.clone())
        })
    }
}

impl Dossier {
    /// The recruiter, from the first source of the tenant's list that names one (B15).
    #[must_use]
    pub fn recruiter_by(&self, policy: &Policy) -> Option<&Person> {
        policy.recruiter_from.iter().find_map(|source| match source {
            RecruiterSource::Candidate => self.recruiter.as_ref(),
            RecruiterSource::Grader => self.grader.as_ref(),
            RecruiterSource::Job => self.job.recruiter.as_ref(),
        })
    }

    /// Takes over what was heard; what was not heard stays.
    pub fn learn(
        &mut self,
        candidate: Option<&Candidate>,
        job: Option<&Job>,
        recruiter: Option<&Person>,
        grader: Option<&Person>,
        stage: Option<&Stage>,
    ) {
        if let Some(heard) = candidate {
            let kept = &mut self.candidate;
            kept.id = heard.id.clone().or(kept.id.take());
            kept.name = heard.name.clone().or(kept.name.take());
            kept.email = heard.email.clone().or(kept.email.take());
            kept.phone = heard.phone.clone().or(kept.phone.take());
            kept.profile_url = heard.profile_url.clone().or(kept.profile_url.take());
        }
        if let Some(heard) = job {
            let other_job = heard.id.is_some() && self.job.id.is_some() && heard.id != self.job.id;
            if other_job {
                self.job = Job::default();
            }
            let kept = &mut self.job;
            kept.id = heard.id.clone().or(kept.id.take());
            kept.title = heard.title.clone().or(kept.title.take());
            kept.role = heard.role.clone().or(kept.role.take());
            kept.recruiter = heard.recruiter.clone().or(kept.recruiter.take());
            if !heard.followers.is_empty() {
                kept.followers.clone_from(&heard.followers);
            }
        }
        self.recruiter = recruiter.cloned().or(self.recruiter.take());
        self.grader = grader.cloned().or(self.grader.take());
        self.stage = stage.cloned().or(self.stage.take());
    }
}
