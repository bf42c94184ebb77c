//! Facts: read what the fact's rule wants to know, decide, commit; on a race read again and decide again, a bounded number of times.

use super::TenantWork;
use crate::{
    desk::{About, Desk},
    domain::{
        Context, Effect, Lookup, Subject, Verdict,
        facts::{Answer, Known, Need, Outcome, decide, needs},
    },
    failure::Failure,
    gate::{Halt, Lapsed, draw},
    ports::{Change, CommitOutcome, Conflict, Connector, HeardWrite},
};
use atshub_schemas::{Envelope, ExternalId};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// How often a fact is decided on anew because somebody else was faster, before it goes to the retry schedule.
const RACES: u32 = 8;
/// The first pause before deciding anew; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(2);
/// Most rounds of reading before a decision: each may show what else is to be read.
const ROUNDS: usize = 6;

/// Works on a fact until its consequences are durable.
pub(super) async fn perform(work: &TenantWork, envelope: &Arc<Envelope>, queue: &str) -> Result<(), Lapsed> {
    let desk = &work.office.desk;
    let nobody = About { dossier: None, candidacy: None };
    let mut known = Known::default();
    for race in 0..RACES {
        if let Err(halt) = read(work, envelope, &mut known).await {
            return work.end(envelope, queue, halt, None, nobody).await;
        }
        let context = work.context();
        let Some(mut outcome) = decide(envelope, &known, context) else {
            let verdict = Verdict::ignored("not_a_fact", "understood; it is no fact, and no work for a tenant");
            let (handled, entry) = desk.handled(envelope, &verdict, nobody);
            desk.record(Change { handled, journal: vec![entry], ..Change::default() }).await;
            return Ok(());
        };
        // Each live key that is taken is left to its holder; a dossier has no more keys than candidacies, so this ends.
        loop {
            match desk.commit(change_of(desk, &*work.office.connector, envelope, &outcome)).await {
                Ok(CommitOutcome::Committed) => {
                    keep(desk, outcome);
                    return Ok(());
                }
                Ok(CommitOutcome::Duplicate) => return Ok(()),
                Ok(CommitOutcome::Conflict(Conflict::Taken { key, holder })) if yield_key(&mut outcome, &key, &holder) => {}
                Err(failure) => return work.end(envelope, queue, Halt::Failed(failure), None, nobody).await,
                Ok(CommitOutcome::Conflict(conflict)) => {
                    tracing::debug!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, ?conflict, "decided on what is no longer so; deciding anew");
                    break;
                }
            }
        }
        known.forget_stored();
        tokio::time::sleep(PAUSE * 2u32.pow(race)).await;
    }
    let halt = Halt::Failed(Failure::transient("other work on the same applications was faster each time"));
    work.end(envelope, queue, halt, None, nobody).await
}

/// Reads until the fact's rule wants to know nothing more.
async fn read(work: &TenantWork, envelope: &Arc<Envelope>, known: &mut Known) -> Result<(), Halt> {
    let desk = &work.office.desk;
    for _ in 0..ROUNDS {
        let wanted = needs(envelope, known, work.context()).unwrap_or_default();
        if wanted.is_empty() {
            return Ok(());
        }
        let (mut subjects, mut lookups, mut snapshot) = (Vec::<Subject>::new(), Vec::<Lookup>::new(), None);
        for need in wanted {
            match need {
                Need::Dossiers(lookup) if !lookups.contains(&lookup) => lookups.push(lookup),
                Need::Heard(subject) if !subjects.contains(&subject) => subjects.push(subject),
                Need::Snapshot { application, insist } => snapshot = Some((application, insist)),
                Need::Dossiers(_) | Need::Heard(_) => {}
            }
        }
        if !lookups.is_empty() || !subjects.is_empty() {
            let look_up = || desk.store.look_up(&envelope.tenant, lookups.clone(), subjects.clone());
            let found = desk.patiently("read what is known", look_up).await?;
            for (lookup, dossiers) in lookups.into_iter().zip(found.dossiers) {
                known.found(lookup, dossiers);
            }
            known.was_heard(subjects, found.heard);
        }
        if let Some((application, insist)) = snapshot {
            let answer = match ask_ats(work, envelope, &application).await {
                // The ATS is away, or tired; the fact has all that is needed, and is not old.
                Err(Halt::Wait(_) | Halt::Failed(Failure::Transient { .. } | Failure::RateLimited { .. })) if !insist => {
                    Answer::CannotBeAsked
                }
                answer => answer?,
            };
            known.answered(answer);
        }
    }
    Err(Halt::Failed(Failure::Bug { detail: format!("the rule for `{}` wants to know more each time", envelope.message.kind()) }))
}

/// What the ATS says of the application.
async fn ask_ats(work: &TenantWork, envelope: &Envelope, id: &ExternalId) -> Result<Answer, Halt> {
    if !work.office.connector.capabilities().read_application.available() {
        return Ok(Answer::CannotBeAsked);
    }
    let (gate, draw) = (&work.office.gate, draw(envelope));
    let place = work.reads.stand(id, None);
    if place.turn(gate.patience()).await.is_err() {
        return Err(Halt::Wait(gate.share_used_up(draw)));
    }
    let mut pass = gate.enter(draw)?;
    let _calling = place.calling();
    match pass.call(work.office.connector.read(id)).await {
        Ok(Some(snapshot)) => Ok(Answer::Is(Box::new(snapshot))),
        // The connector says so only when the ATS itself does.
        Ok(None) => Ok(Answer::Gone),
        // A refusal is no answer to "how does it stand": it is asked again, and nobody is refused or invited by it.
        Err(Halt::Failed(Failure::Rejected { code, detail })) => {
            Err(Halt::Failed(Failure::Malformed { detail: format!("the ATS refused to be asked for the application: {code}: {detail}") }))
        }
        Err(halt) => Err(halt),
    }
}

/// Leaves a live key to its holder, wherever the outcome wants it. False: nothing of it does.
fn yield_key(outcome: &mut Outcome, key: &str, holder: &ExternalId) -> bool {
    let mut yielded = false;
    for dossier in outcome.decisions.iter_mut().filter_map(|(_, decision)| decision.dossier.as_mut()) {
        yielded |= dossier.application.id != *holder && dossier.yield_key(key, holder);
    }
    yielded
}

/// What is asked for of the dossiers that were just saved is worked on next.
fn keep(desk: &Desk, outcome: Outcome) {
    for (_, decision) in outcome.decisions {
        if let Some(dossier) = decision.dossier
            && let Some(candidacy) = decision.effects.iter().find_map(Effect::invites)
        {
            desk.recent.put(candidacy, dossier);
        }
    }
}

fn change_of(desk: &Desk, connector: &dyn Connector, envelope: &Arc<Envelope>, outcome: &Outcome) -> Change {
    let mut change = Change::default();
    for (before, decision) in &outcome.decisions {
        let dossier = decision.dossier.as_ref().or(before.as_ref());
        if let Some(dossier) = dossier {
            change.outbox.extend(desk.rows(dossier, &decision.effects, Some(connector), envelope));
            change.taken_back.extend(decision.taken_back.iter().map(|key| (dossier.tenant.clone(), key.clone())));
        }
        let about = About { dossier, candidacy: None };
        change.journal.push(desk.entry(envelope, about, &decision.verdict.code, &decision.verdict.text));
        change.dossiers.extend(decision.dossier.clone().map(Desk::save));
    }
    change.heard.extend(
        outcome.heard.iter().map(|heard| HeardWrite { heard: heard.clone(), expected: heard.version.checked_sub(1).filter(|v| *v > 0) }),
    );
    let (handled, _) = desk.handled(envelope, &outcome.verdict, About { dossier: None, candidacy: None });
    change.handled = handled;
    change
}

impl TenantWork {
    fn context(&self) -> Context<'_> {
        Context { policy: self.policy(), now: self.office.desk.clock.now(), fresh: Uuid::now_v7() }
    }
}
