//! One asking: find the role, take the live key, look if somebody began this before, ask, commit what came of it.

use super::{
    Account, InviteWork,
    refusal::{error_of, last_link},
};
use crate::{
    desk::{About, Desk},
    domain::{
        Candidacy, Context, Decision, Dossier, Heard, InviteError, Lookup, Policy, State, Subject, Verdict, invited, inviting, not_open,
        refused, request, resolve_role, still_open, taken_back,
    },
    failure::Failure,
    gate::{Halt, Lapsed, Pass, Wait, draw},
    ports::{Change, CommitOutcome, Conflict, Connector, Invitation, Platform, PlatformRole, Progress},
    turns::{Place, TurnedAway},
};
use atshub_schemas::{Envelope, Message, internal::InviteRequested};
use jiff::{SignedDuration, Timestamp};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// Shortest and longest wait for another application's asking to end.
const OTHER_WAIT: (SignedDuration, SignedDuration) = (SignedDuration::from_secs(1), SignedDuration::from_mins(5));

/// How often a decision is made anew because other work was faster, before the request goes to the retry schedule.
const RACES: u32 = 8;
/// The first pause before deciding anew; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(2);

/// Works on a request until what came of it is durable.
pub(super) async fn perform(work: &InviteWork, envelope: &Arc<Envelope>, queue: &str, known: bool) -> Result<(), Lapsed> {
    let desk = &work.office.desk;
    let Message::InviteRequested(wanted) = &envelope.message else {
        ignore(desk, envelope, "not_an_invite", "this queue takes invite requests only", None).await;
        return Ok(());
    };
    let about = About { dossier: None, candidacy: Some(wanted.candidacy) };
    let Some(Account { policy, platform, gate, connector, set_aside }) = work.office.accounts.account(&envelope.tenant) else {
        let failure = Failure::transient("the tenant, or its platform account, is not set up");
        return desk.end(envelope, queue, Halt::Failed(failure), None, about).await;
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
    let progress = desk.begin(envelope, known).await;
    if progress.handled {
        return Ok(());
    }
    if let Some(until) = progress.held_until {
        desk.held(envelope, queue, until, about).await;
        return Ok(());
    }
    let mut asking = Asking { desk, envelope, policy: &policy, platform: &*platform, connector: connector.as_deref(), place, pass, wanted };
    match Box::pin(desk.holding(envelope, progress, asking.run(progress))).await {
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

/// Whether the platform is still to be asked for what a request wants: an invitation, or whether one that the hub believes to be open
/// still is.
pub(super) fn is_wanted(wanted: &InviteRequested, candidacy: &Candidacy) -> bool {
    candidacy.intent == wanted.intent
        && (matches!(candidacy.state, State::Received | State::Inviting) || (is_open(candidacy) && candidacy.intent > candidacy.answered))
}

fn is_open(candidacy: &Candidacy) -> bool {
    matches!(candidacy.state, State::Invited | State::Scheduled | State::Rescheduled)
}

/// What a decision changes, and the dossier as it is then.
pub(super) fn change_of<'d>(
    desk: &Desk,
    cause: &Envelope,
    dossier: &'d Dossier,
    decision: &'d Decision,
    connector: Option<&dyn Connector>,
) -> (Change, &'d Dossier) {
    let saved = decision.dossier.as_ref().unwrap_or(dossier);
    let outbox = desk.rows(saved, &decision.effects, connector, cause);
    let dossiers = decision.dossier.clone().map(Desk::save).into_iter().collect();
    let taken_back = decision.taken_back.iter().map(|key| (saved.tenant.clone(), key.clone())).collect();
    (Change { outbox, dossiers, taken_back, ..Change::default() }, saved)
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
    connector: Option<&'a dyn Connector>,
    place: Place<'a, Uuid>,
    pass: Pass<'a>,
    wanted: &'a InviteRequested,
}

/// The application that holds the live key that is wanted.
enum Holder {
    /// None any more.
    Gone,
    /// The platform is being asked for it: it will invite or refuse.
    Asking,
    /// One that the hub believes to have an open interview.
    Open(Box<Dossier>, Uuid),
}

/// What the platform's side came to.
enum Answer {
    Invited(Invitation),
    Refused(InviteError),
    /// It was asked again, and the interview is open.
    StillOpen(Invitation),
    /// It was taken back before the platform invited.
    TakenBack(String),
}

impl Asking<'_> {
    /// `Err`: the try came to nothing, and the schedule has to settle it.
    async fn run(&mut self, progress: Progress) -> Result<(), (Halt, Option<Dossier>)> {
        let Some((dossier, before)) = self.take_key(progress).await? else { return Ok(()) };
        // The platform was asked for no candidacy that was never saved as `inviting`, however often this message was begun.
        let again = before == State::Inviting;
        let answer = match self.ask(&dossier, again).await {
            Ok(answer) => answer,
            Err(halt) => return Err((halt, Some(dossier))),
        };
        self.finish(&answer).await;
        Ok(())
    }

    async fn finish(&self, answer: &Answer) {
        let id = self.wanted.candidacy;
        let heard = match answer {
            Answer::Invited(invitation) => self.heard_of(invitation).await,
            _ => None,
        };
        self.conclude(|dossier, context| match answer {
            Answer::Invited(invitation) => invited(dossier, id, invitation, heard.as_ref(), context),
            Answer::Refused(error) => refused(dossier, id, error.clone(), context),
            Answer::StillOpen(found) => still_open(dossier, id, found, context),
            Answer::TakenBack(why) => taken_back(dossier, id, why, context),
        })
        .await;
    }

    /// What the platform said of the interview before its invitation is stored.
    async fn heard_of(&self, invitation: &Invitation) -> Option<Heard> {
        let subject = Subject::Interview(invitation.candidacy.clone());
        let ask = || self.desk.store.heard(&self.envelope.tenant, vec![subject.clone()]);
        self.desk.patiently("read what was heard", ask).await.into_iter().next()
    }

    /// The dossier with its candidacy in state `inviting`, saved, and the state before. `None`: nothing is to be asked, and
    /// the message is handled.
    async fn take_key(&mut self, progress: Progress) -> Result<Option<(Dossier, State)>, (Halt, Option<Dossier>)> {
        for race in 0..RACES {
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
            if is_open(&candidacy)
                && let Some(found) = self.look(&dossier, false).await.map_err(|halt| (halt, Some(dossier.clone())))?
            {
                self.finish(&Answer::StillOpen(found)).await;
                return Ok(None);
            }
            let role = match self.role(&candidacy).await {
                Ok(Some(role)) => role,
                Ok(None) => {
                    self.finish(&Answer::Refused(InviteError::RoleMissing)).await;
                    return Ok(None);
                }
                Err(halt) => return Err((halt, Some(dossier))),
            };
            let next = inviting(&dossier, candidacy.id, &role, self.desk.clock.now());
            match self.desk.commit(Change { dossiers: vec![Desk::save(next.clone())], ..Change::default() }).await {
                CommitOutcome::Committed | CommitOutcome::Duplicate => return Ok(Some((next, State::Received))),
                CommitOutcome::Conflict(Conflict::Raced) => tokio::time::sleep(PAUSE * 2u32.pow(race)).await,
                CommitOutcome::Conflict(Conflict::Taken { key, .. }) => match self.holder(key).await {
                    Holder::Gone => tokio::time::sleep(PAUSE * 2u32.pow(race)).await,
                    // Its answer decides this one too: a link to show, or a free key. It comes, because a candidacy that is
                    // `inviting` waits for no other one's key: no two wait for each other.
                    Holder::Asking => {
                        let until = after_other(candidacy.changed_at, self.desk.clock.now());
                        return Err((Halt::Wait(Wait::for_other(until, progress.begun == 1)), Some(dossier)));
                    }
                    Holder::Open(holder, id) => {
                        let found = self.look(&next, true).await.map_err(|halt| (halt, Some(dossier)))?;
                        if let Some(found) = found {
                            self.finish(&Answer::Refused(InviteError::AlreadyActive { link: found.link })).await;
                            return Ok(None);
                        }
                        self.release(*holder, id).await;
                    }
                },
            }
        }
        Err((Halt::Failed(Failure::transient("other work on the same candidacy was faster each time")), None))
    }

    /// The platform's role that the candidacy names. A list that is remembered may have it, and is no reason to say that it does not
    /// exist: that is for a list that is asked for now.
    async fn role(&mut self, candidacy: &Candidacy) -> Result<Option<PlatformRole>, Halt> {
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
    async fn look(&mut self, dossier: &Dossier, anywhere: bool) -> Result<Option<Invitation>, Halt> {
        let Some(mut request) = request(dossier, self.wanted.candidacy) else { return Ok(None) };
        if anywhere {
            request.ats_url = None;
        }
        let _calling = self.place.calling();
        self.pass.call(self.platform.find(&request)).await
    }

    /// The application that holds a live key.
    async fn holder(&self, key: String) -> Holder {
        let lookup = Lookup::Live(key.clone());
        let found = self.desk.patiently("read holder", || self.desk.store.dossiers(&self.envelope.tenant, lookup.clone())).await;
        let Some(dossier) = found.into_iter().next() else { return Holder::Gone };
        match dossier.candidacies.iter().find(|c| c.live_key(&dossier.candidate).as_deref() == Some(&key)) {
            None => Holder::Gone,
            Some(live) if matches!(live.state, State::Received | State::Inviting) => Holder::Asking,
            Some(live) => {
                let id = live.id;
                Holder::Open(Box::new(dossier), id)
            }
        }
    }

    /// Ends a candidacy whose interview the platform does not have any more, so that its key is free. If somebody else changed it
    /// meanwhile, the next round sees how it stands.
    async fn release(&self, holder: Dossier, id: Uuid) {
        let decision = not_open(&holder, id, self.context());
        let (mut change, saved) = change_of(self.desk, self.envelope, &holder, &decision, self.connector);
        let about = About { dossier: Some(saved), candidacy: Some(id) };
        change.journal.push(self.desk.entry(self.envelope, about, &decision.verdict.code, &decision.verdict.text));
        let outcome = self.desk.commit(change).await;
        tracing::debug!(tenant = %self.envelope.tenant, ?outcome, "the platform has no open interview for a live candidacy; its key is given up");
    }

    async fn ask(&mut self, dossier: &Dossier, again: bool) -> Result<Answer, Halt> {
        let Some(request) = request(dossier, self.wanted.candidacy) else { return Ok(Answer::Refused(InviteError::EmailMissing)) };
        let candidacy = dossier.candidacy(self.wanted.candidacy);
        // Asked without an address, one without an address may be ours; else it is another one's, made by hand.
        let asked_without = candidacy.is_none_or(|c| c.asked_with.is_none());
        let ours = |found: &Invitation| found.ats_url.is_some() || request.ats_url.is_none() || asked_without;
        let withdrawn = candidacy.and_then(|c| c.withdrawn.clone());
        let _calling = self.place.calling();
        // A store that went back does not know what it asked; what is ours then has our address.
        let forgot = !again && self.desk.forgot();
        if (again || forgot || withdrawn.is_some())
            && let Some(found) = self.pass.call(self.platform.find(&request)).await?
            && (found.ats_url.is_some() || !forgot)
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
        for race in 0..RACES {
            let Some((dossier, candidacy)) = self.read().await else { break };
            // An interview that was asked for again stands as it stood: nothing is known of it but that.
            if !is_wanted(self.wanted, &candidacy) || is_open(&candidacy) {
                return self.desk.settle(self.envelope, queue, failure, progress, self.about(Some(&dossier))).await;
            }
            let decision = refused(&dossier, candidacy.id, InviteError::NoAnswer, self.context());
            let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision, self.connector);
            let outcome = self.desk.settle_with(change, self.envelope, queue, failure, progress, self.about(Some(saved))).await;
            if !matches!(outcome, CommitOutcome::Conflict(_)) {
                return;
            }
            tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
        }
        self.desk.settle(self.envelope, queue, failure, progress, self.about(None)).await;
    }

    /// Commits a decision on the newest version of the dossier, and with it that the message is handled. It holds on for as long as
    /// others are faster, with growing pauses: what the platform has done is not to be lost.
    async fn conclude(&self, decide: impl Fn(&Dossier, Context<'_>) -> Decision) {
        let mut race = 0;
        while let Some((dossier, _)) = self.read().await {
            let mut decision = decide(&dossier, self.context());
            loop {
                let (change, saved) = change_of(self.desk, self.envelope, &dossier, &decision, self.connector);
                let (handled, entry) = self.desk.handled(self.envelope, &decision.verdict, self.about(Some(saved)));
                let change = Change { handled, journal: vec![entry], ..change };
                match self.desk.commit(change).await {
                    CommitOutcome::Committed | CommitOutcome::Duplicate => return,
                    CommitOutcome::Conflict(Conflict::Taken { key, holder }) => {
                        // Two of one person and role have come about; what this one is stays true without the key.
                        if !decision.dossier.as_mut().is_some_and(|d| d.yield_key(&key, &holder)) {
                            break;
                        }
                    }
                    CommitOutcome::Conflict(Conflict::Raced) => break,
                }
            }
            tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
            race = (race + 1).min(RACES);
        }
        ignore(self.desk, self.envelope, "unknown_candidacy", "the candidacy is gone", None).await;
    }
}

/// As long again as was waited already: soon at first, and few looks at one that takes hours.
fn after_other(since: Timestamp, now: Timestamp) -> Timestamp {
    now + now.duration_since(since).clamp(OTHER_WAIT.0, OTHER_WAIT.1)
}
