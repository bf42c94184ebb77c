//! What a decision wants sent, as rows of the outbox: requests to invite, write-backs, commands to a tenant's bridge with the clock of their
//! answers. Each has the key of its effect.

use super::Desk;
use crate::{
    domain::{Dossier, Effect, EffectKey},
    ports::{Connector, OutboxRow},
};
use atshub_schemas::{
    Envelope, Message, MessageId,
    internal::{InviteRequested, Timer, TimerDue, WritebackRequested},
    topology,
};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// How long a bridge may take to answer a command before the command is sent again.
const UNANSWERED: SignedDuration = SignedDuration::from_mins(15);

impl Desk {
    /// Outbox rows for what a decision wants sent. What the tenant's own bridge is to write goes out as a command at once, with a clock
    /// for its answer; what the hub writes itself goes to the tenant's queue.
    pub(crate) fn rows(
        &self,
        dossier: &Dossier,
        effects: &[Effect],
        connector: Option<&dyn Connector>,
        cause: &Envelope,
    ) -> Vec<OutboxRow> {
        let application = &dossier.application.id;
        let mut rows = Vec::with_capacity(effects.len());
        for effect in effects {
            let (message, routing_key) = match effect {
                Effect::Invite { candidacy, intent } => {
                    (Message::InviteRequested(InviteRequested { candidacy: *candidacy, intent: *intent }), topology::INVITES.to_owned())
                }
                Effect::Write { candidacy, intent, write } => {
                    let request = WritebackRequested {
                        candidacy: *candidacy,
                        application: application.clone(),
                        candidate: dossier.candidate.id.clone(),
                        assessment: dossier.assessment.clone(),
                        write: write.clone(),
                    };
                    if let Some(command) = connector.and_then(|connector| connector.command(&request)) {
                        let command = self.message(&dossier.tenant, Some(application), cause, command);
                        rows.extend(self.command(&Arc::new(command), *candidacy, *intent, 1, None));
                        continue;
                    }
                    (Message::WritebackRequested(request), topology::tenant_work_key(&dossier.tenant))
                }
            };
            let envelope = Arc::new(self.message(&dossier.tenant, Some(application), cause, message));
            rows.push(OutboxRow { exchange: topology::WORK.into(), routing_key, envelope, not_before: None, key: Some(effect.key()) });
        }
        rows
    }

    /// A command to the tenant's bridge, and the clock of its answer. `sent`: how often it is sent with this time.
    pub(crate) fn command(
        &self,
        command: &Arc<Envelope>,
        candidacy: Uuid,
        intent: u32,
        sent: u32,
        not_before: Option<Timestamp>,
    ) -> [OutboxRow; 2] {
        let due = not_before.unwrap_or_else(|| self.clock.now()) + UNANSWERED;
        let what = Timer::Unanswered { command_id: command.id.clone(), sent };
        let timer = self.message(&command.tenant, None, command, Message::TimerDue(TimerDue { candidacy, intent, what }));
        let timer = Envelope { subject: command.subject.clone(), ..timer };
        [
            OutboxRow {
                exchange: topology::COMMANDS.into(),
                routing_key: command.routing_key(),
                key: Some(EffectKey { what: "command".into(), ..Self::unanswered_key(&command.id) }),
                envelope: Arc::clone(command),
                not_before,
            },
            OutboxRow {
                exchange: topology::WORK.into(),
                routing_key: topology::tenant_work_key(&command.tenant),
                envelope: Arc::new(timer),
                not_before: Some(due),
                key: Some(Self::unanswered_key(&command.id)),
            },
        ]
    }

    /// The key of the clock of a command's answer. An answer names the command alone, so the command's own id takes the candidacy's place.
    pub(crate) fn unanswered_key(command: &MessageId) -> EffectKey {
        EffectKey { candidacy: command.as_str().parse().unwrap_or_default(), intent: 0, what: "unanswered".into() }
    }
}
