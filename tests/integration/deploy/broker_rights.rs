//! The rights of a bridge's broker user and of the hub's, as `deploy/rabbitmq` gives them, on the real broker.

use super::broker::{Host, REFUSED, Try, code, declare_topology, publish, rabbitmqctl, repository};
use atshub::rabbitmq::{QueueType, RabbitBroker, RabbitOptions};
use atshub_actors::ports::{Broker as _, Publication, QueueSpec};
use atshub_schemas::topology::{COMMANDS, EVENTS, INVITES, LIFECYCLE, UNROUTED, WORK};
use bytes::Bytes;
use lapin::{
    BasicProperties, Connection,
    options::{BasicAckOptions, BasicGetOptions},
    types::{AMQPValue, FieldArray, FieldTable},
};
use std::{collections::BTreeMap, time::Duration};
use tokio::runtime::Handle;

/// All that a bridge may do, and a list of what it may not.
async fn a_bridge_has_its_rights_and_no_more(bridge: &Connection, tenant: &str, other: &str) {
    let key = |tenant: &str| format!("{tenant}.application.moved.v1");
    let commands = |tenant: &str| format!("atshub.commands.{tenant}");
    let inbox = |tenant: &str| format!("atshub.tenant.{tenant}");

    for allowed in [Try::Publish(EVENTS, &key(tenant)), Try::Consume(&commands(tenant)), Try::Get(&commands(tenant))] {
        assert_eq!(allowed.by(bridge).await, None, "{allowed:?}");
    }
    for refused in [
        // Somebody else's facts: by its key, by a key that only begins alike, and past the exchange.
        Try::Publish(EVENTS, &key(other)),
        Try::Publish(EVENTS, &key(&format!("{tenant}-two"))),
        Try::Publish(EVENTS, tenant),
        Try::Publish("", &inbox(tenant)),
        Try::Publish("", &inbox(other)),
        // What only the hub publishes.
        Try::Publish(WORK, &format!("tenant.{tenant}")),
        Try::Publish(COMMANDS, &key(tenant)),
        Try::Publish(LIFECYCLE, &key(tenant)),
        Try::Publish(UNROUTED, &key(tenant)),
        // What is for others to read.
        Try::Consume(&commands(other)),
        Try::Get(&commands(other)),
        Try::Consume(&inbox(tenant)),
        Try::Get(&inbox(other)),
        Try::Consume(UNROUTED),
        // The topology is the hub's.
        Try::DeclareQueue("mine"),
        Try::DeclareQueue(""),
        Try::DeclareExchange("mine"),
        Try::Bind(&commands(tenant), EVENTS),
        Try::Bind(&commands(tenant), COMMANDS),
        Try::Delete(&commands(tenant)),
    ] {
        assert_eq!(refused.by(bridge).await, Some(REFUSED), "{refused:?}");
    }
}

#[tokio::test]
async fn a_bridge_publishes_and_consumes_for_its_own_tenant_only() {
    let mut host = Host::new();
    let (tenant, other) = (host.named("acme"), host.named("other"));
    let hub = host.admin().await;
    let hub = hub.create_channel().await.unwrap();
    declare_topology(&hub, &[&tenant, &other]).await.unwrap();

    let (user, password) = host.add_bridge(&tenant);
    let bridge = host.login(&user, &password).await.unwrap();
    a_bridge_has_its_rights_and_no_more(&bridge, &tenant, &other).await;

    // Its fact is where the tenant's actor looks, and its command reaches it and is done with.
    let inbox = hub.basic_get(format!("atshub.tenant.{tenant}").as_str().into(), BasicGetOptions::default()).await.unwrap();
    assert_eq!(inbox.unwrap().delivery.routing_key.as_str(), format!("{tenant}.application.moved.v1"));
    publish(&hub, COMMANDS, &format!("{tenant}.status.set.v1"), BasicProperties::default()).await.unwrap();
    let channel = bridge.create_channel().await.unwrap();
    let queue = format!("atshub.commands.{tenant}");
    let command = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap().unwrap();
    command.delivery.acker.ack(BasicAckOptions::default()).await.unwrap();

    // No other virtual host lets it in.
    assert!(host.login_to(&user, &password, "%2f").await.is_err());

    // Run again, the script replaces the password: the old one is of no use from then on.
    let (_, renewed) = host.add_bridge(&tenant);
    assert_ne!(password, renewed);
    assert!(host.login(&user, &password).await.is_err());
    let bridge = host.login(&user, &renewed).await.unwrap();
    assert_eq!(Try::Publish(EVENTS, &format!("{tenant}.job.updated.v1")).by(&bridge).await, None);
}

/// `CC` and `BCC` headers name further routing keys, which the broker does not hold against the user's rights. What stands
/// between tenants there is the hub: it parks an envelope that is not of the queue's tenant. Should a broker refuse one day,
/// this test says so, and the hub's check is then a second line.
#[tokio::test]
async fn a_copy_header_passes_the_brokers_rights_and_shows_its_publishers_key() {
    let mut host = Host::new();
    let (tenant, other) = (host.named("acme"), host.named("other"));
    let hub = host.admin().await;
    let hub = hub.create_channel().await.unwrap();
    declare_topology(&hub, &[&tenant, &other]).await.unwrap();
    let (user, password) = host.add_bridge(&tenant);
    let bridge = host.login(&user, &password).await.unwrap();
    let channel = bridge.create_channel().await.unwrap();

    let mut headers = FieldTable::default();
    let mut copies = FieldArray::default();
    copies.push(AMQPValue::LongString(format!("{other}.application.moved.v1").into()));
    headers.insert("CC".into(), AMQPValue::FieldArray(copies));
    let own = format!("{tenant}.application.moved.v1");
    publish(&channel, EVENTS, &own, BasicProperties::default().with_headers(headers)).await.unwrap();

    let queue = format!("atshub.tenant.{other}");
    let smuggled = hub.basic_get(queue.as_str().into(), BasicGetOptions::default()).await.unwrap();
    assert_eq!(smuggled.expect("the broker refuses copies now").delivery.routing_key.as_str(), own);
}

#[tokio::test]
async fn the_definitions_file_gives_the_hub_and_a_bridge_what_they_need() {
    let mut host = Host::new();
    let (tenant, other, hub_user) = (host.named("acme"), host.named("other"), host.named("hub"));
    let bridge_user = format!("bridge-{tenant}");
    let text = std::fs::read_to_string(repository().join("deploy/rabbitmq/definitions.json")).unwrap();
    // Users are the broker's, so the file's names are made this test's own; nothing else is changed.
    let text = text
        .replace("\"atshub\"", &format!("\"{}\"", host.name))
        .replace("\"hub\"", &format!("\"{hub_user}\""))
        .replace("bridge-acme", &bridge_user)
        .replace("^acme", &format!("^{tenant}"))
        .replace(".acme$", &format!(".{tenant}$"));
    host.owns(&hub_user);
    host.owns(&bridge_user);
    rabbitmqctl(&["import_definitions"], Some(&text));

    // The file holds no password, and without one nobody gets in.
    for user in [&hub_user, &bridge_user] {
        let error = host.login(user, "").await.expect_err("a user without a password got in");
        assert_eq!(code(&error), REFUSED);
        rabbitmqctl(&["change_password", user], Some("secret"));
    }

    // The hub's own adapter, as that user, makes all of its topology and uses it.
    let options = RabbitOptions { queue_type: QueueType::Classic, ..RabbitOptions::default() };
    let broker = RabbitBroker::connect(&host.url(&hub_user, "secret"), Handle::current(), options).await.unwrap();
    for tenant in [&tenant, &other] {
        for (name, exchange) in [(format!("atshub.tenant.{tenant}"), EVENTS), (format!("atshub.commands.{tenant}"), COMMANDS)] {
            let bindings = vec![(exchange.to_owned(), format!("{tenant}.#"))];
            broker.declare(QueueSpec { name, single_consumer: exchange == EVENTS, bindings, expires: None }).await.unwrap();
        }
    }
    let invites = QueueSpec { name: INVITES.into(), single_consumer: false, bindings: vec![(WORK.into(), INVITES.into())], expires: None };
    broker.declare(invites).await.unwrap();
    for (exchange, routing_key) in
        [(WORK, INVITES.to_owned()), (EVENTS, format!("{other}.job.updated.v1")), (COMMANDS, format!("{other}.status.set.v1"))]
    {
        let message = Publication {
            exchange: exchange.into(),
            routing_key,
            message_id: "m-1".into(),
            content_type: "application/json".into(),
            headers: BTreeMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        assert_eq!(broker.publish(vec![message]).await, [Ok(())], "{exchange}");
    }
    let mut invites = broker.consume(INVITES, 1).await.unwrap();
    invites.deliveries.recv().await.unwrap().ack.ack().await.unwrap();
    broker.delete(INVITES).await.unwrap();

    let hub = host.login(&hub_user, "secret").await.unwrap();
    for refused in [Try::DeclareQueue("elsewhere"), Try::DeclareExchange("elsewhere"), Try::Publish("", "elsewhere")] {
        assert_eq!(refused.by(&hub).await, Some(REFUSED), "{refused:?}");
    }
    let bridge = host.login(&bridge_user, "secret").await.unwrap();
    a_bridge_has_its_rights_and_no_more(&bridge, &tenant, &other).await;
    broker.close(Duration::from_secs(5)).await;
}

#[test]
fn add_bridge_refuses_a_name_that_is_no_tenants() {
    let script = repository().join("deploy/rabbitmq/add-bridge");
    for name in ["", "Acme", "acme.two", ".*", "-acme", "a b", "acme$", &"a".repeat(64)] {
        let (code, out, err) = super::broker::run(std::process::Command::new(&script).arg(name), None);
        assert_eq!((code, out.as_str()), (64, ""), "{name:?}: {err}");
    }
}
