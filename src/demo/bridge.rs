//! A simulated ATS behind somebody else's bridge: publishes facts on `atshub.events`, performs the commands it takes from its
//! queue, answers them, and keeps a ledger of what it did. Behaves as the README for bridge authors asks: lower status
//! numbers are ignored, and a note whose marker stands there already is not written again.

use atshub_actors::ports::{Broker, BrokerError, Delivery, Publication, PublishError};
use atshub_schemas::{CONTENT_TYPE, Envelope, Line, Message, TenantName, command::CommandDone, topology};
use atshub_simulators::Ledger;
use jiff::Timestamp;
use serde_json::json;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinHandle;

/// Commands in hand at once.
const PREFETCH: u16 = 32;
/// Wait before an answer that the broker did not take is published again, and before consuming again.
const AGAIN: Duration = Duration::from_millis(300);

/// A tenant's bridge and the ATS behind it.
pub struct Bridge {
    tenant: TenantName,
    broker: Arc<dyn Broker>,
    ledger: Ledger,
    task: JoinHandle<()>,
}

impl Bridge {
    /// Starts to perform commands. The hub declares the queue; until then it is waited for.
    #[must_use]
    pub fn start(tenant: TenantName, broker: Arc<dyn Broker>) -> Self {
        let ledger = Ledger::default();
        let task = tokio::spawn(perform_all(tenant.clone(), Arc::clone(&broker), ledger.clone()));
        Self { tenant, broker, ledger, task }
    }

    /// What it did in its ATS.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Publishes a fact until the broker has it, as a careful bridge does: the same id again after an unclear answer.
    pub async fn publish(&self, envelope: &Envelope) {
        let body = envelope.encode().unwrap_or_default();
        self.publish_raw(&envelope.routing_key(), envelope.id.as_str(), body).await;
    }

    /// The same for any bytes, under any routing key.
    pub async fn publish_raw(&self, routing_key: &str, id: &str, body: Vec<u8>) {
        publish(&*self.broker, routing_key, id, body).await;
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn publish(broker: &dyn Broker, routing_key: &str, id: &str, body: Vec<u8>) {
    let publication = Publication {
        exchange: topology::EVENTS.into(),
        routing_key: routing_key.to_owned(),
        message_id: id.to_owned(),
        content_type: CONTENT_TYPE.into(),
        headers: BTreeMap::new(),
        body: body.into(),
    };
    loop {
        match broker.publish(vec![publication.clone()]).await.pop() {
            Some(Ok(())) => return,
            Some(Err(error @ PublishError::Unroutable { .. })) => tracing::warn!(%error, "the bridge waits for its exchange"),
            Some(Err(error)) => tracing::debug!(%error, "the bridge publishes again"),
            None => return,
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The ATS behind the bridge.
#[derive(Default)]
struct Desk {
    sequences: HashMap<String, u64>,
    markers: HashSet<String>,
}

async fn perform_all(tenant: TenantName, broker: Arc<dyn Broker>, ledger: Ledger) {
    let mut desk = Desk::default();
    loop {
        if let Err(error) = perform_some(&tenant, &*broker, &ledger, &mut desk).await {
            tracing::debug!(%tenant, %error, "the bridge waits for its queue");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn perform_some(tenant: &TenantName, broker: &dyn Broker, ledger: &Ledger, desk: &mut Desk) -> Result<(), BrokerError> {
    let mut consumption = broker.consume(&topology::commands_queue(tenant), PREFETCH).await?;
    while let Some(Delivery { body, ack, .. }) = consumption.deliveries.recv().await {
        let Ok(command) = Envelope::decode(&body) else { continue };
        desk.perform(&command, ledger);
        let done = Message::CommandDone(CommandDone { command_id: command.id.clone(), external_id: None });
        let source = Line::new(format!("/bridges/demo/{tenant}")).unwrap_or(command.source);
        let answer = Envelope::new(source, tenant.clone(), Timestamp::now(), done);
        publish(broker, &answer.routing_key(), answer.id.as_str(), answer.encode().unwrap_or_default()).await;
        let _ = ack.ack().await;
    }
    Ok(())
}

impl Desk {
    fn perform(&mut self, command: &Envelope, ledger: &Ledger) {
        match &command.message {
            Message::StatusSet(status) => {
                let application = status.application.id.to_string();
                let known = self.sequences.entry(application.clone()).or_default();
                if status.sequence > *known {
                    *known = status.sequence;
                    ledger.record("status", &application, None, json!(status.text.as_str()));
                }
            }
            Message::NoteAdded(note) if self.markers.insert(note.marker.to_string()) => {
                ledger.record("note", note.application.id.as_str(), None, json!(note.body.as_str()));
            }
            _ => {}
        }
    }
}
