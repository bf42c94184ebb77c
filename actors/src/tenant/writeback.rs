//! Write-backs: statuses and notes into the tenant's ATS, each once, in order. Also the bridge's answers to commands.

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
    command::CommandFailed,
    internal::{Write, WritebackRequested},
    topology,
};
use std::sync::Arc;

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
    let found = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await;
    let about = About { dossier: found.first(), candidacy: Some(request.candidacy) };
    if let Some(newer) = superseded(request, found.first()) {
        let verdict = Verdict::ignored("superseded", format!("status {newer} of this application is newer"));
        done(work, envelope, &verdict, about, None).await;
        return Ok(());
    }
    let gate = &work.office.gate;
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
    let progress = desk.begin(envelope).await;
    if progress.handled {
        return Ok(());
    }
    desk.landed(progress, known).await;
    let written = {
        let _calling = place.calling();
        attempt(work, &mut pass, request, progress).await
    };
    match written {
        Ok((Written::Done { .. }, how)) => {
            done(work, envelope, &written_down(request, &how), about, None).await;
            work.link.wrote(desk.clock.now());
        }
        Ok((Written::Delegated(message), _)) => {
            let command = desk.message(&envelope.tenant, Some(&request.application), envelope, *message);
            let row = OutboxRow {
                exchange: topology::COMMANDS.into(),
                routing_key: command.routing_key(),
                envelope: Arc::new(command),
                not_before: None,
                key: None,
            };
            let verdict = Verdict::performed("sent_to_bridge", "sent to the tenant's bridge, which performs it");
            done(work, envelope, &verdict, about, Some(row)).await;
        }
        Ok((Written::NotSupported(why), _)) => done(work, envelope, &Verdict::ignored("not_supported", why), about, None).await,
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

fn written_down(request: &WritebackRequested, how: &How) -> Verdict {
    match (&request.write, how) {
        (Write::Status { text, .. }, How::AsNote(missing)) => {
            Verdict::performed("status_noted", format!("written as a note, for want of a field: {text} ({missing})"))
        }
        (Write::Status { text, .. }, How::AsWanted) => Verdict::performed("status_written", format!("the ATS now shows: {text}")),
        (Write::Note { .. }, _) => Verdict::performed("note_written", "the note stands in the ATS"),
    }
}

async fn done(work: &TenantWork, envelope: &Arc<Envelope>, verdict: &Verdict, about: About<'_>, row: Option<OutboxRow>) {
    let desk = &work.office.desk;
    let (handled, entry) = desk.handled(envelope, verdict, about);
    let change = Change { handled, journal: vec![entry], outbox: row.into_iter().collect(), ..Change::default() };
    let number = match &envelope.message {
        Message::WritebackRequested(WritebackRequested { write: Write::Status { sequence, .. }, .. }) if verdict.word == "performed" => {
            *sequence
        }
        _ => {
            desk.record(change).await;
            return;
        }
    };
    let mut dossier = about.dossier.cloned();
    loop {
        let mut change = change.clone();
        if let Some(mut next) = dossier.filter(|d| d.status_written < number) {
            next.status_written = number;
            next.version += 1;
            change.dossiers.push(Desk::save(next));
        }
        match desk.commit(change).await {
            CommitOutcome::Committed | CommitOutcome::Duplicate => return,
            CommitOutcome::Conflict(_) => {
                let Message::WritebackRequested(request) = &envelope.message else { return };
                let lookup = Lookup::Application(request.application.clone());
                dossier = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await.into_iter().next();
            }
        }
    }
}

/// The bridge has answered a command.
pub(super) async fn answered(work: &TenantWork, envelope: &Arc<Envelope>, command: &str, failed: Option<&CommandFailed>) {
    let desk = &work.office.desk;
    let about = About { dossier: None, candidacy: None };
    let Some(failed) = failed else {
        let verdict = Verdict::accepted("command_done", format!("the bridge performed command {command}"));
        done(work, envelope, &verdict, about, None).await;
        return work.link.wrote(desk.clock.now());
    };
    let seen = desk.patiently("read command", || desk.store.message(command)).await;
    let original = seen
        .iter()
        .filter(|view| view.tenant.as_deref() == Some(envelope.tenant.as_str()))
        .find_map(|view| Envelope::decode(view.body.as_deref()?.as_bytes()).ok());
    let Some(original) = original.map(Arc::new) else {
        let verdict = Verdict::ignored("unknown_command", format!("the hub sent no command {command}"));
        return done(work, envelope, &verdict, about, None).await;
    };
    let detail = format!("bridge: {} ({})", failed.message, failed.code);
    let failure = if failed.retryable { Failure::transient(detail) } else { Failure::Rejected { code: "bridge_failed".into(), detail } };
    let progress = desk.begin(&original).await;
    desk.settle_command(&original, &failure, progress).await;
    done(
        work,
        envelope,
        &Verdict::accepted("command_failed", format!("the bridge could not perform command {command}: {}", failed.code)),
        about,
        None,
    )
    .await;
}
