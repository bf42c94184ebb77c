//! Declaring, probing and deleting on throw-away channels: a refusal closes the channel it happens on, and must not take
//! anything else with it.

use super::{
    refusal,
    session::{OpenChannel, Session},
    topology,
};
use atshub_actors::ports::{BrokerError, QueueInfo, QueueSpec};
use atshub_schemas::topology::STORE;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{FieldTable, ShortString},
};
use std::future::Future;
use tokio::time::timeout;

/// A channel that is opened when needed and forgotten when it breaks.
pub(super) struct Scratch<'a> {
    session: &'a Session,
    open: Option<OpenChannel>,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session, open: None }
    }

    async fn channel(&mut self) -> Result<Channel, BrokerError> {
        let usable = self.open.take().filter(|open| open.channel.status().connected());
        let open = match usable {
            Some(open) => open,
            None => self.session.channel().await?,
        };
        Ok(self.open.insert(open).channel.clone())
    }

    /// Waits for one answer, within the limit; after an error the channel is not used again.
    async fn answer<T>(&mut self, what: &str, asked: impl Future<Output = lapin::Result<T>>) -> Result<Option<T>, BrokerError> {
        match timeout(self.session.options.answer_limit, asked).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(error)) => {
                self.open = None;
                if refusal::is_missing(&error) { Ok(None) } else { Err(self.session.judge(&error, what)) }
            }
            Err(_) => {
                self.open = None;
                Err(self.session.silent(what))
            }
        }
    }

    /// Declares the fixed exchanges and the queues at the end of the line. True if an exchange was not there.
    pub(super) async fn declare_fixed(&mut self) -> Result<bool, BrokerError> {
        let made = self.declare_exchanges().await?;
        for queue in topology::LAST_STOPS {
            let bindings = vec![(queue.to_owned(), String::new())];
            self.declare(&QueueSpec { name: queue.to_owned(), single_consumer: false, bindings, expires: None }).await?;
        }
        Ok(made)
    }

    async fn declare_exchanges(&mut self) -> Result<bool, BrokerError> {
        let mut made = false;
        for (name, kind) in topology::EXCHANGES {
            let what = format!("declare exchange `{name}`");
            let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
            let channel = self.channel().await?;
            let asked = channel.exchange_declare(name.into(), kind.clone(), passive, FieldTable::default());
            made |= self.answer(&what, asked).await?.is_none();
            let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
            let channel = self.channel().await?;
            let asked = channel.exchange_declare(name.into(), kind, options, topology::exchange_arguments(name));
            self.answer(&what, asked).await?.ok_or_else(|| BrokerError::Refused(format!("{what}: not found")))?;
        }
        Ok(made)
    }

    /// Marks the virtual host as this store's, or finds it so. The mark is an exchange that nobody publishes to; what it is declared with
    /// cannot be changed, so that of two that come at once one is refused.
    pub(super) async fn belongs_to(&mut self, store: &str) -> Result<(), BrokerError> {
        let what = format!("mark the virtual host as belonging to store `{store}`");
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let channel = self.channel().await?;
        let asked = channel.exchange_declare(STORE.into(), ExchangeKind::Fanout, options, topology::mark_of(store));
        match self.answer(&what, asked).await {
            Err(BrokerError::Refused(said)) if said.contains(topology::INEQUIVALENT) => {
                Err(BrokerError::Refused(topology::other_store(store, &said)))
            }
            answer => answer.map(drop),
        }
    }

    /// Takes the mark away.
    pub(super) async fn disown(&mut self) -> Result<(), BrokerError> {
        let channel = self.channel().await?;
        let asked = channel.exchange_delete(STORE.into(), ExchangeDeleteOptions::default());
        self.answer("take away the mark of the store", asked).await.map(drop)
    }

    /// Declares a queue and binds it. If it is not there, who wants to hear of that is told before it is made.
    pub(super) async fn declare(&mut self, spec: &QueueSpec) -> Result<(), BrokerError> {
        let queue = name(&spec.name)?;
        let what = format!("declare queue `{queue}`");
        let stays = spec.expires.is_none();
        let mut gone = false;
        if let Some(hears) = self.session.missing.get().filter(|_| stays)
            && self.probe(&spec.name).await?.is_none()
        {
            hears.missing(&spec.name).await.map_err(|cause| BrokerError::Away(format!("{what}: it is not there, and {cause}")))?;
            gone = true;
        }
        let arguments = topology::queue_arguments(spec, self.session.options.queue_type);
        let channel = self.channel().await?;
        let asked = channel.queue_declare(queue.clone(), QueueDeclareOptions::durable(), arguments);
        self.answer(&what, asked).await?.ok_or_else(|| BrokerError::Refused(format!("{what}: not found")))?;
        if gone {
            // No consumption may be listening.
            let _ = self.session.remade.send(spec.name.clone());
        }
        for (exchange, key) in &spec.bindings {
            if !self.bind(&spec.name, exchange, key).await? {
                // It was deleted: it is one of ours, or it is refused for good.
                self.declare_exchanges().await?;
                if !self.bind(&spec.name, exchange, key).await? {
                    let cause = format!("bind queue `{queue}` to `{exchange}` with `{key}`: there is no such exchange");
                    return Err(BrokerError::Refused(cause));
                }
            }
        }
        Ok(())
    }

    /// False: there is no such exchange.
    async fn bind(&mut self, queue: &str, exchange: &str, key: &str) -> Result<bool, BrokerError> {
        let what = format!("bind queue `{queue}` to `{exchange}` with `{key}`");
        let (queue, exchange, key) = (name(queue)?, name(exchange)?, name(key)?);
        let channel = self.channel().await?;
        let asked = channel.queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default());
        Ok(self.answer(&what, asked).await?.is_some())
    }

    /// What the broker says of a queue, or `None` if it is not there.
    pub(super) async fn probe(&mut self, queue: &str) -> Result<Option<QueueInfo>, BrokerError> {
        let what = format!("look at queue `{queue}`");
        let channel = self.channel().await?;
        let asked = channel.queue_declare(name(queue)?, QueueDeclareOptions::default().passive(), FieldTable::default());
        let found = self.answer(&what, asked).await?;
        Ok(found.map(|found| QueueInfo {
            name: queue.to_owned(),
            ready: u64::from(found.message_count()),
            unacked: None,
            consumers: found.consumer_count(),
        }))
    }

    /// Deletes a queue; one that is not there is deleted already.
    pub(super) async fn delete(&mut self, queue: &str) -> Result<(), BrokerError> {
        let what = format!("delete queue `{queue}`");
        let channel = self.channel().await?;
        let asked = channel.queue_delete(name(queue)?, QueueDeleteOptions::default());
        self.answer(&what, asked).await.map(|_| ())
    }
}

/// A name as AMQP carries it: 255 bytes at most.
pub(super) fn name(text: &str) -> Result<ShortString, BrokerError> {
    ShortString::try_new(text).map_err(|_| BrokerError::Refused(format!("a name of {} bytes is longer than AMQP's 255", text.len())))
}
