//! The load: facts of candidates who are moved to the stage that invites, published with confirms, at a rate or all at once. Sent
//! at its time whatever the program does: one that falls behind is not spared.

use crate::{
    amqp::{self, Outcome},
    board::Board,
    platform::ROLE,
};
use atshub_schemas::{
    Envelope, ExternalId, Line, Message, TenantName,
    fact::{Application, ApplicationChange, Candidate, Job, Person, Stage},
    topology,
};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use std::{ops::Range, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The stage that invites.
pub(crate) const TRIGGER: &str = "Assessment";
/// Facts whose confirms may be outstanding in a burst.
const WINDOW: usize = 500;

/// Publishes for some tenants, one after the other.
pub(crate) struct Load {
    channel: lapin::Channel,
    tenants: Vec<TenantName>,
    board: Arc<Board>,
    /// Candidacies so far: the next one's number.
    count: usize,
    _connection: lapin::Connection,
}

impl Load {
    pub(crate) async fn new(url: &str, tenants: &[TenantName], board: &Arc<Board>) -> Self {
        let connection = amqp::connect(url).await.unwrap();
        let channel = amqp::confirming(&connection).await.unwrap();
        Self { channel, tenants: tenants.to_vec(), board: Arc::clone(board), count: 0, _connection: connection }
    }

    /// Sends so many evenly spaced over their time. Answers with their numbers.
    pub(crate) async fn steady(&mut self, rate: f64, count: usize) -> Outcome<Range<usize>> {
        let (began, first) = (Instant::now(), self.count);
        let mut confirms = Vec::with_capacity(count);
        for n in 0..count {
            tokio::time::sleep_until(began + Duration::from_secs_f64(n as f64 / rate)).await;
            confirms.push(self.send().await?);
        }
        try_join_all(confirms).await?;
        Ok(first..self.count)
    }

    /// Sends so many as fast as the broker takes them. Answers with their numbers.
    pub(crate) async fn burst(&mut self, count: usize) -> Outcome<Range<usize>> {
        let first = self.count;
        while self.count < first + count {
            let mut confirms = Vec::with_capacity(WINDOW);
            for _ in 0..WINDOW.min(first + count - self.count) {
                confirms.push(self.send().await?);
            }
            try_join_all(confirms).await?;
        }
        Ok(first..self.count)
    }

    async fn send(&mut self) -> Outcome<impl Future<Output = Outcome<()>> + Send + use<>> {
        let number = self.count;
        self.count += 1;
        let tenant = self.tenants.get(number % self.tenants.len()).ok_or("there are no tenants")?;
        let envelope = moved(tenant, number)?;
        let body = envelope.encode()?;
        self.board.sent(number);
        amqp::publish(&self.channel, topology::EVENTS, &envelope.routing_key(), envelope.id.as_str(), &body).await
    }
}

/// A fact as a bridge publishes it.
fn moved(tenant: &TenantName, number: usize) -> Outcome<Envelope> {
    let application = ExternalId::new(format!("a-{number}"))?;
    let fact = ApplicationChange {
        application: Application {
            id: application.clone(),
            url: Some(format!("https://ats.example/{tenant}/{application}").parse()?),
            status: None,
        },
        candidate: Some(Candidate {
            id: Some(ExternalId::new(format!("p-{number}"))?),
            name: Some(Line::new(format!("Candidate {number}"))?),
            email: Some(format!("c-{number}@{tenant}.example").parse()?),
            ..Candidate::default()
        }),
        job: Some(Job { id: Some("j-1".parse()?), title: Some("Engineer".parse()?), role: Some(ROLE.1.parse()?), ..Job::default() }),
        recruiter: Some(Person { id: None, name: None, email: Some("recruiter@example.org".parse()?) }),
        grader: None,
        from_stage: None,
        to_stage: Some(Stage { id: None, name: Some(TRIGGER.parse()?) }),
        reason: None,
    };
    let source = Line::new(format!("/bridges/bench/{tenant}"))?;
    let mut envelope = Envelope::new(source, tenant.clone(), Timestamp::now(), Message::ApplicationMoved(fact));
    envelope.subject = Some(ExternalId::new(format!("application/{application}"))?);
    Ok(envelope)
}
