//! What stands on the broker: the fixed exchanges and the arguments of queues. Names come from `atshub_schemas::topology`.

use super::options::QueueType;
use atshub_actors::ports::QueueSpec;
use atshub_schemas::topology::{self, COMMANDS, CONTROL, DEAD, DELIVERY_LIMIT, EVENTS, LIFECYCLE, STORE, UNROUTED, WORK};
use lapin::{
    ExchangeKind,
    types::{AMQPValue, FieldTable, ShortString},
};

/// The exchanges, with their kind. [`EVENTS`] has [`UNROUTED`] as its alternate exchange.
pub(super) const EXCHANGES: [(&str, ExchangeKind); 7] = [
    (UNROUTED, ExchangeKind::Fanout),
    (DEAD, ExchangeKind::Fanout),
    (EVENTS, ExchangeKind::Topic),
    (WORK, ExchangeKind::Direct),
    (COMMANDS, ExchangeKind::Topic),
    (CONTROL, ExchangeKind::Fanout),
    (LIFECYCLE, ExchangeKind::Topic),
];

/// The queues that end the line. They have no dead-letter exchange: what they hold has nowhere else to go.
pub(super) const LAST_STOPS: [&str; 2] = [UNROUTED, DEAD];

/// Without a dead-letter exchange a message past its limit would be dropped, and RabbitMQ 4 sets a limit of 20 where
/// none is asked for: so a limit is asked for that nothing reaches.
const NO_LIMIT: i64 = 1_000_000;

/// Arguments of an exchange.
pub(super) fn exchange_arguments(exchange: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    if exchange == EVENTS {
        arguments.insert("alternate-exchange".into(), text(UNROUTED));
    }
    arguments
}

/// What a refusal says of arguments that differ from those of what is there.
pub(super) const INEQUIVALENT: &str = "inequivalent";

/// Arguments of the exchange that marks the virtual host: an alternate exchange that is never asked for, since RabbitMQ compares that
/// argument, and this exchange gets no message.
pub(super) fn mark_of(store: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("alternate-exchange".into(), text(&format!("{STORE}.{store}")));
    arguments
}

/// The sentence for a virtual host that is marked as another store's, out of what RabbitMQ said.
pub(super) fn other_store(own: &str, said: &str) -> String {
    let before = format!("{STORE}.");
    let marks = said.split(&before).skip(1).map(|rest| rest.split('\'').next().unwrap_or_default());
    let theirs = marks.filter(|mark| *mark != own).last();
    topology::other_store(own, theirs)
}

/// Arguments of a queue. One that goes by itself is classic whatever the others are: quorum queues cost more than a queue of
/// one process's own is worth, and nothing of it is dead-lettered.
pub(super) fn queue_arguments(spec: &QueueSpec, kind: QueueType) -> FieldTable {
    let QueueSpec { name: queue, single_consumer, expires, .. } = spec;
    let mut arguments = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        arguments.insert(ShortString::from(name), value);
    };
    if *single_consumer {
        set("x-single-active-consumer", AMQPValue::Boolean(true));
    }
    if let Some(expires) = expires {
        set("x-expires", AMQPValue::LongLongInt(i64::try_from(expires.as_millis()).unwrap_or(i64::MAX)));
        set("x-queue-type", text("classic"));
        return arguments;
    }
    let last_stop = LAST_STOPS.contains(&queue.as_str());
    if !last_stop {
        set("x-dead-letter-exchange", text(DEAD));
        // At-least-once dead-lettering asks for it; classic queues know it too.
        set("x-overflow", text("reject-publish"));
    }
    match kind {
        QueueType::Classic => set("x-queue-type", text("classic")),
        QueueType::Quorum => {
            set("x-queue-type", text("quorum"));
            set("x-delivery-limit", AMQPValue::LongLongInt(if last_stop { NO_LIMIT } else { i64::from(DELIVERY_LIMIT) }));
            if !last_stop {
                set("x-dead-letter-strategy", text("at-least-once"));
            }
        }
    }
    arguments
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
