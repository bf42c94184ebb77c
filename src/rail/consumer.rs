//! Deliveries in: the only place where bytes from the broker become messages. What cannot be taken is parked with a code
//! that names the field, then acknowledged; it never reaches an actor and is never tried again.

use async_trait::async_trait;
use atshub_actors::{
    lifecycle,
    ports::{Broker, BrokerError, Change, Clock, Consumption, Delivery, Parked, QueueSpec, Store},
    supervision::{Intake, Work, Works},
};
use atshub_schemas::{Envelope, Family, Refusal, RefusalCode, topology};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, sync::mpsc, task::AbortHandle};

/// Wait before parking is tried again while the store is away.
const STORE_WAIT: Duration = Duration::from_millis(500);

/// The intake over a broker.
pub struct Consumer {
    broker: Arc<dyn Broker>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    io: Handle,
}

impl Consumer {
    /// Over this broker; what is refused is parked in this store.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, store: Arc<dyn Store>, clock: Arc<dyn Clock>, io: Handle) -> Self {
        Self { broker, store, clock, io }
    }
}

/// Ends the decoding when it is dropped, and with it the consumption.
#[derive(Debug)]
struct Guard(AbortHandle);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[async_trait]
impl Intake for Consumer {
    async fn open(&self, queue: QueueSpec, prefetch: u16) -> Result<Works, BrokerError> {
        let name = queue.name.clone();
        self.broker.declare(queue).await?;
        let consumption = self.broker.consume(&name, prefetch).await?;
        let (sender, works) = mpsc::channel(usize::from(prefetch.max(1)));
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        let decoding = self.io.spawn(decode_all(consumption, sender, store, clock));
        Ok(Works { works, guard: Box::new(Guard(decoding.abort_handle())) })
    }
}

async fn decode_all(mut consumption: Consumption, works: mpsc::Sender<Work>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    while let Some(delivery) = consumption.deliveries.recv().await {
        match accept(&delivery) {
            Ok(envelope) => {
                let Delivery { queue, ack, .. } = delivery;
                if works.send(Work { envelope: Arc::new(envelope), queue, ack }).await.is_err() {
                    return; // nobody wants it any more: it goes back with the consumption
                }
            }
            Err(refusal) => park(delivery, &refusal, &*store, &*clock).await,
        }
    }
}

/// Decodes a delivery and checks that it may have come the way it came.
///
/// # Errors
/// The refusal under which it is to be parked.
pub fn accept(delivery: &Delivery) -> Result<Envelope, Refusal> {
    let envelope = Envelope::decode(&delivery.body)?;
    let named = |refusal: Refusal| Refusal {
        id: Some(envelope.id.to_string()),
        kind: Some(envelope.message.kind().to_owned()),
        tenant: Some(envelope.tenant.to_string()),
        ..refusal
    };
    // The broker does not check `CC` headers against a producer's rights: a copy may land in another tenant's queue, under
    // its publisher's own key. The queue itself says whose messages it takes.
    if delivery.queue.starts_with(topology::TENANT_QUEUES) && delivery.queue != topology::tenant_queue(&envelope.tenant) {
        let detail = format!(
            "is `{}`, and the queue `{}` is another tenant's; publish with `{}`",
            envelope.tenant,
            delivery.queue,
            envelope.routing_key()
        );
        return Err(named(Refusal::at(RefusalCode::TenantMismatch, "tenant", detail)));
    }
    let internal = envelope.message.family() == Family::Internal;
    if delivery.exchange == topology::WORK {
        // The hub alone publishes here; a tenant's queue still takes only its own tenant's messages.
        let own = topology::tenant_work_key(&envelope.tenant);
        if delivery.routing_key.starts_with("tenant.") && delivery.routing_key != own {
            return Err(named(mismatch(&delivery.routing_key, &envelope)));
        }
        return Ok(envelope);
    }
    if internal {
        let detail =
            format!("`{}` is a message of the hub's own; producers publish facts, see `atshub schema list`", envelope.message.kind());
        return Err(named(Refusal::at(RefusalCode::NotInternal, "type", detail)));
    }
    if !matches!(envelope.message.family(), Family::Fact | Family::Answer) {
        let detail =
            format!("`{}` is published by the hub, not to it; producers publish facts, see `atshub schema list`", envelope.message.kind());
        return Err(named(Refusal::at(RefusalCode::NotInternal, "type", detail)));
    }
    if topology::tenant_of_key(&delivery.routing_key).as_ref() != Some(&envelope.tenant) {
        return Err(named(mismatch(&delivery.routing_key, &envelope)));
    }
    Ok(envelope)
}

fn mismatch(routing_key: &str, envelope: &Envelope) -> Refusal {
    let detail = format!(
        "is `{}`, and the routing key `{routing_key}` names another tenant; publish with `{}`",
        envelope.tenant,
        envelope.routing_key()
    );
    Refusal::at(RefusalCode::TenantMismatch, "tenant", detail)
}

/// Sets a delivery aside under the code of its refusal, waiting for a store that is away; then acknowledges.
pub(crate) async fn park(delivery: Delivery, refusal: &Refusal, store: &dyn Store, clock: &dyn Clock) {
    tracing::warn!(messaging.destination.name = %delivery.queue, code = refusal.code.as_str(), field = refusal.field.as_deref().unwrap_or(""), "a message is parked");
    let parked = Parked {
        at: clock.now(),
        tenant: refusal.tenant.clone().or_else(|| topology::tenant_of_key(&delivery.routing_key).map(|t| t.to_string())),
        queue: delivery.queue.clone(),
        exchange: delivery.exchange.clone(),
        routing_key: delivery.routing_key.clone(),
        message_id: refusal.id.clone().or_else(|| delivery.message_id.clone()),
        kind: refusal.kind.clone(),
        code: refusal.code.as_str().to_owned(),
        field: refusal.field.clone(),
        detail: refusal.detail.clone(),
        body: delivery.body.clone(),
    };
    record(delivery, parked, store).await;
}

/// Parks, waiting for a store that is away; then acknowledges.
pub(super) async fn record(delivery: Delivery, parked: Parked, store: &dyn Store) {
    let outbox: Vec<_> = lifecycle::parked(&parked).into_iter().collect();
    while let Err(error) = store.commit(Change { parked: Some(parked.clone()), outbox: outbox.clone(), ..Change::default() }).await {
        tracing::warn!(%error, "failed to park a message; trying again");
        tokio::time::sleep(STORE_WAIT).await;
    }
    if let Err(error) = delivery.ack.ack().await {
        tracing::debug!(%error, "an acknowledgement was not taken; parking the message again adds nothing");
    }
}
