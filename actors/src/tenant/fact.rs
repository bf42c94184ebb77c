//! Facts: find the dossier, ask the ATS for what the fact leaves out, decide, commit; on conflict decide again.

use super::TenantWork;
use crate::{
    desk::{About, Desk},
    domain::{Context, Decision, Dossier, Lookup, Snapshot, Verdict, correct, decide, interview_changed, wants},
    failure::Failure,
    gate::{Halt, Lapsed, draw},
    ports::{Change, CommitOutcome},
};
use atshub_schemas::{Envelope, ExternalId, Message};
use std::sync::Arc;
use uuid::Uuid;

/// Works on a fact until its consequences are durable.
pub(super) async fn perform(work: &TenantWork, envelope: &Arc<Envelope>, queue: &str) -> Result<(), Lapsed> {
    let desk = &work.office.desk;
    let Some(lookup) = lookup(&envelope.message) else {
        let verdict = Verdict::ignored("no_rule", "understood; nothing follows from this kind of fact in this version");
        conclude(desk, envelope, &verdict).await;
        return Ok(());
    };
    let mut snapshot: Option<Option<Snapshot>> = None;
    loop {
        let found = desk.patiently("read dossiers", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await;
        if let Lookup::Application(id) = &lookup {
            let dossier = found.first();
            if snapshot.is_none() && wants(dossier, &envelope.message, work.policy()).is_some() {
                match ask_ats(work, envelope, id).await {
                    Ok(answer) => snapshot = Some(answer),
                    Err(halt) => return work.end(envelope, queue, halt, None, About { dossier, candidacy: None }).await,
                }
            }
        }
        let change = consequences(work, envelope, &found, snapshot.as_ref().and_then(Option::as_ref));
        match desk.commit(change).await {
            CommitOutcome::Committed | CommitOutcome::Duplicate => return Ok(()),
            CommitOutcome::Conflict(_) => tokio::task::yield_now().await,
        }
    }
}

fn lookup(message: &Message) -> Option<Lookup> {
    Some(match message {
        Message::ApplicationMoved(f) | Message::ApplicationArchived(f) | Message::ApplicationHired(f) | Message::ApplicationDeleted(f) => {
            Lookup::Application(f.application.id.clone())
        }
        Message::ApplicationTransferred(f) => Lookup::Application(f.application.id.clone()),
        Message::AssessmentOrdered(f) => Lookup::Application(f.application.id.clone()),
        Message::AssessmentCancelled(f) | Message::AssessmentDeleted(f) => Lookup::Application(f.application.as_ref()?.id.clone()),
        Message::ScheduleRequested(f) => Lookup::Application(f.application.id.clone()),
        Message::RedoRequested(f) => Lookup::Application(f.application.id.clone()),
        Message::CandidateUpdated(f) => Lookup::Candidate(f.candidate.id.clone()?),
        Message::JobUpdated(f) => Lookup::RefusedOfJob(f.job.id.clone()?),
        Message::InterviewChanged(f) => Lookup::PlatformCandidacy(f.platform_candidacy_id.clone()),
        _ => return None,
    })
}

/// What the ATS says of the application.
async fn ask_ats(work: &TenantWork, envelope: &Envelope, id: &ExternalId) -> Result<Option<Snapshot>, Halt> {
    if !work.office.connector.capabilities().read_application.available() {
        return Ok(None);
    }
    let (gate, draw) = (&work.office.gate, draw(envelope));
    let place = work.reads.stand(id, None);
    if place.turn(gate.patience()).await.is_err() {
        return Err(Halt::Wait(gate.share_used_up(draw)));
    }
    let mut pass = gate.enter(draw)?;
    let _calling = place.calling();
    match pass.call(work.office.connector.read(id)).await {
        Err(Halt::Failed(Failure::Rejected { .. })) => Ok(None), // the ATS does not know it: decide by what the fact says
        answer => answer,
    }
}

fn consequences(work: &TenantWork, envelope: &Arc<Envelope>, found: &[Dossier], snapshot: Option<&Snapshot>) -> Change {
    let desk = &work.office.desk;
    let context = Context { policy: work.policy(), now: desk.clock.now(), fresh: Uuid::now_v7() };
    let decisions: Vec<(Option<&Dossier>, Decision)> = match &envelope.message {
        Message::CandidateUpdated(_) | Message::JobUpdated(_) => found.iter().map(|d| (Some(d), correct(d, envelope, context))).collect(),
        Message::InterviewChanged(f) => found.iter().map(|d| (Some(d), interview_changed(d, f, envelope.time, context))).collect(),
        _ => vec![(found.first(), decide(found.first(), envelope, snapshot, context))],
    };
    let mut change = Change::default();
    let mut overall: Option<Verdict> = None;
    for (before, decision) in decisions {
        let dossier = decision.dossier.as_ref().or(before);
        if let Some(dossier) = dossier {
            change.outbox.extend(desk.rows(dossier, &decision.effects, envelope));
        }
        let about = About { dossier, candidacy: None };
        change.journal.push(desk.entry(envelope, about, &decision.verdict.code, &decision.verdict.text));
        if overall.as_ref().is_none_or(|v| v.word == "ignored" || v.code == "recorded") {
            overall = Some(decision.verdict);
        }
        change.dossiers.extend(decision.dossier.map(Desk::save));
    }
    let overall = overall.unwrap_or_else(|| Verdict::ignored("nobody_concerned", "no application that the hub knows is concerned"));
    let (handled, _) = desk.handled(envelope, &overall, About { dossier: None, candidacy: None });
    change.handled = handled;
    change
}

async fn conclude(desk: &Desk, envelope: &Arc<Envelope>, verdict: &Verdict) {
    let (handled, entry) = desk.handled(envelope, verdict, About { dossier: None, candidacy: None });
    desk.record(Change { handled, journal: vec![entry], ..Change::default() }).await;
}
