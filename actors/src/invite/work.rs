//! One asking: find the role, take the live key, look if somebody began this before, ask, commit what came of it.

use super::{
    Account, InviteWork,
    asking::{Answer, Aside, Asking},
    meaning::{after_other, of_a_newer_version},
};
use crate::{
    desk::{About, Desk},
    domain::{Candidacy, Decision, Dossier, InviteError, Lookup, State, Verdict, inviting, not_open},
    failure::Failure,
    flight,
    gate::{Halt, Lapsed, Wait, draw},
    ports::{Change, Claim, CommitOutcome, Conflict, Connector, MessageKey, Progress},
    turns::TurnedAway,
};
use atshub_schemas::{Envelope, Message, internal::InviteRequested};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How often a decision is made anew because other work was faster, before the request goes to the retry schedule.
pub(super) const RACES: u32 = 8;
/// The first pause before deciding anew; each is twice the one before.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// Works on a request until what came of it is durable.
pub(super) async fn perform(work: &InviteWork, envelope: &Arc<Envelope>, queue: &str, known: bool) -> Result<(), Lapsed> {
    let desk = &work.office.desk;
    let Message::InviteRequested(wanted) = &envelope.message else {
        ignore(desk, envelope, "not_an_invite", "this queue takes invite requests only", None).await;
        return Ok(());
    };
    let about = About { dossier: None, candidacy: Some(wanted.candidacy) };
    let Some(Account { policy, platform, gate, connector, set_aside }) = work.office.accounts.account(&envelope.tenant) else {
        if is_gone(desk, envelope).await {
            // Nothing is written down: nothing of the tenant is kept.
            tracing::info!(tenant = %envelope.tenant, message = %envelope.id, "an invitation was to be asked for, and its tenant is gone");
            return Ok(());
        }
        let failure = Failure::transient("the tenant, or its platform account, is not set up");
        return desk.end(envelope, queue, Halt::Failed(failure), None, about).await;
    };
    gate.show_on(&work.link);
    let (calls, draw) = (work.calls_of(&gate), draw(envelope));
    if set_aside {
        desk.postpone(envelope, queue, &gate.set_aside(draw), None, about).await;
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
            let found = read(desk, envelope, wanted).await.unwrap_or_default();
            let about = About { dossier: found.as_ref().map(|(dossier, _)| dossier), ..about };
            return desk.end(envelope, queue, halt, None, about).await;
        }
    };
    let (accounts, connector) = (&*work.office.accounts, connector.as_deref());
    let aside = Aside { accounts, gate: &gate, draw };
    let mut asking = Asking { desk, envelope, policy: &policy, platform: &*platform, connector, place, pass, wanted, aside };
    let claim = desk.claim(known);
    let at_once = if known { Ok(None) } else { asking.begin_at_once(claim).await };
    let (progress, outcome) = match at_once {
        Ok(Some((progress, dossier))) => {
            (progress, Box::pin(desk.holding(envelope, progress, asking.go_on(dossier, State::Received))).await)
        }
        otherwise => {
            let progress = desk.begin_as(envelope, claim).await;
            if progress.handled {
                return Ok(());
            }
            if let Some(until) = progress.held_until {
                desk.held(envelope, queue, until, about).await;
                return Ok(());
            }
            match otherwise {
                Err(halt) => (progress, Err((halt, None))),
                Ok(_) => (progress, Box::pin(desk.holding(envelope, progress, asking.run(progress))).await),
            }
        }
    };
    match outcome {
        Ok(()) => Ok(()),
        Err((Halt::Failed(failure), _)) if desk.gives_up(&failure, progress) => {
            asking.give_up(queue, &failure, progress).await;
            Ok(())
        }
        Err((halt, dossier)) => desk.end(envelope, queue, halt, Some(progress), About { dossier: dossier.as_ref(), ..about }).await,
    }
}

/// Whether the store knows no such tenant. What this process has in memory may be older than the tenant.
async fn is_gone(desk: &Desk, envelope: &Envelope) -> bool {
    let all = desk.patiently("look for a tenant", || desk.store.tenants()).await;
    all.is_ok_and(|all| all.iter().all(|tenant| tenant.name != envelope.tenant))
}

pub(super) async fn read(desk: &Desk, envelope: &Envelope, wanted: &InviteRequested) -> Result<Option<(Dossier, Candidacy)>, Failure> {
    let lookup = Lookup::Candidacy(wanted.candidacy);
    let found = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await?;
    Ok(found.into_iter().next().and_then(|dossier| holding(dossier, wanted)))
}

fn holding(dossier: Dossier, wanted: &InviteRequested) -> Option<(Dossier, Candidacy)> {
    let candidacy = dossier.candidacy(wanted.candidacy)?.clone();
    Some((dossier, candidacy))
}

/// Whether the platform is still to be asked for what a request wants: an invitation, or whether one that the hub believes to be open
/// still is.
pub(super) fn is_wanted(wanted: &InviteRequested, candidacy: &Candidacy) -> bool {
    candidacy.intent == wanted.intent
        && (matches!(candidacy.state, State::Received | State::Inviting) || (is_open(candidacy) && candidacy.intent > candidacy.answered))
}

pub(super) fn is_open(candidacy: &Candidacy) -> bool {
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

pub(super) async fn ignore(desk: &Desk, envelope: &Arc<Envelope>, code: &str, text: &str, dossier: Option<&Dossier>) {
    let (handled, entry) = desk.handled(envelope, &Verdict::ignored(code, text), About { dossier, candidacy: None });
    desk.record(Change { handled, journal: vec![entry], ..Change::default() }).await;
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

/// Why a try came to nothing, and the dossier it was about, where that is known.
type Stopped = (Halt, Option<Dossier>);

fn stopped(failure: Failure) -> Stopped {
    (Halt::Failed(failure), None)
}

impl Asking<'_> {
    /// The usual case: a candidacy is asked for the first time, and nothing stands in the way. The change that says `inviting` begins the
    /// work on the message as well. `None`: it has to be looked at more closely, and nothing was changed, unless the store's answer was lost.
    async fn begin_at_once(&mut self, claim: Claim) -> Result<Option<(Progress, Dossier)>, Halt> {
        let just_saved =
            self.desk.recent.take(self.wanted.candidacy).filter(|dossier| dossier.tenant == self.envelope.tenant && !self.desk.forgot());
        let found = match just_saved.and_then(|dossier| holding(dossier, self.wanted)) {
            Some(found) => Some(found),
            None => self.read().await.map_err(Halt::Failed)?,
        };
        let Some((dossier, candidacy)) = found else { return Ok(None) };
        if candidacy.state != State::Received || !is_wanted(self.wanted, &candidacy) {
            return Ok(None);
        }
        let Some(role) = self.role(&candidacy).await? else { return Ok(None) };
        let next = inviting(&dossier, candidacy.id, &role, self.desk.clock.now());
        let begins = Some((MessageKey::from(&**self.envelope), claim));
        let change = Change { begins, dossiers: vec![Desk::save(next.clone())], ..Change::default() };
        if self.desk.commit(change).await.map_err(Halt::Failed)? != CommitOutcome::Committed {
            return Ok(None);
        }
        flight::attempted(true);
        // The call comes next. A process that was stopped meanwhile lets go of this work while it waits here.
        self.desk.lease.held().await;
        Ok(Some((Progress { owner: Some(claim.owner), begun: 1, ..Progress::default() }, next)))
    }

    /// `Err`: the try came to nothing, and the schedule has to settle it.
    async fn run(&mut self, progress: Progress) -> Result<(), Stopped> {
        let Some((dossier, before)) = Box::pin(self.take_key(progress)).await? else { return Ok(()) };
        self.go_on(dossier, before).await
    }

    /// Asks for a candidacy that is saved as `inviting`. The platform was asked for no candidacy that was never saved so, however often its
    /// message was begun.
    async fn go_on(&mut self, dossier: Dossier, before: State) -> Result<(), Stopped> {
        match self.ask(&dossier, before == State::Inviting).await {
            Ok(answer) => self.conclude(Some(dossier), &answer).await.map_err(stopped),
            Err(halt) => Err((halt, Some(dossier))),
        }
    }

    /// The dossier with its candidacy in state `inviting`, saved, and the state before. `None`: nothing is to be asked, and
    /// the message is handled.
    async fn take_key(&mut self, progress: Progress) -> Result<Option<(Dossier, State)>, Stopped> {
        for race in 0..RACES {
            let Some((dossier, candidacy)) = self.read().await.map_err(stopped)? else {
                ignore(self.desk, self.envelope, "unknown_candidacy", "no such candidacy", None).await;
                return Ok(None);
            };
            if let State::Unknown(_) = candidacy.state {
                return Err((Halt::Failed(of_a_newer_version(&candidacy)), Some(dossier)));
            }
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
                self.conclude(Some(dossier), &Answer::StillOpen(found)).await.map_err(stopped)?;
                return Ok(None);
            }
            let role = match self.role(&candidacy).await {
                Ok(Some(role)) => role,
                Ok(None) => {
                    self.conclude(Some(dossier), &Answer::Refused(InviteError::RoleMissing)).await.map_err(stopped)?;
                    return Ok(None);
                }
                Err(halt) => return Err((halt, Some(dossier))),
            };
            let next = inviting(&dossier, candidacy.id, &role, self.desk.clock.now());
            match self.desk.commit(Change { dossiers: vec![Desk::save(next.clone())], ..Change::default() }).await.map_err(stopped)? {
                CommitOutcome::Committed | CommitOutcome::Duplicate => return Ok(Some((next, State::Received))),
                CommitOutcome::Conflict(Conflict::Raced | Conflict::Ended | Conflict::Begun | Conflict::Heard) => {
                    tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
                }
                CommitOutcome::Conflict(Conflict::Taken { key, .. }) => match self.holder(key).await.map_err(stopped)? {
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
                            let answer = Answer::Refused(InviteError::AlreadyActive { link: found.link });
                            self.conclude(None, &answer).await.map_err(stopped)?;
                            return Ok(None);
                        }
                        self.release(*holder, id).await;
                    }
                },
            }
        }
        Err((Halt::Failed(Failure::transient("other work on the same candidacy was faster each time")), None))
    }

    /// The application that holds a live key.
    async fn holder(&self, key: String) -> Result<Holder, Failure> {
        let lookup = Lookup::Live(key.clone());
        let found = self.desk.patiently("read holder", || self.desk.store.dossiers(&self.envelope.tenant, lookup.clone())).await?;
        let Some(dossier) = found.into_iter().next() else { return Ok(Holder::Gone) };
        Ok(match dossier.candidacies.iter().find(|c| c.live_key(&dossier.candidate).as_deref() == Some(&key)) {
            None => Holder::Gone,
            // What a newer version wrote is for that version to go on with.
            Some(live) if matches!(live.state, State::Received | State::Inviting | State::Unknown(_)) => Holder::Asking,
            Some(live) => {
                let id = live.id;
                Holder::Open(Box::new(dossier), id)
            }
        })
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
}
