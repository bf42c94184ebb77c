//! An application entered a stage (B1, B3). Also what all facts about one application share: how its dossier is found, what the ATS is
//! asked, what is learnt, and that everything else follows from what is known then.

use super::{Case, Need, Outcome, Rule, nobody_concerned, older, saved};
use crate::domain::{Context, Dossier, Ended, Lookup, Subject, Verdict, ask::advance, learn::Said, versions::Mark};
use atshub_schemas::{
    ExternalId, Message,
    fact::{Application, ApplicationChange, Stage},
    text::same,
};
use jiff::SignedDuration;

pub(super) const RULE: Rule = Rule { needs, decide };

fn needs(case: Case<'_>) -> Vec<Need> {
    let Message::ApplicationMoved(fact) = &case.envelope.message else { return vec![] };
    let said = said(fact);
    let mut needs = of_application(case, &fact.application.id, said);
    let before = case.known.application(&fact.application.id);
    let job = said.job.and_then(|j| j.id.as_ref()).or_else(|| before.and_then(|d| d.job.id.as_ref()));
    let triggers = fact.to_stage.as_ref().is_none_or(|stage| case.context.policy.is_trigger(stage, job.map(AsRef::as_ref)));
    let newest = before.and_then(|d| d.versions.stage).is_none_or(|kept| kept.gives_way_to(case.mark().time, case.context.now));
    let whole = fact.to_stage.is_some() && is_whole(before, said, fact.job.as_ref().is_some_and(|j| j.role.is_some()));
    if triggers && newest {
        needs.extend(look(case, &fact.application.id, whole));
    }
    needs
}

/// How old a fact may be to be acted on without a look at the ATS: what it says was so a moment ago. Anything older was repeated by the
/// ATS, or waited for the hub, and the recruiter may have gone on since.
const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// How old it may be to be acted on while the ATS is away: facts go on through a short trouble of the ATS's.
const RECENT: SignedDuration = SignedDuration::from_mins(2);

/// Before anybody is invited because of a fact that took its time or leaves something out, the application is looked at as the ATS has it
/// now.
pub(super) fn look(case: Case<'_>, application: &ExternalId, whole: bool) -> Option<Need> {
    let age = case.context.now.duration_since(case.mark().time);
    (age > FRESH || !whole).then(|| Need::Snapshot { application: application.clone(), insist: age > RECENT || !whole })
}

/// Whether the fact, with what is known, has all that inviting needs. The role that was heard before, or that the tenant's table has, may
/// be another one than the job names now (B4): `role`, whether it is given.
pub(super) fn is_whole(before: Option<&Dossier>, said: Said<'_>, role: bool) -> bool {
    let known = |here: bool, kept: Option<bool>| here || kept.unwrap_or(false);
    let email = known(said.candidate.is_some_and(|c| c.email.is_some()), before.map(|d| d.candidate.email.is_some()));
    let name = known(said.candidate.is_some_and(|c| c.name.is_some()), before.map(|d| d.candidate.name.is_some()));
    email && name && role
}

fn decide(case: Case<'_>) -> Outcome {
    let Message::ApplicationMoved(fact) = &case.envelope.message else { return Outcome::nothing(nobody_concerned()) };
    let (context, mark) = (case.context, case.mark());
    let before = case.known.application(&fact.application.id);
    let mut next = begun(case, &fact.application, said(fact));
    // Of two stages that were entered at the same moment, as far as the clock tells, the one that invites counts: whichever came first.
    let invites = |stage: Option<&Stage>| stage.is_some_and(|s| context.policy.is_trigger(s, next.job.id.as_ref().map(AsRef::as_ref)));
    let at_once = next.versions.stage.is_some_and(|kept| kept.time == mark.time) && next.ended.is_none();
    let loses = at_once && invites(next.stage.as_ref()) && !invites(fact.to_stage.as_ref());
    if let Some(kept) = next.versions.stage.filter(|kept| loses || !kept.gives_way_to(mark.time, context.now)) {
        // Of where it stands it is no news; what nobody has said yet of person and job may be.
        let step = advance(&mut next, context);
        return Outcome::one(before, saved(before, next, step, older(case, kept), context));
    }
    let Some(stage) = standing(case, &mut next, fact.to_stage.as_ref(), None) else {
        let verdict = Verdict::ignored("no_stage", "the fact names no stage, and the ATS cannot be asked");
        let step = advance(&mut next, context);
        return Outcome::one(before, saved(before, next, step, verdict, context));
    };
    let otherwise = not_asked(&next, &stage, context);
    let step = advance(&mut next, context);
    Outcome::one(before, saved(before, next, step, otherwise, context))
}

/// Why nothing follows from a move, if nothing does.
fn not_asked(next: &Dossier, stage: &Stage, context: Context<'_>) -> Verdict {
    let shown = stage.name.as_ref().map_or_else(|| stage.id.as_ref().map_or("?", AsRef::as_ref), AsRef::as_ref);
    if let Some(ended) = &next.ended {
        let text = format!("the application is {} in the ATS by now; nobody is invited", ended.word());
        return Verdict::ignored("ended_meanwhile", text);
    }
    if !context.policy.is_trigger(stage, next.job.id.as_ref().map(AsRef::as_ref)) {
        return Verdict::ignored("not_trigger_stage", format!("`{shown}` is not a stage that invites; `tenant show` lists those that do"));
    }
    // The same event by another message: a webhook and its related one, two bridges of one account.
    Verdict::ignored("same_event", "this entry into the stage was heard of before")
}

/// What a change of an application says of person and job.
pub(super) fn said(fact: &ApplicationChange) -> Said<'_> {
    Said { candidate: fact.candidate.as_ref(), job: fact.job.as_ref(), recruiter: fact.recruiter.as_ref(), grader: fact.grader.as_ref() }
}

/// What every fact about one application wants to know: its dossier, and what was heard of it, its person and its job before. That is
/// wanted at once, though a dossier may make some of it needless: so it takes one question to the store, not two.
pub(super) fn of_application(case: Case<'_>, id: &ExternalId, said: Said<'_>) -> Vec<Need> {
    let mut needs = vec![Need::Dossiers(Lookup::Application(id.clone()))];
    let before = case.known.application(id);
    let whole = case.known.snapshot();
    let person = said.candidate.and_then(|c| c.id.as_ref()).or_else(|| whole.and_then(|s| s.candidate.id.as_ref()));
    let job = said.job.and_then(|j| j.id.as_ref()).or_else(|| whole.and_then(|s| s.job.id.as_ref()));
    let known_person = before.and_then(|d| d.candidate.id.as_ref());
    if before.is_none() {
        needs.push(Need::Heard(Subject::Application(id.clone())));
    }
    if let Some(person) = person.filter(|person| known_person != Some(*person)) {
        needs.push(Need::Heard(Subject::Person(person.clone())));
        if let Some(into) = case.known.heard(&Subject::Person(person.clone())).and_then(|heard| heard.merged_into.clone()) {
            needs.push(Need::Heard(Subject::Person(into)));
        }
    }
    // A job may have been heard of since its last application: its role is wanted whenever the fact leaves it out.
    let job = job.or_else(|| before.and_then(|d| d.job.id.as_ref()));
    if let Some(job) = job {
        needs.push(Need::Heard(Subject::Job(job.clone())));
    }
    needs
}

/// The dossier with all that the fact, the ATS and what was heard before say of person and job.
pub(super) fn begun(case: Case<'_>, application: &Application, said: Said<'_>) -> Dossier {
    let (mark, now) = (case.mark(), case.context.now);
    let before = case.known.application(&application.id);
    let mut next = before.cloned().unwrap_or_else(|| Dossier::new(case.envelope.tenant.clone(), application.clone(), now));
    next.application.url = application.url.clone().or(next.application.url);
    next.application.status = application.status.clone().or(next.application.status);
    next.hear(said, mark, now);
    if let Some(snapshot) = case.known.snapshot() {
        next.hear_whole(snapshot, as_of(case, snapshot.as_of), now);
    }
    let mut subjects = Vec::new();
    if before.is_none() {
        subjects.push(Subject::Application(application.id.clone()));
    }
    subjects.extend(next.candidate.id.clone().map(Subject::Person));
    subjects.extend(next.job.id.clone().map(Subject::Job));
    for subject in subjects {
        let Some(heard) = case.known.heard(&subject) else { continue };
        next.absorb(heard, now);
        if let Some(into) = &heard.merged_into {
            if let Some(survivor) = case.known.heard(&Subject::Person(into.clone())) {
                next.absorb(survivor, now);
            }
            next.candidate.id = Some(into.clone());
        }
    }
    next
}

/// What the ATS says now is as new as the fact because of which it was asked, and as its own last change.
fn as_of(case: Case<'_>, changed: Option<jiff::Timestamp>) -> Mark {
    let mark = case.mark();
    let changed = changed.filter(|changed| changed.duration_since(case.context.now) <= crate::domain::versions::MAX_AHEAD);
    Mark { time: changed.map_or(mark.time, |changed| changed.max(mark.time)), ..mark }
}

/// Takes over where the application stands: the fact's stage, and the ATS's newer answer. `None`: neither names a stage.
pub(super) fn standing(case: Case<'_>, next: &mut Dossier, stage: Option<&Stage>, ended: Option<Ended>) -> Option<Stage> {
    let mark = case.mark();
    let answer = case.known.snapshot();
    let now_in = answer.and_then(|snapshot| snapshot.stage.clone());
    let stage = stage.cloned().or_else(|| now_in.clone());
    if stage.is_none() && ended.is_none() && !case.known.is_gone() {
        return None;
    }
    if let Some(stage) = &stage {
        next.entered = Some(mark.time);
        next.stage = Some(stage.clone());
    }
    (next.ended, next.versions.stage) = (ended, Some(mark));
    // By now it may be elsewhere: what the ATS says is newer than the fact.
    if let Some(now_in) = now_in.filter(|_| next.stage.is_some())
        && !same_stage(next.stage.as_ref(), &now_in)
    {
        next.stage = Some(now_in);
    }
    next.ended = if case.known.is_gone() { Some(Ended::Deleted) } else { answer.and_then(|s| s.ended.clone()).or(next.ended.take()) };
    next.stage.clone()
}

/// One stage may be named by id in one place and by name in another.
fn same_stage(kept: Option<&Stage>, other: &Stage) -> bool {
    let Some(kept) = kept else { return false };
    match (&kept.id, &other.id, &kept.name, &other.name) {
        (Some(a), Some(b), ..) => a == b,
        (.., Some(a), Some(b)) => same(a.as_str(), b.as_str()),
        _ => false,
    }
}
