//! The path by hand, in plain Rust: lapin and tokio-postgres, with the hub's guarantees on the good way and nothing else. What is
//! handled is in the inbox, what it changes and what follows from it stand in the same transaction, the relay publishes with
//! confirms, a delivery is acknowledged last, and an invitation is durably begun before the platform is asked. No rules, no
//! supervision, no journal, no retries, no fairness: what the hub costs beside this is what those cost.

mod relay;
mod store;
mod topology;

use crate::{
    amqp::{self, Outcome},
    platform::{PATH, ROLE, TOKEN},
};
use atshub_schemas::{
    Envelope, Line, Message, TenantName,
    command::{NoteAdded, StatusSet},
    fact::Application,
    topology::{COMMANDS, INVITES, WORK, tenant_queue, tenant_work_key},
};
use futures_util::StreamExt;
use jiff::Timestamp;
use lapin::{Channel, Consumer, message::Delivery, options::BasicAckOptions};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{Change, Out, Store};

/// As the hub has them: deliveries in hand for each tenant, and for invitations.
const PREFETCH: u16 = 16;
const INVITE_PREFETCH: u16 = 64;

/// A command on its way through the tenant's queue, so that one place holds an ATS's limit.
#[derive(Serialize, Deserialize)]
struct Hop {
    id: String,
    application: String,
    /// Of a status; a note has none.
    sequence: Option<i32>,
    command: Value,
}

/// A candidacy whose invitation is to be asked for.
#[derive(Serialize, Deserialize)]
struct Wanted {
    id: String,
    tenant: TenantName,
    application: String,
}

struct Hand {
    store: Store,
    http: reqwest::Client,
    platform: String,
}

/// Lays out schema and topology, starts to consume, tells `ready`, and runs until its task is dropped or something fails.
pub(crate) async fn serve(
    broker: &str,
    database: &str,
    platform: &str,
    tenants: &[TenantName],
    ready: impl FnOnce() + Send,
) -> Outcome<()> {
    let connection = amqp::connect(broker).await?;
    topology::declare(&connection, tenants).await?;
    let (store, relay) = store::open(database, &connection).await?;
    let http = atshub_simulators::loopback_client(std::time::Duration::from_secs(10))?;
    let hand = Arc::new(Hand { store, http, platform: format!("{platform}{PATH}") });
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(relay);
    for tenant in tenants {
        let channel = connection.create_channel().await?;
        let consumer = amqp::consume(&channel, &tenant_queue(tenant), PREFETCH).await?;
        let (hand, tenant) = (Arc::clone(&hand), tenant.clone());
        tasks.spawn(consume(channel, consumer, move |delivery| {
            let (hand, tenant) = (Arc::clone(&hand), tenant.clone());
            async move { hand.tenant_message(&tenant, &delivery).await }
        }));
    }
    let channel = connection.create_channel().await?;
    let consumer = amqp::consume(&channel, INVITES, INVITE_PREFETCH).await?;
    tasks.spawn(consume(channel, consumer, move |delivery| {
        let hand = Arc::clone(&hand);
        async move { hand.invite(&serde_json::from_slice(&delivery.data)?).await }
    }));
    ready();
    match tasks.join_next().await {
        Some(Ok(Err(error))) => Err(error),
        _ => Err("a part of it ended".into()),
    }
}

/// Handles deliveries side by side, and acknowledges each when its work is durable. One that fails stays unacknowledged.
async fn consume<F>(_channel: Channel, mut consumer: Consumer, handle: impl Fn(Arc<Delivery>) -> F) -> Outcome<()>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    while let Some(delivery) = consumer.next().await {
        let delivery = Arc::new(delivery?);
        let work = handle(Arc::clone(&delivery));
        tokio::spawn(async move {
            match work.await {
                Ok(()) => drop(delivery.acker.ack(BasicAckOptions::default()).await),
                Err(error) => eprintln!("the program by hand could not handle a message: {error}"),
            }
        });
    }
    Err("a consumer ended".into())
}

impl Hand {
    async fn tenant_message(&self, tenant: &TenantName, delivery: &Delivery) -> Outcome<()> {
        if delivery.exchange.as_str() == WORK {
            let hop: Hop = serde_json::from_slice(&delivery.data)?;
            let command = Envelope::decode(&serde_json::to_vec(&hop.command)?)?;
            let out = Out::new(COMMANDS, command.routing_key(), command.id.as_str(), command.encode()?);
            let change = hop.sequence.map_or(Change::Handled, |sequence| Change::Wrote { application: hop.application, sequence });
            return self.store.commit(tenant, &hop.id, change, vec![out]).await.map(drop);
        }
        let envelope = Envelope::decode(&delivery.data)?;
        let Message::ApplicationMoved(fact) = envelope.message else {
            return self.store.commit(tenant, envelope.id.as_str(), Change::Handled, vec![]).await.map(drop);
        };
        let candidate = fact.candidate.ok_or("the fact has no candidate")?;
        let application = fact.application.id.to_string();
        let received = to_tenant(tenant, &application, Some(1), status(&fact.application, "received", "Received", 1, None)?)?;
        let id = uuid::Uuid::now_v7().to_string();
        let wanted = serde_json::to_vec(&Wanted { id: id.clone(), tenant: tenant.clone(), application: application.clone() })?;
        let new = Change::Received {
            application,
            email: candidate.email.ok_or("the candidate has no e-mail address")?.key(),
            name: candidate.name.ok_or("the candidate has no name")?.to_string(),
            url: fact.application.url.ok_or("the application has no address")?.to_string(),
        };
        let outs = vec![received, Out::new(WORK, INVITES.to_owned(), &id, wanted)];
        self.store.commit(tenant, envelope.id.as_str(), new, outs).await.map(drop)
    }

    async fn invite(&self, wanted: &Wanted) -> Outcome<()> {
        let (tenant, application) = (&wanted.tenant, &wanted.application);
        let begin = Change::Begins { application: application.clone() };
        let Some(found) = self.store.commit(tenant, &wanted.id, begin, vec![]).await? else { return Ok(()) };
        if found.begun > 1 {
            // The look before a repetition is no part of the good way; without it nothing may be repeated.
            return Err(format!("{application} was begun before").into());
        }
        let query = "mutation createInvitation($name: String!, $email: String!, $roleId: ID!, $atsUrl: String) { createInvitation(input: \
                     {name: $name, email: $email, roleId: $roleId, atsUrl: $atsUrl}) { assessment { id candidacy { id } link } errors { message } } }";
        let variables = json!({"name": found.name, "email": found.email, "roleId": ROLE.0, "atsUrl": found.url});
        let asked = self.http.post(&self.platform).bearer_auth(TOKEN).json(&json!({"query": query, "variables": variables}));
        let said: Value = asked.send().await?.error_for_status()?.json().await?;
        let link = said.pointer("/data/createInvitation/assessment/link").and_then(Value::as_str).ok_or("the platform gave no link")?;
        let about = Application { id: application.parse()?, url: None, status: None };
        let marker = Line::new(format!("[bench:{application}-invited]"))?;
        let note = NoteAdded {
            application: about.clone(),
            candidate: None,
            body: format!("Invited to the interview for {}. {link}\n\n{marker}", ROLE.1).parse()?,
            marker,
        };
        let outs = vec![
            to_tenant(tenant, application, Some(2), status(&about, "invited", "Invited", 2, Some(link))?)?,
            to_tenant(tenant, application, None, Message::NoteAdded(note))?,
        ];
        let change = Change::Invited { application: application.clone(), link: link.to_owned() };
        self.store.commit(tenant, &wanted.id, change, outs).await.map(drop)
    }
}

fn status(application: &Application, code: &str, text: &str, sequence: u64, link: Option<&str>) -> Outcome<Message> {
    Ok(Message::StatusSet(StatusSet {
        application: application.clone(),
        candidate: None,
        field: "Status".parse()?,
        text: text.parse()?,
        code: code.parse()?,
        sequence,
        link: link.map(str::parse).transpose()?,
    }))
}

fn to_tenant(tenant: &TenantName, application: &str, sequence: Option<i32>, command: Message) -> Outcome<Out> {
    let id = uuid::Uuid::now_v7().to_string();
    let command = Envelope::new("/bench/floor".parse()?, tenant.clone(), Timestamp::now(), command).to_value()?;
    let hop = Hop { id: id.clone(), application: application.to_owned(), sequence, command };
    Ok(Out::new(WORK, tenant_work_key(tenant), &id, serde_json::to_vec(&hop)?))
}
