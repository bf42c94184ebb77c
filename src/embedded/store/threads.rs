//! The threads that own the connections: one writes, in groups, a few read. Callers only wait for answers, so that a
//! caller's thread that stands still holds up nobody. Knows nothing of what is written.

use super::connection::{BUSY, Fault, reading, writing};
use atshub_actors::ports::StoreError;
use rusqlite::Connection;
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Most pieces of work in one transaction.
const GROUP: usize = 64;
/// Most pieces that wait; whoever comes then waits for room.
const WAITING: usize = 1_024;
/// Connections that read.
const READERS: usize = 3;
/// How long wiping waits for readers. It is tried again with the next deletion, and by the database itself.
const WIPE_PATIENCE: Duration = Duration::from_millis(250);

/// What a piece of work leaves behind.
pub(super) enum Kept<T> {
    /// Its writes, and this answer.
    All(T),
    /// None of its writes, and this answer.
    Nothing(T),
}

/// A piece of work of the writer's group.
trait Piece: Send {
    /// Does it; false if its writes are to be undone.
    fn apply(&mut self, connection: &Connection) -> bool;
    /// The group is durable, or it failed as a whole.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
    /// What it deleted is to be gone from the log as well.
    fn wipes(&self) -> bool;
    /// Why the store did not do it, if it was the store.
    fn fault(&self) -> Option<&StoreError>;
    /// It only asks how the store fares.
    fn looks(&self) -> bool;
}

/// What the last piece of work that was no look came to.
type Fares = Arc<Mutex<Option<StoreError>>>;

struct Call<T, W> {
    work: Option<W>,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    kind: Kind,
}

/// What a piece of work is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Writes,
    Wipes,
    Looks,
}

impl<T, W> Piece for Call<T, W>
where
    T: Send,
    W: FnOnce(&Connection) -> Result<Kept<T>, Fault> + Send,
{
    fn apply(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        let (result, keep) = match work(connection) {
            Ok(Kept::All(value)) => (Ok(value), true),
            Ok(Kept::Nothing(value)) => (Ok(value), false),
            Err(fault) => (Err(fault.into()), false),
        };
        self.result = result;
        keep
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        // Whoever asked may have gone.
        let _gone = self.reply.send(failed.map_or(self.result, |error| Err(error.clone())));
    }

    fn wipes(&self) -> bool {
        self.kind == Kind::Wipes
    }

    fn fault(&self) -> Option<&StoreError> {
        self.result.as_ref().err().filter(|error| matches!(error, StoreError::Away(_) | StoreError::Broken(_)))
    }

    fn looks(&self) -> bool {
        self.kind == Kind::Looks
    }
}

type Reading = Box<dyn FnOnce(&Connection) + Send>;

/// The threads, by their lines. They end when this is dropped, after what is in line.
pub(super) struct Threads {
    writer: mpsc::Sender<Box<dyn Piece>>,
    /// None in memory: there is but one connection.
    readers: Option<mpsc::Sender<Reading>>,
    fares: Fares,
}

impl Threads {
    pub(super) fn start(path: Option<&Path>) -> Result<Self, StoreError> {
        let failed = |e: std::io::Error| StoreError::Broken(format!("no thread for the store: {e}"));
        let connection = writing(path)?;
        let (writer, pieces) = mpsc::channel(WAITING);
        let fares = Fares::default();
        let told = Arc::clone(&fares);
        std::thread::Builder::new().name("store-writer".into()).spawn(move || write(&connection, pieces, &told)).map_err(failed)?;
        let Some(path) = path else { return Ok(Self { writer, readers: None, fares }) };
        let (readers, readings) = mpsc::channel::<Reading>(WAITING);
        let readings = Arc::new(Mutex::new(readings));
        for _ in 0..READERS {
            let connection = reading(path)?;
            let readings = Arc::clone(&readings);
            std::thread::Builder::new().name("store-reader".into()).spawn(move || read(&connection, &readings)).map_err(failed)?;
        }
        Ok(Self { writer, readers: Some(readers), fares })
    }

    /// Has the writer do this, in a group with others; its writes are durable when this answers.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<Kept<T>, Fault> + Send + 'static,
    {
        self.call(work, Kind::Writes).await
    }

    /// The same for work that deletes what must not be found on the disk again.
    pub(super) async fn wipe<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<Kept<T>, Fault> + Send + 'static,
    {
        self.call(work, Kind::Wipes).await
    }

    /// Has the writer do this, which only asks whether writing works; a fault of the last work that was more than that counts as well: a
    /// damaged page is met by who needs it, and by nobody else.
    pub(super) async fn look<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<Kept<T>, Fault> + Send + 'static,
    {
        let answer = self.call(work, Kind::Looks).await?;
        self.fares.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(answer), Err)
    }

    async fn call<T, W>(&self, work: W, kind: Kind) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<Kept<T>, Fault> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { work: Some(work), result: Err(gone()), reply, kind };
        self.writer.send(Box::new(call)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Has a reader do this.
    pub(super) async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        let Some(readers) = &self.readers else {
            return self.write(move |connection| work(connection).map(Kept::All)).await;
        };
        let (reply, answer) = oneshot::channel();
        let reading: Reading = Box::new(move |connection| {
            // Whoever asked may have gone.
            let _gone = reply.send(work(connection).map_err(StoreError::from));
        });
        readers.send(reading).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Away("its thread has ended".into())
}

fn read(connection: &Connection, readings: &Mutex<mpsc::Receiver<Reading>>) {
    loop {
        // One reader waits for work with the lock, the others for the lock.
        let reading = readings.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(reading) = reading else { return };
        reading(connection);
    }
}

fn write(connection: &Connection, mut pieces: mpsc::Receiver<Box<dyn Piece>>, fares: &Fares) {
    let mut group = Vec::with_capacity(GROUP);
    while pieces.blocking_recv_many(&mut group, GROUP) > 0 {
        let failed = transact(connection, &mut group).err().map(StoreError::from);
        if failed.is_some() && !connection.is_autocommit() {
            // If this fails too, the next group cannot begin, and says so.
            let _failed = connection.execute_batch("rollback");
        }
        let wipes = failed.is_none() && group.iter().any(|piece| piece.wipes());
        if wipes {
            wipe(connection);
        }
        if let Some(last) = group.iter().rev().find(|piece| !piece.looks()) {
            let fault = failed.as_ref().or_else(|| last.fault()).cloned();
            *fares.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }
        group.drain(..).for_each(|piece| piece.answer(failed.as_ref()));
    }
}

fn transact(connection: &Connection, group: &mut [Box<dyn Piece>]) -> Result<(), Fault> {
    // Takes the write lock at once: a transaction that begins by reading could not wait for another process.
    connection.execute_batch("begin immediate")?;
    for piece in group {
        connection.execute_batch("savepoint piece")?;
        let keep = piece.apply(connection);
        if connection.is_autocommit() {
            // A full disk or a failed write ends the whole transaction.
            return Err(Fault(StoreError::Away("the transaction was ended by the database".into())));
        }
        connection.execute_batch(if keep { "release piece" } else { "rollback to piece; release piece" })?;
    }
    connection.execute_batch("commit")?;
    Ok(())
}

/// Moves the log into the file, where deleted rows are overwritten, and empties it.
fn wipe(connection: &Connection) {
    let emptied = connection
        .busy_timeout(WIPE_PATIENCE)
        .and_then(|()| connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get::<_, i64>(0)))
        .map(|busy| busy == 0);
    if !matches!(emptied, Ok(true)) {
        tracing::warn!("the log still holds what was deleted; it is emptied when nobody reads");
    }
    if let Err(error) = connection.busy_timeout(BUSY) {
        tracing::warn!(%error, "the store's patience was not set back");
    }
}
