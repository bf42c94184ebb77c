//! Dead letters and messages for no known tenant: recorded in the store for operators, then acknowledged. A message for a tenant
//! that is known lost its binding, not its tenant: its queue is declared again and the message goes there.

use super::parking::{Parking, bounded, cut, owner};
use atshub_actors::ports::{Broker, BrokerError, Clock, Delivery, Parked, Publication, Store};
use atshub_schemas::{CONTENT_TYPE, Envelope, RefusalCode, TenantName, topology};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Strays in hand at once.
const PREFETCH: u16 = 64;
/// Wait before a failed consumption is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Header of a message that was sent on its way once more; a second time it is parked.
const SENT_ON: &str = "x-atshub-sent-on";
/// Header in which the broker says to which exchange a dead letter was published at first.
const FIRST_EXCHANGE: &str = "x-first-death-exchange";

/// Records the strays of one of [`topology::DEAD`] and [`topology::UNROUTED`], for ever.
pub async fn run(queue: &'static str, broker: Arc<dyn Broker>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    let mut told = None;
    loop {
        match record_all(queue, &*broker, &store, &*clock).await {
            Ok(()) => told = None,
            Err(error) => {
                let error = error.to_string();
                if told.as_ref() != Some(&error) {
                    tracing::warn!(queue, error, "failed to consume strays; trying again until it works");
                }
                told = Some(error);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn record_all(queue: &'static str, broker: &dyn Broker, store: &Arc<dyn Store>, clock: &dyn Clock) -> Result<(), BrokerError> {
    let mut consumption = broker.consume(queue, PREFETCH).await?;
    let mut parking = Parking::default();
    while let Some(mut delivery) = parking.beside(consumption.deliveries.recv()).await {
        cut(&mut delivery);
        if queue == topology::UNROUTED && parking.beside(send_on(&delivery, broker, &**store)).await {
            // If this is lost the message comes twice, and the inbox knows it.
            let _ = parking.beside(delivery.ack.ack()).await;
            continue;
        }
        let parked = stray(queue, &delivery, clock);
        parking.record(delivery, parked, Arc::clone(store) as _).await;
    }
    Ok(())
}

/// Puts the binding of a known tenant back and publishes the message again. False: it is to be parked.
async fn send_on(delivery: &Delivery, broker: &dyn Broker, store: &dyn Store) -> bool {
    if delivery.headers.contains_key(SENT_ON) || delivery.cut.is_some() {
        return false;
    }
    let Some(tenant) = topology::tenant_of_key(&delivery.routing_key) else { return false };
    if !known(&tenant, store).await || broker.declare(crate::hub::inbox(&tenant)).await.is_err() {
        return false;
    }
    tracing::warn!(%tenant, "a message of a known tenant had nowhere to go: its queue or binding was deleted, and is there again");
    let message = Publication {
        exchange: topology::EVENTS.to_owned(),
        routing_key: delivery.routing_key.clone(),
        message_id: delivery.message_id.clone().unwrap_or_default(),
        content_type: CONTENT_TYPE.to_owned(),
        headers: BTreeMap::from([(SENT_ON.to_owned(), "1".to_owned())]),
        body: delivery.body.clone(),
    };
    matches!(broker.publish(vec![message]).await[..], [Ok(())])
}

async fn known(tenant: &TenantName, store: &dyn Store) -> bool {
    // A store that does not answer takes no parked row either: parking waits for it.
    store.tenants().await.is_ok_and(|all| all.iter().any(|known| known.name == *tenant))
}

fn stray(queue: &str, delivery: &Delivery, clock: &dyn Clock) -> Parked {
    let envelope = Envelope::decode(&delivery.body).ok();
    let mut exchange = delivery.exchange.clone();
    let (code, detail) = if queue == topology::DEAD {
        exchange = first_exchange(delivery, envelope.as_ref());
        let detail = format!(
            "the broker gave it up after {} deliveries that nobody ended; see the hub's log for what happened to them",
            topology::DELIVERY_LIMIT
        );
        ("dead_letter".to_owned(), detail)
    } else {
        let key = delivery.routing_key.split('.').next().unwrap_or_default().to_owned();
        let detail = format!("no tenant is called `{key}`; add it with `tenant add`, or correct the routing key, then publish it again");
        (RefusalCode::UnknownTenant.as_str().to_owned(), detail)
    };
    let parked = Parked {
        at: clock.now(),
        tenant: owner(&exchange, &delivery.routing_key, envelope.as_ref().map(|e| e.tenant.as_str())),
        queue: queue.to_owned(),
        exchange,
        routing_key: delivery.routing_key.clone(),
        message_id: envelope.as_ref().map(|e| e.id.to_string()).or_else(|| delivery.message_id.clone()),
        kind: envelope.map(|e| e.message.kind().to_owned()),
        code,
        field: None,
        detail,
        body: delivery.body.clone(),
        cut: None,
    };
    bounded(parked, delivery.cut.as_ref())
}

/// Where a dead letter was published. A producer can write the broker's header itself, so keys that only the hub uses decide first.
fn first_exchange(delivery: &Delivery, envelope: Option<&Envelope>) -> String {
    let key = delivery.routing_key.as_str();
    let of_the_hub = [topology::INVITES, topology::NOTICES, topology::RESULTS].contains(&key)
        || envelope.is_some_and(|envelope| key == topology::tenant_work_key(&envelope.tenant));
    let known = [topology::EVENTS, topology::COMMANDS, topology::LIFECYCLE];
    match delivery.headers.get(FIRST_EXCHANGE) {
        _ if of_the_hub => topology::WORK.to_owned(),
        Some(first) if known.contains(&first.as_str()) => first.clone(),
        _ => topology::EVENTS.to_owned(),
    }
}
