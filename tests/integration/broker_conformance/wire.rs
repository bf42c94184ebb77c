//! What one producer can put into one message, byte by byte: it costs that message at most, on RabbitMQ as it is.

use super::{SIGNAL_LIMIT, block_on, id_of, message, next, publish_all, queue};
use crate::support::{
    rabbitmq::VirtualHost,
    raw_amqp::{RawClient, long, short},
};
use atshub::rabbitmq::{RabbitBroker, RabbitOptions};
use atshub_actors::ports::{Broker, BrokerHealth, Cut};
use atshub_schemas::{
    MAX_BYTES,
    topology::{EVENTS, UNROUTED},
};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

/// No UTF-8: a byte that never stands in it, a sequence that ends too early, half of a surrogate pair.
const WRONG: [&[u8]; 4] = [b"caf\xe9", &[0xff; 255], b"\xe2\x82", b"a\xed\xa0\x80z"];

/// The broker's own flag of each text property, and its name. Those that RabbitMQ itself looks at (user id, expiration) are refused by it.
const TEXTS: [(u16, &str); 8] = [
    (1 << 15, "content type"),
    (1 << 14, "content encoding"),
    (1 << 10, "correlation id"),
    (1 << 9, "reply to"),
    (1 << 7, "message id"),
    (1 << 5, "type"),
    (1 << 3, "app id"),
    (1 << 2, "cluster id"),
];
const HEADERS: u16 = 1 << 13;

fn with_headers(entries: &[u8]) -> Vec<u8> {
    [&HEADERS.to_be_bytes()[..], &long(entries)].concat()
}

fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..depth {
        let entry = if kind == b'F' { [short(b""), vec![kind]].concat() } else { vec![kind] };
        value = [entry, long(&value)].concat();
    }
    if kind == b'F' { value } else { [short(b"deep"), value].concat() }
}

/// Every place in which a producer may put a text, with a wrong one.
fn properties() -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for wrong in WRONG {
        for (flag, name) in TEXTS {
            all.push((name.to_owned(), [&flag.to_be_bytes()[..], &short(wrong)].concat()));
        }
        let entry = [short(wrong), b"S".to_vec(), long(wrong)].concat();
        let table = [short(b"table"), b"F".to_vec(), long(&entry)].concat();
        let array = [short(b"array"), b"A".to_vec(), long(&[b"F".to_vec(), long(&entry)].concat())].concat();
        all.push(("header".to_owned(), with_headers(&entry)));
        all.push(("header in a table".to_owned(), with_headers(&table)));
        all.push(("header in a table of an array".to_owned(), with_headers(&array)));
    }
    for kind in *b"FA" {
        for depth in [15, 16, 17, 64, 5_000] {
            all.push((format!("{depth} deep"), with_headers(&nested(kind, depth))));
        }
    }
    all
}

#[test]
fn no_byte_of_any_property_or_key_costs_the_connection_or_a_neighbour() {
    let host = VirtualHost::new();
    block_on(async {
        let broker = RabbitBroker::connect(&host.url(), Handle::current(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(EVENTS, "acme.#")])).await.unwrap();
        let mut consumption = broker.consume("q", 4).await.unwrap();
        let mut strays = broker.consume(UNROUTED, 4).await.unwrap();
        let mut raw = RawClient::connect(&host.url());
        for (at, (what, properties)) in properties().into_iter().enumerate() {
            raw.publish(EVENTS, b"acme.x", &properties, what.as_bytes());
            publish_all(&broker, vec![message(EVENTS, "acme.x", at)]).await;
            let odd = next(&mut consumption).await;
            assert_eq!(odd.body, what.as_bytes());
            odd.ack.ack().await.unwrap();
            let neighbour = next(&mut consumption).await;
            assert_eq!(id_of(&neighbour), at.to_string(), "after {what}");
            neighbour.ack.ack().await.unwrap();
        }
        for wrong in WRONG {
            let key = [b"nobody.", &wrong[..wrong.len().min(200)]].concat();
            raw.publish(EVENTS, &key, &[0, 0], b"stray");
            let stray = next(&mut strays).await;
            assert!(stray.routing_key.starts_with("nobody.") && stray.routing_key.len() == key.len(), "{}", stray.routing_key);
            stray.ack.ack().await.unwrap();
        }
        assert_eq!(*broker.health().borrow(), BrokerHealth::Up { epoch: 1 }, "the connection of the beginning");
        broker.close(SIGNAL_LIMIT).await;
    });
}

#[test]
fn a_body_that_is_too_large_arrives_as_its_beginning_with_its_size_and_digest() {
    let host = VirtualHost::new();
    block_on(async {
        let broker = RabbitBroker::connect(&host.url(), Handle::current(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(EVENTS, "acme.#")])).await.unwrap();
        let mut raw = RawClient::connect(&host.url());
        let sizes = [MAX_BYTES, MAX_BYTES + 1, 5_000_000, 5_000_000, 20_000_000, 1];
        for size in sizes {
            raw.publish(EVENTS, b"acme.x", &[0, 0], &vec![b'a'; size]);
        }
        // All at once: what is in hand is their beginnings.
        let mut consumption = broker.consume("q", 16).await.unwrap();
        for size in sizes {
            let delivery = next(&mut consumption).await;
            let cut = (size > MAX_BYTES).then(|| Cut { size: size as u64, sha256: hex::encode(Sha256::digest(vec![b'a'; size])) });
            assert_eq!((delivery.body.len(), delivery.cut), (if size > MAX_BYTES { 64 * 1024 } else { size }, cut));
            delivery.ack.ack().await.unwrap();
        }
        assert_eq!(*broker.health().borrow(), BrokerHealth::Up { epoch: 1 });
    });
}
