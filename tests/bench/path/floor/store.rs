//! The store of the program by hand: inbox, candidacies and outbox. Changes that come together share a transaction, a statement
//! each, sent without waiting for the one before.

use super::relay;
use crate::{amqp::Outcome, platform::ROLE};
use atshub_schemas::TenantName;
use futures_util::future::try_join_all;
use lapin::Connection;
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_postgres::{Client, NoTls, Statement, types::ToSql};

/// Changes in one transaction at most.
const TOGETHER: usize = 64;
/// Changes that wait for a transaction at most.
const WAITING: usize = 4096;

const SCHEMA: &str = "
create table inbox (tenant text, message text, at timestamptz not null default now(), primary key (tenant, message));
create table candidacy (tenant text, application text, email text not null, role text not null, name text not null, url text not null,
    state text not null, begun int not null default 0, written int not null default 0, link text, primary key (tenant, application));
create unique index candidacy_live on candidacy (tenant, email, role) where state in ('inviting', 'invited');
create table outbox (number bigserial primary key, exchange text not null, key text not null, message text not null, body bytea not null,
    claimed_until timestamptz);";

/// Whether the message is new decides all the rest; `made` is what it changes, and what follows is sent only if it changed it.
fn statement(made: &str, first_out: usize) -> String {
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| first_out + n);
    format!(
        "with new as (insert into inbox (tenant, message) values ($1, $2) on conflict do nothing returning tenant), made as ({made}) \
         insert into outbox (exchange, key, message, body) select o.* from made, unnest(${a}::text[], ${b}::text[], ${c}::text[], ${d}::bytea[]) o"
    )
}

/// What one message changes.
pub(super) enum Change {
    /// Nothing but that it is handled.
    Handled,
    /// A candidacy begins.
    Received { application: String, email: String, name: String, url: String },
    /// The platform is about to be asked. Not handled yet.
    Begins { application: String },
    /// The platform has invited.
    Invited { application: String, link: String },
    /// A status goes out, unless a newer one has.
    Wrote { application: String, sequence: i32 },
}

/// What is known of a candidacy whose invitation begins.
pub(super) struct Found {
    pub(super) email: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) begun: i32,
}

/// One message to publish.
#[derive(Debug, Default)]
pub(super) struct Out {
    pub(super) exchange: String,
    pub(super) key: String,
    pub(super) message: String,
    pub(super) body: Vec<u8>,
}

impl Out {
    pub(super) fn new(exchange: &str, key: String, message: &str, body: Vec<u8>) -> Self {
        Self { exchange: exchange.to_owned(), key, message: message.to_owned(), body }
    }
}

struct Job {
    tenant: String,
    message: String,
    change: Change,
    outs: Vec<Out>,
    reply: oneshot::Sender<Option<Found>>,
}

/// Takes changes.
pub(super) struct Store(mpsc::Sender<Job>);

impl Store {
    /// Ends when the change is durable. `Some` is the candidacy that begins, if it may.
    pub(super) async fn commit(&self, tenant: &TenantName, message: &str, change: Change, outs: Vec<Out>) -> Outcome<Option<Found>> {
        let (reply, answer) = oneshot::channel();
        let job = Job { tenant: tenant.to_string(), message: message.to_owned(), change, outs, reply };
        self.0.send(job).await.map_err(|_| "the store is closed")?;
        Ok(answer.await?)
    }
}

pub(super) async fn connect(url: &str) -> Outcome<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

type Running = Pin<Box<dyn Future<Output = Outcome<()>> + Send>>;

/// Lays out the schema. What comes back takes changes; and, to be run beside it, publishes what follows from them.
pub(super) async fn open(url: &str, broker: &Connection) -> Outcome<(Store, Running)> {
    let mut client = connect(url).await?;
    client.batch_execute(SCHEMA).await?;
    let (sender, mut waiting) = mpsc::channel(WAITING);
    let bell = Arc::new(Notify::new());
    let relay = relay::run(connect(url).await?, crate::amqp::confirming(broker).await?, Arc::clone(&bell));
    let statements = Statements::prepare(&client).await?;
    let write = async move {
        let mut jobs = Vec::with_capacity(TOGETHER);
        while waiting.recv_many(&mut jobs, TOGETHER).await > 0 {
            let transaction = client.transaction().await?;
            let found = try_join_all(jobs.iter().map(|job| statements.run(transaction.client(), job))).await?;
            transaction.commit().await?;
            if jobs.iter().any(|job| !job.outs.is_empty()) {
                bell.notify_one();
            }
            for (job, found) in jobs.drain(..).zip(found) {
                let _ = job.reply.send(found); // a task that is gone has no delivery to acknowledge
            }
        }
        Ok(())
    };
    Ok((Store(sender), Box::pin(async move { tokio::try_join!(write, relay).map(drop) })))
}

struct Statements {
    handled: Statement,
    received: Statement,
    begins: Statement,
    invited: Statement,
    wrote: Statement,
}

impl Statements {
    async fn prepare(client: &Client) -> Outcome<Self> {
        let received = "insert into candidacy (tenant, application, email, role, name, url, state) select tenant, $3, $4, $5, $6, $7, 'received' \
                        from new on conflict do nothing returning tenant";
        let begins = "update candidacy set state = 'inviting', begun = begun + 1 where tenant = $1 and application = $3 and state in ('received', 'inviting') \
                      and not exists (select from inbox where tenant = $1 and message = $2) returning email, name, url, begun";
        let invited = "update candidacy c set state = 'invited', link = $4 from new where c.tenant = new.tenant and application = $3 \
                       and state = 'inviting' returning c.tenant";
        let wrote = "update candidacy c set written = $4 from new where c.tenant = new.tenant and application = $3 and written < $4 returning c.tenant";
        Ok(Self {
            handled: client.prepare(&statement("select from new", 3)).await?,
            received: client.prepare(&statement(received, 8)).await?,
            begins: client.prepare(begins).await?,
            invited: client.prepare(&statement(invited, 5)).await?,
            wrote: client.prepare(&statement(wrote, 5)).await?,
        })
    }

    async fn run(&self, client: &Client, job: &Job) -> Outcome<Option<Found>> {
        let column = |of: fn(&Out) -> &String| job.outs.iter().map(|out| of(out).as_str()).collect::<Vec<_>>();
        let (exchanges, keys, messages) = (column(|o| &o.exchange), column(|o| &o.key), column(|o| &o.message));
        let bodies: Vec<&[u8]> = job.outs.iter().map(|out| out.body.as_slice()).collect();
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&job.tenant, &job.message];
        let statement = match &job.change {
            Change::Handled => &self.handled,
            Change::Received { application, email, name, url } => {
                values.extend::<[&(dyn ToSql + Sync); 5]>([application, email, &ROLE.1, name, url]);
                &self.received
            }
            Change::Begins { application } => {
                values.push(application);
                let row = client.query_opt(&self.begins, &values).await?;
                return Ok(row.map(|row| Found { email: row.get(0), name: row.get(1), url: row.get(2), begun: row.get(3) }));
            }
            Change::Invited { application, link } => {
                values.extend::<[&(dyn ToSql + Sync); 2]>([application, link]);
                &self.invited
            }
            Change::Wrote { application, sequence } => {
                values.extend::<[&(dyn ToSql + Sync); 2]>([application, sequence]);
                &self.wrote
            }
        };
        values.extend::<[&(dyn ToSql + Sync); 4]>([&exchanges, &keys, &messages, &bodies]);
        client.execute(statement, &values).await?;
        Ok(None)
    }
}
