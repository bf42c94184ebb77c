//! The few calls of AMQP that the load, the bridges and the program by hand share: connect, publish with a confirm, consume.

use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use std::future::Future;

/// What a benchmark's tasks fail with: they say it and stop.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// `delivery_mode` of a message that survives the broker's restart.
const PERSISTENT: u8 = 2;

pub(crate) async fn connect(url: &str) -> Outcome<Connection> {
    Ok(Connection::connect(url, ConnectionProperties::default().with_connection_name("atshub path bench".into())).await?)
}

/// A channel that confirms.
pub(crate) async fn confirming(connection: &Connection) -> Outcome<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// Hands a message to the broker. The future that comes back ends when the broker has it on its disk, in at least one queue.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    id: &str,
    body: &[u8],
) -> Outcome<impl Future<Output = Outcome<()>> + Send + use<>> {
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(atshub_schemas::CONTENT_TYPE.into())
        .with_message_id(id.into());
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await?;
    let key = key.to_owned();
    Ok(async move {
        match confirm.await? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err(format!("no queue takes `{key}`").into()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(format!("the broker refused a message for `{key}`").into()),
        }
    })
}

/// Begins to consume a queue, with so many deliveries unacknowledged at most.
pub(crate) async fn consume(channel: &Channel, queue: &str, prefetch: u16) -> Outcome<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    Ok(channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default()).await?)
}
