//! Dead letters and messages for no known tenant: recorded in the store for operators, then acknowledged.

use super::consumer::record;
use atshub_actors::ports::{Broker, BrokerError, Clock, Delivery, Parked, Store};
use atshub_schemas::{Envelope, RefusalCode, topology};
use std::{sync::Arc, time::Duration};

/// Strays in hand at once.
const PREFETCH: u16 = 16;
/// Wait before a failed consumption is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Records the strays of one of [`topology::DEAD`] and [`topology::UNROUTED`], for ever.
pub async fn run(queue: &'static str, broker: Arc<dyn Broker>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    loop {
        match record_all(queue, &*broker, &*store, &*clock).await {
            Ok(()) => tracing::debug!(queue, "the consumption of strays ended; beginning again"),
            Err(error) => tracing::warn!(queue, %error, "failed to consume strays; trying again"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn record_all(queue: &str, broker: &dyn Broker, store: &dyn Store, clock: &dyn Clock) -> Result<(), BrokerError> {
    let mut consumption = broker.consume(queue, PREFETCH).await?;
    while let Some(delivery) = consumption.deliveries.recv().await {
        let parked = stray(queue, &delivery, clock);
        tracing::warn!(queue, code = parked.code, routing_key = parked.routing_key, "a stray message is parked");
        record(delivery, parked, store).await;
    }
    Ok(())
}

fn stray(queue: &str, delivery: &Delivery, clock: &dyn Clock) -> Parked {
    let envelope = Envelope::decode(&delivery.body).ok();
    let (code, detail) = if queue == topology::DEAD {
        let detail = format!(
            "the broker gave it up after {} deliveries that nobody ended; see the hub's log for what happened to them",
            topology::DELIVERY_LIMIT
        );
        ("dead_letter".to_owned(), detail)
    } else {
        let key = delivery.routing_key.split('.').next().unwrap_or_default().to_owned();
        let detail = format!("no tenant is called `{key}`; add it with `tenant add`, or correct the routing key, then retry the message");
        (RefusalCode::UnknownTenant.as_str().to_owned(), detail)
    };
    Parked {
        at: clock.now(),
        tenant: topology::tenant_of_key(&delivery.routing_key).map(|t| t.to_string()),
        queue: queue.to_owned(),
        exchange: delivery.exchange.clone(),
        routing_key: delivery.routing_key.clone(),
        message_id: envelope.as_ref().map(|e| e.id.to_string()).or_else(|| delivery.message_id.clone()),
        kind: envelope.map(|e| e.message.kind().to_owned()),
        code,
        field: None,
        detail,
        body: delivery.body.clone(),
    }
}
