//! What broker and database take by themselves: a message confirmed by a quorum queue and a row committed, again and again while
//! the load lasts, on connections of their own, past the hub. Where these slow down, so does whatever stands on them.

use crate::ground::Ground;
use futures_util::{FutureExt, future::BoxFuture};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;

/// Between two of them.
const EVERY: Duration = Duration::from_millis(50);
const QUEUE: &str = "atshub-bench";
/// The queue keeps so many: nobody takes them.
const KEPT: i64 = 10;
/// AMQP's "keep it on disk".
const PERSISTENT: u8 = 2;

/// How long each took.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) confirm: Vec<Duration>,
    pub(crate) commit: Vec<Duration>,
}

/// Both, until they are asked for their times.
pub(crate) struct Alone {
    stop: Arc<AtomicBool>,
    confirm: JoinHandle<Vec<Duration>>,
    commit: JoinHandle<Vec<Duration>>,
}

impl Alone {
    pub(crate) async fn begin(ground: &Ground) -> Self {
        let connection = Connection::connect(&ground.node.url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(KEPT));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), options, arguments).await.unwrap();

        let (client, driver) = tokio_postgres::connect(&ground.server.url(), NoTls).await.unwrap();
        tokio::spawn(driver);
        client.batch_execute("create table bench_alone (at timestamptz not null)").await.unwrap();
        let insert = client.prepare("insert into bench_alone values (now())").await.unwrap();

        let stop = Arc::new(AtomicBool::new(false));
        let confirm = tokio::spawn(repeat(Arc::clone(&stop), (connection, channel), |(_, channel)| {
            async move {
                let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
                let sent = channel.basic_publish("".into(), QUEUE.into(), BasicPublishOptions::default(), b"{}", properties).await;
                sent.unwrap().await.unwrap();
            }
            .boxed()
        }));
        let commit = tokio::spawn(repeat(Arc::clone(&stop), (client, insert), |(client, insert)| {
            async move {
                client.execute(insert, &[]).await.unwrap();
            }
            .boxed()
        }));
        Self { stop, confirm, commit }
    }

    pub(crate) async fn end(self) -> Times {
        self.stop.store(true, Ordering::Relaxed);
        Times { confirm: self.confirm.await.unwrap(), commit: self.commit.await.unwrap() }
    }
}

/// Does it every so often until it is told to stop. Answers with how long each took, sorted.
async fn repeat<T>(stop: Arc<AtomicBool>, with: T, act: impl Fn(&T) -> BoxFuture<'_, ()>) -> Vec<Duration> {
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        act(&with).await;
        times.push(began.elapsed());
        tokio::time::sleep(EVERY.saturating_sub(began.elapsed())).await;
    }
    times.sort_unstable();
    times
}
