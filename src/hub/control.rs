//! What operators ask, heard on a queue of this process's own. The store is the truth of what is to outlive the moment: for that a
//! message is only the bell, on which this process looks there. What is not stored (a restart, a drill) is done by the process that runs
//! the tenant, at most once, and not if it was asked too long ago: a queue that waited while its process was away must not
//! restart things later.

use super::{Directory, Drills, seats::child_name};
use crate::rail::parking::park;
use actix::Addr;
use atshub_actors::{
    ports::{Broker, BrokerError, Change, Clock, CommitOutcome, Delivery, Disposition, Handled, QueueSpec, Store, TenantRecord},
    supervision::{Action, Board, Control, Phase, Rehearsal, Step, Supervisor},
};
use atshub_schemas::{
    Envelope, Family, Line, Message, Refusal, RefusalCode, TenantName,
    control::{ControlAction, ControlRequest, DrillFault, DrillRequest},
    topology,
};
use jiff::SignedDuration;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;
use uuid::Uuid;

/// The queue goes if its process has not come back to it for so long.
const EXPIRES: Duration = Duration::from_secs(5 * 60);
/// What is asked at once; the rest waits at the broker.
const PREFETCH: u16 = 16;
/// Wait before a consumption that failed is begun again.
const AGAIN: Duration = Duration::from_secs(1);
/// What was asked longer ago than this is not done any more, unless it is stored.
const OLD: SignedDuration = SignedDuration::from_secs(60);

/// Hears what operators ask, and does it.
pub(super) struct Ear {
    pub(super) process: Uuid,
    pub(super) broker: Arc<dyn Broker>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) directory: Arc<Directory>,
    pub(super) supervisor: Addr<Supervisor>,
    pub(super) board: Board,
    /// Rung when something was stored: whoever follows the store looks at once.
    pub(super) bell: Arc<Notify>,
    /// Where faults are made, if this process allows drills.
    pub(super) drills: Option<Arc<Drills>>,
}

impl Ear {
    /// Listens, for ever.
    pub(super) async fn run(self) {
        let mut told = None;
        loop {
            match self.listen().await {
                Ok(()) => {
                    told = None;
                    tracing::debug!("the consumption of operators' requests ended; beginning again");
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(error, "failed to listen for operators' requests; trying again until it works");
                    }
                    told = Some(error);
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn listen(&self) -> Result<(), BrokerError> {
        let name = topology::control_queue(&self.process);
        let bindings = vec![(topology::CONTROL.to_owned(), String::new())];
        self.broker.declare(QueueSpec { name: name.clone(), single_consumer: false, bindings, expires: Some(EXPIRES) }).await?;
        let mut consumption = self.broker.consume(&name, PREFETCH).await?;
        // What was stored while nobody listened.
        self.bell.notify_one();
        while let Some(delivery) = consumption.deliveries.recv().await {
            match accept(&delivery) {
                Ok(envelope) => self.obey(Arc::new(envelope), delivery).await,
                Err(refusal) => park(delivery, &refusal, &*self.store, &*self.clock).await,
            }
        }
        Ok(())
    }

    async fn obey(&self, envelope: Arc<Envelope>, delivery: Delivery) {
        let old = self.clock.now().duration_since(envelope.time) > OLD;
        match &envelope.message {
            Message::ControlRequested(request) if request.action == ControlAction::Restart => {
                if let Some(phase) = self.runs(&envelope.tenant).filter(|_| !old) {
                    let may = phase.after(Step::Restart).is_some();
                    let claimed = self.answer(&envelope, if may { restarted(request) } else { refused_restart(phase) }).await;
                    acknowledge(delivery).await;
                    if may && claimed {
                        self.ask(&envelope.tenant, Action::Restart, &said(request)).await;
                    }
                    return;
                }
            }
            Message::ControlRequested(request) => {
                self.bell.notify_one();
                if !old && self.runs(&envelope.tenant).is_some() {
                    let text = format!("`{}` by {}: {}", word(request.action), request.by, request.reason);
                    self.answer(&envelope, disposition("performed", "control", text, None)).await;
                }
            }
            Message::DrillRequested(request) if !old && self.runs(&envelope.tenant).is_some() => {
                let refused = self.refuses(&envelope.tenant);
                let may = refused.is_none();
                let claimed = self.answer(&envelope, refused.unwrap_or_else(|| drilled(request))).await;
                // Before the fault, which may be the loss of this very connection.
                acknowledge(delivery).await;
                if may && claimed {
                    self.drill(&envelope.tenant, request).await;
                }
                return;
            }
            _ => {}
        }
        if old {
            tracing::warn!(tenant = %envelope.tenant, messaging.message.id = %envelope.id, asked_at = %envelope.time, "an operator's request came too late and is ignored");
        }
        acknowledge(delivery).await;
    }

    /// The phase of the tenant's actor, if it is this process's. One that is just being let go may still be on the board: what is
    /// asked of it is for its next owner to do.
    fn runs(&self, tenant: &TenantName) -> Option<Phase> {
        if !self.directory.owns(tenant) {
            return None;
        }
        self.board.child(&child_name(tenant).0).map(|child| child.phase)
    }

    /// Says durably what became of a request. False: that was said before, so it is not to be done again.
    async fn answer(&self, envelope: &Arc<Envelope>, disposition: Disposition) -> bool {
        let change = Change { handled: Some(Handled { envelope: Arc::clone(envelope), disposition }), ..Change::default() };
        match self.store.commit(change).await {
            Ok(outcome) => outcome == CommitOutcome::Committed,
            Err(error) => {
                // A store that is away is no reason to leave an operator without a restart.
                tracing::warn!(tenant = %envelope.tenant, %error, "failed to store what became of an operator's request");
                true
            }
        }
    }

    async fn ask(&self, tenant: &TenantName, action: Action, reason: &str) {
        let control = Control { child: child_name(tenant), action, reason: reason.to_owned() };
        match self.supervisor.send(control).await {
            Ok(Ok(phase)) => tracing::info!(%tenant, ?action, phase = phase.as_str(), reason, "did what an operator asked"),
            Ok(Err(why)) => tracing::warn!(%tenant, ?action, why, "could not do what an operator asked"),
            Err(error) => tracing::warn!(%tenant, ?action, %error, "could not do what an operator asked"),
        }
    }

    /// Why there is no drill here.
    fn refuses(&self, tenant: &TenantName) -> Option<Disposition> {
        if self.drills.is_none() {
            let remedy = "set `hub.drills = true` where nobody depends on the hub, and start it again".to_owned();
            return Some(disposition("refused", "drills_off", "the process that runs this tenant allows no drills".into(), Some(remedy)));
        }
        let sandbox = self.directory.seat(tenant).is_some_and(|seat| seat.record.policy.sandbox);
        let remedy = format!("`atshub tenant set {tenant} --set sandbox=true`, if nobody depends on it");
        (!sandbox).then(|| disposition("refused", "no_sandbox", "this tenant is no sandbox".into(), Some(remedy)))
    }

    async fn drill(&self, tenant: &TenantName, request: &DrillRequest) {
        let Some(drills) = &self.drills else { return };
        let time = Duration::from_secs(request.seconds.into());
        tracing::warn!(%tenant, fault = ?request.fault, seconds = request.seconds, by = %request.by, "a drill begins");
        match request.fault {
            DrillFault::TenantPanic => self.ask(tenant, Action::Rehearse(Rehearsal::Panic(time)), "a drill").await,
            DrillFault::TenantFreeze => self.ask(tenant, Action::Rehearse(Rehearsal::Freeze(time)), "a drill").await,
            DrillFault::AtsDown | DrillFault::AtsLimited | DrillFault::KeyRevoked => drills.fail_ats(tenant, request.fault, time),
            DrillFault::BrokerDrop => self.broker.lose("a drill").await,
            DrillFault::StoreDrop => drills.fail_store(time),
        }
    }
}

/// Decodes a delivery; only what operators ask is taken.
fn accept(delivery: &Delivery) -> Result<Envelope, Refusal> {
    let envelope = Envelope::decode(&delivery.body)?;
    if envelope.message.family() == Family::Control {
        return Ok(envelope);
    }
    let detail = format!("`{}` is none of the requests that operators make; `atshub schema list` has them", envelope.message.kind());
    Err(Refusal {
        id: Some(envelope.id.to_string()),
        kind: Some(envelope.message.kind().to_owned()),
        tenant: Some(envelope.tenant.to_string()),
        ..Refusal::at(RefusalCode::NotInternal, "type", detail)
    })
}

async fn acknowledge(delivery: Delivery) {
    if let Err(error) = delivery.ack.ack().await {
        tracing::debug!(%error, "an acknowledgement was not taken; what was asked is not done twice");
    }
}

fn disposition(verdict: &str, code: &str, text: String, remedy: Option<String>) -> Disposition {
    #[expect(clippy::expect_used, reason = "the words stand in this file")]
    let line = |text: &str| Line::new(text).expect("a word is a line");
    Disposition { verdict: line(verdict), code: Some(line(code)), text, remedy }
}

fn restarted(request: &ControlRequest) -> Disposition {
    disposition("performed", "control", format!("`restart` by {}: {}", request.by, request.reason), None)
}

fn refused_restart(phase: Phase) -> Disposition {
    disposition("refused", "phase", format!("it is {}; that does not allow a restart", phase.as_str()), None)
}

fn drilled(request: &DrillRequest) -> Disposition {
    disposition("performed", "drill", format!("a drill by {}: {:?} for {} s", request.by, request.fault, request.seconds), None)
}

fn said(request: &ControlRequest) -> String {
    TenantRecord::operators_cause(&request.by, &request.reason)
}

/// The word of the command line.
fn word(action: ControlAction) -> &'static str {
    match action {
        ControlAction::Restart => "restart",
        ControlAction::Pause => "pause",
        ControlAction::Resume => "resume",
        ControlAction::Quarantine => "quarantine",
        ControlAction::Release => "release",
        ControlAction::Drain => "drain",
    }
}
