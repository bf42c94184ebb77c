//! The examples for bridge authors, run as a bridge author would: their pinned dependencies, their command lines, the
//! real broker. What arrives is read by the hub's own decoder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops where it fails; clippy sees that in test functions only"
)]

mod programs;

use atshub_schemas::{CONTENT_TYPE, Envelope, Message, TenantName, samples::sample, topology};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use programs::{Language, VirtualHost, run, text};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const TENANT: &str = "acme";
const INBOX: &str = "inbox";

#[tokio::test]
async fn the_python_example_publishes_a_move_that_the_hub_can_read() {
    a_move_arrives(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_publishes_a_move_that_the_hub_can_read() {
    a_move_arrives(Language::Node).await;
}

#[tokio::test]
async fn the_python_example_fails_when_no_queue_takes_its_message() {
    a_return_is_a_failure(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_fails_when_no_queue_takes_its_message() {
    a_return_is_a_failure(Language::Node).await;
}

#[tokio::test]
async fn the_python_example_performs_commands_and_answers_them() {
    commands_are_performed(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_performs_commands_and_answers_them() {
    commands_are_performed(Language::Node).await;
}

#[tokio::test]
async fn the_python_example_says_why_the_broker_refused_it() {
    a_refusal_is_said(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_says_why_the_broker_refused_it() {
    a_refusal_is_said(Language::Node).await;
}

#[tokio::test]
async fn the_python_example_fails_when_the_broker_cannot_keep_its_message() {
    a_nack_is_a_failure(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_fails_when_the_broker_cannot_keep_its_message() {
    a_nack_is_a_failure(Language::Node).await;
}

#[tokio::test]
async fn the_python_example_repeats_a_message_under_its_id_when_the_confirm_was_lost() {
    a_lost_confirm_is_repeated(Language::Python).await;
}

#[tokio::test]
async fn the_node_example_repeats_a_message_under_its_id_when_the_confirm_was_lost() {
    a_lost_confirm_is_repeated(Language::Node).await;
}

async fn a_move_arrives(language: Language) {
    let host = VirtualHost::new();
    let broker = broker(&host).await;
    bind_inbox(&broker, FieldTable::default()).await;
    let id = "bridge:8842/7";
    let words = [
        "--application",
        "8842",
        "--stage",
        "Karat Assessment",
        "--name",
        "Ada Lovelace",
        "--email",
        "ada@example.org",
        "--role",
        "1201",
        "--id",
        id,
    ];
    let output = run(language, "publish", &host.url(), &words).await;
    assert_eq!((output.status.code(), text(&output.stdout).trim()), (Some(0), id), "{}", text(&output.stderr));

    let (properties, envelope, key) = take(&broker).await;
    assert_eq!(properties.content_type().as_ref().map(|c| c.as_str()), Some(CONTENT_TYPE));
    assert_eq!(properties.message_id().as_ref().map(|c| c.as_str()), Some(id));
    assert_eq!(*properties.delivery_mode(), Some(2), "survives a restart of the broker");
    assert_eq!((envelope.id.as_str(), envelope.tenant.as_str(), key), (id, TENANT, envelope.routing_key()));
    let Message::ApplicationMoved(change) = envelope.message else { panic!("{:?}", envelope.message) };
    assert_eq!(change.application.id.as_str(), "8842");
    assert_eq!(change.to_stage.unwrap().name.unwrap().as_str(), "Karat Assessment");
    assert_eq!(change.candidate.unwrap().email.unwrap().as_str(), "ada@example.org");
    assert_eq!(change.job.unwrap().role.unwrap().as_str(), "1201");

    // With nothing but what is needed: a fresh id, and nothing sent that is not known.
    let output = run(language, "publish", &host.url(), &["--application", "9", "--stage", "S"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let (_, envelope, _) = take(&broker).await;
    assert_eq!(envelope.id.as_str(), text(&output.stdout).trim());
    let Message::ApplicationMoved(change) = envelope.message else { panic!("{:?}", envelope.message) };
    assert_eq!((change.candidate, change.job), (None, None));
}

async fn a_return_is_a_failure(language: Language) {
    let host = VirtualHost::new();
    // The exchange is there, and no queue for this tenant.
    let _broker = broker(&host).await;
    let output = run(language, "publish", &host.url(), &["--application", "8842", "--stage", "S"]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("returned"), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("`acme.application.moved.v1`"), "{}", text(&output.stderr));
}

async fn a_refusal_is_said(language: Language) {
    let host = VirtualHost::new();
    // Nothing was ever declared here: the broker closes the channel.
    for (program, words) in [("publish", &["--application", "8842", "--stage", "S"][..]), ("perform", &[])] {
        let output = run(language, program, &host.url(), words).await;
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{program}");
        assert!(text(&output.stderr).starts_with("refused by the broker"), "{program}: {}", text(&output.stderr));
    }
}

async fn a_nack_is_a_failure(language: Language) {
    let host = VirtualHost::new();
    let broker = broker(&host).await;
    let mut full_at_one = FieldTable::default();
    full_at_one.insert("x-max-length".into(), AMQPValue::LongInt(1));
    full_at_one.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    bind_inbox(&broker, full_at_one).await;
    let output = run(language, "publish", &host.url(), &["--application", "1", "--stage", "S"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let output = run(language, "publish", &host.url(), &["--application", "2", "--stage", "S", "--id", "second"]).await;
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    assert!(text(&output.stderr).starts_with("nacked") && text(&output.stderr).contains("--id second"), "{}", text(&output.stderr));
}

async fn a_lost_confirm_is_repeated(language: Language) {
    let host = VirtualHost::new();
    let broker = broker(&host).await;
    bind_inbox(&broker, FieldTable::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (front, back) = host.url().rsplit_once('@').map(|(front, back)| (front.to_owned(), back.to_owned())).unwrap();
    let url = format!("{front}@{}/{}", listener.local_addr().unwrap(), host.name());
    let proxy = tokio::spawn(lose_the_first_confirm(listener, back.split('/').next().unwrap().to_owned()));

    let output = run(language, "publish", &url, &["--application", "8842", "--stage", "S"]).await;
    proxy.abort();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("attempt 1 of 5 is unclear"), "{said}");
    let (first, second) = (take(&broker).await.1, take(&broker).await.1);
    assert_eq!(first, second, "the broker had it: the same message again, time and id included");
    assert_eq!(first.id.as_str(), text(&output.stdout).trim());
}

/// Passes bytes on to the broker. The first connection dies once the broker has answered the message's body: by then it has it.
async fn lose_the_first_confirm(listener: TcpListener, broker: String) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut server = TcpStream::connect(&broker).await.unwrap();
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let sent = &up[..read.unwrap()];
                server.write_all(sent).await.unwrap();
                if sent.windows(11).any(|window| window == b"specversion") {
                    assert!(server.read(&mut down).await.unwrap() > 0, "the confirm");
                    break;
                }
            }
            read = server.read(&mut down) => client.write_all(&down[..read.unwrap()]).await.unwrap(),
        }
    }
    drop((client, server));
    let (mut client, _) = listener.accept().await.unwrap();
    let mut server = TcpStream::connect(&broker).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

async fn commands_are_performed(language: Language) {
    let host = VirtualHost::new();
    let broker = broker(&host).await;
    bind_inbox(&broker, FieldTable::default()).await;
    let tenant = TenantName::new(TENANT).unwrap();
    let commands = topology::commands_queue(&tenant);
    broker.exchange_declare(topology::COMMANDS.into(), ExchangeKind::Topic, durable_exchange(), FieldTable::default()).await.unwrap();
    broker.queue_declare(commands.as_str().into(), durable_queue(), FieldTable::default()).await.unwrap();
    let key = format!("{TENANT}.#");
    broker
        .queue_bind(
            commands.as_str().into(),
            topology::COMMANDS.into(),
            key.as_str().into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();

    let status = sample("status.set.v1").unwrap();
    let note = sample("note.added.v1").unwrap();
    let mut older = status.clone();
    let Message::StatusSet(set) = &mut older.message else { panic!() };
    (set.sequence, set.text) = (2, "Received".parse().unwrap());
    older.id = "older".parse().unwrap();
    // Redelivered as a whole; overtaken; one that bridges of today do not know; and then one more, which must still be performed.
    let unknown = br#"{"specversion":"1.0","id":"later","type":"tag.added.v1","tenant":"acme","data":{}}"#.to_vec();
    let bodies = [
        status.encode().unwrap(),
        note.encode().unwrap(),
        note.encode().unwrap(),
        older.encode().unwrap(),
        unknown,
        sample("roles.synced.v1").unwrap().encode().unwrap(),
    ];
    for body in &bodies {
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let confirm = broker
            .basic_publish(topology::COMMANDS.into(), "acme.command".into(), options, body, BasicProperties::default())
            .await
            .unwrap()
            .await
            .unwrap();
        assert!(confirm.is_ack() && confirm.take_message().is_none());
    }

    let output = run(language, "perform", &host.url(), &["--count", &bodies.len().to_string()]).await;
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("status of 8842: Karat Status = Invited: waiting for the candidate to choose a time (3)"), "{said}");
    assert!(said.contains("status of 8842: 2 is older than what is shown, ignored"), "{said}");
    assert_eq!((said.matches("recommended").count(), said.matches("is there already").count()), (1, 1), "{said}");
    assert!(said.contains("roles: Backend engineer\n"), "archived roles may not be chosen: {said}");

    let mut answers = Vec::new();
    for _ in &bodies {
        let (_, envelope, key) = take(&broker).await;
        assert_eq!(key, envelope.routing_key());
        answers.push(envelope);
    }
    let done = |n: usize| match &answers[n].message {
        Message::CommandDone(done) => done.command_id.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    let roles = sample("roles.synced.v1").unwrap().id;
    assert_eq!(
        [done(0), done(1), done(2), done(3), done(5)].map(|id| id),
        [status.id.as_str(), note.id.as_str(), note.id.as_str(), "older", roles.as_str()]
    );
    assert_eq!(answers[1].id, answers[2].id, "one command is answered under one id");
    let Message::CommandFailed(failed) = &answers[4].message else { panic!("{:?}", answers[4]) };
    assert_eq!((failed.command_id.as_str(), failed.code.as_str(), failed.retryable), ("later", "unsupported", false));

    let left = broker
        .queue_declare(commands.as_str().into(), QueueDeclareOptions { passive: true, ..durable_queue() }, FieldTable::default())
        .await
        .unwrap();
    assert_eq!(left.message_count(), 0, "every command was acked");
}

/// A channel in confirm mode on which `atshub.events` is declared.
async fn broker(host: &VirtualHost) -> Channel {
    let connection = Connection::connect(&host.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel.exchange_declare(topology::EVENTS.into(), ExchangeKind::Topic, durable_exchange(), FieldTable::default()).await.unwrap();
    channel
}

fn durable_exchange() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() }
}

fn durable_queue() -> QueueDeclareOptions {
    QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() }
}

async fn bind_inbox(channel: &Channel, arguments: FieldTable) {
    channel.queue_declare(INBOX.into(), durable_queue(), arguments).await.unwrap();
    let key = format!("{TENANT}.#");
    channel
        .queue_bind(INBOX.into(), topology::EVENTS.into(), key.as_str().into(), QueueBindOptions::default(), FieldTable::default())
        .await
        .unwrap();
}

/// The next message. It was confirmed before the example ended, so it is there.
async fn take(channel: &Channel) -> (BasicProperties, Envelope, String) {
    let got = channel.basic_get(INBOX.into(), BasicGetOptions::default()).await.unwrap().expect("what was confirmed is in the queue");
    got.delivery.ack(BasicAckOptions::default()).await.unwrap();
    let envelope = Envelope::decode(&got.delivery.data).unwrap_or_else(|e| panic!("{e}: {}", text(&got.delivery.data)));
    (got.delivery.properties.clone(), envelope, got.delivery.routing_key.to_string())
}
