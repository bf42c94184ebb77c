//! Facts: find the dossier, ask the ATS for what the fact leaves out, decide, commit; on conflict decide again.

use super::TenantWork;
use crate::{
    desk::{About, Desk},
    domain::{Context, Decision, Dossier, Lookup, Snapshot, Verdict, correct, decide, interview_changed, wants},
    failure::Failure,
    ports::{Change, CommitOutcome},
};
use atshub_schemas::{Envelope, ExternalId, Message};
use std::sync::Arc;
use uuid::Uuid;

/// Works on a fact until its consequences are durable.
pub(super) async fn perform(work: &TenantWork, envelope: &Arc<Envelope>, queue: &str) {
    let desk = &work.office.desk;
    let Some(lookup) = lookup(&envelope.message) else {
        return conclude(
            desk,
            envelope,
            &Verdict::ignored("no_rule", "understood; nothing follows from this kind of fact in this version"),
        )
        .await;
    };
    let mut snapshot: Option<Option<Snapshot>> = None;
    loop {
        let found = desk.patiently("read dossiers", || desk.store.dossiers(&envelope.tenant, lookup.clone())).await;
        if let Lookup::Application(id) = &lookup {
            let dossier = found.first();
            if snapshot.is_none() && wants(dossier, &envelope.message, work.policy()).is_some() {
                match ask_ats(work, envelope, id, queue, dossier).await {
                    Some(answer) => snapshot = Some(answer),
                    None => return, // on the schedule, or parked: settled
                }
            }
        }
        let change = consequences(work, envelope, &found, snapshot.as_ref().and_then(Option::as_ref));
        match desk.commit(change).await {
            CommitOutcome::Committed | CommitOutcome::Duplicate => return,
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

/// What the ATS says of the application. `None`: it could not be asked, and the fact is settled as a failed try.
async fn ask_ats(
    work: &TenantWork,
    envelope: &Arc<Envelope>,
    id: &ExternalId,
    queue: &str,
    dossier: Option<&Dossier>,
) -> Option<Option<Snapshot>> {
    if !work.office.connector.capabilities().read_application.available() {
        return Some(None);
    }
    match work.office.connector.read(id).await {
        Ok(snapshot) => Some(snapshot),
        Err(Failure::Rejected { .. }) => Some(None), // the ATS does not know it: decide by what the fact says
        Err(failure) => {
            let progress = work.office.desk.begin(envelope).await;
            let about = About { dossier, candidacy: None };
            work.office.desk.settle(envelope, queue, &failure, progress, about).await;
            work.heed(&failure).await;
            None
        }
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
    desk.commit(Change { handled, journal: vec![entry], ..Change::default() }).await;
}

impl TenantWork {
    /// A refused credential pauses the tenant after one confirmation, so that the ATS is not hammered with it.
    pub(super) async fn heed(&self, failure: &Failure) {
        if let Failure::Unauthorized { detail } = failure
            && let Err(Failure::Unauthorized { .. }) = self.office.connector.test().await
        {
            self.link.unauthorized(format!(
                "the ATS does not accept the credential ({detail}); `tenant set-key` replaces it, and the tenant goes on"
            ));
        }
    }
}
