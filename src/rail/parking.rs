//! Setting deliveries aside: what is recorded of one, how much of it, and that many are recorded at once. Nothing here decides
//! that a delivery is to be parked.
//!
//! Every field has a bound, whatever a producer has put into it, so that a row has one. What is recorded at the same time is
//! committed together by the store, and what follows in the queue does not wait for it.

use super::told::Told;
use atshub_actors::{
    lifecycle,
    ports::{Change, Clock, Cut, Delivery, Journal, Parked, StoreError},
};
use atshub_schemas::{MAX_BYTES, Refusal, RefusalCode, topology};
use bytes::Bytes;
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use sha2::{Digest as _, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Bytes kept of a body that is larger than the hub takes.
pub(crate) const KEPT: usize = 64 * 1024;
/// Longest short field of a row, in bytes: what AMQP allows in a short string.
const SHORT: usize = 255;
/// Longest sentence of a row, in bytes.
const DETAIL: usize = 2_000;
/// Wait before parking is tried again while the store is away.
const STORE_WAIT: Duration = Duration::from_millis(500);
/// Deliveries of one queue that are being recorded at the same time.
const AT_ONCE: usize = 64;

/// Deliveries of one queue that are being recorded.
#[derive(Default)]
pub(super) struct Parking {
    under_way: FuturesUnordered<BoxFuture<'static, ()>>,
    told: Told,
}

impl Parking {
    /// Begins to record a delivery; waits only if very many are being recorded.
    pub(super) async fn record(&mut self, delivery: Delivery, parked: Parked, store: Arc<dyn Journal>) {
        while self.under_way.len() >= AT_ONCE {
            self.under_way.next().await;
        }
        self.told.parked(&parked, Instant::now());
        self.under_way.push(Box::pin(async move { record(delivery, parked, &*store).await }));
    }

    /// Goes on with those under way while something is waited for.
    pub(super) async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                Some(()) = self.under_way.next() => {}
                () = sleep_until(self.told.next()), if self.told.counts() => self.told.tell(Instant::now()),
            }
        }
    }
}

/// Sets one delivery aside under the code of its refusal, waiting for a store that is away; then acknowledges.
pub(crate) async fn park(delivery: Delivery, refusal: &Refusal, store: &dyn Journal, clock: &dyn Clock) {
    let parked = refused(&delivery, refusal, clock);
    record(delivery, parked, store).await;
}

/// What is recorded of a delivery that is refused.
pub(super) fn refused(delivery: &Delivery, refusal: &Refusal, clock: &dyn Clock) -> Parked {
    bounded(
        Parked {
            at: clock.now(),
            tenant: owner(&delivery.exchange, &delivery.routing_key, refusal.tenant.as_deref()),
            queue: delivery.queue.clone(),
            exchange: delivery.exchange.clone(),
            routing_key: delivery.routing_key.clone(),
            message_id: refusal.id.clone().or_else(|| delivery.message_id.clone()),
            kind: refusal.kind.clone(),
            code: refusal.code.as_str().to_owned(),
            field: refusal.field.clone(),
            detail: refusal.detail.clone(),
            body: delivery.body.clone(),
            cut: None,
        },
        delivery.cut.as_ref(),
    )
}

/// Whose a message is, by what the broker vouches for: a producer may publish under its own tenant's keys alone, and write what it
/// likes into the envelope. On the hub's own exchange only the hub publishes; there the envelope is believed.
pub(super) fn owner(exchange: &str, routing_key: &str, envelope: Option<&str>) -> Option<String> {
    if exchange == topology::WORK || exchange == topology::CONTROL {
        return envelope.map(str::to_owned);
    }
    topology::tenant_of_key(routing_key).map(|tenant| tenant.to_string())
}

/// The refusal of a body of which only the beginning was kept.
pub(super) fn too_large(cut: &Cut) -> Refusal {
    let detail = format!(
        "the body has {} bytes (SHA-256 {}), and its first {KEPT} are kept; at most {MAX_BYTES} are taken. Leave out what the hub can read from the ATS",
        cut.size, cut.sha256
    );
    Refusal::new(RefusalCode::TooLarge, detail)
}

/// The beginning of a body that has come whole and is larger than the hub takes.
pub(super) fn cut(delivery: &mut Delivery) {
    if delivery.cut.is_none() && delivery.body.len() > MAX_BYTES {
        let (size, sha256) = (delivery.body.len() as u64, hex::encode(Sha256::digest(&delivery.body)));
        delivery.cut = Some(Cut { size, sha256 });
        // A copy: a slice would keep all of it in memory.
        delivery.body = Bytes::copy_from_slice(delivery.body.get(..KEPT).unwrap_or_default());
    }
}

/// No field longer than its bound.
pub(super) fn bounded(parked: Parked, cut: Option<&Cut>) -> Parked {
    let short = |text: String| shortened(text, SHORT);
    let body = if parked.body.len() > MAX_BYTES { parked.body.slice(..KEPT) } else { parked.body };
    let detail = match cut {
        Some(cut) if parked.code != RefusalCode::TooLarge.as_str() => {
            format!("{} (of {} bytes, SHA-256 {}, the first {KEPT} are kept)", shortened(parked.detail, DETAIL - 200), cut.size, cut.sha256)
        }
        _ => shortened(parked.detail, DETAIL),
    };
    Parked {
        at: parked.at,
        tenant: parked.tenant.map(short),
        queue: short(parked.queue),
        exchange: short(parked.exchange),
        routing_key: short(parked.routing_key),
        message_id: parked.message_id.map(short),
        kind: parked.kind.map(short),
        code: short(parked.code),
        field: parked.field.map(short),
        detail,
        body,
        cut: cut.cloned(),
    }
}

fn shortened(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        const ELLIPSIS: &str = "…";
        text.truncate(text.floor_char_boundary(longest - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
    text
}

/// Records, waiting for a store that is away; then acknowledges.
async fn record(delivery: Delivery, mut parked: Parked, store: &dyn Journal) {
    let mut outbox: Vec<_> = lifecycle::parked(&parked).into_iter().collect();
    let (mut told, mut bare) = (false, false);
    while let Err(error) = store.commit(Change { parked: Some(parked.clone()), outbox: outbox.clone(), ..Change::default() }).await {
        // The store takes other rows, and not this one: that it came is recorded without what it was.
        if matches!(error, StoreError::Refused(_)) && !std::mem::replace(&mut bare, true) {
            parked = without_body(parked, &error);
            outbox.clear();
            continue;
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(queue = parked.queue, %error, "failed to park a message; trying again until the store takes it");
        }
        tokio::time::sleep(STORE_WAIT).await;
    }
    if let Err(error) = delivery.ack.ack().await {
        tracing::debug!(%error, "an acknowledgement was not taken; parking the message again adds nothing");
    }
}

/// What is left of a row that the store does not take: where it came from and what its body was, by size and digest.
fn without_body(parked: Parked, error: &StoreError) -> Parked {
    let digest = hex::encode(Sha256::digest(&parked.body));
    let detail = format!(
        "{} ({error}; its body of {} bytes, SHA-256 {digest}, is left out)",
        shortened(parked.detail, DETAIL / 2),
        parked.body.len()
    );
    Parked { field: None, detail: shortened(detail, DETAIL), body: Bytes::new(), ..parked }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn every_field_of_a_parked_row_has_a_bound() {
        let long = || "é".repeat(500_000);
        let parked = Parked {
            at: Timestamp::UNIX_EPOCH,
            tenant: Some(long()),
            queue: long(),
            exchange: long(),
            routing_key: long(),
            message_id: Some(long()),
            kind: Some(long()),
            code: long(),
            field: Some(long()),
            detail: long(),
            body: long().into(),
            cut: None,
        };
        let row = bounded(parked, Some(&Cut { size: u64::MAX, sha256: "f".repeat(64) }));
        let fields =
            [row.tenant, Some(row.queue), Some(row.exchange), Some(row.routing_key), row.message_id, row.kind, Some(row.code), row.field];
        assert!(fields.iter().flatten().all(|field| field.len() <= SHORT && field.ends_with('…')));
        assert!(row.detail.len() <= DETAIL && row.detail.contains("SHA-256"));
        assert_eq!(row.body.len(), KEPT);
    }

    #[test]
    fn two_bodies_with_one_beginning_are_two_rows_and_the_same_one_twice_is_one() {
        let whole = |last: u8| {
            let mut body = vec![b'x'; MAX_BYTES + 1];
            body.push(last);
            let mut delivery = Delivery {
                queue: "atshub.tenant.acme".into(),
                exchange: topology::EVENTS.into(),
                routing_key: "acme.application.moved.v1".into(),
                message_id: Some("m-1".into()),
                headers: std::collections::BTreeMap::new(),
                body: body.into(),
                cut: None,
                redelivered: false,
                delivery_count: 0,
                ack: Box::new(Nobody),
            };
            cut(&mut delivery);
            let refusal = too_large(delivery.cut.as_ref().unwrap());
            refused(&delivery, &refusal, &atshub_actors::ports::SystemClock).fingerprint()
        };
        assert_eq!(whole(1), whole(1));
        assert_ne!(whole(1), whole(2));
    }

    #[derive(Debug)]
    struct Nobody;

    #[async_trait::async_trait]
    impl atshub_actors::ports::Ack for Nobody {
        async fn ack(self: Box<Self>) -> Result<(), atshub_actors::ports::AckError> {
            Ok(())
        }
    }

    #[test]
    fn a_stray_belongs_to_whose_key_it_came_by() {
        for (exchange, key, envelope, owner_is) in [
            (topology::EVENTS, "acme.application.moved.v1", Some("evil"), Some("acme")),
            (topology::EVENTS, "Not A Tenant.x", Some("evil"), None),
            (topology::WORK, "tenant.acme", Some("acme"), Some("acme")),
            (topology::WORK, topology::INVITES, Some("acme"), Some("acme")),
            (topology::WORK, topology::INVITES, None, None),
        ] {
            assert_eq!(owner(exchange, key, envelope).as_deref(), owner_is, "{exchange} {key}");
        }
    }
}
