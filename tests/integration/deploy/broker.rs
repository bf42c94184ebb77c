//! A virtual host of the test's own with what a hub declares there, and the users under test. Removed when dropped.

use atshub_schemas::topology::{COMMANDS, EVENTS, LIFECYCLE, UNROUTED, WORK};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Access refused, of AMQP 0-9-1.
pub(super) const REFUSED: u16 = 403;

/// The virtual host.
pub(super) struct Host {
    /// Its name; also the ending of every user's name, which are the broker's, not the virtual host's.
    pub(super) name: String,
    users: Vec<String>,
    address: String,
}

impl Host {
    /// A new virtual host, which only the administrator of [`Host::admin`] may use.
    pub(super) fn new() -> Self {
        let base = std::env::var("ATSHUB_TEST_AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".into());
        let address = base.rsplit('@').next().and_then(|rest| rest.split('/').next()).unwrap_or("127.0.0.1:5672").to_owned();
        let id = uuid::Uuid::now_v7().simple().to_string();
        let host = Self { name: format!("t{}", &id[20..]), users: Vec::new(), address };
        rabbitmqctl(&["add_vhost", &host.name], None);
        host
    }

    /// A name that no other test has.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{name}-{}", self.name)
    }

    /// Says that a user was made, so that it is removed.
    pub(super) fn owns(&mut self, user: &str) {
        self.users.push(user.to_owned());
    }

    /// Runs `deploy/rabbitmq/add-bridge`: the user's name and password, as it prints them.
    pub(super) fn add_bridge(&mut self, tenant: &str) -> (String, String) {
        self.owns(&format!("bridge-{tenant}"));
        let (code, out, err) = run(as_root(&repository().join("deploy/rabbitmq/add-bridge")).args([tenant, &self.name]), None);
        assert_eq!(code, 0, "add-bridge failed: {err}");
        let value = |key: &str| out.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        (value("user="), value("password="))
    }

    /// A connection as this user.
    pub(super) async fn login(&self, user: &str, password: &str) -> Result<Connection, lapin::Error> {
        self.login_to(user, password, &self.name).await
    }

    /// A connection as this user to any virtual host, given as in a URL.
    pub(super) async fn login_to(&self, user: &str, password: &str, host: &str) -> Result<Connection, lapin::Error> {
        Connection::connect(&format!("amqp://{user}:{password}@{}/{host}", self.address), ConnectionProperties::default()).await
    }

    /// The address of this virtual host for this user.
    pub(super) fn url(&self, user: &str, password: &str) -> String {
        format!("amqp://{user}:{password}@{}/{}", self.address, self.name)
    }

    /// A connection as somebody who may do everything here.
    pub(super) async fn admin(&mut self) -> Connection {
        let user = self.named("admin");
        if !self.users.contains(&user) {
            rabbitmqctl(&["add_user", &user], Some("secret"));
            self.owns(&user);
            rabbitmqctl(&["set_permissions", "-p", &self.name, &user, ".*", ".*", ".*"], None);
        }
        self.login(&user, "secret").await.unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for user in &self.users {
            run(as_root(Path::new("rabbitmqctl")).args(["--quiet", "delete_user", user]), None);
        }
        run(as_root(Path::new("rabbitmqctl")).args(["--quiet", "delete_vhost", &self.name]), None);
    }
}

/// The repository's root.
pub(super) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs `rabbitmqctl`, which must do it.
pub(super) fn rabbitmqctl(arguments: &[&str], input: Option<&str>) -> String {
    let (code, out, err) = run(as_root(Path::new("rabbitmqctl")).arg("--quiet").args(arguments), input);
    assert_eq!(code, 0, "rabbitmqctl {} failed: {err}{out}", arguments[0]);
    out
}

/// A command that needs the broker's cookie.
pub(super) fn as_root(program: &Path) -> Command {
    let root = run(Command::new("id").arg("-u"), None).1.trim() == "0";
    let mut command = Command::new(if root { program.as_os_str() } else { "sudo".as_ref() });
    if !root {
        command.arg("-n").arg(program);
    }
    // A user's PATH often lacks the folder of the broker's tools.
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(super) fn run(command: &mut Command, input: Option<&str>) -> (i32, String, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that has no use for its input may have closed it already.
    let _ = stdin.write_all(input.map(|text| format!("{text}\n")).unwrap_or_default().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Declares what a hub declares for these tenants. Classic queues: rights do not depend on the kind, and handles are few.
pub(super) async fn declare_topology(channel: &Channel, tenants: &[&str]) -> Result<(), lapin::Error> {
    for (name, kind) in [
        (UNROUTED, ExchangeKind::Fanout),
        (EVENTS, ExchangeKind::Topic),
        (WORK, ExchangeKind::Direct),
        (COMMANDS, ExchangeKind::Topic),
        (LIFECYCLE, ExchangeKind::Topic),
    ] {
        let mut arguments = FieldTable::default();
        if name == EVENTS {
            arguments.insert("alternate-exchange".into(), AMQPValue::LongString(UNROUTED.into()));
        }
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name.into(), kind, durable, arguments).await?;
    }
    queue(channel, UNROUTED, UNROUTED, "").await?;
    for tenant in tenants {
        queue(channel, &format!("atshub.tenant.{tenant}"), EVENTS, &format!("{tenant}.#")).await?;
        queue(channel, &format!("atshub.commands.{tenant}"), COMMANDS, &format!("{tenant}.#")).await?;
    }
    Ok(())
}

async fn queue(channel: &Channel, name: &str, exchange: &str, key: &str) -> Result<(), lapin::Error> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, FieldTable::default()).await?;
    channel.queue_bind(name.into(), exchange.into(), key.into(), QueueBindOptions::default(), FieldTable::default()).await
}

/// Something a user tries, each on a channel of its own: a refusal closes the channel.
#[derive(Debug)]
pub(super) enum Try<'a> {
    Publish(&'a str, &'a str),
    Consume(&'a str),
    Get(&'a str),
    DeclareQueue(&'a str),
    DeclareExchange(&'a str),
    Bind(&'a str, &'a str),
    Delete(&'a str),
}

impl Try<'_> {
    /// Tries it: the broker's code if it refused.
    pub(super) async fn by(&self, connection: &Connection) -> Option<u16> {
        let channel = connection.create_channel().await.unwrap();
        let none = FieldTable::default();
        let outcome = match *self {
            Self::Publish(exchange, key) => publish(&channel, exchange, key, BasicProperties::default()).await,
            Self::Consume(queue) => channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), none).await.map(drop),
            Self::Get(queue) => channel.basic_get(queue.into(), BasicGetOptions::default()).await.map(drop),
            Self::DeclareQueue(queue) => channel.queue_declare(queue.into(), QueueDeclareOptions::default(), none).await.map(drop),
            Self::DeclareExchange(exchange) => {
                channel.exchange_declare(exchange.into(), ExchangeKind::Topic, ExchangeDeclareOptions::default(), none).await
            }
            Self::Bind(queue, exchange) => {
                channel.queue_bind(queue.into(), exchange.into(), "#".into(), QueueBindOptions::default(), none).await
            }
            Self::Delete(queue) => channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.map(drop),
        };
        match outcome {
            Ok(()) => None,
            Err(error) => Some(code(&error)),
        }
    }
}

/// Publishes with a confirm; what the broker gave back because no queue takes it is an error of the test.
pub(super) async fn publish(channel: &Channel, exchange: &str, key: &str, properties: BasicProperties) -> Result<(), lapin::Error> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish(exchange.into(), key.into(), options, b"{}", properties).await?.await?;
    assert!(confirm.is_ack() && confirm.take_message().is_none(), "no queue takes {key} on {exchange}");
    Ok(())
}

/// The AMQP code of a refusal.
pub(super) fn code(error: &lapin::Error) -> u16 {
    match error.kind() {
        ErrorKind::ProtocolError(refusal) => refusal.get_id(),
        other => panic!("not a refusal by the broker: {other:?}"),
    }
}
