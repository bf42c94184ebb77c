//! Write-backs: statuses and notes into the tenant's ATS, each once, in order.

use super::TenantWork;
use crate::{
    desk::{About, Desk},
    domain::{Dossier, Lookup, Verdict, status_as_note},
    failure::Failure,
    gate::{Halt, Lapsed, Pass, Wait, draw},
    ports::{Change, CommitOutcome, NO_PLACE_FOR_STATUS, OutboxRow, Progress, Written},
    turns::{Place, TurnedAway},
};
use atshub_schemas::{
    Envelope, ExternalId, Message,
    internal::{Write, WritebackRequested},
};
use jiff::SignedDuration;
use std::{sync::Arc, time::Duration};

/// First and longest pause before a status is written down again, because other work on the application was faster.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(500));

/// A status this old has waited for more than its turn: for a relay that was killed with it in hand, whose lease is longer.
const LATE: SignedDuration = SignedDuration::from_secs(15);

/// Performs a write-back, or ends the try.
pub(super) async fn perform(
    work: &TenantWork,
    envelope: &Arc<Envelope>,
    request: &WritebackRequested,
    queue: &str,
    known: bool,
) -> Result<(), Lapsed> {
    let (desk, draw) = (&work.office.desk, draw(envelope));
    let place = work.writes.stand(&request.application, order(request));
    // Everybody who came together stands in line before anybody's turn comes.
    tokio::task::yield_now().await;
    let turn = place.turn(work.office.gate.patience()).await;
    let lookup = Lookup::Application(request.application.clone());
    let found = match desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await {
        Ok(found) => found,
        Err(failure) => {
            let about = About { dossier: None, candidacy: Some(request.candidacy) };
            return work.end(envelope, queue, Halt::Failed(failure), None, about).await;
        }
    };
    let about = About { dossier: found.first(), candidacy: Some(request.candidacy) };
    // The person may go on under another record since this was asked for.
    let person = found.first().and_then(|d| d.candidate.id.clone()).or_else(|| request.candidate.clone());
    let request = &WritebackRequested { candidate: person, ..request.clone() };
    if let Some(newer) = superseded(request, found.first()) {
        tracing::debug!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, newer, "a newer status stands in the ATS");
        let verdict = Verdict::ignored("superseded", format!("status {newer} of this application is newer"));
        done(work, envelope, &verdict, about, vec![]).await;
        return Ok(());
    }
    let gate = &work.office.gate;
    let waited = place.waited();
    // Before it is noted that work begins: what is turned away has not begun.
    let entered = match (place.behind(desk.clock.now()), turn) {
        (Some(until), _) => Err(Halt::Wait(Wait::behind(until))),
        (None, Err(TurnedAway)) => Err(Halt::Wait(gate.share_used_up(draw))),
        (None, Ok(())) => gate.enter(draw),
    };
    let mut pass = match entered {
        Ok(pass) => pass,
        Err(halt) => return put_off(work, envelope, queue, &place, halt, None, about).await,
    };
    let progress = desk.begin(envelope, known).await;
    if progress.handled {
        return Ok(());
    }
    if let Some(until) = progress.held_until {
        desk.held(envelope, queue, until, about).await;
        return Ok(());
    }
    let late = desk.clock.now().duration_since(envelope.time) > LATE;
    if ((progress.begun > 1 && !waited) || late)
        && let Some(newer) = overtaken(request, found.first())
    {
        let why = if late { "comes late" } else { "was tried before" };
        tracing::debug!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, begun = progress.begun, newer, why, "a status is not repeated");
        let verdict = Verdict::ignored("superseded", format!("status {newer} of this application is on its way, and this one {why}"));
        done(work, envelope, &verdict, about, vec![]).await;
        return Ok(());
    }
    let written = {
        let _calling = place.calling();
        desk.holding(envelope, progress, attempt(work, &mut pass, request, progress)).await
    };
    match written {
        Ok((Written::Done { .. }, how)) => {
            done(work, envelope, &written_down(request, &how), about, vec![]).await;
            work.link.wrote(desk.clock.now());
        }
        Ok((Written::Delegated(message), _)) => {
            let command = Arc::new(desk.message(&envelope.tenant, Some(&request.application), envelope, *message));
            let intent = about.dossier.and_then(|d| d.candidacy(request.candidacy)).map_or(0, |c| c.intent);
            let rows = desk.command(&command, request.candidacy, intent, 1, None).into();
            let verdict = Verdict::performed("sent_to_bridge", "sent to the tenant's bridge, which performs it");
            done(work, envelope, &verdict, about, rows).await;
        }
        Ok((Written::NotSupported(why), _)) => done(work, envelope, &Verdict::ignored("not_supported", why), about, vec![]).await,
        Err(halt) => return put_off(work, envelope, queue, &place, halt, Some(progress), about).await,
    }
    Ok(())
}

async fn put_off(
    work: &TenantWork,
    envelope: &Arc<Envelope>,
    queue: &str,
    place: &Place<'_, ExternalId>,
    halt: Halt,
    progress: Option<Progress>,
    about: About<'_>,
) -> Result<(), Lapsed> {
    if let Halt::Wait(wait) | Halt::Refused(_, wait) = &halt {
        place.put_off(wait.until, work.office.desk.clock.now());
    }
    work.end(envelope, queue, halt, progress, about).await
}

fn order(request: &WritebackRequested) -> Option<u64> {
    match &request.write {
        Write::Status { sequence, .. } => Some(*sequence),
        Write::Note { .. } => None,
    }
}

/// In which way a status or note was written.
enum How {
    AsWanted,
    /// As a note, because the account has no field for the status; the words say what has to be set up for one.
    AsNote(String),
}

async fn attempt(work: &TenantWork, pass: &mut Pass<'_>, request: &WritebackRequested, progress: Progress) -> Result<(Written, How), Halt> {
    match once(work, pass, request, progress).await {
        Err(Halt::Failed(Failure::Rejected { code, detail })) if NO_PLACE_FOR_STATUS.contains(&code.as_str()) => {
            let notes = work.office.connector.capabilities().notes.available();
            let Some(note) = status_as_note(request, work.policy()).filter(|_| notes) else {
                return Err(Halt::Failed(Failure::Rejected { code, detail }));
            };
            Ok((once(work, pass, &note, progress).await?, How::AsNote(detail)))
        }
        outcome => outcome.map(|written| (written, How::AsWanted)),
    }
}

/// Looks before it repeats: whoever began this before may have had the effect and died before saying so.
async fn once(work: &TenantWork, pass: &mut Pass<'_>, request: &WritebackRequested, progress: Progress) -> Result<Written, Halt> {
    let connector = &work.office.connector;
    if progress.begun > 1 && pass.call(connector.look(request)).await? {
        return Ok(Written::Done { external_id: None });
    }
    pass.call(connector.write(request)).await
}

/// The number of a newer status that the ATS already has, if this one has been overtaken (by a retry, by another relay).
fn superseded(request: &WritebackRequested, dossier: Option<&Dossier>) -> Option<u64> {
    let Write::Status { sequence, .. } = &request.write else { return None };
    dossier.filter(|d| d.status_written > *sequence).map(|d| d.status_written)
}

/// The number of a newer status that was asked for. An attempt whose end is not known may have written this one, or the newer one while
/// this one was held up: that stands there already, and to write this one would take it back.
fn overtaken(request: &WritebackRequested, dossier: Option<&Dossier>) -> Option<u64> {
    let Write::Status { sequence, .. } = &request.write else { return None };
    dossier.map(|d| d.sequence).filter(|newest| newest > sequence)
}

fn written_down(request: &WritebackRequested, how: &How) -> Verdict {
    match (&request.write, how) {
        (Write::Status { text, .. }, How::AsNote(missing)) => {
            Verdict::performed("status_noted", format!("written as a note, for want of a field: {text} ({missing})"))
        }
        (Write::Status { text, .. }, How::AsWanted) => Verdict::performed("status_written", format!("the ATS now shows: {text}")),
        (Write::Note { .. }, _) => Verdict::performed("note_written", "the note stands in the ATS"),
    }
}

async fn done(work: &TenantWork, envelope: &Arc<Envelope>, verdict: &Verdict, about: About<'_>, outbox: Vec<OutboxRow>) {
    let desk = &work.office.desk;
    let (handled, entry) = desk.handled(envelope, verdict, about);
    let change = Change { handled, journal: vec![entry], outbox, ..Change::default() };
    let number = match &envelope.message {
        Message::WritebackRequested(WritebackRequested { write: Write::Status { sequence, .. }, .. })
            if verdict.word == "performed" && verdict.code != "sent_to_bridge" =>
        {
            *sequence
        }
        _ => {
            desk.record(change).await;
            return;
        }
    };
    let mut dossier = about.dossier.cloned();
    let mut pause = PAUSE.0;
    loop {
        let (mut change, written) = (change.clone(), change.clone());
        if let Some(mut next) = dossier.filter(|d| d.status_written < number) {
            next.status_written = number;
            next.version += 1;
            change.dossiers.push(Desk::save(next));
        }
        match desk.commit(change).await {
            Ok(CommitOutcome::Committed | CommitOutcome::Duplicate) => return,
            // The ATS has it: that is not to be forgotten, and it is not to be written again, for want of the dossier.
            Err(_) => return desk.record(written).await,
            // A status that is written down takes no key; the dossier as it stands now says who holds which.
            Ok(CommitOutcome::Conflict(_)) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE.1);
                let Message::WritebackRequested(request) = &envelope.message else { return };
                let lookup = Lookup::Application(request.application.clone());
                let found = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await;
                dossier = found.unwrap_or_default().into_iter().next();
            }
        }
    }
}
