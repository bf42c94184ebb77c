//! What becomes of a command to the tenant's bridge: it is answered, done or failed, or the clock of its answer runs out. An answer counts
//! only for a command that the hub has sent to this tenant's bridge.

use super::TenantWork;
use crate::{
    desk::{About, Desk},
    domain::{Lookup, Verdict, status_as_note},
    failure::Failure,
    lifecycle,
    ports::{Change, CommitOutcome},
};
use atshub_schemas::{
    Envelope, Family, Message, MessageId,
    command::{CommandFailed, StatusSet},
    internal::{Timer, TimerDue, Write, WritebackRequested},
};
use std::sync::Arc;
use uuid::Uuid;

/// How often a command is sent in all while the bridge does not answer.
const SENT_MAX: u32 = 3;
const NOBODY: About<'static> = About { dossier: None, candidacy: None };

/// The bridge has done what a command asked. The clock of the answer runs for a command that was sent and not answered yet: where it does,
/// nothing else has to be known.
pub(super) async fn done(work: &TenantWork, envelope: &Arc<Envelope>, id: &MessageId) -> Result<(), Failure> {
    let desk = &work.office.desk;
    let verdict = Verdict::accepted("command_done", format!("the bridge performed command {id}"));
    let (handled, entry) = desk.handled(envelope, &verdict, NOBODY);
    let ends = Some((envelope.tenant.clone(), Desk::unanswered_key(id)));
    let change = Change { handled, journal: vec![entry], ends, ..Change::default() };
    if let CommitOutcome::Conflict(_) = desk.commit(change).await? {
        let Some(command) = sent(desk, envelope, id).await? else { return unknown(desk, envelope, id).await };
        conclude(desk, envelope, &command, &verdict, Change::default()).await;
    }
    work.link.wrote(desk.clock.now());
    Ok(())
}

/// The bridge could not do it.
pub(super) async fn failed(work: &TenantWork, envelope: &Arc<Envelope>, failed: &CommandFailed) -> Result<(), Failure> {
    let (desk, id) = (&work.office.desk, &failed.command_id);
    let Some(command) = sent(desk, envelope, id).await? else { return unknown(desk, envelope, id).await };
    let why = format!("{} ({})", failed.message, failed.code);
    // A status for which the bridge has no place is for the recruiter all the same: as a note (B6).
    if !failed.retryable
        && let Message::StatusSet(status) = &command.message
        && let Some(note) = as_note(work, envelope, status).await?
    {
        let verdict = Verdict::accepted("command_failed", format!("the bridge could not set the status: {why}; it goes out as a note"));
        conclude(desk, envelope, &command, &verdict, note).await;
        return Ok(());
    }
    let failure = if failed.retryable {
        Failure::transient(format!("bridge: {why}"))
    } else {
        Failure::Rejected { code: "bridge_failed".into(), detail: format!("bridge: {why}") }
    };
    // The answer that came first is being settled, or was: this one says the same.
    let progress = desk.begin(&command, false).await;
    let next_at = if progress.held_until.is_some() { None } else { desk.settle_command(&command, &failure, progress).await };
    let verdict = Verdict::accepted("command_failed", format!("the bridge could not perform command {id}: {why}"));
    // The clock of the next answer begins when the command goes out again.
    let clock = next_at.map(|at| desk.command(&command, Uuid::nil(), 0, 1, Some(at)));
    let outbox = clock.map(|[_, timer]| timer).into_iter().collect();
    conclude(desk, envelope, &command, &verdict, Change { outbox, ..Change::default() }).await;
    Ok(())
}

/// The clock of an answer has run out.
pub(super) async fn unanswered(work: &TenantWork, envelope: &Arc<Envelope>, due: &TimerDue) -> Result<(), Failure> {
    let desk = &work.office.desk;
    let Timer::Unanswered { command_id, sent: times } = &due.what;
    let Some(command) = sent(desk, envelope, command_id).await? else { return unknown(desk, envelope, command_id).await };
    let about = About { dossier: None, candidacy: Some(due.candidacy) };
    let kind = command.message.kind();
    let silent = format!("the bridge has not answered `{kind}` {command_id}, sent {times} times");
    tracing::warn!(tenant = %envelope.tenant, messaging.message.id = %command_id, times, "the tenant's bridge does not answer a command");
    let mut change = Change::default();
    let verdict = if *times < SENT_MAX {
        change.outbox.extend(desk.command(&command, due.candidacy, due.intent, times + 1, None));
        Verdict::accepted("bridge_silent", format!("{silent}; it is sent again"))
    } else {
        let parked = desk.parked(&command, "bridge_silent", &format!("{silent}; start the bridge, or have it answer `command.done.v1`"));
        change.outbox.extend(lifecycle::parked(&parked));
        change.parked = Some(parked);
        Verdict::accepted("bridge_silent", format!("{silent}; it is parked"))
    };
    let (handled, entry) = desk.handled(envelope, &verdict, about);
    desk.record(Change { handled, journal: vec![entry], ..change }).await;
    Ok(())
}

/// The command with this id, if the hub has sent it to this tenant's bridge.
async fn sent(desk: &Desk, answer: &Envelope, id: &MessageId) -> Result<Option<Arc<Envelope>>, Failure> {
    let seen = desk.patiently("read command", || desk.store.message(id.as_str())).await?;
    let of_tenant = seen.iter().filter(|view| view.tenant.as_deref() == Some(answer.tenant.as_str()));
    let command = of_tenant
        .filter_map(|view| Envelope::decode(view.body.as_deref()?.as_bytes()).ok())
        .find(|command| command.message.family() == Family::Command && command.source.as_str() == lifecycle::SOURCE && command.id == *id)
        .map(Arc::new);
    Ok(command)
}

async fn unknown(desk: &Desk, envelope: &Arc<Envelope>, id: &MessageId) -> Result<(), Failure> {
    let verdict = Verdict::ignored("unknown_command", format!("the hub sent no command {id} to this tenant's bridge"));
    let (handled, entry) = desk.handled(envelope, &verdict, NOBODY);
    desk.record(Change { handled, journal: vec![entry], ..Change::default() }).await;
    Ok(())
}

/// The answer is handled, and the clock that waited for it is taken back, unless the change sets it anew.
async fn conclude(desk: &Desk, envelope: &Arc<Envelope>, command: &Envelope, verdict: &Verdict, mut change: Change) {
    let (handled, entry) = desk.handled(envelope, verdict, NOBODY);
    let clock = Desk::unanswered_key(&command.id);
    if change.outbox.iter().all(|row| row.key.as_ref() != Some(&clock)) {
        change.taken_back.push((envelope.tenant.clone(), clock));
    }
    desk.record(Change { handled, journal: vec![entry], ..change }).await;
}

/// A status as a note to the same bridge. `None` if no note can say it.
async fn as_note(work: &TenantWork, envelope: &Arc<Envelope>, status: &StatusSet) -> Result<Option<Change>, Failure> {
    let desk = &work.office.desk;
    let lookup = Lookup::Application(status.application.id.clone());
    let found = desk.patiently("read dossier", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await?;
    let Some((dossier, candidacy)) = found.first().and_then(|dossier| Some((dossier, dossier.current()?))) else { return Ok(None) };
    let write =
        Write::Status { sequence: status.sequence, code: status.code.clone(), text: status.text.clone(), link: status.link.clone() };
    let request = WritebackRequested {
        candidacy: candidacy.id,
        application: status.application.id.clone(),
        candidate: dossier.candidate.id.clone(),
        assessment: None,
        write,
    };
    let note = status_as_note(&request, work.policy());
    let Some(command) = note.and_then(|note| work.office.connector.command(&note)) else { return Ok(None) };
    let command = Arc::new(desk.message(&envelope.tenant, Some(&status.application.id), envelope, command));
    Ok(Some(Change { outbox: desk.command(&command, candidacy.id, candidacy.intent, 1, None).into(), ..Change::default() }))
}
