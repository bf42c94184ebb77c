//! Deliveries in: the only place where bytes from the broker become messages. What cannot be taken is parked with a code
//! that names the field, then acknowledged; it never reaches an actor and is never tried again.

use super::parking::{Parking, cut, refused, too_large};
use async_trait::async_trait;
use atshub_actors::{
    ports::{Broker, BrokerError, Clock, Consumption, Delivery, Journal, QueueSpec},
    supervision::{Intake, Work, Works},
};
use atshub_schemas::{Envelope, Family, Refusal, RefusalCode, topology};
use std::sync::Arc;
use tokio::{runtime::Handle, sync::mpsc, task::AbortHandle};

/// The intake over a broker.
pub struct Consumer {
    broker: Arc<dyn Broker>,
    store: Arc<dyn Journal>,
    clock: Arc<dyn Clock>,
    io: Handle,
}

impl Consumer {
    /// Over this broker; what is refused is parked in this store.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, store: Arc<dyn Journal>, clock: Arc<dyn Clock>, io: Handle) -> Self {
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

async fn decode_all(mut consumption: Consumption, works: mpsc::Sender<Work>, store: Arc<dyn Journal>, clock: Arc<dyn Clock>) {
    // What is refused is recorded beside, many at once: it may be another tenant's doing that it is here.
    let mut parking = Parking::default();
    while let Some(mut delivery) = parking.beside(consumption.deliveries.recv()).await {
        cut(&mut delivery);
        match accept(&delivery) {
            Ok(envelope) => {
                let Delivery { queue, ack, .. } = delivery;
                if parking.beside(works.send(Work { envelope: Arc::new(envelope), queue, ack })).await.is_err() {
                    return; // nobody wants it any more: it goes back with the consumption
                }
            }
            Err(refusal) => {
                let parked = refused(&delivery, &refusal, &*clock);
                parking.record(delivery, parked, Arc::clone(&store)).await;
            }
        }
    }
}

/// Decodes a delivery and checks that it may have come the way it came.
///
/// # Errors
/// The refusal under which it is to be parked.
pub fn accept(delivery: &Delivery) -> Result<Envelope, Refusal> {
    if let Some(cut) = &delivery.cut {
        return Err(too_large(cut));
    }
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
