//! One asking: find the role, take the live key, look if somebody began this before, ask, commit what came of it.

use super::{Account, InviteWork};
use crate::{
    desk::{About, Desk},
    domain::{
        Candidacy, Context, Decision, Dossier, InviteError, Lookup, Policy, State, Verdict, invited, inviting, refused, request,
        resolve_role,
    },
    failure::Failure,
    gate::{Halt, Lapsed, Pass, Wait, draw},
    ports::{Change, CommitOutcome, Conflict, Invitation, Platform, Progress},
    turns::{Place, TurnedAway},
};
use atshub_schemas::{Envelope, Link, Message, internal::InviteRequested};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// Shortest and longest wait for another application's asking to end.
const OTHER_WAIT: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));

/// Works on a request until what came of it is durable.
pub(super) async fn perform(work: &InviteWork, envelope: &Arc<Envelope>, queue: &str, known: bool) -> Result<(), Lapsed> {
    let desk = &work.office.desk;
    let Message::InviteRequested(wanted) = &envelope.message else {
        ignore(desk, envelope, "not_an_invite", "this queue takes invite requests only", None).await;
        return Ok(());
    };
    let about = About { dossier: None, candidacy: Some(wanted.candidacy) };
    let Some(Account { policy, platform, gate, set_aside }) = work.office.accounts.account(&envelope.tenant) else {
        let failure = Failure::transient("the tenant, or its platform account, is not set up");
        let progress = desk.begin(envelope).await;
        desk.settle(envelope, queue, &failure, progress, about).await;
        return Ok(());
    };
    gate.show_on(&work.link);
    let (calls, draw) = (work.calls_of(&gate), draw(envelope));
    if set_aside {
        desk.postpone(envelope, queue, &gate.set_aside(draw), about).await;
        return Ok(());
    }
    let place = calls.stand(&wanted.candidacy, None);
    // Before it is noted that work begins: what is turned away has not begun.
    let entered = match place.turn(gate.patience()).await {
        Ok(()) => gate.enter(draw),
        Err(TurnedAway) => Err(Halt::Wait(gate.share_used_up(draw))),
    };
    let pass = match entered {
        Ok(pass) => pass,
        Err(halt) => {
            let found = read(desk, envelope, wanted).await;
            let about = About { dossier: found.as_ref().map(|(dossier, _)| dossier), ..about };
            return desk.end(envelope, queue, halt, None, about).await;
        }
    };
    let progress = desk.begin(envelope).await;
    if progress.handled {
        return Ok(());
    }
    desk.landed(progress, known).await;
    let mut asking = Asking { desk, envelope, policy: &policy, platform: &*platform, place, pass, wanted };
    match asking.run(progress).await {
        Ok(()) => Ok(()),
        Err((Halt::Failed(failure), _)) if desk.gives_up(&failure, progress) => {
            asking.give_up(queue, &failure, progress).await;
            Ok(())
        }
        Err((halt, dossier)) => desk.end(envelope, queue, halt, Some(progress), About { dossier: dossier.as_ref(), ..about }).await,
    }
}

pub(super) async fn read(desk: &Desk, envelope: &Envelope, wanted: &InviteRequested) -> Option<(Dossier, Candidacy)> {
    let lookup = Lookup::Candidacy(wanted.candidacy);
    let found = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await;
    let dossier = found.into_iter().next()?;
    let candidacy = dossier.candidacy(wanted.candidacy)?.clone();
    Some((dossier, candidacy))
}

/// Whether the platform is still to be asked for what a request wants.
pub(super) fn is_wanted(wanted: &InviteRequested, candidacy: &Candidacy) -> bool {
    candidacy.intent == wanted.intent && matches!(candidacy.state, State::Received | State::Inviting)
}

/// What a decision changes, and the dossier as it is then.
pub(super) fn change_of<'d>(desk: &Desk, cause: &Envelope, dossier: &'d Dossier, decision: &'d Decision) -> (Change, &'d Dossier) {
    let saved = decision.dossier.as_ref().unwrap_or(dossier);
    let outbox = desk.rows(saved, &decision.effects, cause);
    let dossiers = decision.dossier.clone().map(Desk::save).into_iter().collect();
    (Change { outbox, dossiers, ..Change::default() }, saved)
}

async fn ignore(desk: &Desk, envelope: &Arc<Envelope>, code: &str, text: &str, dossier: Option<&Dossier>) {
    let (handled, entry) = desk.handled(envelope, &Verdict::ignored(code, text), About { dossier, candidacy: None });
    desk.record(Change { handled, journal: vec![entry], ..Change::default() }).await;
}

struct Asking<'a> {
    desk: &'a Desk,
    envelope: &'a Arc<Envelope>,
    policy: &'a Policy,
    platform: &'a dyn Platform,
    place: Place<'a, Uuid>,
    pass: Pass<'a>,
    wanted: &'a InviteRequested,
}

/// Whoever holds the live key that is wanted.
enum Holder {
    /// Nobody any more.
    Gone,
    /// The platform is being asked: it will invite or refuse.
    Asking,
    /// Somebody with an invitation; its link, if the platform gave one.
    Invited(Option<Link>),
}

/// What the platform's side came to.
enum Answer {
    Invited(Invitation),
    Refused(InviteError),
}

impl Asking<'_> {
    /// `Err`: the try came to nothing, and the schedule has to settle it.
    async fn run(&mut self, progress: Progress) -> Result<(), (Halt, Option<Dossier>)> {
        let Some((dossier, before)) = self.take_key(progress).await? else { return Ok(()) };
        // Nobody has asked for a candidacy that was never saved as `inviting`, however often this message was begun.
        let again = before == State::Inviting;
        let answer = match self.ask(&dossier, again).await {
            Ok(answer) => answer,
            Err(halt) => return Err((halt, Some(dossier))),
        };
        self.conclude(|dossier, context| match &answer {
            Answer::Invited(invitation) => invited(dossier, self.wanted.candidacy, invitation, context),
            Answer::Refused(error) => refused(dossier, self.wanted.candidacy, error.clone(), context),
        })
        .await;
        Ok(())
    }

    /// The dossier with its candidacy in state `inviting`, saved, and the state before. `None`: nothing is to be asked, and
    /// the message is handled.
    async fn take_key(&mut self, progress: Progress) -> Result<Option<(Dossier, State)>, (Halt, Option<Dossier>)> {
        loop {
            let Some((dossier, candidacy)) = self.read().await else {
                ignore(self.desk, self.envelope, "unknown_candidacy", "no such candidacy", None).await;
                return Ok(None);
            };
            if !is_wanted(self.wanted, &candidacy) {
                let text = format!("the candidacy is {} at intent {}; nothing is to be asked", candidacy.state.code(), candidacy.intent);
                ignore(self.desk, self.envelope, "already_asked", &text, Some(&dossier)).await;
                return Ok(None);
            }
            if candidacy.state == State::Inviting {
                return Ok(Some((dossier, State::Inviting)));
            }
            let roles = {
                let _calling = self.place.calling();
                self.pass.perhaps_remembered(self.platform.roles()).await.map_err(|halt| (halt, Some(dossier.clone())))?
            };
            let role = candidacy.role_named.as_deref().and_then(|named| resolve_role(named, &roles));
            let Some(role) = role else {
                self.conclude(|dossier, context| refused(dossier, self.wanted.candidacy, InviteError::RoleMissing, context)).await;
                return Ok(None);
            };
            let next = inviting(&dossier, candidacy.id, role, self.desk.clock.now());
            match self.desk.commit(Change { dossiers: vec![Desk::save(next.clone())], ..Change::default() }).await {
                CommitOutcome::Committed | CommitOutcome::Duplicate => return Ok(Some((next, State::Received))),
                CommitOutcome::Conflict(Conflict::Raced) => {}
                CommitOutcome::Conflict(Conflict::Taken { key, .. }) => {
                    let link = match self.holder(key).await {
                        Holder::Gone => continue,
                        // Its answer decides this one too: a link to show, or a free key. It comes, because a candidacy that is
                        // `inviting` waits for no other one's key: no two wait for each other.
                        Holder::Asking => {
                            let until = after_other(candidacy.changed_at, self.desk.clock.now());
                            return Err((Halt::Wait(Wait::for_other(until, progress.begun == 1)), Some(dossier)));
                        }
                        Holder::Invited(link) => link,
                    };
                    self.conclude(|dossier, context| {
                        refused(dossier, self.wanted.candidacy, InviteError::AlreadyActive { link: link.clone() }, context)
                    })
                    .await;
                    return Ok(None);
                }
            }
        }
    }

    /// Whoever holds a live key.
    async fn holder(&self, key: String) -> Holder {
        let lookup = Lookup::Live(key.clone());
        let found = self.desk.patiently("read holder", || self.desk.store.dossiers(&self.envelope.tenant, lookup.clone())).await;
        let holds = |dossier: &&Dossier, c: &&Candidacy| c.live_key(&dossier.candidate).as_deref() == Some(&key);
        let live = found.iter().find_map(|dossier| dossier.candidacies.iter().find(|c| holds(&dossier, c)));
        match live {
            None => Holder::Gone,
            Some(live) if matches!(live.state, State::Received | State::Inviting) => Holder::Asking,
            Some(live) => Holder::Invited(live.invitation.as_ref().and_then(|i| i.link.clone())),
        }
    }

    async fn ask(&mut self, dossier: &Dossier, again: bool) -> Result<Answer, Halt> {
        let Some(request) = request(dossier, self.wanted.candidacy) else { return Ok(Answer::Refused(InviteError::EmailMissing)) };
        let ours = |found: &Invitation| found.ats_url.is_some() && found.ats_url == request.ats_url || request.ats_url.is_none();
        let _calling = self.place.calling();
        if again && let Some(found) = self.pass.call(self.platform.find(&request)).await? {
            return Ok(if ours(&found) {
                Answer::Invited(found)
            } else {
                Answer::Refused(InviteError::AlreadyActive { link: found.link })
            });
        }
        match self.pass.call(self.platform.invite(&request)).await {
            Ok(invitation) => Ok(Answer::Invited(invitation)),
            Err(Halt::Failed(Failure::Rejected { code, detail })) if code == "already_active" => {
                // An unclear attempt of ours may have had its effect between the look and this one.
                let found = if again { self.pass.call(self.platform.find(&request)).await?.filter(ours) } else { None };
                Ok(found.map_or_else(|| Answer::Refused(InviteError::AlreadyActive { link: last_link(&detail) }), Answer::Invited))
            }
            Err(Halt::Failed(Failure::Rejected { code, detail })) => Ok(Answer::Refused(error_of(&code, detail))),
            Err(halt) => Err(halt),
        }
    }

    async fn read(&self) -> Option<(Dossier, Candidacy)> {
        read(self.desk, self.envelope, self.wanted).await
    }

    fn about<'d>(&self, dossier: Option<&'d Dossier>) -> About<'d> {
        About { dossier, candidacy: Some(self.wanted.candidacy) }
    }

    fn context(&self) -> Context<'_> {
        Context { policy: self.policy, now: self.desk.clock.now(), fresh: Uuid::now_v7() }
    }

    /// Parks the request, and tells the recruiter that nobody is asked any more: another move into the stage asks anew. Should the
    /// platform have invited all the same, it refuses that with the link of the interview.
    async fn give_up(&self, queue: &str, failure: &Failure, progress: Progress) {
        while let Some((dossier, candidacy)) = self.read().await {
            if !is_wanted(self.wanted, &candidacy) {
                return self.desk.settle(self.envelope, queue, failure, progress, self.about(Some(&dossier))).await;
            }
            let decision = refused(&dossier, candidacy.id, InviteError::NoAnswer, self.context());
            let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision);
            let outcome = self.desk.settle_with(change, self.envelope, queue, failure, progress, self.about(Some(saved))).await;
            if !matches!(outcome, CommitOutcome::Conflict(_)) {
                return;
            }
        }
        self.desk.settle(self.envelope, queue, failure, progress, self.about(None)).await;
    }

    /// Commits a decision on the newest version of the dossier, and with it that the message is handled.
    async fn conclude(&self, decide: impl Fn(&Dossier, Context<'_>) -> Decision) {
        while let Some((dossier, _)) = self.read().await {
            let decision = decide(&dossier, self.context());
            let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision);
            let (handled, entry) = self.desk.handled(self.envelope, &decision.verdict, self.about(Some(saved)));
            let change = Change { handled, journal: vec![entry], ..change };
            if !matches!(self.desk.commit(change).await, CommitOutcome::Conflict(_)) {
                return;
            }
        }
    }
}

/// As long again as was waited already: soon at first, and few looks at one that takes hours.
fn after_other(since: Timestamp, now: Timestamp) -> Timestamp {
    now + now.duration_since(since).clamp(OTHER_WAIT.0, OTHER_WAIT.1)
}

fn error_of(code: &str, detail: String) -> InviteError {
    match code {
        "role_missing" => InviteError::RoleMissing,
        "phone_too_short" => InviteError::PhoneTooShort,
        "recruiter_is_candidate" => InviteError::RecruiterIsCandidate,
        _ => InviteError::Other { text: detail },
    }
}

/// The link at the end of the platform's sentence.
fn last_link(text: &str) -> Option<Link> {
    text.split_whitespace().rev().find_map(|word| Link::new(word.trim_end_matches(['.', ',', ')'])).ok())
}
