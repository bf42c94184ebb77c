//! The bridges: take each tenant's commands, put them on the [`Board`], and answer each, as the README for bridge authors asks.

use crate::{
    amqp::{self, Outcome},
    board::Board,
};
use atshub_schemas::{Envelope, ExternalId, Line, Message, TenantName, command::CommandDone, topology};
use futures_util::{StreamExt, future::try_join_all};
use jiff::Timestamp;
use lapin::{Connection, options::BasicAckOptions};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Commands in hand at once, for each tenant.
const PREFETCH: u16 = 64;
/// Wait before a queue is asked for again that its program has not declared yet.
const AGAIN: Duration = Duration::from_millis(200);
/// Longest wait for a program to declare its tenants' queues.
const LIMIT: Duration = Duration::from_secs(60);

/// All bridges. They stop when dropped.
pub(crate) struct Bridges {
    tasks: JoinSet<()>,
    answered: Arc<AtomicUsize>,
    _connection: Connection,
}

impl Bridges {
    /// Starts to perform commands.
    pub(crate) async fn start(url: &str, tenants: &[TenantName], board: &Arc<Board>) -> Self {
        let connection = amqp::connect(url).await.unwrap();
        let (mut tasks, answered) = (JoinSet::new(), Arc::<AtomicUsize>::default());
        let channels = try_join_all(tenants.iter().map(|tenant| consuming(&connection, tenant))).await.unwrap();
        for (tenant, (channel, consumer)) in tenants.iter().zip(channels) {
            let (tenant, board, answered) = (tenant.clone(), Arc::clone(board), Arc::clone(&answered));
            tasks.spawn(async move {
                if let Err(error) = perform(&tenant, &channel, consumer, &board, &answered).await {
                    eprintln!("the bridge of {tenant} stops: {error}");
                }
            });
        }
        Self { tasks, answered, _connection: connection }
    }

    /// Commands answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether one of them has stopped, which leaves commands unanswered.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.tasks.try_join_next().is_some()
    }
}

async fn consuming(connection: &Connection, tenant: &TenantName) -> Outcome<(lapin::Channel, lapin::Consumer)> {
    let began = Instant::now();
    loop {
        // A queue that is not there closes the channel that asked.
        let channel = amqp::confirming(connection).await?;
        match amqp::consume(&channel, &topology::commands_queue(tenant), PREFETCH).await {
            Ok(consumer) => return Ok((channel, consumer)),
            Err(error) if began.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn perform(
    tenant: &TenantName,
    channel: &lapin::Channel,
    mut consumer: lapin::Consumer,
    board: &Board,
    answered: &AtomicUsize,
) -> Outcome<()> {
    let source = Line::new(format!("/bridges/bench/{tenant}"))?;
    let mut known = HashSet::new();
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let command = Envelope::decode(&delivery.data)?;
        if known.insert(command.id.clone()) {
            match &command.message {
                Message::StatusSet(status) => board.status(number(&status.application.id)?, status.code.as_str(), status.sequence),
                Message::NoteAdded(note) => board.note(number(&note.application.id)?),
                _ => {}
            }
        }
        let done = Message::CommandDone(CommandDone { command_id: command.id, external_id: None });
        let answer = Envelope::new(source.clone(), tenant.clone(), Timestamp::now(), done);
        let confirm = amqp::publish(channel, topology::EVENTS, &answer.routing_key(), answer.id.as_str(), &answer.encode()?).await?;
        // Acknowledged when the broker has the answer; the next command is performed meanwhile.
        let acker = delivery.acker;
        answered.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            match confirm.await {
                Ok(()) => drop(acker.ack(BasicAckOptions::default()).await),
                Err(error) => eprintln!("an answer was not taken: {error}"),
            }
        });
    }
    Ok(())
}

/// The candidacy's number, which its application is named after.
fn number(application: &ExternalId) -> Outcome<usize> {
    Ok(application.as_str().rsplit('-').next().unwrap_or_default().parse()?)
}
