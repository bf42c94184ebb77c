//! One epoch: the connections that were made together and are given up together. Opens channels, and notices loss.
//! It does not reconnect: that is the keeper's work.
//!
//! Publishing has a connection of its own: a broker short of memory or disk stops reading from connections that publish,
//! and acknowledgements must not stand behind that.

use super::{options::RabbitOptions, refusal, wire};
use atshub_actors::ports::{BrokerError, Missing};
use futures_util::StreamExt as _;
use lapin::{
    Channel, Connection, ConnectionProperties, Event,
    uri::{AMQPScheme, AMQPUri},
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Mutex, Semaphore, broadcast, watch},
    time::timeout,
};
use tracing::warn;

/// Channels being opened at the same time, so that thousands of consumptions do not all start at once.
const OPENING_AT_ONCE: usize = 64;
/// Channels that the broker may close on a connection before no more are opened on it. lapin 4.12 keeps the error of a channel that the
/// broker closed under the channel's number (`channels_poison`), and gives it to whichever channel has that number next, as long as the
/// connection lives; and a channel that could not be opened keeps its number too.
const SPENT: usize = 100;
/// What a client of AMQP 0-9-1 says first.
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
/// Longest wait for the broker's goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

/// Queues that were made anew and of which a slow consumption has not heard yet; past these it looks for itself.
const REMADE: usize = 64;

/// Connections of one epoch.
pub(super) struct Session {
    /// Which one it is, from 1.
    pub(super) epoch: u64,
    pub(super) options: Arc<RabbitOptions>,
    /// Who hears of queues before they are made.
    pub(super) missing: Arc<OnceLock<Arc<dyn Missing>>>,
    /// Names of queues that had to be made anew: a consumer of the one that was there before hears nothing more, and the broker does not
    /// always say so.
    pub(super) remade: broadcast::Sender<String>,
    uri: AMQPUri,
    suspect: Arc<AtomicBool>,
    publishing: Connection,
    others: Mutex<Vec<Shelf>>,
    opening: Semaphore,
    lost: watch::Sender<Option<String>>,
    blocked: watch::Sender<Option<String>>,
}

/// A connection, and what became of the numbers of its channels.
struct Shelf {
    connection: Arc<Connection>,
    numbers: Arc<Numbers>,
}

/// The numbers of a connection's channels.
struct Numbers {
    taken: AtomicUsize,
    room: usize,
    spent: AtomicUsize,
    spendable: usize,
    /// The connection is not used any more: how it ends says nothing of the broker.
    retired: AtomicBool,
}

impl Numbers {
    /// Of a connection that may have so many channels.
    fn of(allowed: u16, wanted: u16) -> Arc<Self> {
        let allowed = usize::from(if allowed == 0 { u16::MAX } else { allowed });
        let spendable = SPENT.min(allowed / 8).max(1);
        let room = usize::from(wanted).min(allowed.saturating_sub(spendable)).max(1);
        Arc::new(Self { taken: AtomicUsize::new(0), room, spent: AtomicUsize::new(0), spendable, retired: AtomicBool::new(false) })
    }

    fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed) >= self.spendable
    }

    fn has_room(&self) -> bool {
        self.taken.load(Ordering::Relaxed) < self.room && !self.is_spent()
    }

    /// Whether it is of no use any more. It is closed when it is dropped.
    fn retires(&self) -> bool {
        let over = self.is_spent() && self.taken.load(Ordering::Relaxed) == 0;
        self.retired.fetch_or(over, Ordering::Relaxed) || over
    }
}

/// A channel, and its place on its connection.
pub(super) struct OpenChannel {
    /// The channel. Closed when dropped.
    pub(super) channel: Channel,
    place: Option<Place>,
}

impl Drop for OpenChannel {
    fn drop(&mut self) {
        // One that is still open is closed by us, and its number is given back.
        if let Some(Place(numbers)) = self.place.as_ref().filter(|_| !self.channel.status().connected()) {
            numbers.spent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Place(Arc<Numbers>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    /// Connects twice: to publish, and for everything else. `suspect` is set when nobody answers, and makes the next attempt
    /// ask first whether anybody does: lapin cannot give up a handshake, and each one that hangs keeps a thread.
    pub(super) async fn dial(
        uri: AMQPUri,
        options: Arc<RabbitOptions>,
        missing: Arc<OnceLock<Arc<dyn Missing>>>,
        suspect: Arc<AtomicBool>,
        epoch: u64,
    ) -> Result<Arc<Self>, BrokerError> {
        let lost = watch::Sender::new(None);
        let blocked = watch::Sender::new(None);
        let publishing = connect(&uri, &options, &suspect, "publisher").await?;
        listen(&publishing, &lost, &blocked, None);
        let session = Arc::new(Self {
            epoch,
            options,
            missing,
            remade: broadcast::channel(REMADE).0,
            uri,
            suspect,
            publishing,
            others: Mutex::new(Vec::new()),
            opening: Semaphore::new(OPENING_AT_ONCE),
            lost,
            blocked,
        });
        session.others.lock().await.push(session.shelf().await?);
        Ok(session)
    }

    async fn shelf(&self) -> Result<Shelf, BrokerError> {
        let connection = connect(&self.uri, &self.options, &self.suspect, "consumer").await?;
        let numbers = Numbers::of(connection.configuration().channel_max(), self.options.channels_per_connection);
        listen(&connection, &self.lost, &self.blocked, Some(Arc::clone(&numbers)));
        Ok(Shelf { connection: Arc::new(connection), numbers })
    }

    /// Opens a channel to consume or declare on, on a further connection if the others are full.
    pub(super) async fn channel(&self) -> Result<OpenChannel, BrokerError> {
        let _turn = self.opening.acquire().await.map_err(|_| BrokerError::Away("closed".to_owned()))?;
        let (connection, place) = {
            let mut shelves = self.others.lock().await;
            shelves.retain(|shelf| !shelf.numbers.retires());
            if !shelves.iter().any(|shelf| shelf.numbers.has_room()) {
                let another = self.shelf().await?;
                shelves.push(another);
            }
            let Some(shelf) = shelves.iter().find(|shelf| shelf.numbers.has_room()) else {
                return Err(BrokerError::Away("no connection has room for a channel".to_owned()));
            };
            shelf.numbers.taken.fetch_add(1, Ordering::Relaxed);
            (Arc::clone(&shelf.connection), Place(Arc::clone(&shelf.numbers)))
        };
        let channel = self.number(&connection, "open a channel").await?;
        Ok(OpenChannel { channel, place: Some(place) })
    }

    /// A channel with a number that is not spent.
    async fn number(&self, connection: &Connection, what: &str) -> Result<Channel, BrokerError> {
        let mut spent = 0;
        loop {
            match timeout(self.options.answer_limit, connection.create_channel()).await {
                Ok(Ok(channel)) => return Ok(channel),
                // What an earlier channel of the same number was closed for.
                Ok(Err(error)) if error.is_amqp_soft_error() && spent <= SPENT => spent += 1,
                Ok(Err(error)) => return Err(self.judge(&error, what)),
                Err(_) => return Err(self.silent(what)),
            }
        }
    }

    /// Opens a channel to publish on. Its connection is not replaced alone: when its numbers are spent, the session is over.
    pub(super) async fn publishing_channel(&self) -> Result<OpenChannel, BrokerError> {
        let opened = self.number(&self.publishing, "open a channel to publish").await;
        if let (Err(error), true) = (&opened, self.publishing.status().connected()) {
            self.fail(&error.to_string());
        }
        Ok(OpenChannel { channel: opened?, place: None })
    }

    /// Sorts an error of an operation; one of the whole connection ends the session.
    pub(super) fn judge(&self, error: &lapin::Error, what: &str) -> BrokerError {
        if !self.publishing.status().connected() {
            self.fail(&refusal::words(error));
        }
        refusal::of(error, what)
    }

    /// No answer within the limit: the session is over, whatever its connections say of themselves.
    pub(super) fn silent(&self, what: &str) -> BrokerError {
        let cause = format!("no answer within {} s to: {what}", self.options.answer_limit.as_secs());
        self.fail(&cause);
        BrokerError::Away(cause)
    }

    /// Gives the session up. The first cause stands.
    pub(super) fn fail(&self, cause: &str) {
        note_loss(&self.lost, cause);
    }

    /// Changes to the cause when the session is given up.
    pub(super) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// Why the broker takes no publications for now (memory, disk), if it said so.
    pub(super) fn blocked(&self) -> Option<String> {
        self.blocked.borrow().clone()
    }

    /// Notices a connection that died without an event.
    pub(super) async fn check(&self) {
        let others = self.others.lock().await.iter().all(|shelf| shelf.connection.status().connected());
        if !others || !self.publishing.status().connected() {
            self.fail("a connection is no longer open");
        }
    }

    /// Says goodbye on all connections, not longer than the limit.
    pub(super) async fn close(&self) {
        let shelves = self.others.lock().await;
        let all = shelves.iter().map(|shelf| &*shelf.connection).chain([&self.publishing]);
        let goodbyes = all.map(|connection| timeout(GOODBYE_LIMIT, connection.close(200, "closing".into())));
        // One that is gone already has nobody to say goodbye to.
        let _ = futures_util::future::join_all(goodbyes).await;
    }
}

/// Connects once, within the limit.
async fn connect(uri: &AMQPUri, options: &RabbitOptions, suspect: &AtomicBool, role: &str) -> Result<Connection, BrokerError> {
    let limit = options.connect_limit;
    let silent = || {
        let seconds = limit.as_secs();
        BrokerError::Away(format!(
            "connect: no handshake within {seconds} s; a broker that is out of file handles accepts connections and never serves them"
        ))
    };
    if suspect.load(Ordering::Relaxed) && uri.scheme == AMQPScheme::AMQP {
        match timeout(limit, greets(uri)).await {
            Ok(Ok(())) => {}
            Ok(Err(cause)) => return Err(BrokerError::Away(format!("connect: {cause}"))),
            Err(_) => return Err(silent()),
        }
    }
    let name = format!("{} {role}", options.connection_name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    let attempt = timeout(limit, wire::connect(uri.clone(), options.tls.clone(), properties)).await;
    suspect.store(attempt.is_err(), Ordering::Relaxed);
    match attempt {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(refusal::of(&error, "connect")),
        Err(_) => Err(silent()),
    }
}

/// Offers AMQP and waits for the first byte of the answer.
async fn greets(uri: &AMQPUri) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((uri.authority.host.as_str(), uri.authority.port)).await?;
    stream.write_all(PROTOCOL_HEADER).await?;
    stream.read_u8().await.map(drop)
}

/// Follows what lapin says of a connection until it is gone, or of no use any more.
fn listen(
    connection: &Connection,
    lost: &watch::Sender<Option<String>>,
    blocked: &watch::Sender<Option<String>>,
    numbers: Option<Arc<Numbers>>,
) {
    let mut events = Box::pin(connection.events_listener());
    let (lost, blocked) = (lost.clone(), blocked.clone());
    if !connection.status().connected() {
        note_loss(&lost, "the connection closed at once");
    }
    let mut over = lost.subscribe();
    tokio::spawn(async move {
        loop {
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                _ = over.wait_for(Option::is_some) => None,
            };
            match event {
                _ if numbers.as_ref().is_some_and(|numbers| numbers.retired.load(Ordering::Relaxed)) => return,
                // A soft error ends one channel; its owner sees to it.
                Some(Event::Error(error)) if !error.is_amqp_soft_error() => note_loss(&lost, &refusal::words(&error)),
                Some(Event::ConnectionBlocked(reason)) => {
                    warn!(reason, "the broker takes no publications for now");
                    blocked.send_replace(Some(reason));
                }
                Some(Event::ConnectionUnblocked) => {
                    blocked.send_replace(None);
                }
                Some(_) => {}
                None => return,
            }
        }
    });
}

fn note_loss(lost: &watch::Sender<Option<String>>, cause: &str) {
    lost.send_if_modified(|known| {
        let first = known.is_none();
        if first {
            *known = Some(cause.to_owned());
        }
        first
    });
}
