//! The exchanges and queues of the program by hand: named and shaped as the hub's, in a virtual host of its own.

use crate::amqp::Outcome;
use atshub_schemas::{TenantName, topology};
use futures_util::future::try_join_all;
use lapin::{
    Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

pub(super) async fn declare(connection: &Connection, tenants: &[TenantName]) -> Outcome<()> {
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let exchanges =
        [(topology::EVENTS, ExchangeKind::Topic), (topology::WORK, ExchangeKind::Direct), (topology::COMMANDS, ExchangeKind::Topic)];
    for (name, kind) in exchanges {
        channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await?;
    }
    let mut queues = vec![(topology::INVITES.to_owned(), false, vec![(topology::WORK, topology::INVITES.to_owned())])];
    for tenant in tenants {
        let bindings = vec![(topology::EVENTS, format!("{tenant}.#")), (topology::WORK, topology::tenant_work_key(tenant))];
        queues.push((topology::tenant_queue(tenant), true, bindings));
        queues.push((topology::commands_queue(tenant), false, vec![(topology::COMMANDS, format!("{tenant}.#"))]));
    }
    try_join_all(queues.into_iter().map(|(name, single, bindings)| queue(connection, name, single, bindings))).await?;
    Ok(())
}

async fn queue(connection: &Connection, name: String, single: bool, bindings: Vec<(&str, String)>) -> Outcome<()> {
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    if single {
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.as_str().into(), options, arguments).await?;
    for (exchange, key) in bindings {
        let (exchange, key) = (exchange.into(), key.as_str().into());
        channel.queue_bind(name.as_str().into(), exchange, key, QueueBindOptions::default(), FieldTable::default()).await?;
    }
    channel.close(200, "declared".into()).await?;
    Ok(())
}
